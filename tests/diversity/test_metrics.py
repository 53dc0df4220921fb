import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from core.diversity.metrics import SMALLEST_SCALE, base_scale, cluster_counts, correlation, largest_share, variety, vendi, vendi_per_group


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blocks(*sizes):
    return torch.block_diag(*[torch.ones(n, n) for n in sizes])


def block_features(*sizes):
    return torch.eye(len(sizes)).repeat_interleave(torch.tensor(sizes), dim=0)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((1, 1, 1, 1), 4),
        ((4,), 1),
        ((2, 2), 2),
        ((3, 1), 1.7547653506),
        ((12, 6, 4, 2), math.exp(-sum(p * math.log(p) for p in (1 / 2, 1 / 4, 1 / 6, 1 / 12)))),
    ],
)
def test_vendi_of_blocks(sizes, expected):
    assert vendi(kernel=blocks(*sizes)) == pytest.approx(expected, abs=1e-9)
    assert vendi(block_features(*sizes)) == pytest.approx(expected, abs=1e-9)
    assert float(vendi_per_group(block_features(*sizes)[None])) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("q", [1, 2, math.inf])
@pytest.mark.parametrize(("sizes", "expected"), [((1, 1, 1, 1), 4), ((4,), 1), ((2, 2), 2)])
def test_even_blocks_count_the_same_in_every_order(sizes, expected, q):
    assert vendi(kernel=blocks(*sizes), q=q) == pytest.approx(expected, abs=1e-9)
    assert vendi(block_features(*sizes), q=q) == pytest.approx(expected, abs=1e-9)


def test_orders_of_blocks():
    assert vendi(kernel=blocks(3, 1), q=2) == pytest.approx(1 / (0.75**2 + 0.25**2))
    assert vendi(kernel=blocks(3, 1), q=math.inf) == pytest.approx(4 / 3)
    assert vendi(kernel=blocks(3, 1), q=0) == 2
    assert vendi(kernel=blocks(3, 1), q=1.0001) == pytest.approx(1.7547653506, abs=1e-4)


def test_dual_form_equals_primal():
    features = random(40, 6)
    unit = features / features.norm(dim=1, keepdim=True)
    assert vendi(features) == pytest.approx(vendi(kernel=unit @ unit.T), abs=1e-9)


def test_reordering_and_repeating_the_whole_set_change_nothing():
    features = random(9, 5)
    assert vendi(features[torch.randperm(9)]) == pytest.approx(vendi(features))
    assert vendi(features.repeat(3, 1)) == pytest.approx(vendi(features))


def test_repeating_one_item_can_raise_or_lower_it():
    uneven = block_features(1, 3)
    assert vendi(torch.cat([uneven, uneven[:1]])) > vendi(uneven)
    assert vendi(torch.cat([uneven, uneven[1:2]])) < vendi(uneven)


def test_groups_are_scored_alone():
    features = random(3, 8, 20)
    for q in (1, 2, math.inf):
        assert vendi_per_group(features, q).tolist() == pytest.approx([vendi(g, q=q) for g in features])


@given(st.integers(2, 12), st.integers(1, 20), st.integers(0, 1000))
@settings(max_examples=25, deadline=None)
def test_vendi_lies_between_one_and_n(count, width, seed):
    assert 1 - 1e-9 <= vendi(random(count, width, seed=seed)) <= count + 1e-9


def test_negative_eigenvalues_are_clipped_and_the_rest_sums_to_one():
    kernel = torch.tensor([[1.0, 0.9, 0.0], [0.9, 1.0, 0.9], [0.0, 0.9, 1.0]])
    values = torch.linalg.eigvalsh(kernel.double()).clamp(min=0)
    assert values.min() == 0
    shares = values[values > 0] / values.sum()
    assert vendi(kernel=kernel) == pytest.approx(math.exp(-float((shares * shares.log()).sum())))


def test_vendi_wants_one_input():
    with pytest.raises(ValueError, match="either"):
        vendi()


def test_counts_and_shares():
    labels = torch.tensor([[0, 0, 1, 2], [5, 5, 5, 5], [0, 1, 0, 1]])
    assert cluster_counts(labels).tolist() == [3, 1, 2]
    assert largest_share(labels).tolist() == [0.5, 1.0, 0.5]


def test_correlation():
    a, b = random(50), random(50, seed=1)
    assert correlation(a, b) == pytest.approx(float(torch.corrcoef(torch.stack([a, b]))[0, 1]))
    assert correlation(a, -2 * a + 3) == pytest.approx(-1)
    assert correlation(a, torch.ones(50)) == 0
    holed = a.clone()
    holed[3] = float("nan")
    keep = torch.arange(50) != 3
    assert correlation(holed, b) == pytest.approx(correlation(a[keep], b[keep]))


def test_variety_counts_separate_groups_and_ignores_what_is_smaller_than_the_base():
    apart = torch.full((1, 4, 4), 50.0)
    apart[0, :2, :2] = apart[0, 2:, 2:] = 0.0
    assert variety(apart, 1.0).item() == pytest.approx(2)  # two far pairs of equal pictures
    assert variety(torch.zeros(1, 5, 5), 0.1).item() == pytest.approx(1)
    d, scale = 0.3, 0.2  # two pictures: eigenvalues (1 +- k) / 2 of the kernel [[1, k], [k, 1]]
    p = (1 + math.exp(-d / scale)) / 2
    pair = torch.tensor([[[0.0, d], [d, 0.0]]])
    assert variety(pair, scale).item() == pytest.approx(math.exp(-p * math.log(p) - (1 - p) * math.log(1 - p)))
    unit = torch.nn.functional.normalize(torch.randn(6, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    plain = 1 - unit @ unit.T
    assert variety(plain[None], None).item() == pytest.approx(vendi(unit), rel=1e-5)


def test_the_scale_is_the_median_base_distance_with_a_floor():
    d = torch.tensor([[0.0, 0.1, 0.4], [0.1, 0.0, 0.3], [0.4, 0.3, 0.0]])
    assert base_scale(d) == pytest.approx(0.3)
    assert base_scale(torch.zeros(3, 3)) == SMALLEST_SCALE
