import math

import pytest
import torch

from core.diversity import features as features_module
from core.diversity.features import checked, distance_rows


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("block", [2**24, 1, 50])
def test_blocks_of_rows_make_up_the_whole_matrix(monkeypatch, block):
    monkeypatch.setattr(features_module, "MOST_DISTANCES", block)
    a, b = random(11, 3, seed=1), random(17, 3, seed=2)
    blocks = list(distance_rows(a, b))
    assert [i for rows, _ in blocks for i in range(11)[rows]] == list(range(11))
    assert max(distances.numel() for _, distances in blocks) <= max(block, 17)
    expected = [[math.dist(p, q) for q in b.tolist()] for p in a.tolist()]
    torch.testing.assert_close(torch.cat([distances for _, distances in blocks]), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=0)


def test_copies_are_exactly_nothing_apart():
    points = 1000 + random(37, 300)
    order = torch.randperm(37, generator=torch.Generator().manual_seed(0))
    ((_, distances),) = distance_rows(points, points[order])
    assert torch.equal(distances[order, torch.arange(37)], torch.zeros(37, dtype=torch.float64))


def test_checked_features_are_float64_and_apart_from_the_graph():
    found = checked(torch.ones(2, 3, requires_grad=True), "real")
    assert found.dtype == torch.float64 and not found.requires_grad


@pytest.mark.parametrize(
    ("features", "words"),
    [
        (torch.ones(3), r"real must be features \(N, F\) of N >= 2 .* \(3,\)"),
        (torch.ones(1, 3), "N >= 2"),
        (torch.tensor([[1.0, math.inf], [0.0, 0.0], [math.nan, math.nan]]), "real: 2 of 3"),
    ],
)
def test_bad_features_are_named(features, words):
    with pytest.raises(ValueError, match=words):
        checked(features, "real", 2)
