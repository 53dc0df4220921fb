"""Train a preset, a YAML file or a run folder.

    python -m core train collapse-demo --run-dir runs/first --set iterations=40
    python -m core train runs/first --resume
    python -m core train runs/first --branch runs/second --from 20 --set creative_beta=0.5
    python -m core train diverse-grpo --processes 4     # one process for each of four GPUs
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..config import FIELDS, LIVE, RESUMABLE, RunConfig, build, load, parse_assignments
from ..errors import UserError
from ..presets import load_preset
from ..runs import checkpoints, folder
from ..runs.branch import branch
from ..runs.heart import Heart
from ..runs.lora_header import model_title

if TYPE_CHECKING:
    from ..ranks import Ranks


def settings_help() -> str:
    """Every setting with its default and its words, for --help."""
    lines = ["settings for --set (name = default):"]
    for name, field in FIELDS.items():
        symbol = field.json_schema_extra["symbol"]
        lines.append(f"  {name} = {field.default}{f'   ({symbol})' if symbol else ''}\n      {field.description}")
    return "\n".join(lines).replace("%", "%%")


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", metavar="PRESET|FILE|RUN", help="a preset's name, a YAML file, or a run folder")
    parser.add_argument("--run-dir", type=Path, help="folder for the new run (default: the next free name under runs/)")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="change a setting; may be repeated")
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint; --set iterations=N adds more")
    parser.add_argument("--branch", type=Path, metavar="NEW", help="begin a new run folder from a checkpoint of RUN, which stays as it is; a bare name lands beside RUN")
    parser.add_argument("--from", dest="at", type=int, metavar="N", help="the checkpoint from which --branch begins (default: the newest)")
    parser.add_argument("--no-map", action="store_true", help="do not lay out the UMAP beside the training; the studio then shows PCA")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="share the pictures of every iteration among N processes, one a GPU")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)  # started by the studio on a folder it made
    parser.epilog = settings_help()


def run(args: argparse.Namespace) -> int:
    if args.processes < 1:
        raise UserError(f"processes: {args.processes}. Use 1 or more.", "processes")
    if args.processes > 1 and "WORLD_SIZE" not in os.environ:
        return _launched(args.processes)
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return _carried_out(args)
    from ..ranks import join

    ranks = join()
    if ranks.rank > 0:
        from ..follower import follow

        return follow(ranks)
    try:
        return _carried_out(args, ranks)
    finally:
        ranks.end()


def _launched(processes: int) -> int:
    """This command once more, in so many processes of this computer; the exit code of the first."""
    import torch
    from torch.distributed import run as launcher
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    gpus = torch.cuda.device_count()
    if gpus and processes > gpus:
        raise UserError(f"processes: {processes} are more than the {gpus} GPUs of this computer. Use at most {gpus}.", "processes")
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)  # the first process says in one line what it failed on
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // processes)))
    try:
        launcher.main(["--standalone", f"--nproc-per-node={processes}", "--module", "core", *sys.argv[1:]])
    except ChildFailedError as ended:
        return max(1, ended.failures[0].exitcode) if 0 in ended.failures else 1
    except SignalException:
        return 130
    return 0


def _carried_out(args: argparse.Namespace, ranks: Ranks | None = None) -> int:
    changes = parse_assignments(args.assignments)
    given = folder.Run(Path(args.what))
    if args.at is not None and not args.branch:
        raise UserError(f"--from: {args.at} names the checkpoint of a branch. Name its folder with --branch.", "from")
    if args.branch:
        run = _branch(given, changes, args)
        config, args.resume, changes = run.config(), True, {}
    elif given.exists():
        if args.run_dir is not None:
            raise UserError(f"run_dir: {given.path} is a run already, which goes on in its own folder. Leave --run-dir out, or name a new run with --branch.", "run_dir")
        run, config = given, _existing(given, changes, args)
    else:
        config = load(Path(args.what)) if Path(args.what).suffix in (".yaml", ".yml") else load_preset(args.what)
        config = build({**config.model_dump(), **changes})
        check_before_loading(config)
        target = args.run_dir or Path("runs") / folder.next_name(Path("runs"), Path(args.what).stem)
        if folder.Run(target).exists() and args.resume:
            run = folder.Run(target)
            config = _existing(run, changes, args)
        elif _unbegun(folder.Run(target)):
            run, config = folder.Run(target), config.placed()  # a setting was wrong that only loading could tell; the command is given again, corrected
        else:
            run = folder.create(target, config)
    with run.database() as db:  # say who carries it out before torch takes its seconds to load
        folder.claim(db, model_title(config))
        if config != run.config():
            folder.write_atomically(run.config_file, config.to_yaml())
        turned = {name: value for name, value in changes.items() if name in LIVE}
        if turned and checkpoints.all_of(run):
            db.send("set", changes=turned)
        with Heart(db):  # on a cold disk they are many
            from ..worker import carry_out

    code = carry_out(run, resume=args.resume, follow=not args.no_map, ranks=ranks)
    if code == 0 and not args.worker:
        with run.database(readonly=True) as db:
            print(f"{db.status()['message']}  {run.path}")
    return code


def _unbegun(run: folder.Run) -> bool:
    """Whether a run failed before it had made a picture, so that nothing is lost if it begins with other settings."""
    if not run.exists() or (run.path / "base.npz").exists() or checkpoints.all_of(run):
        return False
    with run.database(readonly=True) as db:
        return db.status().get("state") == "failed" and not db.iterations()


def _branch(run: folder.Run, changes: dict, args: argparse.Namespace) -> folder.Run:
    """A new run folder that begins from a checkpoint of `run`. Raises UserError."""
    if not run.exists():
        raise UserError(f"{run.path}: there is no run here. Name the run folder from which to branch.", "what")
    saved = checkpoints.all_of(run)
    if not saved:
        raise UserError(f"{run.path}: nothing was saved yet, so there is nothing to branch from.", "from")
    target = args.branch if args.branch.parent != Path() else run.path.with_name(args.branch.name)
    if not changes:
        print(f"With equal settings {target.name} repeats {run.name} bit by bit. Turn a dial with --set to go another way.")
    return branch(run, target, saved[-1] if args.at is None else args.at, changes)


def _existing(run: folder.Run, changes: dict, args: argparse.Namespace) -> RunConfig:
    """Settings with which a run that is there already goes on. Raises UserError."""
    if not (args.resume or args.worker):
        raise UserError(f"{run.path}: a run is here already. Continue it with --resume, or choose another --run-dir.", "run_dir")
    folder.check_disk(run.path)
    run.config().with_changes(**changes)
    fixed = sorted(set(changes) - {*LIVE, *RESUMABLE})
    if fixed and (run.path / "base.npz").exists():
        raise UserError(f"{fixed[0]}: this is fixed when a run starts. When resuming, these can change: {', '.join((*RESUMABLE, *LIVE))}.", fixed[0])
    if checkpoints.all_of(run):  # its dials are those in force; a change is asked for as from the studio
        changes = {name: value for name, value in changes.items() if name not in LIVE}
    config = run.config().with_changes(**changes)
    with run.database(readonly=True) as db:
        stands = db.status().get("iteration") or 0
    if "iterations" in changes and config.iterations < stands:
        raise UserError(f"iterations: {config.iterations}, but the run stands at {stands}. Use more, or branch from an earlier checkpoint.", "iterations")
    check_before_loading(config)
    return config


def check_before_loading(config: RunConfig) -> None:
    """Everything that can be wrong and can be told without loading a model. Raises UserError."""
    from ..rewards.names import check_names

    check_names(config.rewards)
    if config.reward_file and not Path(config.reward_file).is_file():
        raise UserError(f"reward_file: {config.reward_file} is not a file. Name a Python file with a function score(images, prompts).", "reward_file")
    from ..backbones.names import check_model
    from ..clip_names import check_clip, check_likeness

    check_likeness(config.perceptual)
    check_clip(config.clip_model)
    check_model(config.model)
