"""The DDIM transition against diffusers' own step, closed forms and a Gaussian target with a known noise prediction."""

import math

import pytest
import torch
from diffusers import (
    DDIMScheduler,
    DDPMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    PNDMScheduler,
    ScoreSdeVeScheduler,
)
from torch.distributions import Normal

from core.learning.regularisers import kl_latent, velocity_coefficients
from core.sampling.diffusion import DiffusionSchedule, from_scheduler
from core.sampling.dynamics import step
from core.sampling.noise import check_trainable
from core.sampling.rollout import rollout

SHAPE = (3, 4, 5, 6)
STABLE_DIFFUSION = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}


def normal(shape=SHAPE, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def ddim(**config) -> DDIMScheduler:
    return DDIMScheduler(**{"clip_sample": False, **config})


@pytest.fixture(scope="module")
def celeba():
    """40 steps of the pixel model that HRF trains: linear betas, DDPM scheduler."""
    return from_scheduler(DDPMScheduler(), 40)


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize(
    "config, steps",
    [
        ({}, 40),
        ({}, 7),  # does not divide 1000
        ({**STABLE_DIFFUSION, "set_alpha_to_one": False}, 50),
        ({"timestep_spacing": "trailing"}, 10),
        ({"timestep_spacing": "linspace"}, 1000),
    ],
)
def test_every_step_is_that_of_diffusers(config, steps, prediction, eta):
    scheduler = ddim(prediction_type=prediction, **config)
    schedule = from_scheduler(scheduler, steps)
    scheduler.set_timesteps(steps)
    assert schedule.steps == steps and torch.equal(schedule.timesteps, scheduler.timesteps)
    x, out, z = normal(seed=1), normal(seed=2), normal(seed=3)
    for i in range(0, steps, max(1, steps // 50)):
        expected = scheduler.step(out, scheduler.timesteps[i], x, eta=eta, variance_noise=z)
        got = step(out, x, i, schedule, dynamics="ddim", level=eta, noise=z)
        torch.testing.assert_close(got.x_next, expected.prev_sample, atol=1e-5, rtol=1e-5)
        c_x, c_v = schedule.clean_coefficients(i)
        torch.testing.assert_close(c_x * x + c_v * out, expected.pred_original_sample, atol=1e-5, rtol=1e-4)
        if eta == 0:
            assert torch.equal(got.x_next, step(out, x, i, schedule, dynamics="ode", level=0.0).x_next)
            assert got.log_prob is None


def test_last_step_is_that_of_diffusers_too():
    """A rollout ends at abar 1 or abar_0 as set_alpha_to_one says."""
    x, out = normal(seed=1), normal(seed=2)
    ends = []
    for config in ({}, {"set_alpha_to_one": False}):
        scheduler = ddim(steps_offset=1, **config)
        scheduler.set_timesteps(10)
        ends.append(step(out, x, 9, from_scheduler(scheduler, 10), dynamics="ode", level=0.0).x_next)
        torch.testing.assert_close(ends[-1], scheduler.step(out, scheduler.timesteps[9], x).prev_sample, atol=1e-5, rtol=1e-5)
    assert (ends[0] - ends[1]).abs().max() > 1e-3


def test_ddpo_s_clamp_leaves_the_last_std_above_zero():
    bars = DDIMScheduler(**STABLE_DIFFUSION).alphas_cumprod.double()
    for scheduler in (ddim(**STABLE_DIFFUSION), EulerDiscreteScheduler(**STABLE_DIFFUSION, timestep_spacing="leading")):
        free, clamped = from_scheduler(scheduler, 50), from_scheduler(scheduler, 50, clamp_last=True)
        assert free.alpha_bar(50) == 1 and free.std(49, "ddim", 1.0) == 0
        assert clamped.alpha_bar(50) == bars[0]
        expected = math.sqrt((1 - bars[0]) / (1 - bars[1]) * (1 - bars[1] / bars[0]))  # from timestep 1 to 0
        assert clamped.std(49, "ddim", 1.0) == pytest.approx(expected, rel=1e-9)
        assert torch.equal(free.alpha_bars[:-1], clamped.alpha_bars[:-1])


def test_clamp_where_the_last_timestep_is_0_already_stands_still():
    schedule = from_scheduler(DDPMScheduler(), 10, clamp_last=True)
    x = normal(seed=1)
    got = step(normal(seed=2), x, 9, schedule, dynamics="ddim", level=1.0)
    assert got.std == 0
    torch.testing.assert_close(got.x_next, x, atol=1e-6, rtol=0)


def test_stds_are_the_closed_form(celeba):
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    bars = torch.cumprod(1 - betas, 0)
    for i in range(39):
        t = 975 - 25 * i
        posterior = (1 - bars[t - 25]) / (1 - bars[t]) * (1 - bars[t] / bars[t - 25])  # DDPM's posterior variance over 25 steps
        assert celeba.timesteps[i] == t
        assert celeba.std(i, "ddim", 1.0) == pytest.approx(posterior.sqrt().item(), rel=1e-3)
        assert celeba.std(i, "ddim", 0.4) == pytest.approx(0.4 * celeba.std(i, "ddim", 1.0), rel=1e-12)
        assert celeba.std(i, "ode", 0.0) == 0
        assert celeba.sigma(i) == pytest.approx((1 - bars[t]).sqrt().item(), rel=1e-4)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_a_step_keeps_the_signal_and_the_noise_of_the_next_level(prediction, eta):
    """A point (x0, eps) goes to sqrt(abar') x0 + k eps with k^2 + s^2 = 1 - abar' exactly."""
    schedule = from_scheduler(ddim(prediction_type=prediction), 20)
    for i in range(20):
        c_x, c_v = schedule.mean_coefficients(i, "ddim", eta)
        signal, noise = schedule.renoise_coefficients(i)
        out = {"epsilon": (0, 1), "sample": (1, 0), "v_prediction": (-noise, signal)}[prediction]  # on x0, on eps
        on_x0, on_eps = c_x * signal + c_v * out[0], c_x * noise + c_v * out[1]
        after = schedule.alpha_bar(i + 1)
        assert on_x0 == pytest.approx(math.sqrt(after), abs=1e-10)
        assert on_eps**2 + schedule.std(i, "ddim", eta) ** 2 == pytest.approx(1 - after, abs=1e-10)


@pytest.mark.parametrize("spacing", ["linspace", "trailing"])
def test_a_step_ends_where_the_next_begins_with_any_spacing(spacing):
    scheduler = ddim(timestep_spacing=spacing)
    schedule = from_scheduler(scheduler, 30)  # does not divide 1000
    scheduler.set_timesteps(30)
    assert torch.equal(schedule.timesteps, scheduler.timesteps)
    torch.testing.assert_close(schedule.alpha_bars[:-1], scheduler.alphas_cumprod[scheduler.timesteps].double(), atol=0, rtol=0)
    assert len(from_scheduler(ddim(timestep_spacing="trailing"), 61).timesteps) == 61  # diffusers gives 62


@pytest.mark.parametrize("kind", [DDPMScheduler, PNDMScheduler, EulerDiscreteScheduler])
def test_any_solver_of_the_family_gives_the_schedule_of_its_betas(kind):
    found = from_scheduler(kind(**STABLE_DIFFUSION, timestep_spacing="leading", prediction_type="v_prediction"), 20)
    expected = from_scheduler(ddim(**STABLE_DIFFUSION, prediction_type="v_prediction"), 20)
    assert torch.equal(found.timesteps, expected.timesteps) and found.prediction == "v_prediction"
    torch.testing.assert_close(found.alpha_bars[:-1], expected.alpha_bars[:-1], atol=1e-6, rtol=1e-6)
    assert (found.alpha_bar(20) < 1) == (kind is PNDMScheduler)  # whose set_alpha_to_one is false by default


def test_clip_sample_is_not_taken_over():
    """At pure noise x0_hat is far outside [-1, 1]; the clamp would hide it, and its gradient."""
    clipped = from_scheduler(DDIMScheduler(clip_sample=True), 10)
    x, out = normal(seed=1), normal(seed=2).requires_grad_()
    got = step(out, x, 0, clipped, dynamics="ddim", level=0.0)
    free = step(out, x, 0, from_scheduler(ddim(), 10), dynamics="ddim", level=0.0)
    assert torch.equal(got.mean, free.mean)
    got.mean.sum().backward()
    assert (out.grad != 0).all()


def test_log_prob_is_the_normal_of_torch_and_replays_bit_by_bit(celeba):
    x, out = normal(seed=1), normal(seed=2)
    for i in range(39):
        first = step(out, x, i, celeba, dynamics="ddim", level=1.0, noise=normal(seed=3))
        expected = Normal(first.mean.double(), first.std).log_prob(first.x_next.double()).mean((1, 2, 3))
        torch.testing.assert_close(first.log_prob.double(), expected, atol=1e-5, rtol=1e-5)
        again = step(out.clone().requires_grad_(), x, i, celeba, dynamics="ddim", level=1.0, x_next=first.x_next)
        assert torch.equal(again.log_prob, first.log_prob) and first.log_prob.dtype == torch.float32
        again.log_prob.sum().backward()


def test_gradient_is_the_closed_form(celeba):
    """d log_prob / d eps = (x_next - mu) / (s^2 D) d mu / d eps, with d mu / d eps from the formula of x0_hat."""
    D = math.prod(SHAPE[1:])
    for i in range(0, 39, 5):
        out = normal(seed=2).requires_grad_()
        got = step(out, normal(seed=1), i, celeba, dynamics="ddim", level=1.0, noise=normal(seed=3))
        got.log_prob.sum().backward()
        bar, after, s = celeba.alpha_bar(i), celeba.alpha_bar(i + 1), got.std
        slope = math.sqrt(1 - after - s**2) - math.sqrt(after * (1 - bar) / bar)
        torch.testing.assert_close(out.grad, ((got.x_next - got.mean) / (s**2 * D) * slope).detach(), atol=1e-7, rtol=1e-4)


def gaussian_epsilon(x, bar, mean, std):
    """E[eps | x] for x0 ~ N(mean, std^2)."""
    return math.sqrt(1 - bar) * (x - math.sqrt(bar) * mean) / (bar * std**2 + 1 - bar)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_ddim_preserves_the_marginals_of_a_gaussian(eta):
    """With the exact noise prediction eta changes the path, not the distribution."""
    mean, std, schedule = 0.6, 0.5, from_scheduler(ddim(), 500)
    generator = torch.Generator().manual_seed(5)
    x = torch.randn((8000, 1), generator=generator)
    for i in range(schedule.steps):
        z = torch.randn(x.shape, generator=generator)
        out = gaussian_epsilon(x, schedule.alpha_bar(i), mean, std)
        x = step(out, x, i, schedule, dynamics="ddim", level=eta, noise=z).x_next
        if i + 1 in (350, 450, 500):
            bar = schedule.alpha_bar(i + 1)
            assert x.mean().item() == pytest.approx(math.sqrt(bar) * mean, abs=0.02)
            assert x.std().item() == pytest.approx(math.sqrt(bar * std**2 + 1 - bar), rel=0.03)


def test_renoising_brings_a_picture_to_the_level_of_a_step(celeba):
    """diffusers' add_noise at the same timestep."""
    x0, eps = normal(seed=1), normal(seed=2)
    for i in (0, 17, 39):
        signal, noise = celeba.renoise_coefficients(i)
        expected = DDPMScheduler().add_noise(x0, eps, celeba.timesteps[i].expand(len(x0)))
        torch.testing.assert_close(signal * x0 + noise * eps, expected, atol=1e-5, rtol=1e-5)
    assert celeba.renoise_coefficients(40) == (1.0, 0.0)


def test_the_last_step_is_never_trained(celeba):
    check_trainable(celeba, range(39), "ddim", 1.0)
    clamped = from_scheduler(ddim(**STABLE_DIFFUSION), 10, clamp_last=True)
    assert clamped.std(9, "ddim", 1.0) > 1e-3  # refused for what it is, not for its std
    for schedule, last in ((celeba, 39), (clamped, 9)):
        with pytest.raises(ValueError, match=f"step {last} is the last"):
            check_trainable(schedule, [0, last], "ddim", 1.0)
    with pytest.raises(ValueError, match="std 0, too small"):
        check_trainable(celeba, [3], "ode", 0.0)


def test_rollout_and_regularisers_take_it(celeba):
    """The same calls as with a flow schedule: a stored transition is the transition, the KL divides by s^2."""
    model = lambda x, i: 0.1 * x + i
    path = rollout(model, celeba, [1, 2], (4, 5, 6), dynamics="ddim", level=0.8, stochastic=(0, 7))
    for s, i in enumerate((0, 7)):
        x = path.latents[:, s]
        again = step(model(x, i), x, i, celeba, dynamics="ddim", level=0.8, x_next=path.next_latents[:, s])
        assert torch.equal(again.log_prob, path.log_probs[:, s])
        mean = again.mean + 0.1
        for include_dt in (True, False):  # there is no dt in the std of DDIM
            kl = kl_latent(mean, again.mean, i, celeba, level=0.8, dynamics="ddim", include_dt=include_dt)
            torch.testing.assert_close(kl, torch.full((2,), 0.01 / (2 * again.std**2)), rtol=1e-4, atol=0)
    (weight,) = velocity_coefficients(celeba, [7], "w2_latent", level=0.8, dynamics="ddim")
    assert weight == pytest.approx(celeba.mean_coefficients(7, "ddim", 0.8)[1] ** 2 / 2)


def test_zero_terminal_snr_needs_another_prediction_than_epsilon():
    with pytest.raises(ValueError, match="use a model with v_prediction"):
        from_scheduler(ddim(rescale_betas_zero_snr=True, timestep_spacing="trailing"), 10)
    scheduler = ddim(rescale_betas_zero_snr=True, timestep_spacing="trailing", prediction_type="v_prediction")
    schedule = from_scheduler(scheduler, 10)
    scheduler.set_timesteps(10)
    x, out, z = normal(seed=1), normal(seed=2), normal(seed=3)  # at eta 1 diffusers takes the root of -1e-8 here
    expected = scheduler.step(out, scheduler.timesteps[0], x, eta=0.9, variance_noise=z).prev_sample
    torch.testing.assert_close(step(out, x, 0, schedule, dynamics="ddim", level=0.9, noise=z).x_next, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("scheduler", [FlowMatchEulerDiscreteScheduler(), ScoreSdeVeScheduler()])
def test_a_scheduler_of_another_family_is_refused(scheduler):
    with pytest.raises(ValueError, match=f"{type(scheduler).__name__} has no alphas_cumprod"):
        from_scheduler(scheduler, 10)


def test_wrong_input_is_refused(celeba):
    for steps in (0, 1001):
        with pytest.raises(ValueError, match=f"steps is {steps}; use 1 to 1000"):
            from_scheduler(ddim(), steps)
    with pytest.raises(ValueError, match="first timestep is 1000"):
        from_scheduler(ddim(steps_offset=1), 1000)
    for i in (-1, 40):
        with pytest.raises(IndexError):
            celeba.std(i, "ddim", 1.0)
    for level in (-0.1, 1.1):
        with pytest.raises(ValueError, match="with ddim use 0 to 1"):
            celeba.std(0, "ddim", level)
    with pytest.raises(ValueError, match="use ddim or ode"):
        celeba.mean_coefficients(0, "flow_sde", 0.7)
    with pytest.raises(ValueError, match="prediction is 'flow_prediction'"):
        DiffusionSchedule(torch.tensor([0.1, 1.0], dtype=torch.float64), torch.zeros(1), "flow_prediction")


@pytest.mark.parametrize("bars", [[0.9, 0.5, 0.1], [0.1, 0.1, 1.0], [0.1, 1.0, 1.0], [0.1, 1.5], [-0.1, 1.0], [0.5, 0.4]])
def test_alpha_bars_that_do_not_rise_are_refused(bars):
    with pytest.raises(ValueError, match="must rise"):
        DiffusionSchedule(torch.tensor(bars, dtype=torch.float64), torch.zeros(len(bars) - 1))
