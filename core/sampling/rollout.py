"""Rollout: noise to latents, storing what the replay needs for the steps that are trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .dynamics import step
from .noise import draw, picture_generators
from .schedule import Schedule

Velocity = Callable[[torch.Tensor, int], torch.Tensor]  # (x (B, C, H, W) float32, step index) -> v of the same shape


@dataclass
class Trajectories:
    """B rollouts. With S trained steps: `latents`, `next_latents` (B, S, C, H, W), `log_probs` (B, S), all float32."""

    final: torch.Tensor  # (B, C, H, W), x_T
    latents: torch.Tensor
    next_latents: torch.Tensor
    log_probs: torch.Tensor


@torch.no_grad()
def rollout(
    velocity: Velocity, schedule: Schedule, seeds: list[int], shape: tuple[int, ...], *,
    dynamics: str, level: float, stochastic: tuple[int, ...], between: Callable[[], None] = lambda: None, device: torch.device | str = "cpu",
) -> Trajectories:
    """Denoise one picture per seed; steps in `stochastic` draw noise and are stored, the others follow the ODE.

    A picture depends on its own seed only: its generator gives the first latent, then one noise per stochastic step.
    `between` is called before every step, so that a caller can answer commands or stop by raising.
    """
    generators = picture_generators(seeds)
    x = draw(generators, shape).to(device)  # (B, C, H, W)
    latents, followers, log_probs = [], [], []
    for i in range(schedule.steps):
        between()
        v = velocity(x, i)
        if i in stochastic:
            transition = step(v, x, i, schedule, dynamics=dynamics, level=level, noise=draw(generators, shape).to(device))
            latents.append(x)
            followers.append(transition.x_next)
            log_probs.append(transition.log_prob)
        else:
            transition = step(v, x, i, schedule, dynamics="ode", level=0.0)
        x = transition.x_next
    stack = lambda parts: torch.stack(parts, dim=1) if parts else torch.empty(len(x), 0, device=device)
    return Trajectories(x, stack(latents), stack(followers), stack(log_probs))
