"""Write a run's LoRA as a safetensors file that stock diffusers loads.

    python -m core export runs/first --to my-lora
    >>> pipe.load_lora_weights("my-lora")
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import UserError
from ..runs import checkpoints, folder


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--iteration", type=int, help="checkpoint to export (default: the newest)")
    parser.add_argument("--to", type=Path, help="folder to write (default: export/ in the run)")


def run(args: argparse.Namespace) -> int:
    source = folder.Run(args.run)
    if not source.exists():
        raise UserError(f"{args.run}: there is no run here. Name a folder that holds config.yaml.")
    saved = checkpoints.all_of(source)
    if not saved:
        raise UserError(f"{args.run}: nothing is saved yet. Train it first.")
    if args.iteration is not None and args.iteration not in saved:
        raise UserError(f"iteration: {args.iteration} is not saved. There are: {', '.join(map(str, saved))}.")
    from ..loading import open_run

    target = args.to or source.export
    target.mkdir(parents=True, exist_ok=True)
    open_run(source, args.iteration).backbone.export_lora(target)
    print(target / "pytorch_lora_weights.safetensors")
    return 0
