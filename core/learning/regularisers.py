"""Penalties that hold the policy near the reference model, and what each asks of the velocity at each step.

KL: Flow-GRPO, arXiv 2505.05470, and DiverseGRPO, arXiv 2512.21514, eq. 6. Leash on the first steps: the structure-aware
regulariser of DiverseGRPO (squared Wasserstein-2 distance of two Gaussians of equal covariance, halved).
All distances are means over dimensions; the gradient flows through the first argument, never through the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch

Regulariser = Literal["kl_latent", "w2_latent", "v_mse"]


class NoiseSchedule(Protocol):
    """What is asked of a schedule; core.sampling.schedule.Schedule has it."""

    def noise_coefficient(self, i: int, level: float, dynamics: str = ...) -> float: ...

    def std(self, i: int, dynamics: str, level: float) -> float: ...

    def mean_coefficients(self, i: int, dynamics: str, level: float) -> tuple[float, float]: ...


def kl_latent(
    mean: torch.Tensor,
    reference_mean: torch.Tensor,
    i: int,
    schedule: NoiseSchedule,
    *,
    level: float,
    dynamics: str,
    include_dt: bool,
) -> torch.Tensor:
    """KL between the transitions of policy and reference at step i, [B], for means [B, ...].

    include_dt: the exact Gaussian KL, / (2 s^2), as published (DiverseGRPO eq. 6). Otherwise / (2 g^2), the form in the
    public Flow-GRPO code, smaller by |dt|. CPS and DDIM have no dt in their std, so both are / (2 s^2). Raises ValueError if s is 0.
    """
    return _mean_square(mean, reference_mean) / (2 * _kl_scale(i, schedule, level=level, dynamics=dynamics, include_dt=include_dt) ** 2)


def w2_latent(mean: torch.Tensor, reference_mean: torch.Tensor) -> torch.Tensor:
    """Half the mean squared difference of the transition means [B, ...], as [B] (DiverseGRPO, structure-aware regulariser)."""
    return 0.5 * _mean_square(mean, reference_mean)


def v_mse(v: torch.Tensor, v_ref: torch.Tensor) -> torch.Tensor:
    """Mean squared difference of the velocities [B, ...], as [B]; asks the same of every step."""
    return _mean_square(v, v_ref)


def velocity_coefficients(
    schedule: NoiseSchedule,
    steps: Sequence[int],
    regulariser: Regulariser,
    *,
    level: float,
    dynamics: str,
    include_dt: bool = False,
) -> list[float]:
    """The number that multiplies mean((v - v_ref)^2) at each of `steps` under a regulariser of unit weight.

    It shows where a penalty bites: the KL almost only on the late steps, the leash where it is laid. Raises ValueError
    for an unknown regulariser, and for a KL on a deterministic step.
    """
    if regulariser == "v_mse":
        return [1.0 for _ in steps]
    if regulariser not in ("kl_latent", "w2_latent"):
        raise ValueError(f"regulariser is {regulariser!r}; use kl_latent, w2_latent or v_mse.")
    coefficients = []
    for i in steps:
        half_square = 0.5 * schedule.mean_coefficients(i, dynamics, level)[1] ** 2
        if regulariser == "kl_latent":
            half_square /= _kl_scale(i, schedule, level=level, dynamics=dynamics, include_dt=include_dt) ** 2
        coefficients.append(half_square)
    return coefficients


def equal_budget_weight(
    schedule: NoiseSchedule,
    *,
    leash_steps: int,
    trained_steps: Sequence[int],
    level: float,
    dynamics: str,
    beta: float,
    include_dt: bool = False,
    space: Literal["w2_latent", "v_mse"] = "w2_latent",
) -> float:
    """Weight w of a leash on the first `leash_steps` steps that spends what a KL of weight beta spends on all trained steps.

    sum over leashed steps of w c_leash(i) = sum over trained steps of beta c_KL(i), for an equal velocity error at every
    step. The paper states no weight; the rule is this project's. include_dt False takes the KL as coded, the form in
    which the usual betas (0.01, 0.04) were tuned. On CPS the budget is that of Flow-SDE at 0.7 on the same noise levels: the std
    of CPS all but vanishes on the last steps, and a KL over them would hold the first ones a thousand times too fast.
    0 if no trained step is leashed.
    """
    leashed = [i for i in trained_steps if i < leash_steps]
    if not leashed:
        return 0.0
    at = {"level": level, "dynamics": dynamics}
    spent = {"level": 0.7, "dynamics": "flow_sde"} if dynamics == "cps" else at
    budget = beta * sum(velocity_coefficients(schedule, trained_steps, "kl_latent", include_dt=include_dt, **spent))
    return budget / sum(velocity_coefficients(schedule, leashed, space, **at))


def _kl_scale(i: int, schedule: NoiseSchedule, *, level: float, dynamics: str, include_dt: bool) -> float:
    """The std by which a KL divides: s, or g where the KL of an SDE leaves dt out."""
    std = schedule.std(i, dynamics, level)
    if std == 0:
        raise ValueError(f"step {i} of {dynamics} at noise level {level:g} is deterministic; a KL is not defined there.")
    return schedule.noise_coefficient(i, level, dynamics) if dynamics in ("flow_sde", "dance_sde") and not include_dt else std


def _mean_square(a: torch.Tensor, reference: torch.Tensor) -> torch.Tensor:
    """Mean over all but the first dimension of the squared difference, float32, [B]."""
    if a.shape != reference.shape:
        raise ValueError(f"policy has shape {tuple(a.shape)}, reference {tuple(reference.shape)}; they must be equal.")
    return (a.float() - reference.detach().float()).square().flatten(1).mean(1)
