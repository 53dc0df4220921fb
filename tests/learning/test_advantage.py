"""Group advantages and the running std, against NumPy and properties."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.learning.advantage import RunningStd, group_advantages

rewards_2d = st.tuples(st.integers(1, 4), st.integers(2, 6)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.floats(-1000, 1000, width=32))
)
scopes = st.sampled_from(["group", "global"])
few = settings(max_examples=40, deadline=None)


def test_group_scope_is_the_unbiased_z_score():
    rewards = np.array([[1.0, 2.0, 4.0], [10.0, 30.0, 20.0]])
    expected = (rewards - rewards.mean(1, keepdims=True)) / rewards.std(1, ddof=1, keepdims=True)
    got = group_advantages(torch.tensor(rewards), scope="group", floor=0.0)
    assert got.values.dtype == torch.float32 and got.zero_std == 0
    np.testing.assert_allclose(got.values, expected, rtol=1e-6)


def test_global_scope_is_the_group_mean_over_the_population_std_of_all():
    rewards = np.array([[1.0, 2.0, 4.0], [10.0, 30.0, 20.0]])
    expected = (rewards - rewards.mean(1, keepdims=True)) / rewards.std()
    got = group_advantages(torch.tensor(rewards), scope="global", floor=0.0)
    np.testing.assert_allclose(got.values, expected, rtol=1e-6)


@few
@given(rewards=rewards_2d, scope=scopes, floor=st.floats(0, 10))
def test_advantages_sum_to_zero_and_are_finite(rewards, scope, floor):
    values = group_advantages(torch.tensor(rewards), scope=scope, floor=floor).values
    assert values.isfinite().all()
    assert values.double().sum(1).abs().max() <= 1e-5 * max(1.0, values.abs().max().item())


@few
@given(rewards=rewards_2d, scope=scopes, data=st.data())
def test_order_of_pictures_and_of_groups_does_not_matter(rewards, scope, data):
    rewards = torch.tensor(rewards)
    rows = list(data.draw(st.permutations(range(rewards.shape[0]))))
    columns = list(data.draw(st.permutations(range(rewards.shape[1]))))
    plain = group_advantages(rewards, scope=scope, floor=0.1)
    moved = group_advantages(rewards[rows][:, columns], scope=scope, floor=0.1)
    torch.testing.assert_close(moved.values, plain.values[rows][:, columns], atol=1e-5, rtol=1e-4)
    assert moved.zero_std == pytest.approx(plain.zero_std)


@few
@given(rewards=rewards_2d, floor=st.floats(0.01, 10))
def test_the_floor_bounds_what_a_difference_is_worth(rewards, floor):
    rewards = torch.tensor(rewards)
    values = group_advantages(rewards, scope="group", floor=floor).values
    differences = (rewards - rewards.double().mean(1, keepdim=True)).abs()
    assert (values.abs().double() <= differences / floor * (1 + 1e-5) + 1e-6).all()


def test_near_ties_do_not_blow_up():
    near_tie = torch.tensor([[0.5, 0.5 + 1e-7, 0.5 - 1e-7, 0.5]], dtype=torch.float64)
    assert group_advantages(near_tie, scope="group", floor=0.0).values.abs().max() > 1  # what the floor is there for
    assert group_advantages(near_tie, scope="group", floor=0.02).values.abs().max() < 1e-5


@pytest.mark.parametrize("scope", ["group", "global"])
@pytest.mark.parametrize("floor", [0.0, 0.1])
def test_groups_without_spread_teach_nothing(scope, floor):
    rewards = torch.tensor([[0.1] * 7, [0.3] * 7, [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7], [1e8 + 0.1] * 7])
    got = group_advantages(rewards, scope=scope, floor=floor)
    assert got.zero_std == 0.75
    assert torch.equal(got.values[[0, 1, 3]], torch.zeros(3, 7))
    assert got.values[2].abs().max() > 0
    alike = group_advantages(rewards[:2] * 0 + 0.7, scope=scope, floor=floor)
    assert alike.zero_std == 1 and torch.equal(alike.values, torch.zeros(2, 7))


def test_equal_prompts_stay_separate_groups():
    """Rows are groups; two rows of one prompt text are judged apart."""
    one, other = torch.tensor([[0.0, 1.0]]), torch.tensor([[10.0, 12.0]])
    both = group_advantages(torch.cat([one, other]), scope="group", floor=0.0).values
    assert torch.equal(both[:1], group_advantages(one, scope="group", floor=0.0).values)
    assert torch.equal(both[1:], group_advantages(other, scope="group", floor=0.0).values)


@pytest.mark.parametrize(
    ("rewards", "scope", "floor", "words"),
    [
        (torch.ones(4), "group", 0.1, r"\[P, G\]"),
        (torch.ones(4, 1), "group", 0.1, "G >= 2"),
        (torch.tensor([[1.0, float("nan")]]), "group", 0.1, "1 of 2 rewards are not finite"),
        (torch.ones(2, 2), "prompt", 0.1, "group or global"),
        (torch.ones(2, 2), "group", -1.0, "floor is -1"),
        (torch.ones(2, 2), "group", float("nan"), "floor is nan"),
    ],
)
def test_wrong_input_is_refused(rewards, scope, floor, words):
    with pytest.raises(ValueError, match=words):
        group_advantages(rewards, scope=scope, floor=floor)


def test_running_std_is_the_weighted_variance_of_everything_seen():
    batches = [torch.tensor([1.0, 3.0]), torch.tensor([[10.0, 12.0], [8.0, 2.0]]), torch.tensor([5.0, 5.0, 6.0])]
    running = RunningStd(decay=0.8)
    assert running.value == 0
    for batch in batches:
        last = running.update(batch)
    batch_weights = [0.8 * 0.8, 0.2 * 0.8, 0.2]
    points = np.concatenate([b.flatten().numpy() for b in batches]).astype(np.float64)
    weights = np.concatenate([np.full(b.numel(), w / b.numel()) for b, w in zip(batches, batch_weights)])
    mean = np.average(points, weights=weights)
    assert last == running.value == pytest.approx(np.average((points - mean) ** 2, weights=weights) ** 0.5, rel=1e-12)


def test_running_std_resumes_bit_exactly_through_json():
    generator = torch.Generator().manual_seed(0)
    batches = [torch.rand(6, generator=generator) * 3 for _ in range(8)]
    straight, first, second = RunningStd(), RunningStd(), RunningStd(decay=0.5)
    expected = [straight.update(b) for b in batches]
    got = [first.update(b) for b in batches[:3]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    got += [second.update(b) for b in batches[3:]]
    assert got == expected
    assert all(type(v) is float for v in straight.state_dict().values())


def test_running_std_refuses_what_is_not_finite_and_keeps_its_state():
    running = RunningStd()
    running.update(torch.tensor([1.0, 2.0]))
    before = running.state_dict()
    with pytest.raises(ValueError, match="not finite"):
        running.update(torch.tensor([1.0, float("inf")]))
    assert running.state_dict() == before
