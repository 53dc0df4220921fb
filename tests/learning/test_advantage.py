"""Group, novelty and per-prompt advantages and the running std, against NumPy and properties."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from core.learning.advantage import PromptStatistics, RunningStd, group_advantages, novelty_advantages

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
        (torch.ones(2, 2), "prompt", 0.1, "group, global or none"),
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


@few
@given(rewards=rewards_2d, scope=scopes, floor=st.floats(0, 10))
def test_without_a_mask_the_numbers_are_bit_for_bit_those_of_whole_rows(rewards, scope, floor):
    """The formula in one piece, as it was before there were masks: runs go on as they began."""
    rewards = torch.tensor(rewards).double()
    std = rewards.std(1, unbiased=True, keepdim=True) if scope == "group" else rewards.std(unbiased=False).expand(len(rewards), 1)
    flat = (rewards.amax(1, keepdim=True) == rewards.amin(1, keepdim=True)) | (std == 0)
    expected = ((rewards - rewards.mean(1, keepdim=True)) / std.clamp_min(floor).masked_fill(flat, 1.0)).masked_fill(flat, 0.0).float()
    assert torch.equal(group_advantages(rewards, scope=scope, floor=floor).values, expected)
    everything = torch.ones_like(rewards, dtype=torch.bool)
    assert torch.equal(group_advantages(rewards, scope=scope, floor=floor, mask=everything).values, expected)


def test_scope_none_does_not_divide():
    rewards = torch.tensor([[1.0, 2.0, 6.0], [0.1, 0.1, 0.1]])
    got = group_advantages(rewards, scope="none", floor=7.0)
    torch.testing.assert_close(got.values, torch.tensor([[-2.0, -1.0, 3.0], [0.0, 0.0, 0.0]]))
    assert got.zero_std == 0.5 and torch.equal(got.values[1], torch.zeros(3))


MASKED = np.array([[1.0, 2.0, 4.0, 90.0], [10.0, 30.0, 20.0, -7.0]])
MASK = np.array([[True, True, True, False], [True, True, True, False]])


@pytest.mark.parametrize("scope", ["group", "global", "none"])
def test_a_subset_is_standardised_as_if_the_rest_had_not_been_drawn(scope):
    got = group_advantages(torch.tensor(MASKED), scope=scope, floor=0.0, mask=torch.tensor(MASK))
    alone = group_advantages(torch.tensor(MASKED[:, :3]), scope=scope, floor=0.0)
    assert torch.equal(got.values[:, :3], alone.values) and torch.equal(got.values[:, 3], torch.zeros(2))
    assert got.values.double().sum(1).abs().max() < 1e-5


@pytest.mark.parametrize("scope", ["group", "global", "none"])
def test_full_scope_measures_the_subset_against_all_that_were_drawn(scope):
    mask = torch.tensor(MASK)
    got = group_advantages(torch.tensor(MASKED), scope=scope, floor=0.0, mask=mask, stats_scope="full").values
    whole = group_advantages(torch.tensor(MASKED), scope=scope, floor=0.0).values
    assert torch.equal(got, whole.where(mask, 0)) and got.double().sum(1).abs().min() > 0.1


@pytest.mark.parametrize("scope", ["group", "global", "none"])
def test_groups_of_which_nothing_one_or_equals_are_kept_teach_nothing(scope):
    rewards = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [0.1, 0.1, 3.0], [1.0, 2.0, 4.0]])
    mask = torch.tensor([[0, 0, 0], [0, 1, 0], [1, 1, 0], [1, 0, 1]]).bool()
    got = group_advantages(rewards, scope=scope, floor=0.0, mask=mask)
    assert torch.equal(got.values[:3], torch.zeros(3, 3)) and got.values[3, 0] < 0 < got.values[3, 2]
    assert got.zero_std == 0.75
    nothing = group_advantages(rewards, scope=scope, floor=0.0, mask=torch.zeros_like(mask))
    assert torch.equal(nothing.values, torch.zeros(4, 3)) and nothing.zero_std == 1


@pytest.mark.parametrize(
    ("mask", "stats_scope", "words"),
    [
        (torch.ones(2, 3).bool(), "subset", r"mask must be bool \(2, 2\)"),
        (torch.ones(2, 2), "subset", "got torch.float32"),
        (None, "group", "stats_scope is 'group'; use subset or full"),
    ],
)
def test_a_wrong_mask_is_refused(mask, stats_scope, words):
    with pytest.raises(ValueError, match=words):
        group_advantages(torch.ones(2, 2), scope="group", floor=0.0, mask=mask, stats_scope=stats_scope)


def test_novelty_multiplies_only_praise():
    rewards = np.array([[0.0, 1.0, 5.0, 6.0], [2.0, 2.0, 8.0, 0.0]])
    nearest = np.array([[0.4, 0.2, 0.1, 0.3], [0.2, 0.2, 0.6, 0.0]])
    centred = rewards - rewards.mean(1, keepdims=True)
    weights = np.array([[1, 1, 0.1 / 0.25, 0.3 / 0.25], [1, 1, 0.6 / 0.25, 1]])
    got = novelty_advantages(torch.tensor(rewards), torch.tensor(nearest))
    np.testing.assert_allclose(got.values, centred * weights, rtol=1e-6)
    assert got.values.dtype == torch.float32 and got.zero_std == 0


def test_novelty_within_a_subset_goes_by_the_subset():
    rewards, nearest = torch.tensor([[0.0, 1.0, 5.0, 99.0]]), torch.tensor([[0.4, 0.2, 0.3, 9.0]])
    mask = torch.tensor([[True, True, True, False]])
    alone = novelty_advantages(rewards[:, :3], nearest[:, :3]).values
    assert torch.equal(novelty_advantages(rewards, nearest, mask=mask).values, torch.cat([alone, torch.zeros(1, 1)], 1))
    full = novelty_advantages(rewards, nearest, mask=mask, stats_scope="full").values
    torch.testing.assert_close(full, torch.tensor([[-26.25, -25.25, -21.25, 0.0]]))


def test_novelty_of_identical_pictures_is_no_reason_to_fail():
    same = torch.zeros(2, 3)
    assert torch.equal(novelty_advantages(torch.full((2, 3), 0.1), same).values, torch.zeros(2, 3))
    plain = torch.tensor([[1.0, 2.0, 6.0]])
    torch.testing.assert_close(novelty_advantages(plain, same[:1]).values, torch.tensor([[-2.0, -1.0, 3.0]]))
    for wrong in (torch.zeros(2, 2), torch.full((2, 3), float("nan")), torch.full((2, 3), -0.1)):
        with pytest.raises(ValueError, match="nearest must hold a distance"):
            novelty_advantages(same, wrong)


@few
@given(rewards=rewards_2d, data=st.data())
def test_novelty_moves_with_the_pictures(rewards, data):
    rewards = torch.tensor(rewards)
    nearest = torch.rand(rewards.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    rows = list(data.draw(st.permutations(range(rewards.shape[0]))))
    columns = list(data.draw(st.permutations(range(rewards.shape[1]))))
    plain, moved = novelty_advantages(rewards, nearest).values, novelty_advantages(rewards[rows][:, columns], nearest[rows][:, columns]).values
    torch.testing.assert_close(moved, plain[rows][:, columns], atol=1e-5, rtol=1e-4)


def per_prompt(history, rewards, prompts, size, min_count):
    """DDPO's rule with plain lists: history is prompt -> all rewards ever."""
    for prompt, row in zip(prompts, rewards):
        history.setdefault(prompt, []).extend(row)
    out = []
    for prompt, row in zip(prompts, rewards):
        past = history[prompt][-size:]
        pool = past if len(past) >= min_count else rewards.ravel()
        out.append((row - np.mean(pool)) / (np.std(pool) + 1e-6))
    return np.array(out)


