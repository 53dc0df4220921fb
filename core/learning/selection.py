"""Which pictures of a group are learned from: the reward-concentrated subset of DRIFT (arXiv 2601.12401).

The paper's rule could not be read; `band` follows a summary of it, the other rules and all defaults are our choice. `min_variance`
keeps the pictures whose rewards lie closest together: the opposite of down-sampling to the largest variance (PODS). Filtering
bends the gradient towards E[r | r kept], so that the reward grows more slowly; `Kept` shows what is paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .advantage import finite

Mode = Literal["off", "band", "min_variance", "median_k", "trim"]
TIE = 1e-9  # quantities that differ by less than this share differ by rounding only


def select(
    rewards: Tensor,
    mode: Mode = "min_variance",
    *,
    keep: int = 16,
    band: float = 1.0,
    low: int = 4,
    high: int = 4,
    fallback: Literal["full", "skip"] = "full",
) -> Tensor:
    """Which pictures of each group to keep: rewards [P, G] -> bool [P, G], on the same device. Groups do not see each other.

    off           all
    band          |r - mean| <= band * std of the group (population std); how many varies
    min_variance  the `keep` rewards of least variance, of several the one with the highest mean
    median_k      the `keep` rewards nearest the median; of two as near, the higher
    trim          all but the `low` lowest and the `high` highest
    Of equal rewards those with the lower index are kept. All parameters are our choice (16 of 24, one std, 4 at either end).
    fallback: what happens where the kept rewards are all equal and the group's are not (a reward of 0 or 1), so that there would
    be nothing to learn: `full` keeps the whole group, `skip` none of it.
    Raises ValueError for an unknown mode or fallback, a wrong shape, a reward that is not finite, or less than 2 pictures to keep.
    """
    if rewards.ndim != 2 or rewards.shape[1] < 2:
        raise ValueError(f"rewards must be [P, G] with G >= 2, got {tuple(rewards.shape)}.")
    if fallback not in ("full", "skip"):
        raise ValueError(f"fallback is {fallback!r}; use full or skip.")
    device, rewards, size = rewards.device, finite(rewards), rewards.shape[1]
    if mode == "off":
        return torch.ones_like(rewards, dtype=torch.bool, device=device)
    if mode == "band":
        mask = _band(rewards, band)
    elif mode in ("min_variance", "median_k"):
        if not 2 <= keep <= size:
            raise ValueError(f"keep is {keep} of a group of {size}; use 2 to {size}.")
        mask = _first_of_equals(rewards, (_least_variance if mode == "min_variance" else _nearest_median)(rewards, keep))
    elif mode == "trim":
        if low < 0 or high < 0 or size - low - high < 2:
            raise ValueError(f"low is {low} and high {high} of a group of {size}; use 0 or more each and leave at least 2 pictures.")
        mask = _first_of_equals(rewards, rewards.sort(dim=1).values[:, low : size - high])
    else:
        raise ValueError(f"mode is {mode!r}; use off, band, min_variance, median_k or trim.")
    useless = (_highest(rewards, mask) <= _lowest(rewards, mask)) & (rewards.amax(1) > rewards.amin(1))  # (P,); true of an empty subset too
    mask[useless] = fallback == "full"
    return mask.to(device)


def _band(rewards: Tensor, band: float) -> Tensor:
    if not band > 0:
        raise ValueError(f"band is {band}; use more than 0.")
    distance = (rewards - rewards.mean(1, keepdim=True)).abs()
    std = rewards.std(1, correction=0, keepdim=True)
    # rewards of 0 and 1 in equal number lie exactly one std out: rounding must not decide; nor in a group of equal rewards
    return (distance <= band * std * (1 + TIE)) | (rewards.amax(1, keepdim=True) == rewards.amin(1, keepdim=True))


def _least_variance(rewards: Tensor, keep: int) -> Tensor:
    """Rewards of the best subset [P, keep]: an optimal one is contiguous in sorted order, so G - keep + 1 windows are looked at.

    Each by itself, not by differences of running sums: there an outlier, the very thing to be filtered, would drown the small
    variances in rounding.
    """
    windows = rewards.sort(dim=1).values.unfold(1, keep, 1)  # (P, G - keep + 1, keep)
    variance = windows.var(dim=-1, correction=0)
    tied = variance <= variance.amin(1, keepdim=True) * (1 + TIE)
    best = (tied * torch.arange(1, tied.shape[1] + 1)).argmax(1)  # the last of them: the highest mean
    return windows[torch.arange(len(windows)), best]


def _nearest_median(rewards: Tensor, keep: int) -> Tensor:
    """Rewards nearest the median of each group, [P, keep]; that of an even number is half way between the middle two."""
    descending = rewards.sort(dim=1, descending=True).values
    middle = (rewards.shape[1] - 1) // 2, rewards.shape[1] // 2
    distance = (descending - descending[:, middle].mean(1, keepdim=True)).abs()
    return descending.gather(1, distance.argsort(dim=1, stable=True)[:, :keep])


def _first_of_equals(rewards: Tensor, chosen: Tensor) -> Tensor:
    """The pictures [P, G] whose rewards are the chosen ones [P, K], counted with repetition; the lower index goes first."""
    earlier = (rewards[:, :, None] == rewards[:, None, :]).tril(-1).sum(2)  # pictures before this one with the same reward
    return earlier < (rewards[:, :, None] == chosen[:, None, :]).sum(2)


def _highest(rewards: Tensor, mask: Tensor) -> Tensor:
    return rewards.masked_fill(~mask, -torch.inf).amax(1)


def _lowest(rewards: Tensor, mask: Tensor) -> Tensor:
    return rewards.masked_fill(~mask, torch.inf).amin(1)


@dataclass(frozen=True)
class Kept:
    """What a selection took, for the log.

    share: of all pictures. mean, std: of the kept rewards within a group (population std), averaged over the groups that keep
    any; None if no group does. best_dropped, worst_dropped: share of groups that keep no picture of their highest (lowest) reward.
    """

    share: float
    mean: float | None
    std: float | None
    best_dropped: float
    worst_dropped: float


def summarise(rewards: Tensor, mask: Tensor) -> Kept:
    """What `mask` (bool) keeps of rewards, both [P, G]. Raises ValueError if a reward is not finite."""
    rewards, mask = finite(rewards), mask.cpu()
    groups = [row[kept] for row, kept in zip(rewards, mask) if kept.any()]
    return Kept(
        share=mask.double().mean().item(),
        mean=torch.stack([row.mean() for row in groups]).mean().item() if groups else None,
        std=torch.stack([row.std(correction=0) for row in groups]).mean().item() if groups else None,
        best_dropped=(_highest(rewards, mask) < rewards.amax(1)).double().mean().item(),
        worst_dropped=(_lowest(rewards, mask) > rewards.amin(1)).double().mean().item(),
    )
