"""Measure base against tuned: reward and variety at every checkpoint, on fixed seeds, by the deterministic sampler.

    python -m core evaluate runs/first
    python -m core evaluate --claim --seeds 3      # collapse-demo against diverse-grpo, trained side by side first
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..config import parse_assignments
from ..errors import UserError
from ..presets import load_preset
from ..runs import folder
from .own import OWN, refuse_own
from .saved import run_with_checkpoint


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN", help="run folders")
    parser.add_argument("--claim", action="store_true", help="train collapse-demo and diverse-grpo for some seeds and compare them at equal reward")
    parser.add_argument("--seeds", type=int, default=3, help="seeds of --claim (default 3)")
    parser.add_argument("--run-dir", type=Path, default=Path("runs/claim"), help="where --claim keeps its runs; finished ones are not trained again")
    parser.add_argument("--set", dest="assignments", action="append", default=[], metavar="KEY=VALUE", help="with --claim: change a setting of both presets")


def run(args: argparse.Namespace) -> int:
    if args.claim:
        if args.seeds < 1:
            raise UserError(f"seeds: {args.seeds}. Use at least 1.")
        return claim(args.run_dir, args.seeds, args.assignments)
    if args.assignments:
        raise UserError(f"--set {args.assignments[0]}: a run is measured with its own settings. Leave it out, or use --claim.")
    if not args.runs:
        raise UserError("evaluate: name a run folder, or use --claim.")
    runs = [run_with_checkpoint(path) for path in args.runs]
    from ..proof import measured

    for run in runs:
        show(run.name, measured(run))
    return 0


def show(name: str, measures: list) -> None:
    print(f"\n{name}\n{'iteration':>10} {'reward':>8} {'looks, clip':>12} {'looks, pixels':>14}")
    for m in measures:
        print(f"{'base' if m.iteration == 0 else m.iteration:>10} {m.reward:8.2f} {m.clip:12.2f} {m.pixels:14.2f}")


def claim(where: Path, seeds: int, assignments: list[str]) -> int:
    """Train both presets for every seed, measure them, and print what the README says."""
    changes = parse_assignments(assignments)
    refuse_own(changes, "evaluate --claim")
    import numpy as np

    from ..proof import SPACES, Interrupted, at_equal_reward, measured, trained

    tracks: dict[str, list[list]] = {"collapse-demo": [], "diverse-grpo": []}
    for seed in range(seeds):
        for preset, found in tracks.items():
            config = load_preset(preset).with_changes(**changes, **OWN, seed=seed)
            try:
                run = trained(folder.Run(where / f"{preset}-{seed}"), config)
            except Interrupted as interrupted:
                return interrupted.code
            found.append(measured(run, until=config.iterations))
            show(run.name, found[-1])
    print(f"\ncollapse-demo against diverse-grpo, {seeds} seeds, 48 pictures a prompt, mean (smallest to largest)")
    for space, words in SPACES.items():
        lost = [1 - getattr(plain[-1], space) / getattr(plain[0], space) for plain in tracks["collapse-demo"]]
        kept = [at_equal_reward(diverse, plain, space) for plain, diverse in zip(tracks["collapse-demo"], tracks["diverse-grpo"])]
        for label, values in (("collapse-demo loses", lost), ("at equal reward diverse-grpo keeps more by", kept)):
            print(f"  {words:26} {label:44} {np.mean(values):6.1%}  ({min(values):.1%} to {max(values):.1%})")
    return 0