def prompt_batches(count=6, seed=0):
    rng = np.random.default_rng(seed)
    return [(rng.normal(size=(3, 4)) * 0.1 + 5, rng.choice(5, 3).tolist()) for _ in range(count)]


def test_per_prompt_statistics_are_those_of_ddpo():
    """Few rewards of a prompt: the whole update; later its own last 10. A prompt may stand in two rows of an update."""
    statistics, history = PromptStatistics(size=10, min_count=8), {}
    long_remembered = False
    for rewards, prompts in prompt_batches():
        got = statistics.update(torch.tensor(rewards), prompts)
        np.testing.assert_allclose(got.values, per_prompt(history, rewards, prompts, 10, 8), rtol=1e-5, atol=1e-6)
        long_remembered |= any(len(history[p]) > 10 for p in prompts)
    assert long_remembered and len(set(map(len, history.values()))) > 1


def test_per_prompt_statistics_go_by_the_index_and_let_other_prompts_alone():
    statistics, alone = PromptStatistics(size=4, min_count=4), PromptStatistics(size=4, min_count=4)
    one, other = torch.tensor([[1.0, 2.0, 3.0, 4.0]]), torch.tensor([[50.0, 70.0, 10.0, 0.0]])
    both = statistics.update(torch.cat([one, other]), [0, 1]).values
    assert torch.equal(both[:1], alone.update(one, [7]).values)


