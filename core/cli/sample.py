"""Pictures of the base and the tuned model on the same seeds, side by side in one PNG.

    python -m core sample runs/first --prompt cat --count 24 --out cats.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UserError
from ..runs import checkpoints
from .saved import run_with_checkpoint


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--prompt", help="text of the prompt (default: the run's first)")
    parser.add_argument("--count", type=int, default=24, help="pictures a side (default 24)")
    parser.add_argument("--seed", type=int, default=0, help="first seed; the others follow it")
    parser.add_argument("--iteration", type=int, help="checkpoint (default: the newest)")
    parser.add_argument("--strength", type=float, default=1.0, help="LoRA strength, 0 to 1.5 (default 1)")
    parser.add_argument("--out", type=Path, help="PNG to write (default: export/ in the run)")


def run(args: argparse.Namespace) -> int:
    source = run_with_checkpoint(args.run, args.iteration)
    if not 1 <= args.count <= 256:
        raise UserError(f"count: {args.count} pictures. Use 1 to 256.")
    if not 0 <= args.strength <= 1.5:
        raise UserError(f"strength: {args.strength}. Use 0 to 1.5.")
    if not 0 <= args.seed < 2**31:
        raise UserError(f"seed: {args.seed}. Use 0 to {2**31 - 1}.")
    out = args.out or source.export / f"base-and-tuned-{args.seed}.png"
    if out.is_dir():
        raise UserError(f"out: {out} is a folder. Name a PNG file.")
    out.parent.mkdir(parents=True, exist_ok=True)
    prompt = args.prompt if args.prompt is not None else source.config().prompts[0]
    only = {"prompts": [prompt], "prompts_per_iteration": 1}
    prompt = source.config().with_changes(**only).prompts[0]
    from ..grids import BASE_NAME, Side, side_by_side
    from ..loading import open_run
    from ..pictures import to_uint8

    trainer = open_run(source, args.iteration)
    seeds = list(range(args.seed, args.seed + args.count))
    trainer.adopt(trainer.config.with_changes(**only))
    base = trainer.pictures(0, seeds, purpose=0, base=True)
    trainer.backbone.set_strength(args.strength)
    tuned = trainer.pictures(0, seeds, purpose=0, base=False)
    iteration = args.iteration or checkpoints.all_of(source)[-1]
    left = Side(BASE_NAME, to_uint8(base))
    right = Side(f"iteration {iteration}", to_uint8(tuned), args.strength, source.name)
    facts = {"run": source.name, "iteration": str(iteration), "strength": f"{args.strength:g}"}
    side_by_side(left, right, prompt=prompt, seeds=seeds, facts=facts).save(out)
    print(out)
    return 0
