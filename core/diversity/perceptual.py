"""Pictures -> points in a space where near means alike."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..clip import ImageTower, load_clip
from ..errors import UserError


class Perceptual(Protocol):
    """A likeness measure. Distances of different measures cannot be compared, so each has a name."""

    name: str

    def embed(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) float32 in [0, 1] -> features (B, F) float32, centred and of unit length."""


def centre_and_normalise(features: Tensor) -> Tensor:
    """Centre each picture's features over F and scale them to unit length, in float32.

    1 - dot is then one minus a Pearson correlation (DreamSim, Fu et al. 2023, arXiv 2306.09344, `normalize_embeds`).
    A constant row stays zero: it is alike to nothing.
    """
    features = features.float()
    return F.normalize(features - features.mean(dim=-1, keepdim=True), dim=-1)


class ClipPerceptual:
    """The image half of a CLIP model as likeness measure."""

    name = "clip"

    def __init__(self, model, image_size: int, mean, std):
        self._features = ImageTower(model, image_size, mean, std)

    def embed(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) in [0, 1] -> (B, F) float32, centred and of unit length, on the model's device."""
        return centre_and_normalise(self._features(images))


def load(name: str, device: torch.device | str, clip_folder: Path) -> Perceptual:
    """The likeness measure called `name`, 'clip' from `clip_folder`. Raises UserError."""
    if name == "clip":
        tower = load_clip(clip_folder, device).images
        return ClipPerceptual(tower.model, tower.image_size, tower.mean.flatten().tolist(), tower.std.flatten().tolist())
    if name == "dreamsim":
        raise UserError("perceptual: DreamSim is not available yet; its weights do not come with the studio. Use clip.", "perceptual")
    raise UserError(f"perceptual: {name!r} is no likeness measure. Use clip.", "perceptual")
