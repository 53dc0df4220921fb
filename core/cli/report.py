"""Every diversity metric of saved pictures: of a run's base and tuned model, or of one or two folders of pictures.

    python -m core report runs/first                   # draws what is not drawn yet, under runs/first/export/report
    python -m core report runs/first --iteration 20 --count 100
    python -m core report pictures/base pictures/tuned --clip openai/clip-vit-large-patch14

A folder of pictures holds a folder for each prompt, or the pictures themselves. All numbers are taken of the same files, and
of equally many. Read them beside the reward: a model that learnt less looks more varied.
"""

from __future__ import annotations

import argparse
import json
import math
from dataclasses import asdict
from pathlib import Path

from ..clip_names import EMBEDDED, check_clip
from ..config import MODELS, RunConfig
from ..errors import UserError
from ..runs import checkpoints, folder
from .saved import pictures_in, run_with_checkpoint

COUNT = 48  # as `evaluate`: these metrics depend on the number
BASE, REFERENCE = "base", "base, other seeds"


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="+", type=Path, metavar="RUN|FOLDER", help="a run, or one folder of pictures, or two: the base's and another's")
    parser.add_argument("--count", type=int, help=f"pictures of each prompt (default: {COUNT} of a run, of folders as many as all have)")
    parser.add_argument("--iteration", type=int, help="run: checkpoint (default: the newest)")
    parser.add_argument("--reference", type=Path, metavar="FOLDER", help="folders: pictures of the base from other seeds, to measure drift from (default: the first folder)")
    parser.add_argument("--clip", default=EMBEDDED, help=f"folders: the CLIP of the feature space, a folder or hub name (default {EMBEDDED})")
    parser.add_argument("--classifier", choices=("auto", "style", "none"), default="auto", help="for the Inception Score: the style probe, or none; auto is the probe where an embedded model is tuned")
    parser.add_argument("--codebook", type=int, default=64, help="entries of the codebook, fitted on the base (default 64)")
    parser.add_argument("--out", type=Path, help="JSON to write (default: beside the pictures)")


def run(args: argparse.Namespace) -> int:
    if args.count is not None and not 2 <= args.count <= 10_000:
        raise UserError(f"count: {args.count} pictures. Use 2 to 10000.")
    if not 1 <= args.codebook <= 4096:
        raise UserError(f"codebook: {args.codebook} entries. Use 1 to 4096.")
    if len(args.what) > 2:
        raise UserError(f"report: {len(args.what)} folders. Name a run, or one or two folders of pictures.")
    if args.out is not None and args.out.is_dir():
        raise UserError(f"out: {args.out} is a folder. Name a JSON file.")
    runs = [path for path in args.what if folder.Run(path).exists()]
    if runs and len(args.what) > 1:
        raise UserError(f"report: {runs[0]} is a run. Name it alone, or name folders of pictures, such as its export/report/base.")
    return of_run(args) if runs else of_folders(args)


# --- a run ------------------------------------------------------------------------------------------------------------
def of_run(args: argparse.Namespace) -> int:
    source = run_with_checkpoint(args.what[0], args.iteration)
    config = source.config()
    check_clip(config.clip_model)
    import torch

    from ..backbones.device import choose_device
    from ..loading import hush, load_perceptual, load_rewards

    iteration = args.iteration or checkpoints.all_of(source)[-1]
    sets, tuned = drawn(source, config, iteration, args.count or COUNT)
    hush()
    device = choose_device(config.device)
    rewards = load_rewards(config, device)
    rewards.load_state_dict(folder.yardstick(source))
    embedded = Path(config.model).name == config.model and (MODELS / config.model).is_dir()
    probe = load_probe(device) if args.classifier == "style" or args.classifier == "auto" and embedded else None
    from ..picture_report import measure, reward_rows

    texts = dict(zip(sets[BASE], [config.prompts[p] for p in tuned.prompts]))
    rows = reward_rows(sets, rewards, texts)
    rows += measure(sets, load_perceptual(config, device), probe, base=BASE, reference=REFERENCE, codebook=args.codebook)
    facts = {
        "run": source.name, "iteration": iteration, "prompts": list(texts.values()), "pictures_per_prompt": tuned.count,
        "sampler": f"deterministic, {config.steps} steps, guidance {config.guidance:g}", "torch": torch.__version__,
    }
    head = f"{source.name}, iteration {iteration}: {tuned.count} pictures of each of {len(texts)} {'prompts' if len(texts) > 1 else 'prompt'}, {facts['sampler']}; base and tuned share their seeds."
    return tell(head, rows, facts, args.out or source.export / "report" / f"report-{iteration:06d}.json")


