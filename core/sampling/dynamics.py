"""One transition of the denoising chain, sampled or replayed, with its log-probability.

Flow-SDE: Flow-GRPO, arXiv 2505.05470. Dance-SDE: DanceGRPO, arXiv 2505.07818. CPS: Flow-CPS, arXiv 2509.05952. The mean
over dimensions in the density (not the sum) follows the public code of DDPO (arXiv 2305.13301) and Flow-GRPO: the ratio is
the 1/D-th power of the true one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from .schedule import Dynamics, Schedule


@dataclass
class Transition:
    """What one step made. All tensors float32.

    x_next: [B, ...] detached. mean: like x_next, carries the gradient. std: the number that multiplied unit noise.
    log_prob: [B], or None where the step is deterministic (std 0).
    """

    x_next: torch.Tensor
    log_prob: torch.Tensor | None
    mean: torch.Tensor
    std: float


def step(
    velocity: torch.Tensor,
    x: torch.Tensor,
    i: int,
    schedule: Schedule,
    *,
    dynamics: Dynamics,
    level: float,
    x_next: torch.Tensor | None = None,
    noise: torch.Tensor | None = None,
) -> Transition:
    """Take step i (0 = noisiest) from x [B, ...] with the model's velocity, in float32 whatever the inputs are.

    Without x_next a point is sampled, mean + std * noise (`noise`: unit normal like x, required when std > 0).
    With x_next that point is replayed: its density under the current velocity, bit-identical for an unchanged one.
    Raises ValueError if shapes differ, noise is missing, or both x_next and noise are given.
    """
    for name, tensor in (("velocity", velocity), ("x_next", x_next), ("noise", noise)):
        # a shape that merely broadcasts would give a plausible, wrong density
        if tensor is not None and tensor.shape != x.shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}, x has {tuple(x.shape)}; they must be equal.")
    if x_next is not None and noise is not None:
        raise ValueError("give x_next to replay a point or noise to sample one, not both.")
    std = schedule.std(i, dynamics, level)
    c_x, c_v = schedule.mean_coefficients(i, dynamics, level)
    mean = c_x * x.float() + c_v * velocity.float()  # (B, ...)
    if x_next is not None:
        x_next = x_next.detach().float()
    elif std == 0:
        x_next = mean.detach()
    elif noise is None:
        raise ValueError(f"step {i} of {dynamics} has std {std:.4g}: give noise to sample, or x_next to replay.")
    else:
        x_next = (mean + std * noise.float()).detach()
    log_prob = _log_prob(x_next, mean, std, dynamics) if std > 0 else None  # (B,)
    return Transition(x_next, log_prob, mean, std)


def _log_prob(x_next: torch.Tensor, mean: torch.Tensor, std: float, dynamics: Dynamics) -> torch.Tensor:
    """Log density per picture, [B], mean over all other dimensions.

    flow_sde, dance_sde: Gaussian. cps: - (x_next - mean)^2; constants and 1 / (2 s^2) are dropped on purpose (Flow-CPS).
    """
    squares = (x_next - mean).square().flatten(1).mean(1)
    if dynamics == "cps":
        return -squares
    return -squares / (2 * std**2) - math.log(std) - 0.5 * math.log(2 * math.pi)
