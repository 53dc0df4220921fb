"""The schedule of SD3.5 and the numbers that follow from it, against printed tables and a real diffusers scheduler."""

import copy
import math

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, FlowMatchEulerDiscreteScheduler

from core.sampling.noise import check_trainable
from core.sampling.schedule import Schedule, from_scheduler

SIGMAS = [1.0000, 0.9601, 0.9133, 0.8577, 0.7904, 0.7073, 0.6022, 0.4649, 0.2780, 0.0089, 0.0000]
# sigma, dt, g and s of Flow-SDE at level 0.7, s of CPS at level 0.8
TABLE = [
    (1.00000, -0.03987, 3.50567, 0.70000, 0.91314),
    (0.96013, -0.04678, 3.43507, 0.74296, 0.86865),
    (0.91335, -0.05566, 2.27263, 0.53615, 0.81571),
    (0.85769, -0.06732, 1.71850, 0.44590, 0.75168),
    (0.79037, -0.08309, 1.35920, 0.39179, 0.67266),
    (0.70728, -0.10513, 1.08809, 0.35280, 0.57268),
    (0.60215, -0.13727, 0.86117, 0.31907, 0.44212),
    (0.46488, -0.18683, 0.65244, 0.28201, 0.26444),
    (0.27805, -0.26912, 0.43441, 0.22536, 0.00849),
    (0.00893, -0.00893, 0.06644, 0.00628, 0.00000),
]


@pytest.fixture(scope="module")
def sd35():
    return from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0), 10)


def test_sd35_sigmas_and_timesteps(sd35):
    assert sd35.steps == 10
    assert sd35.sigmas.dtype == torch.float64
    torch.testing.assert_close(sd35.sigmas, torch.tensor(SIGMAS, dtype=torch.float64), atol=5e-5, rtol=0)
    torch.testing.assert_close(sd35.timesteps.double(), sd35.sigmas[:-1] * 1000, atol=1e-3, rtol=0)


@pytest.mark.parametrize("i", range(10))
def test_table_of_stds(sd35, i):
    sigma, dt, g, s, cps = TABLE[i]
    got = (sd35.sigma(i), sd35.dt(i), sd35.noise_coefficient(i, 0.7), sd35.std(i, "flow_sde", 0.7), sd35.std(i, "cps", 0.8))
    assert got == pytest.approx((sigma, dt, g, s, cps), abs=6e-6)
    assert sd35.std(i, "ode", 0.7) == 0


def test_scheduler_is_left_alone():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(7)
    before = copy.deepcopy(scheduler.__dict__)
    from_scheduler(scheduler, 10)
    assert scheduler.__dict__.keys() == before.keys()
    assert torch.equal(scheduler.sigmas, before["sigmas"]) and torch.equal(scheduler.timesteps, before["timesteps"])
    assert scheduler.num_inference_steps == 7


def test_shift_changed_after_construction_is_kept():
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_shift(6.0)
    u = from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0), 10).sigmas
    u = u / (3 - 2 * u)  # undo the second shift by 3
    torch.testing.assert_close(from_scheduler(scheduler, 10).sigmas, 6 * u / (1 + 5 * u), atol=1e-6, rtol=0)


def test_dynamic_shifting_needs_mu_and_uses_it():
    scheduler = FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True)
    with pytest.raises(ValueError, match="mu"):
        from_scheduler(scheduler, 8)
    got = from_scheduler(scheduler, 8, mu=0.9)
    t = torch.linspace(1, 0.001, 8, dtype=torch.float64)
    expected = math.e**0.9 / (math.e**0.9 + 1 / t - 1)
    torch.testing.assert_close(got.sigmas[:-1], expected, atol=1e-6, rtol=0)
    assert got.sigma(0) == 1 and got.sigma(8) == 0


@pytest.mark.parametrize("scheduler", [DDIMScheduler(), EulerDiscreteScheduler()])
def test_a_scheduler_of_another_family_is_refused(scheduler):
    with pytest.raises(ValueError, match="flow-matching"):
        from_scheduler(scheduler, 10)


def test_inverted_scheduler_and_no_steps_are_refused():
    with pytest.raises(ValueError, match="invert"):
        from_scheduler(FlowMatchEulerDiscreteScheduler(invert_sigmas=True), 10)
    with pytest.raises(ValueError, match="steps is 0"):
        from_scheduler(FlowMatchEulerDiscreteScheduler(), 0)


