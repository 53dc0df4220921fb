"""Write a run's LoRA as a safetensors file that stock diffusers, or ComfyUI and A1111, load.

    python -m core export runs/first --to my-lora
    >>> pipe.load_lora_weights("my-lora")
    python -m core export runs/first --strength 0.6 --iteration 20
    python -m core export runs/first --format comfy --to ComfyUI/models/loras
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..runs import checkpoints, lora_folder, lora_keys
from ..runs.folder import Run
from .saved import run_with_checkpoint


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", type=Path, metavar="RUN")
    parser.add_argument("--iteration", type=int, help="checkpoint to export (default: the newest)")
    parser.add_argument("--strength", type=float, default=1.0, help="what the other program shall have at strength 1: 0 to 1.5, 1 is as trained (default 1)")
    parser.add_argument("--to", type=Path, help="folder to write (default: export/ in the run)")
    parser.add_argument("--format", choices=lora_keys.FORMATS, default="diffusers", help="comfy: kohya's keys, for ComfyUI and A1111 (default: diffusers)")


def run(args: argparse.Namespace) -> int:
    lora_keys.check_strength(args.strength)
    source = Run(run_with_checkpoint(args.run, args.iteration).path.resolve())  # as `.` names no run
    iteration = checkpoints.all_of(source)[-1] if args.iteration is None else args.iteration
    target = args.to or source.export
    if args.format == "diffusers" and (args.strength == 1 or not lora_keys.is_prompted(source, iteration)):
        print(lora_folder.write(source, iteration, target, strength=args.strength))
        return 0
    target.mkdir(parents=True, exist_ok=True)
    print(lora_keys.write(source, iteration, args.format, target / lora_keys.file_name(source, iteration, args.format, args.strength), strength=args.strength))
    return 0
