"""Explicit randomness: one generator a picture, seeds derived from what the picture is, and which steps may be trained."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Sequence

import torch

from .schedule import Dynamics, Schedule

SMALLEST_TRAINED_STD = 1e-3  # below it rounding of x_next, amplified by 1 / std^2, drowns the density


def derive_seed(*parts: int) -> int:
    """A seed in [0, 2^31 - 1] from integers such as (run seed, iteration, prompt, position).

    Stable over machines and Python versions; the order of the parts matters. Raises TypeError for other than integers.
    """
    text = ",".join(str(operator.index(part)) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode("ascii"), digest_size=8).digest(), "big") % 2**31


def picture_generators(seeds: Sequence[int], device: str | torch.device = "cpu") -> list[torch.Generator]:
    """One generator per picture, so that a picture depends on its own seed only, never on its batch."""
    return [torch.Generator(device).manual_seed(operator.index(seed)) for seed in seeds]


def draw(generators: Sequence[torch.Generator], shape: Sequence[int]) -> torch.Tensor:
    """Unit normal noise [B, *shape] float32 on the generators' device; row b comes from generator b alone.

    Raises ValueError if there is no generator.
    """
    if not generators:
        raise ValueError("there is no generator; give one per picture.")
    return torch.stack([torch.randn(tuple(shape), generator=g, device=g.device, dtype=torch.float32) for g in generators])


def check_trainable(schedule: Schedule, steps: Sequence[int], dynamics: Dynamics, level: float) -> None:
    """Raise ValueError unless every one of `steps` can be trained.

    The last step is refused whatever its std: it is 0 (CPS) or tiny (Flow-SDE), so that its log-probability measures
    rounding, not the policy. So is any step with a std below 1e-3, a step that does not exist, and an empty choice.
    """
    if len(steps) == 0 or len(set(steps)) != len(steps):
        raise ValueError(f"trained steps are {list(steps)}; name at least one, each once.")
    for i in steps:
        if not 0 <= i < schedule.steps:
            raise ValueError(f"step {i} does not exist; a rollout of {schedule.steps} steps has 0 to {schedule.steps - 1}.")
        if i == schedule.steps - 1:
            raise ValueError(f"step {i} is the last; it is too exact to be trained. Use steps 0 to {schedule.steps - 2}.")
        std = schedule.std(i, dynamics, level)
        if std < SMALLEST_TRAINED_STD:
            raise ValueError(
                f"step {i} of {dynamics} at noise level {level:g} has std {std:.2g}, too small to be trained. "
                f"Use at least {SMALLEST_TRAINED_STD:g}: raise the noise level or leave the step out."
            )