@pytest.mark.parametrize("sigmas", [[1.0, 0.5, 0.5, 0.0], [0.0, 0.5, 1.0], [1.0, 0.5], [2.0, 1.0, 0.0]])
def test_sigmas_that_are_no_flow_are_refused(sigmas):
    with pytest.raises(ValueError, match="fall strictly"):
        Schedule(torch.tensor(sigmas, dtype=torch.float64), torch.zeros(len(sigmas) - 1))


def test_step_index_out_of_range(sd35):
    for i in (-1, 10):
        with pytest.raises(IndexError):
            sd35.std(i, "flow_sde", 0.7)


def test_levels_out_of_range_and_unknown_dynamics(sd35):
    with pytest.raises(ValueError, match="0 to 1"):
        sd35.std(0, "cps", 1.2)
    with pytest.raises(ValueError, match="0 or more"):
        sd35.std(0, "flow_sde", -0.1)
    with pytest.raises(ValueError, match="flow_sde, dance_sde, cps or ode"):
        sd35.std(0, "dance", 0.3)


def test_flow_sde_asks_the_velocity_alike_at_all_steps_but_the_first(sd35):
    """g^2 (1 - sigma) / (2 sigma) is a^2 / 2 wherever sigma < 1."""
    for i in range(1, 10):
        assert sd35.mean_coefficients(i, "flow_sde", 0.7)[1] == pytest.approx((1 + 0.7**2 / 2) * sd35.dt(i), rel=1e-12)
    assert sd35.mean_coefficients(0, "flow_sde", 0.7)[1] == pytest.approx(sd35.dt(0), rel=1e-12)


@pytest.mark.parametrize("i", range(10))
def test_dance_sde_has_one_noise_for_all_steps(sd35, i):
    """DanceGRPO: eta sqrt(-dt), whatever sigma is. The sigmas of the table are rounded."""
    sigma, dt = TABLE[i][:2]
    assert sd35.std(i, "dance_sde", 0.3) == pytest.approx(0.3 * math.sqrt(-dt), abs=1e-5)
    assert sd35.noise_coefficient(i, 0.3, "dance_sde") == 0.3
    c_x, c_v = sd35.mean_coefficients(i, "dance_sde", 0.3)
    assert c_x == pytest.approx(1 + 0.045 * dt / sigma, abs=1e-4)
    assert c_v == pytest.approx(dt * (1 + 0.045 * (1 - sigma) / sigma), abs=1e-4)


def test_dance_sde_is_flow_sde_at_the_level_where_their_noise_agrees(sd35):
    for i in range(1, 9):
        level = 0.3 / math.sqrt(sd35.sigma(i) / (1 - sd35.sigma(i)))
        assert sd35.std(i, "dance_sde", 0.3) == pytest.approx(sd35.std(i, "flow_sde", level), rel=1e-12)
        assert sd35.mean_coefficients(i, "dance_sde", 0.3) == pytest.approx(sd35.mean_coefficients(i, "flow_sde", level), rel=1e-12)


@pytest.mark.parametrize("level", [0.0, 0.3, 0.8, 1.0])
def test_cps_keeps_the_noise_of_the_next_level(sd35, level):
    """A point (x0, eps) goes to (1 - sigma') x0 + k eps with k^2 + s^2 = sigma'^2 exactly."""
    for i in range(10):
        c_x, c_v = sd35.mean_coefficients(i, "cps", level)
        sigma, after = sd35.sigma(i), sd35.sigma(i + 1)
        on_x0 = c_x * (1 - sigma) - c_v
        on_eps = c_x * sigma + c_v
        assert on_x0 == pytest.approx(1 - after, abs=1e-12)
        assert on_eps**2 + sd35.std(i, "cps", level) ** 2 == pytest.approx(after**2, abs=1e-12)


def test_the_last_step_is_never_trained(sd35):
    check_trainable(sd35, range(9), "flow_sde", 0.7)
    check_trainable(sd35, range(9), "cps", 0.8)
    check_trainable(sd35, range(9), "dance_sde", 0.3)
    assert sd35.std(9, "flow_sde", 0.7) > 1e-3  # refused for what it is, not for its std
    with pytest.raises(ValueError, match="step 9 is the last"):
        check_trainable(sd35, range(10), "flow_sde", 0.7)


def test_steps_without_noise_are_not_trained(sd35):
    with pytest.raises(ValueError, match="std 0, too small"):
        check_trainable(sd35, [0], "ode", 0.7)
    with pytest.raises(ValueError, match="step 8 of cps"):
        check_trainable(sd35, range(9), "cps", 0.05)
    for steps in ([], [3, 3], [10], [-1]):
        with pytest.raises(ValueError):
            check_trainable(sd35, steps, "flow_sde", 0.7)
