import math

import pytest
import torch

from core.diversity.bonus import RunningScale, combine, creative_bonus

SIZED = torch.tensor([0] * 12 + [1] * 6 + [2] * 4 + [3] * 2)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def z(x):
    return (x - x.mean(-1, keepdim=True)) / x.std(-1, correction=0, keepdim=True)


def combined(quality, bonus, *, beta=0.5, mode="zscore_sum", gate="none", running=None):
    return combine(quality, bonus, beta=beta, mode=mode, gate=gate, running=running or RunningScale())


def test_bonus_of_stated_sizes():
    bonus = creative_bonus(SIZED, None)
    torch.testing.assert_close(bonus[[0, 12, 18, 22]], torch.tensor([1.4142, 2.0, 2.4495, 3.4641]), atol=1e-4, rtol=0)
    assert float(bonus.std(correction=0)) == pytest.approx(0.61, abs=0.01)
    lone = creative_bonus(torch.tensor([0] * 23 + [1]), None)
    assert float(lone[-1]) == pytest.approx(4.8990, abs=1e-4)
    assert float(lone[0]) == pytest.approx(1.0215, abs=1e-4)
    assert creative_bonus(torch.tensor([0] * 23 + [1]), 3.5)[-1] == 3.5


def test_bonus_is_permutation_equivariant_and_independent_between_groups():
    labels = torch.stack([SIZED, torch.arange(24) % 5])
    order = torch.randperm(24, generator=torch.Generator().manual_seed(3))
    assert torch.equal(creative_bonus(labels)[:, order], creative_bonus(labels[:, order]))
    assert torch.equal(creative_bonus(labels)[1], creative_bonus(labels[1]))
    assert torch.equal(creative_bonus(labels)[0], creative_bonus(torch.stack([SIZED, SIZED * 0]))[0])


@pytest.mark.parametrize("gate", ["none", "above_mean"])
@pytest.mark.parametrize("mode", ["zscore_sum", "raw_sum"])
def test_combination_is_permutation_equivariant_and_independent_between_groups(mode, gate):
    quality, bonus = random(3, 24), creative_bonus(torch.stack([SIZED, SIZED % 2, SIZED % 3]))
    values = combined(quality, bonus, mode=mode, gate=gate).values
    order = torch.randperm(24, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(values[:, order], combined(quality[:, order], bonus[:, order], mode=mode, gate=gate).values)
    other = quality.clone()
    other[1:] *= 100
    torch.testing.assert_close(values[0], combined(other, bonus, mode=mode, gate=gate).values[0])


def test_zscore_sum_is_the_formula():
    quality, bonus = random(2, 24) * 0.02 + 0.8, creative_bonus(torch.stack([SIZED, SIZED % 3]))
    torch.testing.assert_close(combined(quality, bonus, beta=0.7).values, z(quality) + 0.7 * z(bonus), atol=1e-4, rtol=0)


def test_zscore_sum_leaves_quality_in_its_units_where_advantages_look_beyond_the_group():
    """A z-score has mean 0 in every group: the past rewards of a prompt, or the spread of other groups, could not be seen in it."""
    quality, bonus, running = random(2, 24) * torch.tensor([[0.5], [2.0]]) + torch.tensor([[3.0], [5.0]]), creative_bonus(torch.stack([SIZED, SIZED % 3])), RunningScale()
    plain = combine(quality, bonus, beta=0.0, mode="zscore_sum", gate="none", running=running, within_group=False)
    torch.testing.assert_close(plain.values, quality)
    spread = float(quality.std(1, correction=0).mean())
    paid = combine(quality, bonus, beta=0.7, mode="zscore_sum", gate="none", running=RunningScale(), within_group=False)
    torch.testing.assert_close(paid.values, quality + 0.7 * spread * z(bonus), atol=1e-4, rtol=0)
    assert paid.unit == pytest.approx(spread) and combined(quality, bonus).unit == 1.0


def test_zscore_sum_without_bonus_keeps_the_order_of_quality():
    quality = random(4, 24)
    values = combined(quality, creative_bonus(SIZED.repeat(4, 1)), beta=0).values
    assert torch.equal(values.argsort(dim=1), quality.argsort(dim=1))


@pytest.mark.parametrize("mode", ["zscore_sum", "scaled_sum", "raw_sum"])
def test_identical_pictures_give_no_signal(mode):
    values = combined(torch.full((2, 24), 0.3), creative_bonus(torch.zeros(2, 24, dtype=torch.int64)), mode=mode).values
    assert values.isfinite().all()
    assert (values == values[:, :1]).all()


def test_near_ties_do_not_become_signal():
    """Once the usual spread is known, a group that all but ties must not be blown up to unit spread."""
    running = RunningScale()
    flat = torch.ones(1, 24)
    combined(random(1, 24), flat, running=running)
    tied = combined(1 + 1e-4 * random(1, 24, seed=1), flat, running=running).values
    assert tied.abs().max() < 0.01


def test_raw_sum_is_literal_and_warns_when_the_bonus_drowns_quality():
    quality, bonus = 0.02 * random(1, 24), creative_bonus(SIZED)[None]
    loud = combined(quality, bonus, beta=3, mode="raw_sum")
    torch.testing.assert_close(loud.values, quality + 3 * bonus)
    assert "outweighs" in loud.warning
    assert combined(quality, bonus, beta=0.01, mode="raw_sum").warning is None
    assert combined(quality, bonus, beta=3).warning is None


def test_scaled_sum_uses_the_running_spreads():
    running = RunningScale(quality=0.02, bonus=0.5, decay=0.9)
    quality, bonus = 0.04 * z(random(1, 24)), creative_bonus(SIZED)[None]
    values = combined(quality, bonus, beta=2, mode="scaled_sum", running=running).values
    spread_q, spread_e = 0.9 * 0.02 + 0.1 * 0.04, 0.9 * 0.5 + 0.1 * float(bonus.std(correction=0))
    torch.testing.assert_close(values, quality + 2 * bonus * spread_q / spread_e)


def test_running_scale_leaves_out_groups_without_spread_and_survives_a_checkpoint():
    running = RunningScale()
    running.update(torch.tensor([[0.0, 2.0], [5.0, 5.0]]), torch.ones(2, 2))
    assert running.state_dict() == {"quality": 1.0, "bonus": 0.0}
    again = RunningScale()
    again.load_state_dict(running.state_dict())
    assert again == running


def test_gate_pays_only_above_the_mean_and_nothing_in_a_uniform_group():
    quality = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    bonus = torch.tensor([[math.sqrt(4 / 3), 2.0, math.sqrt(4 / 3), math.sqrt(4 / 3)]])
    values = combined(quality, bonus, beta=1, mode="raw_sum", gate="above_mean").values
    torch.testing.assert_close(values, quality)
    swapped = combined(quality.flip(1), bonus, beta=1, mode="raw_sum", gate="above_mean").values
    assert float(swapped[0, 1] - swapped[0, 0]) == pytest.approx(2 - math.sqrt(4 / 3))
    uniform = combined(quality, torch.full((1, 4), 2.0), beta=1, mode="raw_sum", gate="above_mean").values
    torch.testing.assert_close(uniform, quality)


def test_unknown_modes_are_refused():
    with pytest.raises(ValueError, match="zscore_sum"):
        combined(torch.zeros(1, 4), torch.ones(1, 4), mode="sum")
    with pytest.raises(ValueError, match="above_mean"):
        combined(torch.zeros(1, 4), torch.ones(1, 4), gate="below")
