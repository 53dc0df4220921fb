"""Write a run's LoRA as a safetensors file that stock diffusers, or ComfyUI and A1111, load.

    python -m core export runs/first --to my-lora
    >>> pipe.load_lora_weights("my-lora")
    python -m core export runs/first --format comfy --to ComfyUI/models/loras
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..runs import checkpoints, lora_keys
from .saved import run_with_checkpoint


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--iteration", type=int, help="checkpoint to export (default: the newest)")
    parser.add_argument("--to", type=Path, help="folder to write (default: export/ in the run)")
    parser.add_argument("--format", choices=lora_keys.FORMATS, default="diffusers", help="comfy: kohya's keys, for ComfyUI and A1111 (default: diffusers)")


def run(args: argparse.Namespace) -> int:
    source = run_with_checkpoint(args.run, args.iteration)
    target = args.to or source.export
    target.mkdir(parents=True, exist_ok=True)
    if args.format == "comfy":
        iteration = checkpoints.all_of(source)[-1] if args.iteration is None else args.iteration
        print(lora_keys.write(source, iteration, "comfy", target / f"{source.path.resolve().name}-{iteration}.safetensors"))
        return 0
    from ..loading import open_run

    print(open_run(source, args.iteration).backbone.export_lora(target))
    return 0
