"""Last stage: the averaged weights in ordinary folder formats, bfloat16 safetensors, under assets/models.

    python -m assets.recipe.package PARQUET --scratch DIR
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
from safetensors.torch import save_file
from torch import nn
from transformers import CLIPImageProcessor, CLIPModel, CLIPTextConfig, CLIPTextModelWithProjection, CLIPTokenizer

from . import autoencoder, clip, data, sd3

MODELS = Path(__file__).resolve().parents[1] / "models"
SHIFT = 2.0  # of the sampler's noise levels; found by assets.recipe.measure --shift


def averaged(scratch: Path, stage: str) -> dict[str, torch.Tensor]:
    return torch.load(scratch / f"{stage}.pt", weights_only=True)["averaged"]


def load_clip(scratch: Path, stage: str) -> tuple[CLIPModel, dict[str, torch.Tensor]]:
    """(CLIPModel, the two heads' weights) of a stage."""
    state = averaged(scratch, stage)
    model = clip.build().eval()
    model.load_state_dict({k.removeprefix("clip."): v for k, v in state.items() if k.startswith("clip.")})
    return model, {k.removeprefix("heads."): v for k, v in state.items() if k.startswith("heads.")}


def text_tower(parent: CLIPModel) -> CLIPTextModelWithProjection:
    """The text half of a CLIPModel as the class that Stable Diffusion 3 loads."""
    tower = CLIPTextModelWithProjection(CLIPTextConfig(**clip.TEXT)).eval()
    tower.text_model.load_state_dict(parent.text_model.state_dict())
    tower.text_projection.load_state_dict(parent.text_projection.state_dict())
    return tower


def load_as_float32(folder: Path) -> None:
    """transformers loads in the dtype that config.json names, diffusers in float32: name the same, or the two disagree."""
    config = folder / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dtype": "float32"}, indent=2, sort_keys=True) + "\n")


def finished_stage(scratch: Path) -> str:
    return next(stage for stage in ("sd3-guided", "sd3") if (scratch / f"{stage}.pt").exists())


def package(scratch: Path, parquet: Path, models: Path) -> None:
    tokenizer = CLIPTokenizer.from_pretrained(scratch / "tokenizer")
    target = models / "emoji-clip"
    shutil.rmtree(target, ignore_errors=True)
    model, heads = load_clip(scratch, "clip")
    model.to(torch.bfloat16).save_pretrained(target)
    load_as_float32(target)
    tokenizer.save_pretrained(target)
    CLIPImageProcessor(size={"height": 64, "width": 64}, crop_size={"height": 64, "width": 64}, do_center_crop=False,
                       image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(target)
    # The head was trained on 8 times the unit-length features.
    save_file({"weight": (8 * heads["style.weight"]).contiguous(), "bias": 8 * heads["style.bias"]},
              target / "style_probe.safetensors", metadata={"styles": json.dumps(list(data.STYLES))})

    vae = AutoencoderKL(**autoencoder.CONFIG).eval()
    vae.load_state_dict(averaged(scratch, "autoencoder"))
    seen, _ = data.split(data.load(parquet, sd3.GROUPS))
    seen += [e for e in seen if e.group == "Animals & Nature"]
    pictures = data.pictures(seen)
    _, shift, scale = sd3.latents(vae, torch.cat([pictures, pictures.flip(-1)]))
    vae.register_to_config(shift_factor=shift, scaling_factor=scale)
    transformer: nn.Module = SD3Transformer2DModel(**sd3.CONFIG).eval()
    transformer.load_state_dict(averaged(scratch, finished_stage(scratch)))
    parent, _ = load_clip(scratch, "text")
    pipeline = StableDiffusion3Pipeline(
        transformer=transformer.to(torch.bfloat16), vae=vae.to(torch.bfloat16), scheduler=FlowMatchEulerDiscreteScheduler(shift=SHIFT),
        text_encoder=text_tower(parent).to(torch.bfloat16), text_encoder_2=text_tower(parent).to(torch.bfloat16), text_encoder_3=None,
        tokenizer=tokenizer, tokenizer_2=tokenizer, tokenizer_3=None,
    )
    shutil.rmtree(models / "emoji-sd3", ignore_errors=True)
    pipeline.save_pretrained(models / "emoji-sd3")
    for part in ("text_encoder", "text_encoder_2"):
        load_as_float32(models / "emoji-sd3" / part)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=MODELS)
    args = parser.parse_args()
    package(args.scratch, args.parquet, args.models)
    for folder in sorted(args.models.iterdir()):
        size = sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())
        print(f"{folder.name:12} {size / 1e6:6.1f} MB")


if __name__ == "__main__":
    main()
