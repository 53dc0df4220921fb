"""Rollout: noise to latents, storing what the replay needs for the steps that are trained."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch

from .dynamics import step
from .noise import draw, picture_generators
from .schedule import Schedule

Velocity = Callable[[torch.Tensor, int], torch.Tensor]  # (x (B, C, H, W) float32, step index) -> v of the same shape


@dataclass
class Trajectories:
    """B rollouts. With S recorded steps: `latents`, `next_latents`, `velocities` (B, S, C, H, W), `log_probs` (B, S), all float32."""

    final: torch.Tensor  # (B, C, H, W), x_T
    latents: torch.Tensor
    next_latents: torch.Tensor
    velocities: torch.Tensor  # what the model gave at `latents`
    log_probs: torch.Tensor

    def __getitem__(self, rows: torch.Tensor) -> "Trajectories":
        return Trajectories(*(getattr(self, f.name)[rows] for f in fields(self)))

    @classmethod
    def cat(cls, parts: list["Trajectories"]) -> "Trajectories":
        return cls(*(torch.cat([getattr(t, f.name) for t in parts]) for f in fields(cls)))


def renoise(x0: torch.Tensor, coefficients: tuple[float, float], generators: Sequence[torch.Generator]) -> torch.Tensor:
    """Clean latents x0 (B, C, H, W) taken back to a noise level: signal x0 + noise eps; eps of row b from generator b.

    coefficients: (signal, noise), from `renoise_coefficients` of a schedule. Where a rollout starts that continues a
    finished picture (HRF, arXiv 2410.08315; the port to flow models is our choice). Repeat an anchor's row for every
    continuation of it. Raises ValueError for a generator too many or too few.
    """
    if len(generators) != len(x0):
        raise ValueError(f"there are {len(generators)} generators for {len(x0)} latents; give one per picture.")
    signal, noise = coefficients
    return signal * x0.float() + noise * draw(generators, x0.shape[1:]).to(x0.device)


@torch.no_grad()
def rollout(
    velocity: Velocity, schedule: Schedule, seeds: list[int], shape: tuple[int, ...], *,
    dynamics: str, level: float, stochastic: tuple[int, ...], record: tuple[int, ...] | None = None,
    start: int = 0, initial: torch.Tensor | None = None,
    between: Callable[[], None] = lambda: None, device: torch.device | str = "cpu",
) -> Trajectories:
    """Denoise one picture per seed; steps in `stochastic` draw noise, the others follow the ODE.

    Of the stochastic steps those in `record` are stored, in the order of the steps; without it, all.
    Begins before step `start`, at pure noise or from `initial` (B, *shape), latents at sigma_start (see `renoise`).
    A picture depends on its own seed (and its row of `initial`) only: its generator gives the first latent, then one noise
    per stochastic step. With `initial` that first draw is made and dropped, so that `renoise` may use generators of the
    same seeds: none of its noise comes back in a step, and from sigma 1 the rollout is the plain one, bit by bit.
    `between` is called before every step, so that a caller can answer commands or stop by raising.
    Raises ValueError for a step that cannot be made or recorded, and for a late start without latents of the right shape.
    """
    record = stochastic if record is None else record
    if not 0 <= start < schedule.steps:
        raise ValueError(f"start is {start}; a rollout of {schedule.steps} steps starts at 0 to {schedule.steps - 1}.")
    if any(not start <= i < schedule.steps for i in stochastic):
        raise ValueError(f"stochastic steps are {list(stochastic)}; a rollout that starts at {start} has steps {start} to {schedule.steps - 1}.")
    if not set(record) <= set(stochastic):
        raise ValueError(f"steps {sorted(set(record) - set(stochastic))} are to be recorded but not stochastic; only stochastic steps have a log-probability.")
    if initial is None and start > 0:
        raise ValueError(f"start is {start} without initial latents; give latents at sigma_{start}, or start at 0.")
    if initial is not None and initial.shape != (len(seeds), *shape):
        raise ValueError(f"initial has shape {tuple(initial.shape)}; {len(seeds)} pictures need {(len(seeds), *shape)}.")
    generators = picture_generators(seeds)
    x = draw(generators, shape).to(device)  # (B, C, H, W)
    if initial is not None:
        x = initial.detach().float().to(device)
    latents, followers, velocities, log_probs = [], [], [], []
    for i in range(start, schedule.steps):
        between()
        v = velocity(x, i)
        if i in stochastic:
            transition = step(v, x, i, schedule, dynamics=dynamics, level=level, noise=draw(generators, shape).to(device))
            if i in record:
                latents.append(x)
                followers.append(transition.x_next)
                velocities.append(v)
                log_probs.append(transition.log_prob)
        else:
            transition = step(v, x, i, schedule, dynamics="ode", level=0.0)
        x = transition.x_next
    stack = lambda parts: torch.stack(parts, dim=1) if parts else torch.empty(len(x), 0, device=device)
    return Trajectories(x, stack(latents), stack(followers), stack(velocities), stack(log_probs))
