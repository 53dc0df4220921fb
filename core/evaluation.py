"""Base against tuned on the same seeds, by the deterministic sampler, in two feature spaces.

Variety is the Vendi score (Friedman and Dieng 2022) of the kernel exp(-d / s) per prompt, then averaged; s is the median
distance of two base pictures of the prompt. `clip` is the space that the bonus is paid in; `pixels` (mean squared
difference of small pictures) is held out: it marks the work that the bonus cannot have optimised directly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from .base import mapped_prompts
from .diversity.distance import pairwise
from .diversity.metrics import base_scale, variety
from .loading import open_run, restore
from .runs import checkpoints
from .runs.folder import Run
from .training import SAMPLE, Trainer

PICTURES = 48  # per prompt; Vendi depends on it, so it is always the same
PIXEL_SIDE = 16


@dataclass(frozen=True)
class Measure:
    """One checkpoint, averaged over prompts. `iteration` 0 is the base model."""

    iteration: int
    reward: float
    clip: float
    pixels: float


def pixel_distances(images: torch.Tensor) -> torch.Tensor:
    """(N, 3, H, W) in [0, 1] -> (N, N) mean squared differences of the pictures at 16 x 16.

    Not a cosine: pictures that have all become the base's mean picture differ from it by noise alone, whose directions
    are as varied as could be.
    """
    small = F.adaptive_avg_pool2d(images.float().cpu(), PIXEL_SIDE).flatten(1)
    return torch.cdist(small, small, compute_mode="donot_use_mm_for_euclid_dist").square() / small.shape[1]


class Evaluator:
    """Fixed prompts and seeds; remembers the base's scale in both spaces."""

    def __init__(self, trainer: Trainer, pictures: int = PICTURES):
        self.trainer, self.pictures = trainer, pictures
        self.prompts = mapped_prompts(trainer.config)
        self.scales: dict[tuple[int, str], float] = {}  # (prompt, space)

    def images(self, prompt: int, *, base: bool) -> torch.Tensor:
        seeds = self.trainer.seeds(SAMPLE, 0, prompt, self.pictures)
        return self.trainer.pictures(prompt, seeds, purpose=SAMPLE, base=base)

    def measure(self, iteration: int) -> Measure:
        """Measure the weights that the trainer holds; iteration 0 measures the base and must come first."""
        rewards, found = [], {"clip": [], "pixels": []}
        for prompt in self.prompts:
            images = self.images(prompt, base=iteration == 0)
            text = self.trainer.config.prompts[prompt]
            raw = self.trainer.rewards(images, [text] * len(images)).raw
            rewards.append(self.trainer.rewards.combine(raw).nanmean().item())
            for space, distances in (("clip", pairwise(self.trainer.perceptual.embed(images))), ("pixels", pixel_distances(images))):
                scale = self.scales.setdefault((prompt, space), base_scale(distances))
                found[space].append(variety(distances[None], scale).item())
        return Measure(iteration, float(np.mean(rewards)), **{space: float(np.mean(values)) for space, values in found.items()})


def trajectory(run: Run, yardstick: dict[str, float]) -> list[Measure]:
    """The base and every checkpoint that the run kept, rewards on the scale that `yardstick` (a rewards.json) says."""
    saved = checkpoints.all_of(run)
    trainer = open_run(run, saved[-1] if saved else None)
    trainer.rewards.load_state_dict(yardstick)
    evaluator = Evaluator(trainer)
    measures = [evaluator.measure(0)]
    for iteration in saved:
        restore(trainer, run, iteration)
        measures.append(evaluator.measure(iteration))
    return measures
