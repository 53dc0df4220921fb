"""Speed tables.

    python -m core bench iteration           # one iteration of the collapse demo, by phase
"""

from __future__ import annotations

import argparse
import platform
import tempfile
from pathlib import Path

from ..config import load_preset
from ..errors import UserError
from ..runs import folder
from .train import check_before_loading

PHASES = {"rollout": "rollout", "decode": "decode", "reward": "reward", "diversity": "embed, cluster, bonus", "update": "update", "write": "write"}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("iteration",), nargs="?", default="iteration")
    parser.add_argument("--preset", default="collapse-demo")
    parser.add_argument("--iterations", type=int, default=5, help="measured iterations, after one that warms up")


def run(args: argparse.Namespace) -> int:
    if args.iterations < 1:
        raise UserError(f"iterations: {args.iterations}. Use at least 1.")
    config = load_preset(args.preset).with_changes(iterations=args.iterations + 1, base_pictures=24, checkpoint_every=100_000)
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
