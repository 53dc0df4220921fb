"""Noise on the prompt's embedding, strongest at the start of a rollout and gone towards its end.

The corruption and its annealing are those of CADS (arXiv 2310.17347). That a policy is trained under it is DRIFT's idea
(arXiv 2601.12401); its formulas could not be read, so clock, resampling, decay over iterations and the mild default
strengths of this project (tau1 0.6, tau2 0.9, scale 0.1, psi 1) are our choice.

Where gamma is 0 and psi 1, the noise alone is left, brought to the size of the embedding: no prompt, whatever the scale.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:  # the strengths are drawn on the screen, by a process that loads no torch
    import torch

Clock = Literal["step", "sigma"]
Resample = Literal["per_step", "per_trajectory"]
CONTEXT, POOLED, NEGATIVE_CONTEXT, NEGATIVE_POOLED = range(4)  # streams: each embedding of a picture has noise of its own


class Strength(NamedTuple):
    """One step's noise: `gamma`, the share of the prompt's power that is kept (1 = clean), and `noise`, the std of what is added."""

    gamma: float
    noise: float


def gamma(u: float, tau1: float, tau2: float) -> float:
    """CADS: 1 up to tau1, falling in a line to 0 at tau2 and beyond; u is 1 at pure noise and 0 at the end.

    Raises ValueError unless 0 <= tau1 <= tau2 <= 1.
    """
    if not 0 <= tau1 <= tau2 <= 1:
        raise ValueError(f"prompt noise is annealed from tau2 {tau2} down to tau1 {tau1}; use 0 <= tau1 <= tau2 <= 1.")
    if u <= tau1:
        return 1.0
    return 0.0 if u >= tau2 else (tau2 - u) / (tau2 - tau1)


def strengths(
    sigmas: Sequence[float], *, tau1: float = 0.6, tau2: float = 0.9, scale: float = 0.1, clock: Clock = "step", decay: float = 1.0,
) -> list[Strength]:
    """The strength at each of the T steps of a rollout with noise levels `sigmas` (T+1 numbers, from 1 down to 0).

    clock: u is 1 - i/T (step) or sigma_i (sigma); a shifted schedule keeps sigma high, hence the noise longer.
    decay: see `iteration_decay`. It shortens 1 - gamma, not the scale: rescaling (psi) would undo a smaller scale.
    Raises ValueError for an unknown clock, a negative scale, a decay outside 0 to 1, or as `gamma`.
    """
    if clock not in ("step", "sigma"):
        raise ValueError(f"prompt noise clock is {clock!r}; use step or sigma.")
    if scale < 0 or not 0 <= decay <= 1:
        raise ValueError(f"prompt noise scale is {scale}, decay {decay}; use a scale of 0 or more and a decay of 0 to 1.")
    steps = len(sigmas) - 1
    found = []
    for i in range(steps):
        kept = 1 - decay * (1 - gamma((steps - i) / steps if clock == "step" else sigmas[i], tau1, tau2))
        found.append(Strength(kept, scale * math.sqrt(1 - kept)))
    return found


def iteration_decay(iteration: int, iterations: int, mode: Literal["none", "linear"]) -> float:
    """What is left of the prompt noise at `iteration` (0-based) of `iterations`: 1 (none), or from 1 in a line to 0 (linear)."""
    if mode == "none":
        return 1.0
    if mode != "linear":
        raise ValueError(f"prompt noise decay is {mode!r}; use none or linear.")
    if iterations < 1:
        raise ValueError(f"prompt noise decays over {iterations} iterations; use 1 or more.")
    return max(0.0, 1 - iteration / iterations)


def perturb(
    embedding: torch.Tensor, seeds: Sequence[int], i: int, *, gamma: float, scale: float = 0.1, psi: float = 1.0,
    stream: int = CONTEXT, resample: Resample = "per_step", counted: tuple[int, float] = (0, 1.0),
) -> torch.Tensor:
    """The embedding (B, L, E) or (B, E') as the model sees it at step i; computed in float32, same dtype out.

        noisy = sqrt(gamma) e + scale sqrt(1 - gamma) xi,    then psi times noisy with e's mean and std, and 1 - psi times noisy

    Mean and std are taken over a whole row, padding tokens included (our choice: SD3 attends to them). A row whose noisy
    std is 0 becomes its mean. xi follows from (seed of the row, i, stream) alone, so that the replay sees bit-identical
    conditions and a row never depends on its batch; `per_trajectory` keeps one xi for all steps.
    counted: (n, w) says that the last n tokens count w-fold in mean and std, as they stand for so many (backbones.folding).
    The same object comes back where nothing is to be added: gamma 1 or scale 0.
    Raises ValueError for a number of seeds other than B, a gamma or psi outside 0 to 1, a negative scale, or an unknown way to resample.
    """
    if len(seeds) != len(embedding):
        raise ValueError(f"there are {len(seeds)} seeds for {len(embedding)} embeddings; give one per picture.")
    if not (0 <= gamma <= 1 and 0 <= psi <= 1 and scale >= 0):
        raise ValueError(f"prompt noise has gamma {gamma}, psi {psi}, scale {scale}; use gamma and psi of 0 to 1 and a scale of 0 or more.")
    if resample not in ("per_step", "per_trajectory"):
        raise ValueError(f"prompt noise resample is {resample!r}; use per_step or per_trajectory.")
    if gamma == 1 or scale == 0:
        return embedding

    import torch

    from .noise import derive_seed, draw, picture_generators

    keys = [derive_seed(seed, i, stream) if resample == "per_step" else derive_seed(seed, stream) for seed in seeds]
    rows = []
    # row by row: a sum over a whole batch may be split otherwise than a sum over one row, and differ in the last bit
    for clean, xi in zip(embedding.float(), draw(picture_generators(keys), embedding.shape[1:]).to(embedding.device)):
        noisy = math.sqrt(gamma) * clean + scale * math.sqrt(1 - gamma) * xi
        (middle, spread), (clean_middle, clean_spread) = _moments(noisy, *counted), _moments(clean, *counted)
        unit = (noisy - middle) / torch.where(spread > 0, spread, 1.0)
        rescaled = unit * clean_spread + clean_middle
        rows.append(psi * rescaled + (1 - psi) * noisy)
    return torch.stack(rows).to(embedding.dtype)


def _moments(row: torch.Tensor, last: int, weight: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and std of a row in which each of the last `last` tokens counts `weight`-fold."""
    if weight == 1:
        return row.mean(), row.std(correction=0)
    share = row.new_ones(len(row), 1)
    share[-last:] = weight
    share /= share.sum() * row.shape[-1]
    mean = (share * row).sum()
    return mean, (share * (row - mean) ** 2).sum().sqrt()
