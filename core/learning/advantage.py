"""Advantages relative to the group that shares a prompt (GRPO; Flow-GRPO, arXiv 2505.05470).

Global scope (population std over all rewards of the update) is the default of the public Flow-GRPO code; group scope
(unbiased std of the own group) that of DanceGRPO, arXiv 2505.07818. The floor under the std is this project's choice:
without it a group whose rewards nearly tie has its noise blown up to full size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch


class RunningStd:
    """Exponentially weighted std of all rewards seen, between prompts as well as within.

    The state is plain floats, so that a resumed run continues bit-exactly.
    """

    def __init__(self, decay: float = 0.95):
        if not 0 <= decay < 1:
            raise ValueError(f"decay is {decay}; use 0 to below 1.")
        self.decay = decay
        self._mean = 0.0
        self._variance = 0.0
        self._updates = 0

    @property
    def value(self) -> float:
        """The std now; 0 before the first update."""
        return self._variance**0.5

    def update(self, rewards: torch.Tensor) -> float:
        """Take in the rewards of one update (any shape) and return the std. Raises ValueError if one is not finite."""
        rewards = _finite(rewards).flatten()
        mean, variance = rewards.mean().item(), rewards.var(unbiased=False).item()
        weight = 1.0 if self._updates == 0 else 1 - self.decay
        gap = mean - self._mean
        # exact variance of the mixture (1 - weight) * past + weight * batch
        self._variance = (1 - weight) * self._variance + weight * variance + weight * (1 - weight) * gap**2
        self._mean += weight * gap
        self._updates += 1
        return self.value

    def state_dict(self) -> dict[str, float]:
        return {"decay": self.decay, "mean": self._mean, "variance": self._variance, "updates": float(self._updates)}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.decay, self._mean, self._variance = state["decay"], state["mean"], state["variance"]
        self._updates = int(state["updates"])


@dataclass(frozen=True)
class Advantages:
    """values: [P, G] float32 where the rewards were, zero-sum per group. zero_std: share of groups whose rewards have no spread at all."""

    values: torch.Tensor
    zero_std: float


def group_advantages(rewards: torch.Tensor, *, scope: Literal["group", "global"], floor: float) -> Advantages:
    """(reward - group mean) / max(std, floor) for rewards [P, G]; a row is a group, whatever its prompt's text.

    floor is in units of the reward. A group without spread gets exactly 0. Raises ValueError for a wrong shape,
    fewer than 2 pictures a group, a reward that is not finite, an unknown scope or a negative floor.
    """
    if rewards.ndim != 2 or rewards.shape[0] < 1 or rewards.shape[1] < 2:
        raise ValueError(f"rewards must be [P, G] with G >= 2, got {tuple(rewards.shape)}.")
    if not floor >= 0:
        raise ValueError(f"floor is {floor}; use 0 or more.")
    device, rewards = rewards.device, _finite(rewards)
    if scope == "group":
        std = rewards.std(dim=1, unbiased=True, keepdim=True)  # (P, 1)
    elif scope == "global":
        std = rewards.std(unbiased=False).expand(rewards.shape[0], 1)
    else:
        raise ValueError(f"scope is {scope!r}; use group or global.")
    # equality of the extremes, not std == 0: the mean of equal numbers can be off by a rounding
    flat = (rewards.amax(1, keepdim=True) == rewards.amin(1, keepdim=True)) | (std == 0)  # (P, 1)
    divisor = std.clamp_min(floor).masked_fill(flat, 1.0)
    values = ((rewards - rewards.mean(1, keepdim=True)) / divisor).masked_fill(flat, 0.0)
    return Advantages(values.float().to(device), flat.double().mean().item())


def _finite(rewards: torch.Tensor) -> torch.Tensor:
    """Rewards in float64 on the CPU, apart from the graph: they are few, and their differences small beside their size."""
    rewards = rewards.detach().to("cpu", torch.float64)
    bad = int((~rewards.isfinite()).sum())
    if bad:
        raise ValueError(f"{bad} of {rewards.numel()} rewards are not finite numbers; check the reward.")
    return rewards
