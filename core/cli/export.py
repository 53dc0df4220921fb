"""Write a run's LoRA as a safetensors file that stock diffusers loads.

    python -m core export runs/first --to my-lora
    >>> pipe.load_lora_weights("my-lora")
"""

from __future__ import annotations

import argparse
from pathlib import Path

from .saved import run_with_checkpoint


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--iteration", type=int, help="checkpoint to export (default: the newest)")
    parser.add_argument("--to", type=Path, help="folder to write (default: export/ in the run)")


def run(args: argparse.Namespace) -> int:
    source = run_with_checkpoint(args.run, args.iteration)
    target = args.to or source.export
    target.mkdir(parents=True, exist_ok=True)
    from ..loading import open_run

    print(open_run(source, args.iteration).backbone.export_lora(target))
    return 0
