"""The plan: which steps an iteration noises and trains, where the leash holds, how strongly the prompt is blurred.

One pure function of the settings. The trainer executes exactly this plan and the studio draws it, so that the picture
of the schedule cannot lie. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .config import RunConfig, window_at
from .sampling.prompt_noise import Strength, iteration_decay, strengths


@dataclass(frozen=True)
class Plan:
    """One iteration of T steps; step 0 is the noisiest.

    start: the first step; above 0 the rollout goes on from finished pictures with new noise. chosen: whether that start
    is (HRF-D) found while the run goes on, in which case `start` is the choice so far. stochastic, trained: step indices.
    leash: T multiples of the automatic leash weight, 0 where it lets go. prompt_noise: T strengths, None where there is none.
    trained_fraction: for HRF (arXiv 2410.08315) the share of the chain from the first trained step on, by which it shrinks
    its clips; 1 for all others.
    """

    start: int
    chosen: bool
    stochastic: tuple[int, ...]
    trained: tuple[int, ...]
    leash: tuple[float, ...]
    prompt_noise: tuple[Strength, ...] | None
    trained_fraction: float


def plan(config: RunConfig, iteration: int, *, sigmas: Sequence[float] | None = None, start: int | None = None) -> Plan:
    """The plan of iteration `iteration`, counted from 1 as in the run's database.

    sigmas: T + 1 noise levels, for a prompt noise measured by them; without, evenly spaced ones. start: HRF-D's choice.
    Raises ValueError for a start that does not exist.
    """
    c, T = config, config.steps
    window = window_at(c, iteration - 1, start)
    multiple = 1.0 if c.sa_reg_weight == "auto" else c.sa_reg_weight
    leash = tuple(multiple if i < c.sa_reg_steps and i in window.train_steps else 0.0 for i in range(T))
    noise = None
    if c.prompt_noise_scale > 0:
        levels = sigmas if sigmas is not None else [1 - i / T for i in range(T + 1)]
        fade = iteration_decay(iteration - 1, c.iterations, c.prompt_noise_iter_decay)
        noise = tuple(strengths(levels, tau1=c.prompt_noise_tau1, tau2=c.prompt_noise_tau2, scale=c.prompt_noise_scale, clock=c.prompt_noise_clock, decay=fade))
    fraction = (T - window.train_steps[0]) / T if c.window.startswith("hrf") else 1.0
    return Plan(window.start, c.window == "hrf_dynamic", window.sde_steps, window.train_steps, leash, noise, fraction)
