"""A run's LoRA as a folder that stock programs load as it stands: what a trainer leaves in export/, and `core export` writes.

diffusers reads it by `load_lora_weights(folder)`. Into the pipelines of models that take no prompt diffusers loads no LoRA;
of these it is what peft reads by `PeftModel.from_pretrained(pipeline.unet, folder)`.
"""

from __future__ import annotations

import json
from pathlib import Path

from . import lora_keys
from .folder import Run, write_atomically
from .lora_keys import Factors

DIFFUSERS, PEFT = "pytorch_lora_weights.safetensors", "adapter_model.safetensors"  # the names that they look for


def write(run: Run, iteration: int, folder: Path, *, strength: float = 1.0) -> Path:
    """Write the LoRA after `iteration` into `folder`, with LoRA's scale and `strength` in its matrices; returns its file. Raises UserError."""
    folder.mkdir(parents=True, exist_ok=True)
    if lora_keys.is_prompted(run, iteration):
        return lora_keys.write(run, iteration, "diffusers", folder / DIFFUSERS, strength=strength)
    lora_keys.check_strength(strength)
    found = lora_keys.layers(run, iteration, strength)
    write_atomically(folder / "adapter_config.json", json.dumps(_peft_config(found), indent=2))
    tensors = {f"base_model.model.{layer}.lora_{side}.weight": matrix for layer, pair in found.items() for side, matrix in zip("AB", pair)}
    return lora_keys.save_with_header(run, iteration, tensors, folder / PEFT, form="diffusers", made_of=("plain", 0), strength=strength)


def _peft_config(found: dict[str, Factors]) -> dict:
    """What peft must know to put the matrices where they belong: alpha is the rank, as the scale is in them."""
    rank = len(next(iter(found.values()))[0])
    return {"peft_type": "LORA", "r": rank, "lora_alpha": rank, "target_modules": list(found), "bias": "none", "inference_mode": True}
