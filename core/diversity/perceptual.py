"""Pictures -> points in a space where near means alike."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..clip import Clip, load_clip
from ..clip_names import check_likeness


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
    """The image half of a CLIP model as likeness measure, named after the model."""

    def __init__(self, clip: Clip):
        self.name, self._features = f"CLIP {clip.name}", clip.images

    def embed(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) in [0, 1] -> (B, F) float32, centred and of unit length, on the model's device."""
        return centre_and_normalise(self._features(images))


def load(name: str, device: torch.device | str, clip: Path | str) -> Perceptual:
    """The likeness measure called `name`, 'clip' from the folder or hub name `clip`; why DreamSim is refused: `check_likeness`. Raises UserError."""
    check_likeness(name)
    return ClipPerceptual(load_clip(clip, device))
