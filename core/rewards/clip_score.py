"""How well a picture fits its prompt."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from ..clip import Clip
from .images import check_images


class ClipScore:
    """Cosine of image and text embedding of a CLIP model, -1 to 1, without logit scale. Name the model beside the number."""

    def __init__(self, clip: Clip):
        self._clip = clip

    def __call__(self, images: Tensor, prompts: list[str]) -> Tensor:
        """(B, 3, H, W) in [0, 1] and B prompts -> (B,) float32 on the images' device."""
        check_images(images)
        return F.cosine_similarity(self._clip.images(images), self._clip.texts(prompts), dim=-1).to(images.device)
