"""The clipped objective against values by hand and its gradient."""

import math

import pytest
import torch

from core.learning.objective import clipped_objective


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
