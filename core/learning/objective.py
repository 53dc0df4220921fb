"""The clipped policy-gradient objective (PPO; DDPO arXiv 2305.13301, Flow-GRPO arXiv 2505.05470)."""

from __future__ import annotations

from dataclasses import dataclass

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
    if log_prob.ndim != 1 or not log_prob.shape == old_log_prob.shape == advantage.shape:
        shapes = [tuple(t.shape) for t in (log_prob, old_log_prob, advantage)]
        raise ValueError(f"log_prob, old_log_prob and advantage must all be [B], got {shapes}.")
    log_ratio = log_prob.float() - old_log_prob.detach().float()
    ratio = log_ratio.exp()
    clipped_advantage = advantage.detach().float().clamp(-advantage_clip, advantage_clip)
    loss = torch.maximum(-clipped_advantage * ratio, -clipped_advantage * ratio.clamp(1 - epsilon, 1 + epsilon)).mean()
    ratio = ratio.detach()
    clip_fraction = ((ratio - 1).abs() > epsilon).float().mean().item()
    return Objective(loss, ratio, clip_fraction, 0.5 * log_ratio.detach().square().mean().item())
