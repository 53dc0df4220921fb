"""Measure: speed, methods side by side, what each denoising step carries, a dial at several values.

    python -m core bench iteration           # one iteration of the collapse demo, by phase
    python -m core bench presets             # time and memory of every preset on the embedded model
    python -m core bench pareto --seeds 3    # every method, reward against variety (hours on two cores)
    python -m core bench sensitivity         # which denoising steps carry the variety (minutes)
    python -m core bench sweep --preset diverse-grpo --field creative_beta --values 0,0.2,0.4,0.8
"""

from __future__ import annotations

import argparse
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from ..config import ROOT, fewest_base_pictures, parse_assignments
from ..errors import UserError
from ..presets import load_preset, preset_names
from ..runs import folder
from . import pareto, sensitivity, sweep
from .train import check_before_loading

WHAT = ("iteration", "presets", "pareto", "sensitivity", "sweep")
PHASES = {"rollout": "rollout", "decode": "decode", "reward": "reward", "diversity": "embed, cluster, bonus", "update": "update", "write": "write"}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=WHAT, nargs="?", default="iteration")
    parser.add_argument("--preset", default="collapse-demo", help="iteration, sensitivity, sweep: the preset (default collapse-demo)")
    parser.add_argument("--iterations", type=int, default=5, help="iteration, presets: measured iterations, after one that warms up (default 5)")
    parser.add_argument("--run-dir", type=Path, help="pareto, sensitivity, sweep: where runs, table and figures are kept (default: runs/ and the name)")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="all but presets: change a setting of the preset")
    for part in (pareto, sensitivity, sweep):
        part.add(parser)


def run(args: argparse.Namespace) -> int:
    if args.iterations < 1:
        raise UserError(f"iterations: {args.iterations}. Use at least 1.")
    if args.what == "presets" and args.assignments:
        raise UserError(f"--set {args.assignments[0]}: bench presets measures them as they are. Leave it out, or use bench iteration --preset NAME.")
    args.run_dir = args.run_dir or Path("runs") / args.what
    return {"iteration": iteration, "presets": presets, "pareto": pareto.run, "sensitivity": sensitivity.run, "sweep": sweep.run}[args.what](args)


def presets(args: argparse.Namespace) -> int:
    """Every preset of the embedded model in a process of its own, since the peak of memory is a process's."""
    print(f"{'preset':20} {'s/iteration':>12} {'whole run':>10} {'peak memory':>12}")
    for group in ("", "rivals"):
        for name in preset_names(group):
            with tempfile.TemporaryDirectory() as scratch:
                run = folder.Run(Path(scratch) / "bench")
                settings = {"iterations": args.iterations + 1, "base_pictures": fewest_base_pictures(load_preset(name).group_size), "checkpoint_every": 100_000}
                command = [sys.executable, "-m", "core", "train", name, "--run-dir", str(run.path), "--no-map"]
                command += [f"--set={key}={value}" for key, value in settings.items()]
                done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
                if done.returncode:
                    print(f"{name:20} {done.stderr.strip().splitlines()[-1]}")
                    continue
                with run.database(readonly=True) as db:
                    rows = db.iterations(1)
                pace = sum(r["duration"] for r in rows[1:]) / len(rows[1:])
                print(f"{name:20} {pace:12.2f} {pace * load_preset(name).iterations / 60:6.1f} min {rows[-1]['memory'] / 1e9:9.2f} GB", flush=True)
    return 0


def iteration(args: argparse.Namespace) -> int:
    config = load_preset(args.preset).with_changes(**parse_assignments(args.assignments))
    config = config.with_changes(iterations=args.iterations + 1, base_pictures=fewest_base_pictures(config.group_size), checkpoint_every=100_000)
    check_before_loading(config)
    import numpy as np
    import torch

    from ..worker import Worker

    with tempfile.TemporaryDirectory() as scratch:
        run = folder.create(Path(scratch) / "bench", config)
        code = Worker(run, resume=False, follow=False).carry_out()
        with run.database(readonly=True) as db:
            rows, arithmetic, state = db.iterations(1), db.status()["device"], db.status()["state"]
    if state != "finished":
        return code or 130
    total = np.array([r["duration"] for r in rows])
    print(f"\n{args.preset}: {config.prompts_per_iteration} x {config.group_size} pictures, {config.steps} steps; {arithmetic}, "
          f"{torch.get_num_threads()} threads, {platform.machine()}; mean of {len(rows)} iterations")
    print(f"{'phase':24} {'seconds':>8} {'share':>7}")
    for name, words in PHASES.items():
        seconds = np.mean([r["seconds"].get(name, 0.0) for r in rows])
        print(f"{words:24} {seconds:8.3f} {seconds / total.mean():7.1%}")
    print(f"{'iteration':24} {total.mean():8.3f} {total.min():.3f} to {total.max():.3f}")
    return 0
