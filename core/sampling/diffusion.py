"""The noise levels of a variance-preserving diffusion model and its DDIM transition: schedule.py's counterpart for DDPM.

Convention: x_i = sqrt(abar_i) x0 + sqrt(1 - abar_i) eps; step 0 is the noisiest. DDIM: Song et al., arXiv 2010.02502,
eq. 12 and 16; at eta 1 it is the ancestral sampler of DDPM, which DDPO (arXiv 2305.13301) trains. `DiffusionSchedule`
answers what `Schedule` answers, so transition, rollout, check and regularisers take either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from diffusers import DDIMScheduler

Prediction = Literal["epsilon", "v_prediction", "sample"]  # what the model gives: eps, sqrt(abar) eps - sqrt(1 - abar) x0, or x0


@dataclass(frozen=True, eq=False)
class DiffusionSchedule:
    """Noise levels of a rollout of T steps of a variance-preserving diffusion model.

    alpha_bars: [T+1] float64 on the CPU, rising within [0, 1]; abar before each step, and after the last.
    timesteps: [T] integers, what the model is given at each step.
    Raises ValueError if they do not belong to such a model, or where the model's output would not give x0 and eps.
    """

    alpha_bars: torch.Tensor
    timesteps: torch.Tensor
    prediction: Prediction = "epsilon"

    def __post_init__(self):
        bars = self.alpha_bars
        if bars.ndim != 1 or len(bars) < 2 or bars.dtype != torch.float64 or bars.device.type != "cpu":
            raise ValueError(f"alpha_bars must be a float64 vector of T+1 >= 2 values on the CPU, got {bars.dtype} {tuple(bars.shape)}.")
        if self.timesteps.shape != (len(bars) - 1,):
            raise ValueError(f"timesteps must have shape ({len(bars) - 1},), got {tuple(self.timesteps.shape)}.")
        # only the last step may stand still: DDPO's clamp where the last timestep is 0 already
        if not (bool((bars[:-1].diff() > 0).all()) and bars[0] >= 0 and bars[-2] < 1 and bars[-2] <= bars[-1] <= 1):
            raise ValueError(f"alpha_bars must rise within 0 to 1, got {bars.tolist()}.")
        if self.prediction not in get_args(Prediction):
            raise ValueError(f"prediction is {self.prediction!r}; use {', '.join(get_args(Prediction))}.")
        if self.prediction == "epsilon" and bars[0] == 0:
            raise ValueError("the first alpha_bar is 0 (zero terminal SNR), where eps says nothing about x0; use a model with v_prediction.")

    def sigma(self, i: int) -> float:
        """Noise level before step i, sqrt(1 - abar_i), which falls as that of a flow does. Raises IndexError."""
        return math.sqrt(1 - self.alpha_bar(i))

    def renoise_coefficients(self, i: int) -> tuple[float, float]:
        """(signal, noise) such that signal x0 + noise eps is a picture x0 brought to the level before step i (HRF, arXiv 2410.08315)."""
        return math.sqrt(self.alpha_bar(i)), self.sigma(i)

    @property
    def steps(self) -> int:
        """T, the number of denoising steps."""
        return len(self.alpha_bars) - 1

    def alpha_bar(self, i: int) -> float:
        """abar before step i; i = T gives the one after the last step. Raises IndexError."""
        if not 0 <= i <= self.steps:
            raise IndexError(f"alpha_bar index is {i}; use 0 to {self.steps}.")
        return self.alpha_bars[i].item()

    def clean_coefficients(self, i: int) -> tuple[float, float]:
        """(c_x, c_v) such that x0_hat = c_x x + c_v out, the clean picture as foreseen before step i, neither clipped nor thresholded."""
        signal, noise = self.renoise_coefficients(i)
        if self.prediction == "epsilon":
            return 1 / signal, -noise / signal
        return (0.0, 1.0) if self.prediction == "sample" else (signal, -noise)

    def std(self, i: int, dynamics: str, level: float) -> float:
        """Total std of the transition at step i: the number that multiplies unit noise. `level` is eta.

        ddim: eta sqrt((1 - abar') / (1 - abar) (1 - abar / abar')) with abar' = abar_{i+1} (DDIM eq. 16). ode: 0.
        It is 0 where the last step ends at abar' = 1; check_trainable refuses the last step in any case.
        Raises ValueError for an unknown kind or an eta out of 0 to 1, IndexError for a step that does not exist.
        """
        if not 0 <= i < self.steps:
            raise IndexError(f"step index is {i}; use 0 to {self.steps - 1}.")
        if dynamics == "ode":
            return 0.0
        if dynamics != "ddim":
            raise ValueError(f"dynamics is {dynamics!r}; use ddim or ode with a diffusion model, the others are for flow models.")
        if not 0 <= level <= 1:
            raise ValueError(f"noise level is {level}; with ddim use 0 to 1.")
        before, after = self.alpha_bar(i), self.alpha_bar(i + 1)
        return level * math.sqrt((1 - after) / (1 - before) * (1 - before / after))

    def mean_coefficients(self, i: int, dynamics: str, level: float) -> tuple[float, float]:
        """(c_x, c_v) such that the mean of the transition is c_x x + c_v out, with `out` what the model gives.

        ddim (DDIM eq. 12): sqrt(abar') x0_hat + sqrt(1 - abar' - s^2) eps_hat. ode: the same with s = 0.
        x0_hat is neither clipped nor thresholded, whatever clip_sample and thresholding of the scheduler say: a clamped
        x0_hat passes no gradient where a pixel is saturated, and the mean would not be linear. Raises like `std`.
        """
        std = self.std(i, dynamics, level)
        after = self.alpha_bar(i + 1)
        on_x0, on_eps = math.sqrt(after), math.sqrt(max(1 - after - std**2, 0.0))
        signal, noise = self.renoise_coefficients(i)
        x0_x, x0_v = self.clean_coefficients(i)
        eps_x, eps_v = (1 - signal * x0_x) / noise, -signal * x0_v / noise  # eps_hat = (x - signal x0_hat) / noise
        return on_x0 * x0_x + on_eps * eps_x, on_x0 * x0_v + on_eps * eps_v


def from_scheduler(scheduler: Any, steps: int, *, clamp_last: bool = False) -> DiffusionSchedule:
    """The schedule for `steps` steps of a model that was trained with the betas of `scheduler` (diffusers: DDPM, DDIM, PNDM, Euler and their kind).

    The timesteps are those of a DDIMScheduler with the same spacing and offset, whatever solver the scheduler is; it is
    not changed. A step ends at the level of the next timestep. DDIMScheduler ends it at t - N // T, which is the same
    with leading spacing; with the others the model would be told one level and given another.
    clamp_last: the last step ends at abar_0, as DDPO does whatever the scheduler says. Otherwise at 1 if the scheduler
    says set_alpha_to_one or nothing, as DDIMScheduler does: the picture is left without noise.
    Raises ValueError for a scheduler of another family, an unknown prediction, or a number of steps that it does not have.
    """
    config = getattr(scheduler, "config", {})
    if not hasattr(scheduler, "alphas_cumprod"):
        raise ValueError(f"{type(scheduler).__name__} has no alphas_cumprod; use a scheduler of a variance-preserving model such as DDIMScheduler.")
    bars = scheduler.alphas_cumprod.detach().to("cpu", torch.float64)  # (N,)
    if not 1 <= steps <= len(bars):
        raise ValueError(f"steps is {steps}; use 1 to {len(bars)}.")
    grid = DDIMScheduler(len(bars), timestep_spacing=config.get("timestep_spacing", "leading"), steps_offset=config.get("steps_offset", 0))
    grid.set_timesteps(steps)
    timesteps = grid.timesteps[:steps]  # trailing spacing gives one too many where N / T rounds badly
    if timesteps[0] >= len(bars):
        raise ValueError(f"steps is {steps}; with steps_offset {config['steps_offset']} the first timestep is {timesteps[0]}, there are {len(bars)}. Use fewer steps.")
    last = bars[0] if clamp_last or not config.get("set_alpha_to_one", True) else torch.ones((), dtype=torch.float64)
    return DiffusionSchedule(torch.cat([bars[timesteps], last[None]]), timesteps, config.get("prediction_type", "epsilon"))
