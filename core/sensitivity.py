"""Which denoising steps carry the variety: what remains of it when the beginning of a rollout is held fixed.

DiverseGRPO (arXiv 2512.21514) says that the first third of the steps carries about 66 % of it and leashes those steps. Here,
for a prompt and one stochastic rollout (the trunk), with latents x_0 (pure noise), x_1, ...: take x_i, and go on from it several
times with new noise at every later step. The pictures then differ by what steps i and later decide. Their mean distance,
over that of pictures with nothing in common, is what remains after i steps are fixed; 1 less that is what those steps carried.
The account of the paper that we have leaves this definition open, so it is ours.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from .diversity.distance import mean_pairwise, pairwise
from .evaluation import pixel_distances
from .sampling.noise import derive_seed
from .sampling.rollout import Trajectories, rollout
from .training import Trainer

TRUNK, BRANCH = 6, 7  # what a seed is for, beside those of core.sampler
SPACES = ("clip", "pixels")


@dataclass(frozen=True)
class Sensitivity:
    """Mean distances between pictures, in each of SPACES.

    whole: (P, R) for P prompts and R trunks: `branches` pictures with nothing in common. remains: (P, R, T), at [..., i] as many
    pictures that share x_i. Both are of `branches` pictures, and a mean distance does not depend on how many.
    """

    prompts: list[str]
    branches: int
    whole: dict[str, np.ndarray]
    remains: dict[str, np.ndarray]

    def shares(self, space: str) -> np.ndarray:
        """(P, R, T): each trunk's remaining distance over that of its prompt with nothing fixed."""
        return self.remains[space] / self.whole[space].mean(axis=1)[:, None, None]

    def carried(self, steps: int, space: str) -> np.ndarray:
        """(P, R): share of the distance that the noise before step `steps` decided, the initial noise included."""
        return 1 - self.shares(space)[..., steps]

    def carried_by_steps(self, steps: int, space: str) -> np.ndarray:
        """(P,): the same of the noise of the steps alone: the initial noise is fixed in both, and 100 % is what then remains."""
        remains = self.remains[space].mean(axis=1)  # (P, T)
        return 1 - remains[:, steps] / remains[:, 0]


def measure(trainer: Trainer, *, trunks: int, branches: int, done: Callable[[int], None] = lambda steps: None) -> Sensitivity:
    """All prompts of the trainer's config with its base model; `done` hears of rollouts, in steps times pictures."""
    config, T = trainer.config, trainer.schedule.steps
    whole, remains = ({space: [] for space in SPACES} for _ in range(2))
    for prompt in range(len(config.prompts)):
        paths = _latents(trainer, prompt, trunks, done)  # (R, T, C, H, W)
        rows = [_distances(trainer, trainer.decode(_go_on(trainer, prompt, None, 0, trunks, branches, done)), trunks)]
        for i in range(T):
            final = _go_on(trainer, prompt, paths[:, i], i, trunks, branches, done)
            rows.append(_distances(trainer, trainer.decode(final), trunks))
        for space in SPACES:
            every = np.stack([row[space] for row in rows], axis=-1)  # (R, 1 + T)
            whole[space].append(every[:, 0])
            remains[space].append(every[:, 1:])
    stacked = [{space: np.stack(values) for space, values in found.items()} for found in (whole, remains)]
    return Sensitivity(list(config.prompts), branches, *stacked)


def rollout_steps(prompts: int, steps: int, trunks: int, branches: int) -> int:
    """How much `measure` tells to `done` in all."""
    return prompts * trunks * (steps + branches * (steps + steps * (steps + 1) // 2))


def _latents(trainer: Trainer, prompt: int, trunks: int, done) -> torch.Tensor:
    """x_0 to x_{T-1} of stochastic rollouts of the base model: (R, T, C, H, W)."""
    path = _rollout(trainer, prompt, [derive_seed(trainer.config.seed, TRUNK, prompt, r) for r in range(trunks)], None, 0, done)
    return torch.cat([path.latents, path.next_latents[:, -1:]], dim=1)


def _go_on(trainer: Trainer, prompt: int, latents: torch.Tensor | None, start: int, trunks: int, branches: int, done) -> torch.Tensor:
    """`branches` ends of each trunk from its x_start (R, C, H, W) by new noise, or from new noise alone: (R branches, C, H, W)."""
    stage = 0 if latents is None else start + 1
    seeds = [derive_seed(trainer.config.seed, BRANCH, prompt, stage, r, b) for r in range(trunks) for b in range(branches)]
    initial = None if latents is None else latents.repeat_interleave(branches, 0)
    return _rollout(trainer, prompt, seeds, initial, start, done, record=()).final


def _rollout(
    trainer: Trainer, prompt: int, seeds: list[int], initial: torch.Tensor | None, start: int, done, record: tuple[int, ...] | None = None,
) -> Trajectories:
    """As in training: every step but the last is stochastic. In rows of at most micro_batch."""
    config, T = trainer.config, trainer.schedule.steps
    conditions = trainer.conditions([prompt], len(seeds))
    parts = []
    for rows in torch.arange(len(seeds)).split(config.micro_batch):
        own, own_seeds = conditions[rows], [seeds[r] for r in rows.tolist()]
        with trainer.backbone.reference():
            parts.append(rollout(
                lambda x, i: trainer.velocity(x, i, own, own_seeds, None), trainer.schedule, own_seeds, trainer.backbone.latent_shape,
                dynamics=config.dynamics, level=config.noise_level, stochastic=tuple(range(start, T - 1)), record=record,
                start=start, initial=None if initial is None else initial[rows.to(initial.device)], device=trainer.backbone.device,
            ))
        done(len(own_seeds) * (T - start))
    return Trajectories.cat(parts)


def _distances(trainer: Trainer, images: torch.Tensor, trunks: int) -> dict[str, np.ndarray]:
    """Mean distance between the pictures of each trunk, in each space: (R,)."""
    features = trainer.perceptual.embed(images)
    clip = mean_pairwise(pairwise(features.view(trunks, -1, features.shape[-1])))
    pixels = mean_pairwise(torch.stack([pixel_distances(part) for part in images.chunk(trunks)]))
    return {"clip": clip.double().cpu().numpy(), "pixels": pixels.double().cpu().numpy()}
