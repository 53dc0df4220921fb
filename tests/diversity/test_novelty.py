"""Distances to the others of a group and to a memory, against NumPy and properties."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from core.diversity.distance import pairwise
from core.diversity.novelty import Memory, mean_distance, nearest_distance


def unit(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_both_distances_against_loops():
    distances = pairwise(unit(3, 7, 4))
    kept = torch.rand(3, 7, generator=torch.Generator().manual_seed(1)) > 0.3
    for mask, counts in ((None, torch.ones(3, 7).bool()), (kept, kept)):
        mean, nearest = mean_distance(distances, mask), nearest_distance(distances, mask)
        assert mean.dtype == nearest.dtype == torch.float64
        for p in range(3):
            for b in range(7):
                others = [distances[p, b, j].item() for j in range(7) if j != b and counts[p, j]]
                assert mean[p, b].item() == pytest.approx(np.mean(others), rel=1e-12)
                assert nearest[p, b].item() == min(others)


def test_without_another_picture_the_distance_is_zero():
    distances = pairwise(unit(1, 3, 4))
    mask = torch.tensor([[True, False, False]])
    for distance in (mean_distance, nearest_distance):
        got = distance(distances, mask)
        assert got[0, 0] == 0 and got[0, 1] == distances[0, 1, 0]
        assert torch.equal(distance(distances, mask & False), torch.zeros(1, 3, dtype=torch.float64))
        assert distance(torch.zeros(1, 1, 1)) == 0


def test_distances_move_with_the_pictures():
    features = unit(2, 6, 4)
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    for distance in (mean_distance, nearest_distance):
        plain, moved = distance(pairwise(features)), distance(pairwise(features[:, order]))
        torch.testing.assert_close(moved, plain[:, order], atol=1e-6, rtol=0)
        torch.testing.assert_close(plain[:1], distance(pairwise(features[:1])), atol=1e-6, rtol=0)


def test_memory_finds_the_nearest_of_the_last_of_the_prompt():
    memory, old, new = Memory(size=5), unit(2, 4, 3, seed=1), unit(2, 4, 3, seed=2)
    assert (memory.nearest(new, [4, 9]) == math.inf).all()
    memory.remember(old, [4, 4])  # 8 pictures of prompt 4, of which the last 5 stay
    got = memory.nearest(new, [4, 9])
    known = torch.cat([old[0], old[1]])[-5:].double()
    expected = (1 - new[0].double() @ known.T).min(dim=1).values
    torch.testing.assert_close(got[0], expected)
    assert (got[1] == math.inf).all()
    again = memory.nearest(old[1][None], [4])
    assert (again >= 0).all() and again.max() < 1e-6  # a picture that is remembered is not new


def test_memory_survives_a_checkpoint():
    memory, other = Memory(size=5), Memory(size=5)
    memory.remember(unit(2, 4, 3, seed=1), [4, 0])
    other.load_state_dict(memory.state_dict())
    for each in (memory, other):
        each.remember(unit(1, 3, 3, seed=3), [4])
    new = unit(2, 4, 3, seed=2)
    assert torch.equal(memory.nearest(new, [0, 4]), other.nearest(new, [0, 4]))
    small = Memory(size=2)
    small.load_state_dict(memory.state_dict())
    assert [len(known) for known in small.state_dict().values()] == [2, 2]


def test_memory_refuses_wrong_input():
    with pytest.raises(ValueError, match="size is 0"):
        Memory(size=0)
    with pytest.raises(ValueError, match="one prompt per group"):
        Memory().remember(unit(2, 4, 3), [1])
    with pytest.raises(ValueError, match="one prompt per group"):
        Memory().nearest(unit(4, 3), [1])
