"""The transition against the Euler step, torch.distributions, closed forms and Gaussian targets with a known velocity."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch.distributions import Normal

from core.sampling.dynamics import step
from core.sampling.schedule import Schedule, from_scheduler

SHAPE = (3, 4, 5, 6)
D = 4 * 5 * 6


def normal(shape=SHAPE, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def even(steps):
    """sigma falls evenly from 1 to 0."""
    sigmas = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return Schedule(sigmas, sigmas[:-1].float() * 1000)


@pytest.fixture(scope="module")
def sd35():
    return from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0), 10)


@pytest.mark.parametrize("i", range(10))
def test_without_noise_all_dynamics_are_the_euler_step_of_diffusers(sd35, i):
    x, v = normal(seed=1), normal(seed=2)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(10)
    expected = scheduler.step(v, scheduler.timesteps[i], x).prev_sample
    for dynamics in ("flow_sde", "dance_sde", "cps", "ode"):
        got = step(v, x, i, sd35, dynamics=dynamics, level=0.0)
        torch.testing.assert_close(got.x_next, expected, atol=1e-6, rtol=1e-6)
        assert got.log_prob is None and got.std == 0


@pytest.mark.parametrize("i", range(9))
def test_flow_sde_mean_is_the_drift_of_the_paper(sd35, i):
    """Second way to the mean: drift v + g^2 / (2 sigma) (x + (1 - sigma) v), that is v - g^2 / 2 times the score."""
    x, v = normal(seed=1).double(), normal(seed=2).double()
    sigma, dt, g = sd35.sigma(i), sd35.dt(i), sd35.noise_coefficient(i, 0.7)
    score = -(x + (1 - sigma) * v) / sigma
    got = step(v, x, i, sd35, dynamics="flow_sde", level=0.7, noise=normal(seed=3))
    torch.testing.assert_close(got.mean.double(), x + (v - 0.5 * g**2 * score) * dt, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("i", range(10))
def test_dance_sde_is_the_step_of_the_paper(sd35, i):
    """Second way to the mean, as DanceGRPO writes it: by the score of x given the predicted clean latents."""
    x, v = normal(seed=1).double(), normal(seed=2).double()
    sigma, dt = sd35.sigma(i), sd35.dt(i)
    score = -(x - (1 - sigma) * (x - sigma * v)) / sigma**2
    z = normal(seed=3)
    got = step(v, x, i, sd35, dynamics="dance_sde", level=0.3, noise=z)
    torch.testing.assert_close(got.mean.double(), x + dt * v - 0.5 * 0.3**2 * score * dt, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(got.x_next.double(), got.mean.double() + 0.3 * (-dt) ** 0.5 * z, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("i", range(9))
def test_cps_mean_is_the_one_of_the_paper(sd35, i):
    x, v = normal(seed=1).double(), normal(seed=2).double()
    sigma, after, s = sd35.sigma(i), sd35.sigma(i + 1), sd35.std(i, "cps", 0.8)
    x0, eps = x - sigma * v, x + (1 - sigma) * v
    z = normal(seed=3)
    got = step(v, x, i, sd35, dynamics="cps", level=0.8, noise=z)
    expected = (1 - after) * x0 + (after**2 - s**2) ** 0.5 * eps
    torch.testing.assert_close(got.mean.double(), expected, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(got.x_next.double(), expected + s * z, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(got.log_prob.double(), -(s * z.double()).square().mean((1, 2, 3)), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dynamics", ["flow_sde", "dance_sde"])
@pytest.mark.parametrize("i", range(10))
def test_log_prob_of_an_sde_is_the_normal_of_torch(sd35, i, dynamics):
    got = step(normal(seed=2), normal(seed=1), i, sd35, dynamics=dynamics, level=0.7, noise=normal(seed=3))
    expected = Normal(got.mean.double(), got.std).log_prob(got.x_next.double()).mean((1, 2, 3))
    torch.testing.assert_close(got.log_prob.double(), expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("dynamics", ["flow_sde", "dance_sde", "cps"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_replay_is_bit_identical(sd35, dynamics, dtype):
    for i in range(9):
        x, v = normal(seed=1).to(dtype), normal(seed=2).to(dtype)
        first = step(v, x, i, sd35, dynamics=dynamics, level=0.7, noise=normal(seed=3))
        again = step(v.clone().requires_grad_(), x, i, sd35, dynamics=dynamics, level=0.7, x_next=first.x_next)
        assert torch.equal(first.log_prob, again.log_prob)
        assert torch.equal((again.log_prob - first.log_prob).exp(), torch.ones(3))
        assert torch.equal(first.x_next, again.x_next)
        assert first.x_next.dtype == first.log_prob.dtype == first.mean.dtype == torch.float32


@pytest.mark.parametrize("dynamics", ["flow_sde", "dance_sde", "cps"])
def test_gradient_is_the_closed_form(sd35, dynamics):
    """d log_prob / d v = (x_next - mu) / (s^2 D) d mu / d v; CPS has 2 in place of 1 / s^2."""
    for i in range(9):
        v = normal(seed=2).requires_grad_()
        x = normal(seed=1).requires_grad_()
        x_next = (normal(seed=1) + 0.1 * normal(seed=3)).requires_grad_()
        got = step(v, x, i, sd35, dynamics=dynamics, level=0.7, x_next=x_next)
        got.log_prob.sum().backward()
        sigma, after, dt, s = sd35.sigma(i), sd35.sigma(i + 1), sd35.dt(i), got.std
        if dynamics == "flow_sde":
            slope = (1 + 0.7**2 / 2) * dt if i else dt
            expected = (x_next - got.mean) / (s**2 * D) * slope
        elif dynamics == "dance_sde":
            expected = (x_next - got.mean) / (s**2 * D) * (1 + 0.7**2 * (1 - sigma) / (2 * sigma)) * dt
        else:
            slope = -(1 - after) * sigma + (after**2 - s**2) ** 0.5 * (1 - sigma)
            expected = 2 * (x_next - got.mean) / D * slope
        torch.testing.assert_close(v.grad, expected.detach(), atol=1e-7, rtol=1e-4)
        assert x_next.grad is None


def test_a_sampled_point_carries_no_gradient(sd35):
    got = step(normal(seed=2).requires_grad_(), normal(seed=1), 3, sd35, dynamics="flow_sde", level=0.7, noise=normal(seed=3))
    assert not got.x_next.requires_grad and got.mean.requires_grad


def test_packed_latents_and_each_picture_alone(sd35):
    """[B, L, C] latents work too, and a row does not depend on its neighbours."""
    x, v, z = normal((4, 7, 8), 1), normal((4, 7, 8), 2), normal((4, 7, 8), 3)
    whole = step(v, x, 4, sd35, dynamics="flow_sde", level=0.7, noise=z)
    part = step(v[2:3], x[2:3], 4, sd35, dynamics="flow_sde", level=0.7, noise=z[2:3])
    assert whole.log_prob.shape == (4,)
    torch.testing.assert_close(part.log_prob[0], whole.log_prob[2])
    torch.testing.assert_close(part.x_next[0], whole.x_next[2])


def test_wrong_input_is_refused(sd35):
    x, v = normal(seed=1), normal(seed=2)
    with pytest.raises(ValueError, match="give noise"):
        step(v, x, 0, sd35, dynamics="flow_sde", level=0.7)
    with pytest.raises(ValueError, match="not both"):
        step(v, x, 0, sd35, dynamics="flow_sde", level=0.7, noise=x, x_next=x)
    for wrong in ({"noise": x[:1]}, {"x_next": x[:, :1]}):
        with pytest.raises(ValueError, match="must be equal"):
            step(v, x, 0, sd35, dynamics="flow_sde", level=0.7, **wrong)
    with pytest.raises(ValueError, match="velocity has shape"):
        step(v[:1], x, 0, sd35, dynamics="ode", level=0.0)


def gaussian_velocity(x, sigma, mean, std):
    """E[eps - x0 | x] for x0 ~ N(mean, std^2)."""
    variance = (1 - sigma) ** 2 * std**2 + sigma**2
    return (x - (1 - sigma) * mean) * (sigma - (1 - sigma) * std**2) / variance - mean


@pytest.mark.parametrize(("dynamics", "level"), [("ode", 0.0), ("flow_sde", 0.7), ("flow_sde", 1.0), ("dance_sde", 0.3), ("dance_sde", 1.0)])
def test_an_sde_preserves_the_marginals_of_a_gaussian(dynamics, level):
    """With the exact velocity, noise changes the path, not the distribution (Flow-GRPO's claim for its SDE; DanceGRPO's differs in g only)."""
    mean, std, schedule = 0.6, 0.5, even(400)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn((8000, 1), generator=generator)
    for i in range(schedule.steps):
        z = torch.randn(x.shape, generator=generator)
        v = gaussian_velocity(x, schedule.sigma(i), mean, std)
        x = step(v, x, i, schedule, dynamics=dynamics, level=level, noise=z).x_next
        if i + 1 in (200, 400):
            sigma = schedule.sigma(i + 1)
            expected = ((1 - sigma) ** 2 * std**2 + sigma**2) ** 0.5
            assert x.mean().item() == pytest.approx((1 - sigma) * mean, abs=0.02)
            assert x.std().item() == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("level", [0.4, 0.8])
def test_cps_leaves_exactly_the_noise_of_each_level(sd35, level):
    """Where x0 is known (std 0) the noise left after ten coarse steps has the scheduled std; no grain piles up."""
    mean, generator = 0.6, torch.Generator().manual_seed(5)
    x = torch.randn((20000, 1), generator=generator)
    for i in range(sd35.steps):
        v = gaussian_velocity(x, sd35.sigma(i), mean, 0.0)
        z = torch.randn(x.shape, generator=generator)
        x = step(v, x, i, sd35, dynamics="cps", level=level, noise=z).x_next
        after = sd35.sigma(i + 1)
        assert x.std().item() == pytest.approx(after, rel=0.02, abs=1e-5)
        assert x.mean().item() == pytest.approx((1 - after) * mean, abs=0.02 * after + 1e-5)
