"""The clipped policy-gradient objective (PPO; DDPO arXiv 2305.13301, Flow-GRPO arXiv 2505.05470), plain and as in GRPO-Guard (arXiv 2510.22319)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch


@dataclass
class Objective:
    """loss: scalar to minimise. ratio: [B] detached. clip_fraction: share of ratios outside 1 +- epsilon.

    approx_kl: 0.5 mean((log_prob - old_log_prob)^2), in the units of the log-probability (mean over dimensions).
    """

    loss: torch.Tensor
    ratio: torch.Tensor
    clip_fraction: float
    approx_kl: float


def clipped_objective(
    log_prob: torch.Tensor,
    old_log_prob: torch.Tensor,
    advantage: torch.Tensor,
    *,
    epsilon: float,
    advantage_clip: float,
) -> Objective:
    """mean(max(-A ratio, -A clamp(ratio, 1 - epsilon, 1 + epsilon))), A = clamp(advantage, +-advantage_clip).

    All inputs [B]; float32 whatever they are. ratio = exp(log_prob - old_log_prob). Raises ValueError if shapes differ.
    """
    log_ratio = _log_ratio(log_prob, old_log_prob, advantage)
    return _clipped(log_ratio, log_ratio, advantage, epsilon, advantage_clip)


def guard_objective(
    log_prob: torch.Tensor,
    old_log_prob: torch.Tensor,
    advantage: torch.Tensor,
    mean: torch.Tensor,
    old_mean: torch.Tensor,
    *,
    std: float,
    dt: float,
    epsilon: float,
    advantage_clip: float,
    reweight: Literal["none", "inv_dt"] = "inv_dt",
) -> Objective:
    """The clipped objective with the normalised ratio of GRPO-Guard (arXiv 2510.22319, as in the public Flow-GRPO code).

        ratio = exp((log_prob - old_log_prob + mean(Delta^2) / (2 s^2)) s),  Delta = mean - old_mean,  s = std

    With x_next = old_mean + s z the log-ratio is exactly mean(z Delta): it has mean 0 under the old policy and no scale of the step,
    where the plain one is pulled below 0, the more the smaller s. One epsilon then fits all steps, and a small one: 2e-6 in the public
    configurations. reweight `inv_dt` divides the loss by |dt|, which cancels the dt inside Delta, so that every step pushes the
    velocity equally hard; other code leaves it out (`none`), the default is our choice.

    log_prob, old_log_prob, advantage [B]; mean [B, ...] of the transition now, with gradient, old_mean that of the rollout. std and dt
    are those of the step, and log_prob must be the Gaussian density with that std (Flow-SDE, Dance-SDE; the one of CPS is not).
    approx_kl is that of the plain log-ratio, to compare with `clipped_objective`.
    Raises ValueError if shapes differ, std or dt is 0, or for an unknown reweight.
    """
    plain = _log_ratio(log_prob, old_log_prob, advantage)
    if mean.shape != old_mean.shape or mean.ndim < 2 or len(mean) != len(plain):
        raise ValueError(f"mean and old_mean must both be [{len(plain)}, ...], got {tuple(mean.shape)} and {tuple(old_mean.shape)}.")
    if not std > 0:
        raise ValueError(f"std is {std}; the guard needs a step with noise.")
    if reweight not in ("none", "inv_dt"):
        raise ValueError(f"reweight is {reweight!r}; use none or inv_dt.")
    if dt == 0:
        raise ValueError("dt is 0; a step must change the noise level.")
    bias = (mean.float() - old_mean.detach().float()).square().flatten(1).mean(1) / (2 * std**2)  # [B]
    objective = _clipped((plain + bias) * std, plain, advantage, epsilon, advantage_clip)
    if reweight == "inv_dt":
        objective.loss = objective.loss / abs(dt)
    return objective


def _log_ratio(log_prob: torch.Tensor, old_log_prob: torch.Tensor, advantage: torch.Tensor) -> torch.Tensor:
    if log_prob.ndim != 1 or not log_prob.shape == old_log_prob.shape == advantage.shape:
        shapes = [tuple(t.shape) for t in (log_prob, old_log_prob, advantage)]
        raise ValueError(f"log_prob, old_log_prob and advantage must all be [B], got {shapes}.")
    return log_prob.float() - old_log_prob.detach().float()


def _clipped(log_ratio: torch.Tensor, plain: torch.Tensor, advantage: torch.Tensor, epsilon: float, advantage_clip: float) -> Objective:
    """PPO's pessimistic side of exp(log_ratio); `plain` is the log-ratio of the densities themselves, for the KL."""
    ratio = log_ratio.exp()
    clipped_advantage = advantage.detach().float().clamp(-advantage_clip, advantage_clip)
    loss = torch.maximum(-clipped_advantage * ratio, -clipped_advantage * ratio.clamp(1 - epsilon, 1 + epsilon)).mean()
    ratio = ratio.detach()
    clip_fraction = ((ratio - 1).abs() > epsilon).float().mean().item()
    return Objective(loss, ratio, clip_fraction, 0.5 * plain.detach().square().mean().item())
