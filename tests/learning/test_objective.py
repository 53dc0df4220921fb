"""The clipped objective, plain and guarded, against values by hand, identities and its gradient."""

import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from core.learning.objective import clipped_objective, guard_objective
from core.sampling.dynamics import step
from core.sampling.schedule import from_scheduler


def objective(new, old, advantage, epsilon=0.2, advantage_clip=5.0):
    return clipped_objective(new, old, advantage, epsilon=epsilon, advantage_clip=advantage_clip)


def test_values_by_hand():
    """Ratio 1.5 and 0.5 with both signs of the advantage, epsilon 0.2; the pessimistic side is taken each time."""
    old = torch.tensor([-1.0, -2.0, -1.0, 0.5])
    new = old + torch.tensor([1.5, 0.5, 1.5, 0.5]).log()
    got = objective(new, old, torch.tensor([2.0, 2.0, -2.0, -2.0]))
    # A > 0: 1.5 is cut to 1.2, 0.5 stays; A < 0: 1.5 stays, 0.5 is cut to 0.8
    expected = (-2 * 1.2 - 2 * 0.5 + 2 * 1.5 + 2 * 0.8) / 4
    assert got.loss.item() == pytest.approx(expected, rel=1e-6)
    torch.testing.assert_close(got.ratio, torch.tensor([1.5, 0.5, 1.5, 0.5]))
    assert got.clip_fraction == 1.0
    assert got.approx_kl == pytest.approx((math.log(1.5) ** 2 + math.log(0.5) ** 2) / 4, rel=1e-5)


def test_gradient_before_the_first_update_is_the_policy_gradient():
    old = torch.tensor([0.3, -0.2, 1.7])
    advantage = torch.tensor([1.0, -3.0, 9.0])
    new = old.clone().requires_grad_()
    got = objective(new, old, advantage, epsilon=1e-4)
    got.loss.backward()
    torch.testing.assert_close(new.grad, -torch.tensor([1.0, -3.0, 5.0]) / 3)  # 9 is clipped to 5
    assert torch.equal(got.ratio, torch.ones(3)) and not got.ratio.requires_grad
    assert got.clip_fraction == 0 and got.approx_kl == 0


def test_gradient_stops_only_where_the_ratio_has_moved_far_in_the_wanted_direction():
    shift = torch.tensor([0.3, -0.3, 0.3, -0.3])
    advantage = torch.tensor([1.0, 1.0, -1.0, -1.0])
    new = shift.clone().requires_grad_()
    objective(new, torch.zeros(4), advantage).loss.backward()
    torch.testing.assert_close(new.grad, torch.tensor([0.0, -math.exp(-0.3), math.exp(0.3), 0.0]) / 4)


def test_no_gradient_to_the_old_policy_or_the_reward():
    new, old, advantage = (torch.randn(3, requires_grad=True) for _ in range(3))
    objective(new, old, advantage).loss.backward()
    assert new.grad is not None and old.grad is None and advantage.grad is None


def test_float32_from_bfloat16():
    """In bfloat16 a ratio of 1.001 would be 1."""
    old = torch.zeros(2, dtype=torch.bfloat16)
    new = torch.full((2,), 1e-3, dtype=torch.bfloat16)
    got = objective(new, old, torch.ones(2, dtype=torch.bfloat16), epsilon=1e-4)
    assert got.ratio.dtype == got.loss.dtype == torch.float32
    assert got.ratio[0].item() == pytest.approx(math.exp(new[0].item()), rel=1e-6)
    assert got.loss.item() == pytest.approx(-1.0001, rel=1e-6)


def test_shapes_that_only_broadcast_are_refused():
    with pytest.raises(ValueError, match=r"must all be \[B\]"):
        objective(torch.zeros(3), torch.zeros(3), torch.zeros(3, 1))
    with pytest.raises(ValueError, match=r"must all be \[B\]"):
        objective(torch.zeros(3), torch.zeros(1), torch.zeros(3))


SHAPE = (3, 4, 5, 6)


@pytest.fixture(scope="module")
def sd35():
    return from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0), 10)


