"""Advantages relative to the group that shares a prompt (GRPO; Flow-GRPO, arXiv 2505.05470).

Global scope (population std over all rewards of the update) is the default of the public Flow-GRPO code; group scope
(unbiased std of the own group) that of DanceGRPO, arXiv 2505.07818; GARDO (arXiv 2512.24138) does not divide, DDPO (arXiv
2305.13301) compares with the prompt's own past. The floor under the std is this project's choice: without it a group whose
rewards nearly tie has its noise blown up to full size.
"""

from __future__ import annotations

import operator
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch

StatsScope = Literal["subset", "full"]
DDPO_EPSILON = 1e-6  # under the std in DDPO's public code


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
        rewards = finite(rewards).flatten()
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
    """values: [P, G] float32 where the rewards were, 0 where a mask leaves a picture out.

    zero_std: share of groups whose rewards (those that count) have no spread at all.
    """

    values: torch.Tensor
    zero_std: float


def group_advantages(
    rewards: torch.Tensor,
    *,
    scope: Literal["group", "global", "none"],
    floor: float | torch.Tensor,
    mask: torch.Tensor | None = None,
    stats_scope: StatsScope = "subset",
) -> Advantages:
    """(reward - group mean) / max(std, floor) for rewards [P, G]; a row is a group, whatever its prompt's text.

    floor is in units of the reward, one for all or [P, 1]; scope `none` does not divide and needs none. A group without spread gets exactly 0.
    mask: bool [P, G], the pictures to learn from; the others get 0. stats_scope says whether mean and std are those of these
    pictures (`subset`, our choice; then, as without a mask, a group sums to 0) or of all that were drawn (`full`).
    Raises ValueError for a wrong shape, fewer than 2 pictures a group, a reward that is not finite, an unknown scope or
    a negative floor.
    """
    device = rewards.device
    rewards, kept, counted = _counted(rewards, mask, stats_scope, floor)
    if scope == "group":
        std = torch.stack([_std(row, correction=1) for row in counted])[:, None]  # (P, 1)
    elif scope == "global":
        std = _std(torch.cat(counted), correction=0).expand(len(counted), 1)
    elif scope == "none":
        std = rewards.new_ones(len(counted), 1)
    else:
        raise ValueError(f"scope is {scope!r}; use group, global or none.")
    mean = torch.stack([row.mean() for row in counted])[:, None]  # (P, 1)
    flat = _flat(counted) | (std == 0)  # (P, 1)
    divisor = std if scope == "none" else std.maximum(torch.as_tensor(floor, dtype=std.dtype)).masked_fill(flat, 1.0)
    values = ((rewards - mean) / divisor).masked_fill(flat | ~kept, 0.0)
    return Advantages(values.float().to(device), flat.double().mean().item())


def novelty_advantages(
    rewards: torch.Tensor, nearest: torch.Tensor, *, mask: torch.Tensor | None = None, stats_scope: StatsScope = "subset"
) -> Advantages:
    """(r - mean) w with w = d / mean d where r >= mean, else 1: the diversity-aware advantage of GARDO, arXiv 2512.24138.

    rewards [P, G]; nearest [P, G]: d, the distance to the nearest other picture of the group. Novelty multiplies only what is
    praised, so it never pays for a bad picture that differs. No division by a std; a group does not sum to 0. A group of
    identical pictures has w = 1. mask and stats_scope as in `group_advantages`, for the mean of d too. Raises like it, and for a
    d that is negative or not finite.
    """
    plain = group_advantages(rewards, scope="none", floor=0.0, mask=mask, stats_scope=stats_scope)
    if nearest.shape != rewards.shape or not bool((nearest.isfinite() & (nearest >= 0)).all()):
        raise ValueError(f"nearest must hold a distance, finite and not negative, for each of the rewards {tuple(rewards.shape)}.")
    nearest, kept, counted = _counted(nearest, mask, stats_scope)
    mean = torch.stack([row.mean() for row in counted])[:, None]  # (P, 1); NaN where nothing counts, and kept is false there
    values = plain.values.cpu().double()
    praised = (values > 0) & (mean > 0)
    return Advantages(torch.where(praised, values * nearest / mean, values).float().to(plain.values.device), plain.zero_std)


