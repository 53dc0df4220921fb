"""Models without a prompt: DDPM in pixels (google/ddpm-celebahq-256, the model of HRF, arXiv 2410.08315) or in latents (LDMPipeline)."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DiffusionPipeline

from ..config import MODELS, RunConfig
from ..errors import UserError
from .base import Conditions
from .unet import UNetBackbone, load


def _shared_autoencoder(folder: Path) -> dict[str, AutoencoderKL]:
    """{"vqvae": the autoencoder that an embedded model shares with another, which its model_index.json names}, or nothing.

    LDMPipeline knows a scale and no shift, so such a model was trained without one.
    """
    owner = json.loads((folder / "model_index.json").read_text()).get("_autoencoder_of")
    if owner is None:
        return {}
    vae = AutoencoderKL.from_pretrained(folder.parent / owner, subfolder="vae", use_safetensors=True)
    vae.register_to_config(shift_factor=None)
    return {"vqvae": vae}


class DDPM(UNetBackbone):
    """See backbones.base.Backbone. The prompt is ignored: conditions are tensors of width 0 that keep the rows apart.

    The LoRA goes on the attention projections and on the convolutions of all residual blocks. A UNet of this kind has
    attention on one or two coarse levels only, which cannot reach fine detail; HRF trains all weights. Our choice.
    """

    lora_targets = ["to_q", "to_k", "to_v", "to_out.0", "conv1", "conv2"]
    clamp_last = False  # in pixels the noise of abar_0 would be seen

    def __init__(self, config: RunConfig, *, arithmetic: str | None = None):
        if config.guidance > 1:
            raise UserError(f"guidance: {config.guidance:g} asks to follow the prompt, but {config.model} takes none. Use 1.", "guidance")
        super().__init__(config, arithmetic=arithmetic)

    def _load(self, path: str, stored: torch.dtype) -> tuple[DiffusionPipeline, torch.nn.Module | None]:
        shared = _shared_autoencoder(Path(path)) if Path(path).parent == MODELS else {}
        pipeline = load(DiffusionPipeline, path, dtype=stored, **shared)
        if pipeline.unet.class_embedding is not None:
            raise UserError("model: its UNet wants a class. Use a model without classes.", "model")
        return pipeline, getattr(pipeline, "vqvae", None)

    def encode(self, prompts: list[str], *, guidance: float) -> Conditions:
        return Conditions(torch.empty(len(prompts), 0, 0, device=self.device), torch.empty(len(prompts), 0, device=self.device))

    def _predict(self, x: torch.Tensor, timestep: torch.Tensor, conditions: Conditions, guidance: float) -> torch.Tensor:
        return self.unet(x, timestep, return_dict=False)[0].float()
