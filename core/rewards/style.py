"""Taste for one drawing style: a small convolutional classifier of pictures, an honest analogue of an aesthetic predictor."""

from __future__ import annotations

import difflib
import json
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..errors import UserError
from .images import check_images

PROBE_FILE = "style_probe.safetensors"
SIDE = 64


class Block(nn.Module):
    """Two 3x3 convolutions around the identity; the first halves the side when `stride` is 2."""

    def __init__(self, width_in: int, width: int, stride: int):
        super().__init__()
        self.first = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.second = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.norms = nn.ModuleList([nn.GroupNorm(8, width), nn.GroupNorm(8, width)])
        self.skip = nn.Conv2d(width_in, width, 1, stride, bias=False) if stride > 1 or width_in != width else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        inner = F.silu(self.norms[0](self.first(x)))
        return F.silu(self.skip(x) + self.norms[1](self.second(inner)))


class StyleProbe(nn.Module):
    """Pictures (B, 3, H, W) in [0, 1] -> logits (B, S + 1): the S styles of `styles`, and last `no clean picture at all`.

    The last class was trained on broken pictures (ghosts of two, noise, stripes, shuffled pieces), so that a policy
    cannot please the probe by leaving the pictures that it knows.
    """

    def __init__(self, styles: list[str], width: int = 32):
        super().__init__()
        self.styles = styles
        self.stem = nn.Conv2d(3, width, 3, 1, 1)
        self.blocks = nn.Sequential(Block(width, width, 2), Block(width, 2 * width, 2), Block(2 * width, 3 * width, 2))
        self.head = nn.Linear(6 * width, len(styles) + 1)

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-2:] != (SIDE, SIDE):
            images = F.interpolate(images, size=(SIDE, SIDE), mode="bicubic", antialias=True, align_corners=False).clamp(0, 1)
        x = self.blocks(F.silu(self.stem(2 * images - 1)))  # (B, 3 width, 8, 8)
        return self.head(torch.cat([x.mean((2, 3)), x.amax((2, 3))], dim=1))

    @classmethod
    def load(cls, folder: Path, device: torch.device | str) -> "StyleProbe":
        """style_probe.safetensors of a folder, metadata styles (a JSON list). Raises UserError."""
        path = Path(folder) / PROBE_FILE
        try:
            with safe_open(path, framework="pt", device=str(device)) as file:
                weights = {name: file.get_tensor(name).float() for name in file.keys()}
                probe = cls(json.loads(file.metadata()["styles"]), width=weights["stem.bias"].shape[0])
            probe.load_state_dict(weights)
        except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError):
            problem = f"style_preference needs {PROBE_FILE} in {folder}, and it cannot be read"
            raise UserError(f"rewards: {problem}. Restore it from the project's assets, or use another reward.", "rewards") from None
        return probe.to(device).eval().requires_grad_(False)


class StylePreference:
    """Log-odds of one style against all else: z_s - log sum_{j != s} exp z_j = log p_s / (1 - p_s).

    A probability or its log is flat once the probe is sure and then ranks a group by rounding noise; the log-odds
    keep growing with the logits, so good pictures can still be told from better ones.
    """

    def __init__(self, probe: StyleProbe, style: str):
        if style not in probe.styles:
            near = difflib.get_close_matches(style, probe.styles, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            known = ", ".join(probe.styles)
            raise UserError(f"reward_style: {style!r} is no style of the probe. {hint}There are: {known}.", "reward_style")
        self._probe = probe
        self._wanted = probe.styles.index(style)

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: list[str]) -> Tensor:
        """(B, 3, H, W) in [0, 1] -> (B,) float32 on the images' device."""
        check_images(images)
        with torch.autocast(images.device.type, enabled=False):
            logits = self._probe(images)
        others = torch.arange(logits.shape[1], device=logits.device) != self._wanted
        return logits[:, self._wanted] - logits[:, others].logsumexp(dim=1)
