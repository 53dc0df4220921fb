"""Stable Diffusion 1 and 2 in any size, from a folder or the hub: the model of DDPO (arXiv 2305.13301)."""

from __future__ import annotations

import torch
from diffusers import StableDiffusionPipeline

from ..config import RunConfig
from ..errors import UserError
from .base import Conditions
from .unet import UNetBackbone, load


class StableDiffusion(UNetBackbone):
    """See backbones.base.Backbone. `velocity` gives epsilon, or v where the scheduler says so; there is no pooled embedding."""

    lora_targets = ["to_q", "to_k", "to_v", "to_out.0"]  # as in the public DDPO code
    clamp_last = True

    def __init__(self, config: RunConfig, *, arithmetic: str | None = None):
        self._known: dict[str, torch.Tensor] = {}  # prompt -> (L, E)
        super().__init__(config, arithmetic=arithmetic)

    def _load(self, path: str, stored: torch.dtype) -> tuple[StableDiffusionPipeline, torch.nn.Module]:
        # The text encoder stays on the CPU in float32: every prompt passes it once. The safety checker would hide pictures from the reward.
        unused = {"safety_checker": None, "feature_extractor": None, "image_encoder": None, "requires_safety_checker": False}
        pipeline = load(StableDiffusionPipeline, path, dtype={"text_encoder": torch.float32, "default": stored}, **unused)
        if pipeline.unet.config.time_cond_proj_dim is not None:
            raise UserError("model: its UNet is distilled and wants the guidance as an input. Use a Stable Diffusion that is not.", "model")
        return pipeline, pipeline.vae

    @torch.no_grad()
    def encode(self, prompts: list[str], *, guidance: float) -> Conditions:
        def stack(texts: list[str]) -> torch.Tensor:
            for text in texts:
                if text not in self._known:  # one at a time: a prompt's embedding must not depend on its neighbours
                    context = self.pipeline.encode_prompt(text, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)[0]
                    self._known[text] = context[0].to(self.device, self.unet.dtype)
            return torch.stack([self._known[t] for t in texts])  # (B, L, E)

        none = torch.empty(len(prompts), 0, device=self.device)
        negative = (stack([""] * len(prompts)), none) if guidance > 1 else (None, None)
        return Conditions(stack(prompts), none, *negative)

    def _predict(self, x: torch.Tensor, timestep: torch.Tensor, conditions: Conditions, guidance: float) -> torch.Tensor:
        def forward(context: torch.Tensor) -> torch.Tensor:
            return self.unet(x, timestep, encoder_hidden_states=context, return_dict=False)[0].float()

        led = forward(conditions.context)
        if guidance <= 1:
            return led
        free = forward(conditions.negative_context)
        return free + guidance * (led - free)
