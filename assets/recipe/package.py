"""Last stage: the averaged weights in ordinary folder formats, bfloat16 safetensors, under assets/models.

A stage that the scratch folder does not hold is left as it is shipped.

    python -m assets.recipe.package PARQUET --scratch DIR
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from safetensors.torch import save_file
from transformers import CLIPImageProcessor, CLIPTokenizer

from core.rewards.style import PROBE_FILE

from . import clip, data, sd3

MODELS = Path(__file__).resolve().parents[1] / "models"
SHIFT = 2.0  # of the sampler's noise levels; 3 drew fewer styles


def averaged(scratch: Path, stage: str) -> dict[str, torch.Tensor]:
    return torch.load(scratch / f"{stage}.pt", weights_only=True)["averaged"]


def load_as_float32(folder: Path) -> None:
    """transformers loads in the dtype that config.json names, diffusers in float32: name the same, or the two disagree."""
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float32"}, indent=2, sort_keys=True) + "\n")


def finished_stage(scratch: Path) -> str:
    return next(stage for stage in ("sd3-guided", "sd3") if (scratch / f"{stage}.pt").exists())


def package_clip(scratch: Path, target: Path) -> None:
    shutil.rmtree(target, ignore_errors=True)
    model = clip.load(scratch, "clip")
    model.to(torch.bfloat16).save_pretrained(target)
    load_as_float32(target)
    CLIPTokenizer.from_pretrained(scratch / "tokenizer").save_pretrained(target)
    CLIPImageProcessor(size={"height": 64, "width": 64}, crop_size={"height": 64, "width": 64}, do_center_crop=False,
                       image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(target)


def package_style(scratch: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    weights = {name: w.to(torch.bfloat16).contiguous() for name, w in averaged(scratch, "style").items()}
    save_file(weights, target / PROBE_FILE, metadata={"styles": json.dumps(list(data.STYLES))})


def package_sd3(scratch: Path, parquet: Path, target: Path) -> None:
    vae, tower, tokenizer = sd3.load_parts(scratch)
    _, shift, scale = sd3.latents(vae, sd3.training_pictures(data.load(parquet, sd3.GROUPS))[1])
    vae.register_to_config(shift_factor=shift, scaling_factor=scale)
    transformer = SD3Transformer2DModel(**sd3.CONFIG).eval()
    sd3.load_weights(transformer, scratch / f"{finished_stage(scratch)}.pt")
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer.to(torch.bfloat16), vae=vae.to(torch.bfloat16), scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        text_encoder=tower.to(torch.bfloat16), text_encoder_2=copy.deepcopy(tower), text_encoder_3=None,
        tokenizer=tokenizer, tokenizer_2=tokenizer, tokenizer_3=None,
    )
    draft = target.with_name(f"{target.name}.new")  # the old folder may be a source of parts: replace it last
    shutil.rmtree(draft, ignore_errors=True)
    pipeline.save_pretrained(draft)
    for part in ("text_encoder", "text_encoder_2"):
        load_as_float32(draft / part)
    for config in draft.rglob("config.json"):  # where a part was loaded from is nobody's business
        values = json.loads(config.read_text())
        if values.pop("_name_or_path", None):
            config.write_text(json.dumps(values, indent=2, sort_keys=True) + "\n")
    shutil.rmtree(target, ignore_errors=True)
    draft.rename(target)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=MODELS)
    args = parser.parse_args()
    if (args.scratch / "clip.pt").exists():
        package_clip(args.scratch, args.models / "emoji-clip")
    if (args.scratch / "style.pt").exists():
        package_style(args.scratch, args.models / "emoji-style")
    if (args.scratch / "sd3.pt").exists():
        package_sd3(args.scratch, args.parquet, args.models / "emoji-sd3")
    for folder in sorted(args.models.iterdir()):
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(f"{folder.name:12} {size / 1e6:6.1f} MB")


if __name__ == "__main__":
    main()
