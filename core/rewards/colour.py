"""Rewards on colour alone."""

from __future__ import annotations

import torch
from torch import Tensor

from .images import check_images

REC601 = (0.299, 0.587, 0.114)  # luma weights of red, green, blue


def colourfulness(images: Tensor, prompts: list[str]) -> Tensor:
    """Hasler and Suesstrunk 2003, "Measuring colourfulness in natural images", eq. for M^(3), on the 0 to 255 scale: (B,)."""
    check_images(images)
    red, green, blue = (255 * images).flatten(2).unbind(dim=1)  # (B, H W) each
    opponents = torch.stack([red - green, 0.5 * (red + green) - blue], dim=1)
    return opponents.std(dim=2, correction=0).norm(dim=1) + 0.3 * opponents.mean(dim=2).norm(dim=1)


def brightness(images: Tensor, prompts: list[str]) -> Tensor:
    """Mean Rec. 601 luma, 0 to 1: (B,)."""
    check_images(images)
    return torch.einsum("bchw,c->b", images, images.new_tensor(REC601)) / images[0, 0].numel()
