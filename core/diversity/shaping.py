"""Diversity within a group as a potential, and the reward that its shaping adds (after DRIFT, arXiv 2601.12401).

The formulas of DRIFT could not be read; these are those of DRIVE ("Many ways to succeed", of the same group) carried over from
trajectories to pictures. With Phi the potential of a state, a step i -> i+1 is paid gamma Phi_{i+1} - Phi_i, and the discounted
sum over T steps telescopes to gamma^T Phi_T - Phi_0.

What this does and does not keep. Potential-based shaping leaves the best policy as it was only if the potential depends on the
state alone and is 0 at the end. Neither holds here: the last potential is what is paid, on purpose, and it depends on the other
pictures of the group, hence on the policy, and on rewards that are known only at the end. The sum is an ordinary bonus on the
last picture and does change the optimum; that change is what makes for diversity. The strictly invariant form (`terminal_zero`
of `dense_rewards`) is there to see this: it adds nothing to the total of a trajectory and only moves credit between its steps.
Only differences within a group count, as the group's mean is taken off afterwards.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from .novelty import mean_distance, nearest_distance

ROUNDING = 1e-9  # a z-score as small as this is a reward at the mean


def potential(
    distances: Tensor,
    rewards: Tensor,
    *,
    kind: Literal["mean_group", "nn_group", "nn_memory"] = "mean_group",
    gate: Literal["none", "above_mean", "sigmoid"] = "above_mean",
    delta: float = 0.02,
    mask: Tensor | None = None,
    memory_distances: Tensor | None = None,
) -> Tensor:
    """Phi = y (d - d_min) / max(d_max - d_min, delta) of each picture: (P, G) float64, 0 to 1 (DRIVE; y and d are our choice).

    distances (P, G, G) within groups, rewards (P, G), on one device. d, how different a picture is:
        mean_group  its mean distance to the others
        nn_group    its distance to the nearest other
        nn_memory   memory_distances (P, G), to the nearest earlier picture of the prompt; inf where there is none: then d is 0
    y, whether that is worth something (in DRIVE a success flag, so that different failures earn nothing):
        none        1
        above_mean  1 if the reward reaches its group's mean, else 0; d_min and d_max are those of the pictures that reach it
        sigmoid     1 / (1 + exp(-z)), z the reward's z-score in its group (population std)
    delta: smallest range of d to divide by, in units of the distance. Min-max stretches whatever there is to 0..1; without a floor
    on the scale of real distances (perceptual ones are 0.1 to 0.3) a collapsed group would be paid for noise.
    mask: bool (P, G), the pictures of the group to go by; the others count for nothing and get 0.
    Raises ValueError for shapes that do not fit, an unknown kind or gate, a delta that is not above 0, missing memory_distances.
    """
    if rewards.ndim != 2 or distances.shape != (*rewards.shape, rewards.shape[-1]):
        raise ValueError(f"distances must be (P, G, G) and rewards (P, G), got {tuple(distances.shape)} and {tuple(rewards.shape)}.")
    if not delta > 0:
        raise ValueError(f"delta is {delta}; use more than 0.")
    kept = torch.ones_like(rewards, dtype=torch.bool) if mask is None else mask
    if kept.shape != rewards.shape or kept.dtype != torch.bool:
        raise ValueError(f"mask must be bool {tuple(rewards.shape)} like the rewards, got {kept.dtype} {tuple(kept.shape)}.")
    if kind == "mean_group":
        novelty = mean_distance(distances, kept)
    elif kind == "nn_group":
        novelty = nearest_distance(distances, kept)
    elif kind == "nn_memory":
        if memory_distances is None or memory_distances.shape != rewards.shape:
            raise ValueError(f"kind nn_memory needs memory_distances {tuple(rewards.shape)}, the distance to the nearest earlier picture.")
        novelty = memory_distances.double().masked_fill(memory_distances.isinf(), 0)
    else:
        raise ValueError(f"kind is {kind!r}; use mean_group, nn_group or nn_memory.")
    z = _z_scores(rewards, kept)
    admissible = kept & (z >= -ROUNDING) if gate == "above_mean" else kept
    if gate in ("none", "above_mean"):
        worth = torch.ones_like(z)
    elif gate == "sigmoid":
        worth = z.sigmoid()
    else:
        raise ValueError(f"gate is {gate!r}; use none, above_mean or sigmoid.")
    smallest = novelty.masked_fill(~admissible, torch.inf).amin(1, keepdim=True)
    largest = novelty.masked_fill(~admissible, -torch.inf).amax(1, keepdim=True)
    share = (novelty - smallest) / (largest - smallest).clamp(min=delta)
    return torch.where(admissible, worth * share, 0)


def terminal_bonus(potential: Tensor, *, alpha: float = 0.5, gamma: float = 1.0, steps: int) -> Tensor:
    """alpha gamma^T Phi: what shaping adds to a picture's reward over its T = `steps` steps, with Phi = 0 at the start. Any shape.

    alpha (our choice) is in units of the reward that it is added to, meant for z-scored ones; gamma = 1 is our choice too.
    """
    return alpha * gamma**steps * potential


def dense_rewards(potentials: Tensor, *, gamma: float = 1.0, terminal_zero: bool = False) -> Tensor:
    """gamma Phi_{i+1} - Phi_i of each of S steps: potentials (P, G, S + 1) of the states 0 to S -> (P, G, S) float64.

    Their discounted sum is gamma^S Phi_S - Phi_0. Phi_0 is 0 in DRIVE: put 0 there. Give the states of the whole trajectory, not of
    the trained steps only: the last must be the picture itself. terminal_zero takes Phi_S as 0, so that the sum is -Phi_0, which is
    nothing; the shaping is then strictly invariant, and only moves credit between the steps. Off by default (our choice).
    """
    if potentials.ndim != 3 or potentials.shape[-1] < 2:
        raise ValueError(f"potentials must be (P, G, S + 1) with S >= 1, got {tuple(potentials.shape)}.")
    potentials = potentials.double()
    after = potentials[..., 1:]
    if terminal_zero:
        after = torch.cat([after[..., :-1], torch.zeros_like(after[..., -1:])], dim=-1)
    return gamma * after - potentials[..., :-1]


def reward_to_go(shaping: Tensor, *, gamma: float = 1.0) -> Tensor:
    """Discounted sum of the rewards from each step on: sum_{k >= i} gamma^(k - i) r_k. (..., S) -> (..., S).

    Of `dense_rewards` it is gamma^(S - i) Phi_S - Phi_i: with Phi_S = 0 a number of the state before the step alone, hence a baseline.
    """
    steps = torch.arange(shaping.shape[-1], device=shaping.device)
    ahead = steps[:, None] - steps  # (S, S), k - i
    return shaping @ torch.where(ahead >= 0, gamma ** ahead.clamp(min=0).to(shaping.dtype), 0)


def step_advantages(
    potentials: Tensor, *, alpha: float = 0.5, gamma: float = 1.0, terminal_zero: bool = False, mask: Tensor | None = None
) -> Tensor:
    """What dense shaping adds to the advantage of each step: alpha (reward to go - its mean over the group), (P, G, S) float32.

    potentials (P, G, S + 1) as for `dense_rewards`; alpha as for `terminal_bonus`. mask: bool (P, G), the pictures to learn from,
    over which the mean is taken; the others get 0.
    """
    ahead = reward_to_go(dense_rewards(potentials, gamma=gamma, terminal_zero=terminal_zero), gamma=gamma)
    kept = torch.ones_like(ahead[..., 0], dtype=torch.bool) if mask is None else mask
    return (alpha * torch.where(kept[..., None], ahead - _mean(ahead, kept[..., None]), 0)).float()


def _mean(values: Tensor, kept: Tensor) -> Tensor:
    """Mean over the kept pictures of each group, dimension 1 kept with size 1; 0 where none is."""
    return torch.where(kept, values, 0).sum(1, keepdim=True) / kept.sum(1, keepdim=True).clamp(min=1)


def _z_scores(rewards: Tensor, kept: Tensor) -> Tensor:
    """(reward - mean) / population std over the kept pictures of each group, (P, G) float64; exactly 0 in a group without spread."""
    rewards = rewards.double()
    centred = rewards - _mean(rewards, kept)
    std = _mean(centred.square(), kept).sqrt()
    lowest, highest = rewards.masked_fill(~kept, torch.inf).amin(1, keepdim=True), rewards.masked_fill(~kept, -torch.inf).amax(1, keepdim=True)
    return torch.where(lowest < highest, centred / std, 0)  # not std > 0: the mean of equal numbers can be off by a rounding
