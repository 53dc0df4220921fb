"""A CLIP model behind two calls: pictures -> features, texts -> features. Shared by rewards and diversity.

Features are the projected embeddings of Radford et al. 2021 (arXiv 2103.00020), float32 and not normalised. Any CLIPModel
of transformers will do, from a folder or the hub; its own tokenizer and its own preparation of pictures are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from .backbones import hub
from .clip_names import check_kind, whole
from .errors import UserError

_FILTERS = {2: "bilinear", 3: "bicubic"}  # numbers that Pillow gives them


@dataclass(frozen=True)
class Preparation:
    """How a CLIP wants its pictures, as its preprocessor_config says.

    shortest: the shorter side is scaled to it, then the middle is cut out; None: the picture is squeezed to `size`.
    size: (height, width) of what the model sees. mean, std: per channel.
    """

    size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    shortest: int | None = None
    filter: str = "bicubic"

    @classmethod
    def read(cls, look: dict) -> "Preparation":
        """From the keys of a preprocessor_config. Raises KeyError or ValueError where it says too little."""
        size = look["size"]
        shortest = size if isinstance(size, int) else size.get("shortest_edge")
        seen = size if shortest is None else look.get("crop_size", shortest)
        if shortest is not None and not look.get("do_center_crop", True):
            raise ValueError("it scales the shorter side and cuts nothing, so that pictures keep different sizes")
        seen = (seen, seen) if isinstance(seen, int) else (seen["height"], seen["width"])
        return cls(seen, tuple(look["image_mean"]), tuple(look["image_std"]), shortest, _FILTERS.get(look.get("resample", 3), "bicubic"))

    def __call__(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) float32 in [0, 1] -> (B, 3, *size), standardised."""
        height, width = images.shape[-2:]
        scaled = self.size
        if self.shortest is not None:
            scaled = tuple(max(self.shortest, self.shortest * side // min(height, width)) for side in (height, width))
        if scaled != (height, width):
            images = F.interpolate(images, size=scaled, mode=self.filter, antialias=True, align_corners=False).clamp(0, 1)
        top, left = (round((side - wanted) / 2) for side, wanted in zip(scaled, self.size))
        images = images[..., top : top + self.size[0], left : left + self.size[1]]
        mean, std = (images.new_tensor(x).view(1, 3, 1, 1) for x in (self.mean, self.std))
        return (images - mean) / std


class ImageTower:
    """The image half of a CLIPModel with its preparation. Frozen, in evaluation mode, always float32."""

    def __init__(self, model, prepare: Preparation):
        self.model, self._prepare = model.eval().requires_grad_(False).float(), prepare

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """images (B, 3, H, W) in [0, 1] -> features (B, F), on the model's device."""
        # The trainer may stand in an autocast context; features must not depend on it.
        with torch.autocast(self.model.device.type, enabled=False):
            pixels = self._prepare(images.to(self.model.device, torch.float32))
            pooled = self.model.vision_model(pixel_values=pixels).pooler_output
            return self.model.visual_projection(pooled)


class Clip:
    """Both halves of a CLIP. `images(images)` and `texts(prompts)` give features in the same space; `name` says whose."""

    def __init__(self, name: str, model, tokenizer, prepare: Preparation):
        self.name = name
        self.images = ImageTower(model, prepare)
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


def _read(source: str, device: str) -> Clip:
    from transformers import AutoConfig, AutoTokenizer, CLIPImageProcessor, CLIPModel

    place = {"local_files_only": Path(source).is_dir() or whole(source)}
    check_kind(source, AutoConfig.from_pretrained(source, **place).model_type)
    prepare = Preparation.read(CLIPImageProcessor.get_image_processor_dict(source, **place)[0])
    tokenizer = AutoTokenizer.from_pretrained(source, **place)
    model, found = CLIPModel.from_pretrained(source, use_safetensors=True, output_loading_info=True, **place)
    side = model.config.vision_config.image_size
    if prepare.size != (side, side):
        raise ValueError(f"pictures are prepared at {prepare.size}, but the model sees {side} x {side}")
    if found["missing_keys"]:  # transformers fills them with random numbers
        raise ValueError(f"its weights lack {sorted(found['missing_keys'])[0]} and {len(found['missing_keys']) - 1} more")
    if len(tokenizer) > model.config.text_config.vocab_size:
        raise ValueError(f"the tokenizer has {len(tokenizer)} tokens, the model {model.config.text_config.vocab_size}")
    return Clip(Path(source).name if Path(source).is_dir() else source, model.to(device), tokenizer, prepare)


@lru_cache(maxsize=4)
def _load(source: str, device: str) -> Clip:
    try:
        return _read(source, device)
    except (UserError, MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a damaged folder fails in as many ways as it has parsers
        known = hub.unreachable("clip_model", source, error)
        if known:
            raise known from None
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        remedy = "Name emoji-clip, a folder saved by CLIPModel and CLIPProcessor, or a hub name; only safetensors weights are read."
        raise UserError(f"clip_model: {source} cannot be loaded ({reason}). {remedy}", "clip_model") from None


def load_clip(source: Path | str, device: torch.device | str) -> Clip:
    """The CLIP of a folder or hub name, loaded once per device and shared by whoever asks. Raises UserError."""
    return _load(str(source), str(device))
