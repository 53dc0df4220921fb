"""What the trainer asks of any model: conditions from prompts, a velocity, pictures from latents, a LoRA on or off."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from diffusers import ModelMixin
from torch import nn

from ..sampling.diffusion import DiffusionSchedule
from ..sampling.schedule import Schedule

# Of SD3's 256 empty tokens, under noise: 32 change the model's answer nearly as much as all of them, for a small part of the work.
UNFOLDED = 32


@dataclass(frozen=True)
class Conditions:
    """Encoded prompts. `context` (B, L, E), `pooled` (B, E'); the negative pair is there when guidance is used.

    What a model does not have is a tensor of width 0: Stable Diffusion 1 has no `pooled`, a model without a prompt neither.
    """

    context: torch.Tensor
    pooled: torch.Tensor
    negative_context: torch.Tensor | None = None
    negative_pooled: torch.Tensor | None = None
    copies: int = 1  # equal tokens that the last `present` of the contexts stand for in equal parts, see backbones.folding
    present: int = 1

    def __getitem__(self, rows: torch.Tensor | slice) -> "Conditions":
        pick = lambda x: None if x is None else x[rows]
        return Conditions(pick(self.context), pick(self.pooled), pick(self.negative_context), pick(self.negative_pooled), self.copies, self.present)

    def unfolded(self, number: int = UNFOLDED) -> "Conditions":
        """With `number` of the equal tokens, which stand for all of them, so that each can be given a noise of its own."""
        if self.copies == self.present:
            return self
        repeat = lambda x: None if x is None else torch.cat([x, x[:, -1:].expand(-1, number - 1, -1)], dim=1)
        return replace(self, context=repeat(self.context), negative_context=repeat(self.negative_context), present=number)


class Backbone(Protocol):
    """A pretrained pipeline with a trainable adapter."""

    device: torch.device
    latent_shape: tuple[int, int, int]  # (C, H, W) of one picture
    arithmetic: str  # 'float32' or 'bfloat16', as chosen
    denoiser: ModelMixin  # the part that is tuned
    referring: bool = False  # within `reference`

    def schedule(self, steps: int) -> Schedule | DiffusionSchedule: ...

    def encode(self, prompts: list[str], *, guidance: float) -> Conditions:
        """Conditions of B prompts; each distinct prompt is encoded once and kept."""

    def velocity(self, x: torch.Tensor, i: int, schedule: Schedule | DiffusionSchedule, conditions: Conditions, *, guidance: float) -> torch.Tensor:
        """v(x_i, sigma_i, c), float32 (B, C, H, W), for x float32; of a diffusion model what it predicts, epsilon for most."""

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures float32 (B, 3, H', W') in [0, 1]."""

    def adapter(self) -> dict[str, nn.Parameter]:
        """The trainable parameters by name, in a fixed order."""

    def reference(self) -> AbstractContextManager:
        """Within it the adapter is off: the base model."""