def normal(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


def replay(schedule, i, shift):
    """A sampled step i and its replay with a velocity moved by `shift`: (z, moved velocity, before, after, std and dt)."""
    at = {"dynamics": "flow_sde", "level": 0.7}
    x, v, z = normal(1), normal(2), normal(3)
    before = step(v, x, i, schedule, noise=z, **at)
    moved = (v + shift).requires_grad_()
    after = step(moved, x, i, schedule, x_next=before.x_next, **at)
    return z, moved, before, after, {"std": before.std, "dt": schedule.dt(i)}


def guarded(before, after, advantage, of_step, **options):
    settings = {"epsilon": 0.2, "advantage_clip": 5.0} | options
    return guard_objective(after.log_prob, before.log_prob, advantage, after.mean, before.mean, **of_step, **settings)


@pytest.mark.parametrize("i", range(9))
def test_the_guarded_log_ratio_is_the_mean_of_noise_times_shift(sd35, i):
    """The identity of GRPO-Guard: of the Gaussian log-ratio only mean(z Delta) is left, at every step."""
    z, _, before, after, of_step = replay(sd35, i, normal(4))
    got = guarded(before, after, torch.ones(3), of_step)
    expected = (z.double() * (after.mean - before.mean).double()).mean((1, 2, 3))
    torch.testing.assert_close(got.ratio.double().log(), expected.detach(), atol=1e-6, rtol=1e-4)
    assert got.approx_kl == objective(after.log_prob, before.log_prob, torch.ones(3)).approx_kl


def test_the_guarded_log_ratio_has_mean_zero_where_the_plain_one_sinks(sd35):
    """Many draws of one shifted step with little noise: the plain log-ratio lies below 0, the guarded one around it."""
    i, draws, width = 8, 4000, 16
    at = {"dynamics": "flow_sde", "level": 0.7}
    generator = torch.Generator().manual_seed(0)
    x, v, shift = (torch.randn(1, width, generator=generator).expand(draws, width) for _ in range(3))
    before = step(v, x, i, sd35, noise=torch.randn(draws, width, generator=generator), **at)
    after = step(v + shift, x, i, sd35, x_next=before.x_next, **at)
    plain = after.log_prob - before.log_prob
    guard = guarded(before, after, torch.ones(draws), {"std": before.std, "dt": sd35.dt(i)}).ratio.log()
    assert plain.mean() < -10 * plain.std() / draws**0.5
    assert guard.mean().abs() < 3 * guard.std() / draws**0.5


def test_guarded_values_and_gradient_by_hand(sd35):
    """At an unchanged policy: ratio 1, loss -mean(A) / |dt|, gradient of the mean -A z / (B D |dt|)."""
    i, advantage = 5, torch.tensor([1.0, -3.0, 9.0])
    z, moved, before, after, of_step = replay(sd35, i, 0.0)
    after.mean.retain_grad()
    got = guarded(before, after, advantage, of_step)
    assert torch.equal(got.ratio, torch.ones(3)) and got.clip_fraction == 0 and got.approx_kl == 0
    dt = -sd35.dt(i)
    assert got.loss.item() == pytest.approx(-(1 - 3 + 5) / 3 / dt, rel=1e-6)  # 9 is clipped to 5
    got.loss.backward()
    expected = -torch.tensor([1.0, -3.0, 5.0]).view(3, 1, 1, 1) * z / (3 * z[0].numel() * dt)
    torch.testing.assert_close(after.mean.grad, expected, atol=1e-5, rtol=1e-4)
    plain = guarded(before, after, advantage, of_step, reweight="none")
    assert plain.loss.item() == pytest.approx(got.loss.item() * dt, rel=1e-6)


def test_the_bias_carries_a_gradient_too(sd35):
    """Away from the old policy d log ratio / d mean is still z / D: the pull of the plain density towards x_next is gone."""
    z, _, before, after, of_step = replay(sd35, 4, normal(4))
    after.mean.retain_grad()
    got = guarded(before, after, torch.ones(3), of_step, reweight="none", epsilon=10.0)
    got.loss.backward()
    expected = -got.ratio.view(3, 1, 1, 1) * z / (3 * z[0].numel())
    torch.testing.assert_close(after.mean.grad, expected, atol=1e-6, rtol=1e-3)


def test_with_inv_dt_every_step_pushes_the_velocity_equally_hard(sd35):
    """c_v is (1 + a^2 / 2) dt from step 1 on, so that the push on v is the same for the same noise; without, it goes with |dt|."""
    push = {"inv_dt": [], "none": []}
    for reweight, pushes in push.items():
        for i in range(1, 9):
            _, moved, before, after, of_step = replay(sd35, i, 0.0)
            guarded(before, after, torch.ones(3), of_step, reweight=reweight).loss.backward()
            pushes.append(moved.grad.norm().item())
    assert max(push["inv_dt"]) == pytest.approx(min(push["inv_dt"]), rel=1e-3)
    assert push["none"][7] / push["none"][0] == pytest.approx(sd35.dt(8) / sd35.dt(1), rel=1e-3)


def test_guard_clips_like_the_plain_objective():
    """Log-ratios set through the means: x_next - old_mean = s z, ratio exp(mean(z Delta)) = 1.5 and 0.5."""
    s, z = 0.5, torch.ones(4, 2)
    delta = torch.tensor([1.5, 0.5, 1.5, 0.5]).log()[:, None].expand(4, 2)
    log_prob = -(s * z - delta).square().mean(1) / (2 * s**2)
    old = -(s * z).square().mean(1) / (2 * s**2)
    got = guard_objective(log_prob, old, torch.tensor([2.0, 2.0, -2.0, -2.0]), delta, torch.zeros(4, 2), std=s, dt=-0.25, epsilon=0.2, advantage_clip=5.0)
    torch.testing.assert_close(got.ratio, torch.tensor([1.5, 0.5, 1.5, 0.5]))
    assert got.loss.item() == pytest.approx((-2 * 1.2 - 2 * 0.5 + 2 * 1.5 + 2 * 0.8) / 4 / 0.25, rel=1e-5)
    assert got.clip_fraction == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"std": 0.0}, "std is 0"),
        ({"dt": 0.0}, "dt is 0"),
        ({"reweight": "dt"}, "reweight is 'dt'; use none or inv_dt"),
        ({"mean": torch.zeros(1, 2)}, r"mean and old_mean must both be \[3, ...\]"),
        ({"mean": torch.zeros(2, 2), "old_mean": torch.zeros(2, 2)}, r"must both be \[3, ...\]"),
        ({"log_prob": torch.zeros(3, 1)}, r"must all be \[B\]"),
    ],
)
def test_guard_refuses_wrong_input(change, words):
    tensors = dict.fromkeys(("log_prob", "old_log_prob", "advantage"), torch.zeros(3)) | dict.fromkeys(("mean", "old_mean"), torch.zeros(3, 2))
    with pytest.raises(ValueError, match=words):
        guard_objective(**(tensors | {"std": 0.5, "dt": -0.1, "epsilon": 0.2, "advantage_clip": 5.0} | change))
