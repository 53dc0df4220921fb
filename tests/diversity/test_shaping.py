"""Potential and shaping against loops in NumPy, the telescoping sum and properties."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.diversity.distance import pairwise
from core.diversity.shaping import dense_rewards, potential, reward_to_go, step_advantages, terminal_bonus

KINDS = ["mean_group", "nn_group", "nn_memory"]
GATES = ["none", "above_mean", "sigmoid"]


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def groups(P=3, G=8, seed=0):
    """Distances of P groups of unit features, rewards, a mask that keeps most, distances to a memory."""
    features = F.normalize(torch.randn(P, G, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=-1)
    return pairwise(features), random(P, G, seed=seed + 1), random(P, G, seed=seed + 2) > 0.25, random(P, G, seed=seed + 3)


def by_loops(distances, rewards, kind, gate, delta, kept, memory):
    """The formulas of DRIVE for one group, written out."""
    size = len(rewards)
    inside = [b for b in range(size) if kept[b]]
    novelty = {}
    for b in inside:
        others = [distances[b, j] for j in inside if j != b]
        novelty[b] = {"mean_group": np.mean(others), "nn_group": min(others), "nn_memory": memory[b]}[kind]
    mean, std = np.mean(rewards[inside]), np.std(rewards[inside])
    worth = {b: {"none": 1, "above_mean": float(rewards[b] >= mean), "sigmoid": 1 / (1 + math.exp(-(rewards[b] - mean) / std))}[gate] for b in inside}
    admissible = [novelty[b] for b in inside if worth[b] > 0]
    low, high = min(admissible), max(admissible)
    phi = np.zeros(size)
    for b in inside:
        phi[b] = worth[b] * np.clip((novelty[b] - low) / max(high - low, delta), 0, 1)
    return phi


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("delta", [0.02, 0.8])
def test_potential_is_the_formula(kind, gate, masked, delta):
    distances, rewards, kept, memory = groups()
    got = potential(distances, rewards, kind=kind, gate=gate, delta=delta, mask=kept if masked else None, memory_distances=memory)
    counts = kept if masked else torch.ones_like(kept)
    expected = [by_loops(*(t[p].numpy() for t in (distances, rewards)), kind, gate, delta, counts[p].numpy(), memory[p].numpy()) for p in range(3)]
    np.testing.assert_allclose(got, np.array(expected), atol=1e-12)
    assert got.dtype == torch.float64 and got.max() > 0.1 and (got >= 0).all() and (got <= 1).all()


def test_only_pictures_that_reach_the_mean_are_paid_and_measured_among_themselves():
    """The most different picture is bad: it gets nothing and does not stretch the range of the others."""
    apart = torch.tensor([[0.0, 0.1, 0.2, 0.9], [0.1, 0.0, 0.2, 0.9], [0.2, 0.2, 0.0, 0.9], [0.9, 0.9, 0.9, 0.0]])[None]
    got = potential(apart, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))
    torch.testing.assert_close(got, torch.tensor([[0.0, 0.0, 1.0, 0.0]], dtype=torch.float64))
    paid = potential(apart, torch.tensor([[1.0, 1.0, 1.0, 0.0]]), gate="none")
    assert paid[0].argmax() == 3


@pytest.mark.parametrize("value", [0.1, 0.3, 1e8 + 0.1])
def test_equal_rewards_all_reach_their_mean(value):
    """The mean of equal numbers can come out above them."""
    distances = groups(1, 7)[0]
    rewards = torch.full((1, 7), value, dtype=torch.float64)
    assert torch.equal(potential(distances, rewards), potential(distances, rewards, gate="none"))
    torch.testing.assert_close(potential(distances, rewards, gate="sigmoid"), 0.5 * potential(distances, rewards, gate="none"))


def test_a_reward_at_the_mean_reaches_it():
    """The mean of .1, .2 and .3 comes out above .2 by a rounding."""
    rewards, memory = torch.tensor([[0.1, 0.2, 0.3]], dtype=torch.float64), torch.tensor([[0.0, 0.9, 0.5]])
    assert potential(torch.zeros(1, 3, 3), rewards, kind="nn_memory", memory_distances=memory).tolist() == [[0, 1, 0]]


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("kind", KINDS)
def test_order_does_not_matter_and_groups_do_not_see_each_other(kind, gate):
    distances, rewards, kept, memory = groups()
    order = torch.tensor([5, 2, 7, 0, 1, 6, 3, 4])
    options = {"kind": kind, "gate": gate}
    plain = potential(distances, rewards, mask=kept, memory_distances=memory, **options)
    moved = potential(distances[:, order][:, :, order], rewards[:, order], mask=kept[:, order], memory_distances=memory[:, order], **options)
    torch.testing.assert_close(moved, plain[:, order])
    alone = potential(distances[1:2], rewards[1:2], mask=kept[1:2], memory_distances=memory[1:2], **options)
    torch.testing.assert_close(alone, plain[1:2])


@pytest.mark.parametrize("gate", GATES)
@pytest.mark.parametrize("kind", KINDS)
def test_identical_pictures_earn_nothing(kind, gate):
    options = {"kind": kind, "gate": gate, "memory_distances": torch.full((2, 6), 0.3)}
    for rewards in (torch.full((2, 6), 0.1), random(2, 6)):
        assert torch.equal(potential(torch.zeros(2, 6, 6), rewards, **options), torch.zeros(2, 6, dtype=torch.float64))


def test_noise_in_a_collapsed_group_is_not_stretched_to_full_size():
    distances = 1e-4 * groups()[0]
    assert potential(distances, random(3, 8), gate="none").max() < 0.01
    assert potential(distances, random(3, 8), gate="none", delta=1e-9).max() == 1


def test_an_empty_memory_and_an_empty_mask_pay_nothing():
    distances, rewards, kept, memory = groups()
    memory[1] = math.inf
    got = potential(distances, rewards, kind="nn_memory", memory_distances=memory)
    assert not got[1].any() and got[0].any() and got.isfinite().all()
    kept[2] = False
    for kind in KINDS:
        for gate in GATES:
            got = potential(distances, rewards, kind=kind, gate=gate, mask=kept, memory_distances=memory)
            assert got.isfinite().all() and not got[2].any() and not got[~kept].any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"distances": torch.zeros(3, 8, 7)}, r"distances must be \(P, G, G\)"),
        ({"rewards": torch.zeros(3)}, r"rewards \(P, G\)"),
        ({"delta": 0.0}, "delta is 0"),
        ({"mask": torch.ones(3, 7).bool()}, r"mask must be bool \(3, 8\)"),
        ({"mask": torch.ones(3, 8)}, "got torch.float32"),
        ({"kind": "nn_memory"}, "needs memory_distances"),
        ({"kind": "nn_memory", "memory_distances": torch.zeros(3, 8, 5)}, "needs memory_distances"),
        ({"kind": "nearest"}, "kind is 'nearest'"),
        ({"gate": "mean"}, "gate is 'mean'"),
    ],
)
def test_wrong_input_is_refused(change, words):
    distances, rewards, _, _ = groups()
    with pytest.raises(ValueError, match=words):
        potential(**({"distances": distances, "rewards": rewards} | change))


def test_terminal_bonus_is_what_the_steps_add_up_to():
    """DRIVE: Phi_0 = 0, so the discounted sum of the steps is gamma^T Phi_T, and alpha of it is the bonus."""
    phi = random(2, 5)
    path = torch.cat([torch.zeros(2, 5, 1), random(2, 5, 6, seed=1), phi[..., None]], -1)  # T = 7 steps
    for gamma in (1.0, 0.9):
        steps = dense_rewards(path, gamma=gamma)
        total = sum(gamma**i * steps[..., i] for i in range(7))
        torch.testing.assert_close(0.3 * total, terminal_bonus(phi, alpha=0.3, gamma=gamma, steps=7))
    torch.testing.assert_close(terminal_bonus(phi, steps=7), 0.5 * phi)


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_shaping_telescopes(gamma):
    """The discounted sum is gamma^S Phi(last) - Phi(first), whatever lies between; with the end at 0 it is -Phi(first)."""
    path = random(2, 5, 9)
    discount = gamma ** torch.arange(8, dtype=torch.float64)
    torch.testing.assert_close((dense_rewards(path, gamma=gamma) * discount).sum(-1), gamma**8 * path[..., -1] - path[..., 0])
    torch.testing.assert_close((dense_rewards(path, gamma=gamma, terminal_zero=True) * discount).sum(-1), -path[..., 0])
    path[..., 0] = 0
    strict = dense_rewards(path, gamma=gamma, terminal_zero=True)
    assert (strict * discount).sum(-1).abs().max() < 1e-14 and strict.abs().min() > 1e-4  # nothing in sum, but something at each step


@pytest.mark.parametrize("gamma", [1.0, 0.8])
def test_reward_to_go_against_a_loop(gamma):
    rewards = random(2, 3, 6)
    expected, ahead = torch.zeros_like(rewards), torch.zeros(2, 3, dtype=torch.float64)
    for i in reversed(range(6)):
        ahead = rewards[..., i] + gamma * ahead
        expected[..., i] = ahead
    torch.testing.assert_close(reward_to_go(rewards, gamma=gamma), expected)


def test_the_strict_form_leaves_a_baseline_of_the_state_alone():
    """What a step can still change of the sum is 0: the reward to go is -Phi_i, known before the step is taken."""
    path = random(2, 5, 9)
    for gamma in (1.0, 0.8):
        torch.testing.assert_close(reward_to_go(dense_rewards(path, gamma=gamma, terminal_zero=True), gamma=gamma), -path[..., :-1])
    left = torch.stack([0.8 ** (8 - i) * path[..., -1] - path[..., i] for i in range(8)], -1)
    torch.testing.assert_close(reward_to_go(dense_rewards(path, gamma=0.8), gamma=0.8), left)


def test_step_advantages_by_hand():
    path = torch.tensor([[[0.0, 0.5, 1.0], [0.0, 0.0, 0.4], [0.0, 9.0, 7.0]]])
    got = step_advantages(path, alpha=2.0, mask=torch.tensor([[True, True, False]]))
    expected = torch.tensor([[[0.6, 0.1], [-0.6, -0.1], [0.0, 0.0]]])  # to go: (1, .5) and (.4, .4), less their mean, twice
    torch.testing.assert_close(got, expected)
    strict = step_advantages(path[:, :2], alpha=2.0, terminal_zero=True)
    torch.testing.assert_close(strict, torch.tensor([[[0.0, -0.5], [0.0, 0.5]]]))


def test_step_advantages_sum_to_zero_move_with_the_pictures_and_agree_with_the_bonus():
    path = random(3, 6, 5)
    path[..., 0] = 0
    got = step_advantages(path, gamma=0.9)
    assert got.dtype == torch.float32 and got.sum(1).abs().max() < 1e-6
    order = torch.tensor([4, 0, 2, 5, 3, 1])
    torch.testing.assert_close(step_advantages(path[:, order], gamma=0.9), got[:, order])
    torch.testing.assert_close(step_advantages(path[1:2], gamma=0.9), got[1:2])
    bonus = terminal_bonus(path[..., -1], gamma=0.9, steps=4)
    torch.testing.assert_close(got[..., 0].double(), bonus - bonus.mean(1, keepdim=True), atol=1e-6, rtol=0)  # the first step sees it all
    assert torch.equal(step_advantages(torch.ones(1, 4, 3)), torch.zeros(1, 4, 2))


def test_potentials_without_a_step_are_refused():
    for wrong in (torch.zeros(2, 3, 1), torch.zeros(3, 4)):
        with pytest.raises(ValueError, match=r"\(P, G, S \+ 1\)"):
            dense_rewards(wrong)
