"""The rewards of a run: built by name, scored together, brought to one scale and weighed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..clip import load_clip
from ..errors import UserError
from .clip_score import ClipScore
from .colour import brightness, colourfulness
from .images import check_images
from .jpeg import compressibility, incompressibility
from .names import REGISTRY, RewardInfo, check_names
from .own import OwnReward
from .style import StylePreference, StyleProbe

__all__ = ["REGISTRY", "RewardInfo", "RewardSet", "Scores", "check_names"]

Reward = Callable[[Tensor, list[str]], Tensor]
_PLAIN: dict[str, Reward] = {
    "incompressibility": incompressibility,
    "compressibility": compressibility,
    "colourfulness": colourfulness,
    "brightness": brightness,
}


@dataclass(frozen=True)
class Scores:
    """raw: per reward name (B,) float32 in its own unit; NaN where a picture could not be scored, to be masked by the caller."""

    raw: dict[str, Tensor]


class RewardSet:
    """Named rewards with weights. Standardised on pictures of the base model, then summed.

    After `fit_scale`, 0 is the mean of the base and 1 one spread of the base, for each reward; equal weights then
    mean equal say, whatever the units. clip_folder: or a hub name, of the CLIP behind clip_score. Raises UserError for an unknown name, a missing model or a broken file.
    """

    def __init__(
        self,
        weights: dict[str, float],
        *,
        clip_folder: Path | str,
        style_folder: Path,
        style: str = "",
        own_file: str | None = None,
        device: torch.device | str = "cpu",
    ):
        check_names(weights)
        self.weights = dict(weights)
        self.mean: dict[str, float] = {}
        self.std: dict[str, float] = {}
        self._rewards = {name: self._build(name, clip_folder, style_folder, style, own_file, device) for name in weights}

    @staticmethod
    def _build(name: str, clip_folder: Path | str, style_folder: Path, style: str, own_file: str | None, device: torch.device | str) -> Reward:
        if name in _PLAIN:
            return _PLAIN[name]
        if name == "own":
            if not own_file:
                raise UserError("reward_file: the reward `own` needs a Python file. Name it in reward_file.", "reward_file")
            return OwnReward(own_file)
        if name == "style_preference":
            return StylePreference(StyleProbe.load(style_folder, device), style)
        return ClipScore(load_clip(clip_folder, device))

    @torch.no_grad()
    def __call__(self, images: Tensor, prompts: list[str]) -> Scores:
        """images float32 (B, 3, H, W) in [0, 1], B prompts -> raw scores. Raises ValueError on another range or count."""
        check_images(images)
        if len(prompts) != len(images):
            raise ValueError(f"{len(images)} images with {len(prompts)} prompts; each image needs its own")
        return Scores({name: reward(images, prompts) for name, reward in self._rewards.items()})

    def fit_scale(self, raw_base: dict[str, Tensor]) -> None:
        """Take mean and spread of each reward from raw scores (N,) of base pictures; NaN is left out.

        A reward that is constant on the base keeps its own unit (spread 1), since nothing tells its scale.
        """
        for name in self.weights:
            values = raw_base[name].double()
            values = values[values.isfinite()]
            mean = float(values.mean()) if len(values) else 0.0
            std = float(values.std(correction=0)) if len(values) else 0.0
            self.mean[name] = mean
            self.std[name] = std if std > max(1e-6, 1e-6 * abs(mean)) else 1.0

    def scaled(self, raw: dict[str, Tensor]) -> dict[str, Tensor]:
        """Each reward on the base's scale: (B,) float32 per name. Raises RuntimeError before `fit_scale`."""
        if not self.std:
            raise RuntimeError("rewards have no scale yet: call fit_scale with scores of base pictures first")
        return {name: (raw[name] - self.mean[name]) / self.std[name] for name in self.weights}

    def combine(self, raw: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the scaled rewards: (B,) float32, NaN where any of them is."""
        scaled = self.scaled(raw)
        return sum(weight * scaled[name] for name, weight in self.weights.items())

    def state_dict(self) -> dict[str, float]:
        """{'<name>.mean': ..., '<name>.std': ...}; empty before `fit_scale`."""
        return {f"{name}.{part}": values[name] for part, values in (("mean", self.mean), ("std", self.std)) for name in values}

    def load_state_dict(self, state: dict[str, float]) -> None:
        for part, values in (("mean", self.mean), ("std", self.std)):
            values.update({name: float(state[f"{name}.{part}"]) for name in self.weights if f"{name}.{part}" in state})