def test_per_prompt_statistics_resume_bit_exactly_through_json():
    straight, first, second = (PromptStatistics(size=10, min_count=8) for _ in range(3))
    batches = prompt_batches()
    expected = [straight.update(torch.tensor(r), p).values for r, p in batches]
    got = [first.update(torch.tensor(r), p).values for r, p in batches[:4]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    got += [second.update(torch.tensor(r), p).values for r, p in batches[4:]]
    assert all(torch.equal(a, b) for a, b in zip(got, expected)) and second.state_dict() == straight.state_dict()


def test_per_prompt_statistics_of_equal_rewards_are_exactly_zero():
    statistics = PromptStatistics(size=7, min_count=4)
    for _ in range(3):
        got = statistics.update(torch.full((2, 7), 0.1, dtype=torch.float64), [0, 1])  # whose mean comes out below 0.1
        assert torch.equal(got.values, torch.zeros(2, 7)) and got.zero_std == 1


def test_per_prompt_statistics_of_a_subset_and_a_floor():
    mask = torch.tensor(MASK)
    subset, alone, full, whole = (PromptStatistics(size=8, min_count=2) for _ in range(4))
    got = subset.update(torch.tensor(MASKED), [0, 1], mask=mask)
    assert torch.equal(got.values[:, :3], alone.update(torch.tensor(MASKED[:, :3]), [0, 1]).values) and not got.values[:, 3].any()
    got = full.update(torch.tensor(MASKED), [0, 1], mask=mask, stats_scope="full")
    assert torch.equal(got.values, whole.update(torch.tensor(MASKED), [0, 1]).values.where(mask, 0))
    assert subset.state_dict()["rewards"] == MASKED[:, :3].tolist() and full.state_dict()["rewards"] == MASKED.tolist()
    floored = PromptStatistics(size=8, min_count=2).update(torch.tensor([[0.0, 1.0, 2.0]]), [0], floor=4.0).values
    torch.testing.assert_close(floored, torch.tensor([[-0.25, 0.0, 0.25]]))
    nothing = PromptStatistics(size=8, min_count=2).update(torch.tensor(MASKED), [0, 1], mask=mask & False)
    assert torch.equal(nothing.values, torch.zeros(2, 4)) and nothing.zero_std == 1


def test_per_prompt_statistics_refuse_and_keep_their_state():
    statistics = PromptStatistics(size=4, min_count=2)
    statistics.update(torch.tensor([[1.0, 2.0]]), [3])
    before = statistics.state_dict()
    with pytest.raises(ValueError, match="2 prompts for 1 groups"):
        statistics.update(torch.tensor([[1.0, 2.0]]), [3, 4])
    with pytest.raises(ValueError, match="not finite"):
        statistics.update(torch.tensor([[1.0, float("nan")]]), [3])
    assert statistics.state_dict() == before
    for size, least in ((4, 5), (4, 1)):
        with pytest.raises(ValueError, match=f"min_count is {least} of {size}"):
            PromptStatistics(size=size, min_count=least)
