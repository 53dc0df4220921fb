"""The noise levels of a rollout and everything that follows from them alone: dt, std, linear form of the mean.

Flow convention: x_sigma = (1 - sigma) x0 + sigma eps, velocity v = eps - x0. Step 0 is the noisiest, dt is negative.
Flow-SDE: Flow-GRPO, arXiv 2505.05470. Dance-SDE: DanceGRPO, arXiv 2505.07818. CPS (coefficients-preserving sampling):
Flow-CPS, arXiv 2509.05952.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Any, Literal

import torch

Dynamics = Literal["flow_sde", "dance_sde", "cps", "ddim", "ode"]  # ddim: of a DiffusionSchedule only
PURE_NOISE = 1 - 1e-6  # a sigma above this is 1 but for rounding of a float32 scheduler


@dataclass(frozen=True, eq=False)
class Schedule:
    """Noise levels of a rollout of T steps.

    sigmas: [T+1] float64 on the CPU, strictly falling from at most 1 to exactly 0.
    timesteps: [T] float, what the model is given at each step.
    Raises ValueError if the two do not belong to a flow model.
    """

    sigmas: torch.Tensor
    timesteps: torch.Tensor

    def __post_init__(self):
        sigmas = self.sigmas
        if sigmas.ndim != 1 or len(sigmas) < 2 or sigmas.dtype != torch.float64 or sigmas.device.type != "cpu":
            raise ValueError(f"sigmas must be a float64 vector of T+1 >= 2 values on the CPU, got {sigmas.dtype} {tuple(sigmas.shape)}.")
        if self.timesteps.shape != (len(sigmas) - 1,):
            raise ValueError(f"timesteps must have shape ({len(sigmas) - 1},), got {tuple(self.timesteps.shape)}.")
        if not (bool((sigmas.diff() < 0).all()) and sigmas[0] <= 1 and sigmas[-1] == 0):
            raise ValueError(f"sigmas must fall strictly from at most 1 to 0 (a flow model), got {sigmas.tolist()}.")

    @property
    def steps(self) -> int:
        """T, the number of denoising steps."""
        return len(self.sigmas) - 1

    def sigma(self, i: int) -> float:
        """Noise level before step i; i = T gives the 0 after the last step. Raises IndexError."""
        if not 0 <= i <= self.steps:
            raise IndexError(f"sigma index is {i}; use 0 to {self.steps}.")
        return self.sigmas[i].item()

    def dt(self, i: int) -> float:
        """sigma_{i+1} - sigma_i, negative. Raises IndexError."""
        if not 0 <= i < self.steps:
            raise IndexError(f"step index is {i}; use 0 to {self.steps - 1}.")
        return self.sigma(i + 1) - self.sigma(i)

    def renoise_coefficients(self, i: int) -> tuple[float, float]:
        """(signal, noise) such that signal x0 + noise eps is a clean x0 brought to the level before step i: (1 - sigma, sigma)."""
        return 1 - self.sigma(i), self.sigma(i)

    def clean_coefficients(self, i: int) -> tuple[float, float]:
        """(c_x, c_v) such that x0_hat = c_x x + c_v v, the clean latents as foreseen before step i: (1, -sigma)."""
        return 1.0, -self.sigma(i)

    def noise_coefficient(self, i: int, level: float, dynamics: Dynamics = "flow_sde") -> float:
        """g_i, the noise per square root of dt, of the two kinds that are SDEs.

        flow_sde: level * sqrt(sigma_i / (1 - sigma_i)) (Flow-GRPO and its public code). At pure noise sigma_1 stands
        in the denominator, which would be 0 otherwise. dance_sde: level itself, DanceGRPO's eta (its usual value is 0.3).
        """
        if dynamics == "dance_sde":
            return level
        sigma = self.sigma(i)
        return level * math.sqrt(sigma / (1 - (self.sigma(1) if sigma > PURE_NOISE else sigma)))

    def std(self, i: int, dynamics: Dynamics, level: float) -> float:
        """Total std of the transition at step i: the number that multiplies unit noise. Every std comes from here.

        flow_sde, dance_sde: g_i sqrt(-dt). cps: sigma_{i+1} sin(level pi / 2), without sqrt(-dt) (Flow-CPS). ode: 0.
        Raises ValueError for an unknown kind or a level out of range, IndexError for a step that does not exist.
        """
        dt = self.dt(i)
        if level < 0:
            raise ValueError(f"noise level is {level}; use 0 or more.")
        if dynamics in ("flow_sde", "dance_sde"):
            return self.noise_coefficient(i, level, dynamics) * math.sqrt(-dt)
        if dynamics == "cps":
            if level > 1:
                raise ValueError(f"noise level is {level}; with cps use 0 to 1.")
            return self.sigma(i + 1) * math.sin(level * math.pi / 2)
        if dynamics == "ode":
            return 0.0
        raise ValueError(f"dynamics is {dynamics!r}; use flow_sde, dance_sde, cps or ode.")

    def mean_coefficients(self, i: int, dynamics: Dynamics, level: float) -> tuple[float, float]:
        """(c_x, c_v) such that the mean of the transition is c_x x + c_v v; all dynamics are linear in both.

        flow_sde, dance_sde (Flow-GRPO, the SDE update rule; DanceGRPO's is the same with its constant g):
            c_x = 1 + g^2 / (2 sigma) dt,  c_v = (1 + g^2 (1 - sigma) / (2 sigma)) dt
        cps (Flow-CPS, with sigma' = sigma_{i+1} and k = sqrt(sigma'^2 - s^2)):
            (1 - sigma') x0_hat + k eps_hat with x0_hat = x - sigma v, eps_hat = x + (1 - sigma) v
        ode: the Euler step, (1, dt). Raises like `std`.
        """
        sigma, dt, std = self.sigma(i), self.dt(i), self.std(i, dynamics, level)
        if dynamics in ("flow_sde", "dance_sde"):
            drift = self.noise_coefficient(i, level, dynamics) ** 2 / (2 * sigma)
            return 1 + drift * dt, (1 + drift * (1 - sigma)) * dt
        if dynamics == "cps":
            after = self.sigma(i + 1)
            k = math.sqrt(max(after**2 - std**2, 0.0))
            return (1 - after) + k, k * (1 - sigma) - (1 - after) * sigma
        return 1.0, dt


def from_scheduler(scheduler: Any, steps: int, mu: float | None = None) -> Schedule:
    """The schedule that a diffusers FlowMatchEulerDiscreteScheduler makes for `steps` steps.

    The scheduler is copied, never changed: a pipeline that shares it goes on undisturbed. `mu` is the shift of a
    scheduler with dynamic shifting (it depends on the resolution). Raises ValueError for a scheduler that is not of
    a flow model, an inverted one, a missing mu, or steps < 1.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}; use 1 or more.")
    config = getattr(scheduler, "config", {})
    if not hasattr(scheduler, "sigmas") or config.get("prediction_type") is not None:
        raise ValueError(f"{type(scheduler).__name__} is not a flow-matching scheduler; use a FlowMatchEulerDiscreteScheduler.")
    if config.get("invert_sigmas"):
        raise ValueError("the scheduler inverts its sigmas (invert_sigmas); only models whose sigma falls from 1 to 0 are supported.")
    dynamic = bool(config.get("use_dynamic_shifting"))
    if dynamic and mu is None:
        raise ValueError("the scheduler shifts by resolution (use_dynamic_shifting): give mu.")
    own = copy.deepcopy(scheduler)
    own.set_timesteps(steps, device="cpu", **({"mu": mu} if dynamic else {}))
    return Schedule(sigmas=own.sigmas.to(torch.float64), timesteps=own.timesteps.to(torch.float32))
