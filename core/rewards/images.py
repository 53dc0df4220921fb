"""What every reward takes: float32 images (B, 3, H, W) in [0, 1]."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def check_images(images: Tensor) -> None:
    """Raises ValueError if `images` is not float32 (B, 3, H, W) in [0, 1], naming its smallest and largest value."""
    if images.dtype != torch.float32 or images.ndim != 4 or images.shape[1] != 3:
        raise ValueError(f"rewards need float32 images (B, 3, H, W), got {images.dtype} {tuple(images.shape)}")
    if images.numel():
        low, high = (float(x) for x in images.aminmax())
        if not (low >= 0 and high <= 1):  # also true for NaN
            raise ValueError(f"rewards need images in [0, 1], got values from {low:g} to {high:g}")


def to_bytes(images: Tensor) -> np.ndarray:
    """Checked images as uint8 (B, H, W, 3), rounded."""
    check_images(images)
    return (images * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous().cpu().numpy()
