"""Taste for one drawing style: a linear probe on CLIP image features, a small analogue of an aesthetic predictor."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..clip import Clip
from ..errors import UserError
from .images import check_images

PROBE_FILE = "style_probe.safetensors"


class StyleProbe:
    """Linear style classifier on unit-length CLIP image features: logits = weight f + bias.

    weight: (S, F). bias: (S,). styles: S names.
    """

    def __init__(self, weight: Tensor, bias: Tensor, styles: list[str]):
        self.weight, self.bias, self.styles = weight.float(), bias.float(), styles

    @classmethod
    def load(cls, clip_folder: Path, device: torch.device | str) -> "StyleProbe":
        """style_probe.safetensors of a CLIP folder: tensors weight and bias, metadata styles (a JSON list). Raises UserError."""
        path = Path(clip_folder) / PROBE_FILE
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                return cls(file.get_tensor("weight"), file.get_tensor("bias"), json.loads(file.metadata()["styles"]))
        except (OSError, SafetensorError, KeyError, TypeError, ValueError):
            problem = f"style_preference needs {PROBE_FILE} in {clip_folder}, and it cannot be read"
            raise UserError(f"rewards: {problem}. Use emoji-clip, or another reward.", "rewards") from None

    def logits(self, features: Tensor) -> Tensor:
        """CLIP image features (B, F) -> (B, S)."""
        return F.normalize(features.float(), dim=-1) @ self.weight.T + self.bias


class StylePreference:
    """Log-odds of one style against all others: z_s - log sum_{j != s} exp z_j = log p_s / (1 - p_s).

    A probability or its log is flat once the probe is sure and then ranks a group by rounding noise; the log-odds
    keep growing with the logits, so good pictures can still be told from better ones.
    """

    def __init__(self, clip: Clip, probe: StyleProbe, style: str):
        if style not in probe.styles:
            near = difflib.get_close_matches(style, probe.styles, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            known = ", ".join(probe.styles)
            raise UserError(f"reward_style: {style!r} is no style of the probe. {hint}There are: {known}.", "reward_style")
        self._clip, self._probe = clip, probe
        self._wanted = probe.styles.index(style)

    def __call__(self, images: Tensor, prompts: list[str]) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B,) float32 on the images' device."""
        check_images(images)
        logits = self._probe.logits(self._clip.images(images))
        others = torch.arange(logits.shape[1], device=logits.device) != self._wanted
        return (logits[:, self._wanted] - logits[:, others].logsumexp(dim=1)).to(images.device)
