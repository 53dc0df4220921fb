"""Write a run's LoRA as a safetensors file that stock diffusers, or ComfyUI and A1111, load.

    python -m core export runs/first --to my-lora
    >>> pipe.load_lora_weights("my-lora")
    python -m core export runs/first --strength 0.6 --iteration 20
    python -m core export runs/first --format comfy --to ComfyUI/models/loras
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..runs import checkpoints, compare, lora_header, lora_keys
from ..runs.folder import Run, write_atomically
from .saved import run_with_checkpoint

AS_TRAINED = "pytorch_lora_weights.safetensors"  # the name by which diffusers looks for a LoRA in a folder


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
    target.mkdir(parents=True, exist_ok=True)
    if args.format == "diffusers" and not lora_keys.is_prompted(source, iteration):
        print(_peft(source, iteration, target, args.strength))
        return 0
    standard = args.format == "diffusers" and args.strength == 1
    name = AS_TRAINED if standard else lora_keys.file_name(source, iteration, args.format, args.strength)
    print(lora_keys.write(source, iteration, args.format, target / name, strength=args.strength))
    return 0


def _peft(source: Run, iteration: int, target: Path, strength: float) -> Path:
    """The LoRA of a model without a prompt, which only peft loads; with the header of the others."""
    import torch
    from safetensors.numpy import load_file, save

    from ..loading import open_run

    backbone = open_run(source, iteration).backbone
    with torch.no_grad():
        for name, matrix in backbone.adapter().items():
            if ".lora_B." in name:
                matrix.mul_(strength)
    file = backbone.export_lora(target)
    said = lora_header.metadata(
        source.name, source.config(), iteration, form="diffusers", made_of=("plain", 0), strength=strength, made=compare.weights_made(source, iteration)
    )
    write_atomically(file, save(load_file(file), said))
    return file
