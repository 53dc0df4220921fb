"""A CLIP model folder behind two calls: pictures -> features, texts -> features. Shared by rewards and diversity.

Features are the projected embeddings of Radford et al. 2021 (arXiv 2103.00020), float32 and not normalised.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor

from .errors import UserError


class ImageTower:
    """The image half of a CLIPModel with its preprocessing. Frozen, in evaluation mode, always float32."""

    def __init__(self, model, image_size: int, mean, std):
        self.model = model.eval().requires_grad_(False).float()
        self.image_size = image_size
        self.mean, self.std = (torch.tensor(x, dtype=torch.float32, device=model.device).view(1, 3, 1, 1) for x in (mean, std))

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) in [0, 1] -> features (B, F), on the model's device. Pictures are squeezed to a square."""
        pixels = images.to(self.model.device, torch.float32)
        if pixels.shape[-2:] != (self.image_size, self.image_size):
            pixels = F.interpolate(pixels, size=(self.image_size,) * 2, mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        pixels = (pixels - self.mean) / self.std
        # The trainer may stand in an autocast context; features must not depend on it.
        with torch.autocast(pixels.device.type, enabled=False):
            pooled = self.model.vision_model(pixel_values=pixels).pooler_output
            return self.model.visual_projection(pooled)


class Clip:
    """Both halves of a CLIP folder. `images(images)` and `texts(prompts)` give features in the same space."""

    def __init__(self, model, tokenizer, image_size: int, mean, std):
        self.images = ImageTower(model, image_size, mean, std)
        self.model = self.images.model
        self._tokenizer = tokenizer
        self._known: dict[str, Tensor] = {}

    @torch.no_grad()
    def texts(self, prompts: list[str]) -> Tensor:
        """Features (B, F) of the prompts, each computed once and remembered. Long prompts are cut at the model's length."""
        new = list(dict.fromkeys(p for p in prompts if p not in self._known))
        if new:
            length = self.model.config.text_config.max_position_embeddings
            tokens = self._tokenizer(new, padding="max_length", truncation=True, max_length=length, return_tensors="pt")
            tokens = tokens.to(self.model.device)
            with torch.autocast(self.model.device.type, enabled=False):
                tower = self.model.text_model(input_ids=tokens["input_ids"], attention_mask=tokens["attention_mask"])
                features = self.model.text_projection(tower.pooler_output)
            self._known.update(zip(new, features, strict=True))
        return torch.stack([self._known[p] for p in prompts])


def _side(size) -> int:
    """The picture side in a preprocessor_config: a number, or {shortest_edge}, or {height, width}."""
    return int(size if not isinstance(size, dict) else size.get("shortest_edge") or size["height"])


@lru_cache(maxsize=4)
def _load(folder: str, device: str) -> Clip:
    from transformers import CLIPModel, CLIPTokenizer

    try:
        look = json.loads((Path(folder) / "preprocessor_config.json").read_text(encoding="utf-8"))
        model = CLIPModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).to(device)
        tokenizer = CLIPTokenizer.from_pretrained(folder, local_files_only=True)
        return Clip(model, tokenizer, _side(look["size"]), look["image_mean"], look["image_std"])
    except (OSError, KeyError, ValueError, SafetensorError) as error:
        reason = str(error).splitlines()[0][:200]
        remedy = "Name a folder saved by CLIPModel and CLIPProcessor."
        raise UserError(f"{folder}: the CLIP model cannot be loaded ({reason}). {remedy}", "perceptual") from None


def load_clip(folder: Path, device: torch.device | str) -> Clip:
    """The CLIP model in `folder`, loaded once per device and shared by whoever asks. Raises UserError."""
    return _load(str(folder), str(device))
