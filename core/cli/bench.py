"""Speed tables.

    python -m core bench iteration           # one iteration of the collapse demo, by phase
"""

from __future__ import annotations

import argparse

PHASES = {"rollout": "rollout", "decode": "decode", "reward": "reward", "diversity": "embed, cluster, bonus", "update": "update", "write": "write"}


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=("iteration",), nargs="?", default="iteration")
    parser.add_argument("--preset", default="collapse-demo")
    parser.add_argument("--iterations", type=int, default=5, help="measured iterations, after one that warms up")


def run(args: argparse.Namespace) -> int:
    import platform
    import tempfile
    from pathlib import Path

    import numpy as np
    import torch

    from ..config import load_preset
    from ..runs import folder
    from ..worker import Worker

    config = load_preset(args.preset).with_changes(iterations=args.iterations + 1, base_pictures=24, checkpoint_every=100_000)
    with tempfile.TemporaryDirectory() as scratch:
        run = folder.create(Path(scratch) / "bench", config)
        Worker(run, resume=False, follow=False).carry_out()
        with run.database(readonly=True) as db:
            rows = db.iterations(1)
            arithmetic, state, message = db.status()["device"], db.status()["state"], db.status()["message"]
    if state != "finished":
        print(message)
        return 1
    total = np.array([r["duration"] for r in rows])
    print(f"\n{args.preset}: {config.prompts_per_iteration} x {config.group_size} pictures, {config.steps} steps; {arithmetic}, "
          f"{torch.get_num_threads()} threads, {platform.machine()}; mean of {len(rows)} iterations")
    print(f"{'phase':24} {'seconds':>8} {'share':>7}")
    for name, words in PHASES.items():
        seconds = np.mean([r["seconds"].get(name, 0.0) for r in rows])
        print(f"{words:24} {seconds:8.3f} {seconds / total.mean():7.1%}")
    print(f"{'iteration':24} {total.mean():8.3f} {total.min():.3f} to {total.max():.3f}")
    return 0