class PromptStatistics:
    """Advantages against the last rewards of the same prompt (per-prompt statistics of DDPO, arXiv 2305.13301, and its code).

    A prompt is known by its index, never by its text. size: how many of its rewards are remembered (16 or 32 in DDPO's public
    configurations). Below min_count of them, mean and std are those of the whole update.
    The state is plain lists, so that a resumed run continues bit-exactly; size and min_count are settings and not part of it.
    """

    def __init__(self, size: int = 32, min_count: int = 16):
        if not 2 <= min_count <= size:
            raise ValueError(f"min_count is {min_count} of {size} remembered rewards; use 2 to {size}.")
        self.size, self.min_count = size, min_count
        self._seen: dict[int, deque[float]] = {}

    def update(
        self,
        rewards: torch.Tensor,
        prompts: Sequence[int],
        *,
        floor: float = 0.0,
        mask: torch.Tensor | None = None,
        stats_scope: StatsScope = "subset",
    ) -> Advantages:
        """Take in the rewards [P, G] of one update, row p of prompt prompts[p], and return (reward - mean) / max(std + 1e-6, floor).

        A prompt that stands in several rows is taken in whole before it is compared. A group need not sum to 0. floor, mask and
        stats_scope as in `group_advantages`: with `subset` only kept rewards are remembered. Raises like it, with its state as before.
        """
        device = rewards.device
        rewards, kept, counted = _counted(rewards, mask, stats_scope, floor)
        prompts = [operator.index(prompt) for prompt in prompts]
        if len(prompts) != len(counted):
            raise ValueError(f"there are {len(prompts)} prompts for {len(counted)} groups; give one per group.")
        for prompt, row in zip(prompts, counted):
            self._seen.setdefault(prompt, deque(maxlen=self.size)).extend(row.tolist())
        everything = torch.cat(counted)
        mean, std = rewards.new_zeros(len(counted), 1), rewards.new_zeros(len(counted), 1)
        for p, prompt in enumerate(prompts):
            past = self._seen[prompt]
            pool = torch.tensor(past, dtype=torch.float64) if len(past) >= self.min_count else everything
            if len(pool):
                # the mean of equal numbers can be off by a rounding, which the small divisor would blow up
                mean[p], std[p] = pool.mean().clamp(pool.amin(), pool.amax()), _std(pool, correction=0)
        values = ((rewards - mean) / (std + DDPO_EPSILON).clamp_min(floor)).masked_fill(~kept, 0.0)
        return Advantages(values.float().to(device), _flat(counted).double().mean().item())

    def state_dict(self) -> dict[str, list[Any]]:
        return {"prompts": list(self._seen), "rewards": [list(past) for past in self._seen.values()]}

    def load_state_dict(self, state: dict[str, list[Any]]) -> None:
        self._seen = {int(prompt): deque(past, maxlen=self.size) for prompt, past in zip(state["prompts"], state["rewards"])}


def _counted(
    rewards: torch.Tensor, mask: torch.Tensor | None, stats_scope: StatsScope, floor: float | torch.Tensor = 0.0
) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    """(rewards in float64, pictures to learn from as bool [P, G], the rewards of each group that its statistics are made of)."""
    if rewards.ndim != 2 or rewards.shape[0] < 1 or rewards.shape[1] < 2:
        raise ValueError(f"rewards must be [P, G] with G >= 2, got {tuple(rewards.shape)}.")
    if not bool((torch.as_tensor(floor) >= 0).all()):
        raise ValueError(f"floor is {floor}; use 0 or more.")
    if stats_scope not in ("subset", "full"):
        raise ValueError(f"stats_scope is {stats_scope!r}; use subset or full.")
    if mask is not None and (mask.shape != rewards.shape or mask.dtype != torch.bool):
        raise ValueError(f"mask must be bool {tuple(rewards.shape)} like the rewards, got {mask.dtype} {tuple(mask.shape)}.")
    rewards = finite(rewards)
    kept = torch.ones_like(rewards, dtype=torch.bool) if mask is None else mask.cpu()
    return rewards, kept, [row[taken] for row, taken in zip(rewards, kept)] if stats_scope == "subset" else list(rewards)


def _std(values: torch.Tensor, *, correction: int) -> torch.Tensor:
    """Std of a vector; 0 where there are too few values for one."""
    return values.std(correction=correction) if len(values) > correction else values.new_zeros(())


def _flat(groups: list[torch.Tensor]) -> torch.Tensor:
    """Which groups have no spread, [P, 1]: equality of the extremes, as the mean of equal numbers can be off by a rounding."""
    return torch.tensor([[len(row) == 0 or bool(row.amax() == row.amin())] for row in groups])


def finite(rewards: torch.Tensor) -> torch.Tensor:
    """Rewards in float64 on the CPU, apart from the graph: they are few, and their differences small beside their size."""
    rewards = rewards.detach().to("cpu", torch.float64)
    bad = int((~rewards.isfinite()).sum())
    if bad:
        raise ValueError(f"{bad} of {rewards.numel()} rewards are not finite numbers; check the reward.")
    return rewards
