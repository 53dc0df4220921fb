"""Size as JPEG: the (in)compressibility rewards of DDPO (Black et al. 2023, arXiv 2305.13301)."""

from __future__ import annotations

import io

import torch
from PIL import Image
from torch import Tensor

from .images import to_bytes

QUALITY = 95


def incompressibility(images: Tensor, prompts: list[str]) -> Tensor:
    """JPEG size in kB (1000 bytes) at quality 95, PIL defaults otherwise: (B,) float32. Depends on the resolution."""
    sizes = []
    for picture in to_bytes(images):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, format="JPEG", quality=QUALITY)
        sizes.append(file.tell() / 1000)
    return torch.tensor(sizes, dtype=torch.float32, device=images.device)


def compressibility(images: Tensor, prompts: list[str]) -> Tensor:
    """Minus `incompressibility`. Its optimum is a flat picture."""
    return -incompressibility(images, prompts)