def drawn(source: folder.Run, config: RunConfig, iteration: int, count: int) -> tuple[dict[str, dict[str, list[Path]]], object]:
    """Files of base, base from other seeds and tuned model, made where they are not there yet; and the tuned set."""
    import hashlib

    from ..base import mapped_prompts
    from ..picture_files import DrawnSet

    tensors, state = checkpoints.load(source, iteration)
    weights = hashlib.blake2b(digest_size=16)
    for name in sorted(n for n in tensors if n.startswith("lora/")):
        weights.update(name.encode() + tensors[name].tobytes())
    shared = {key: getattr(config, key) for key in ("model", "steps", "guidance", "resolution", "seed")} | {"arithmetic": state.get("arithmetic")}
    place, prompts = source.export / "report", tuple(mapped_prompts(config))
    made = {
        name: DrawnSet(place / where, config, prompts, count, base, stream, {**shared, "weights": digest})
        for name, where, base, stream, digest in (
            (BASE, "base", True, 0, "base"),
            (REFERENCE, "base-other-seeds", True, 1, "base"),
            (f"tuned, {iteration}", f"tuned-{iteration:06d}", False, 0, weights.hexdigest()),
        )
    }
    left = sum(one.missing() for one in made.values())
    if left:
        folder.check_disk(place)
        from tqdm import tqdm

        from ..loading import open_run

        trainer = open_run(source, iteration)
        with tqdm(total=left, unit="picture", desc="Drawing", leave=False) as bar:
            for one in made.values():
                one.draw(trainer, bar.update)
    return {name: {prompt: list(files.values()) for prompt, files in one.files().items()} for name, one in made.items()}, list(made.values())[-1]


# --- folders of pictures ----------------------------------------------------------------------------------------------
def of_folders(args: argparse.Namespace) -> int:
    if args.iteration is not None:
        raise UserError("iteration: folders of pictures have no iterations. Name a run, or leave it out.")
    check_clip(args.clip)
    given = [*args.what, *([args.reference] if args.reference else [])]
    if len({path.resolve() for path in given}) < len(given):
        raise UserError("report: the same folder is named twice. Name different ones.")
    found = {str(path) if [p.name for p in given].count(path.name) > 1 else path.name: pictures_in(path) for path in given}
    names = list(found)
    sets, words = equal_numbers(found, args.count)
    reference = names[-1] if args.reference else names[0] if len(names) == 2 else None
    from ..backbones.device import choose_device
    from ..config import build
    from ..loading import hush, load_perceptual
    from ..picture_report import measure

    hush()
    device = choose_device("auto")
    probe = load_probe(device) if args.classifier == "style" else None
    rows = measure(sets, load_perceptual(build({"clip_model": args.clip}), device), probe, base=names[0], reference=reference, codebook=args.codebook)
    facts = {"folders": [str(path) for path in given], "prompts": list(sets[names[0]]), "note": words}
    return tell(f"{' and '.join(names)}: {words}", rows, facts, args.out or args.what[-1] / "report.json")


def equal_numbers(found: dict[str, dict[str, list[Path]]], count: int | None) -> tuple[dict[str, dict[str, list[Path]]], str]:
    """The first pictures of every prompt of every set, as many as all have or `count`, and a sentence. Raises UserError."""
    base = next(iter(found))
    for name, prompts in found.items():
        odd = sorted(prompts.keys() ^ found[base].keys())
        if odd:
            lacking = name if odd[0] in found[base] else base
            raise UserError(f"{lacking}: there is no folder of the prompt {odd[0]!r}, which the other has. Give both the same prompts.")
    least, place = min((len(files), f"{name}/{prompt}".rstrip("/")) for name, prompts in found.items() for prompt, files in prompts.items())
    if least < max(2, count or 2):
        raise UserError(f"{place}: there {'is' if least == 1 else 'are'} {least} picture{'s' * (least != 1)}, {max(2, count or 2)} are needed of each prompt. Add some, or use a smaller --count.")
    taken = count or least
    left_out = sum(len(files) - taken for prompts in found.values() for files in prompts.values())
    words = f"{taken} pictures of each of {len(found[base])} {'prompts' if len(found[base]) > 1 else 'prompt'}" + (f", the first by name; {left_out} are left out, so that all have equally many." if left_out else ".")
    return {name: {prompt: prompts[prompt][:taken] for prompt in found[base]} for name, prompts in found.items()}, words


# --- both -------------------------------------------------------------------------------------------------------------
def load_probe(device):
    from ..loading import STYLE_FOLDER
    from ..rewards.style import StyleProbe

    return StyleProbe.load(STYLE_FOLDER, device)


def tell(head: str, rows: list, facts: dict, out: Path) -> int:
    from ..picture_report import table

    written = [{**asdict(row), "value": row.value if math.isfinite(row.value) else None} for row in rows]
    out.parent.mkdir(parents=True, exist_ok=True)
    folder.write_atomically(out, json.dumps({**facts, "rows": written}, indent=1, ensure_ascii=False))
    print(f"{head}\n\n{table(rows)}\n\n{out}")
    return 0
