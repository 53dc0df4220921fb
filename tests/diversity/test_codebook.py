import io
import math

import numpy as np
import pytest
import torch

from core.diversity.codebook import Codebook


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def planted(*sizes, seed=0):
    """`sizes` pictures around each of orthogonal directions, of differing length."""
    kinds = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    noise = 0.05 * random(len(kinds), 12, seed=seed)
    return (torch.eye(12, dtype=torch.float64)[kinds] + noise) * (1 + 9 * torch.rand(len(kinds), 1, generator=torch.Generator().manual_seed(seed)))


@pytest.fixture(scope="module")
def codebook():
    return Codebook.fit(planted(20, 20, 20, 20), "clip", k=4)


@pytest.mark.parametrize(("sizes", "occupied"), [((4, 2, 2, 0), 3), ((3, 3, 3, 3), 4), ((9, 0, 0, 0), 1), ((1, 0, 0, 5), 2)])
def test_occupancy_of_planted_kinds(codebook, sizes, occupied):
    found = codebook.occupancy(planted(*sizes, seed=5))
    shares = [n / sum(sizes) for n in sizes if n]
    entropy = -sum(p * math.log(p) for p in shares)
    assert found.entropy == pytest.approx(entropy, abs=1e-12)
    assert found.effective == pytest.approx(math.exp(entropy))
    assert found.occupied == occupied


def test_entries_are_kinds_and_the_nearest_is_taken(codebook):
    features = planted(5, 5, 5, 5, seed=6)
    labels = codebook.assign(features)
    assert [len(set(labels[i : i + 5].tolist())) for i in range(0, 20, 5)] == [1, 1, 1, 1] and len(labels.unique()) == 4
    odd = random(200, 12, seed=7)
    unit = odd / odd.norm(dim=1, keepdim=True)
    expected = [min(range(4), key=lambda c: math.dist(row, codebook.centres[c].tolist())) for row in unit.tolist()]
    assert codebook.assign(odd).tolist() == expected


def test_only_directions_count():
    """Centres of differing length, as means of unit vectors are: a short picture would be nearest to the short one."""
    uneven = Codebook(torch.tensor([[1.0, 0.0], [0.3, 0.3]]), "clip")
    features = torch.tensor([[1.0, 0.5]]) * torch.tensor([[0.05], [1.0], [7.0]])
    assert uneven.assign(features).tolist() == [0, 0, 0]
    lengths = torch.tensor([0.01, 1.0, 90.0]).repeat(20)[:, None]
    base = random(60, 6)
    torch.testing.assert_close(Codebook.fit(base, "clip", k=5).centres, Codebook.fit(base * lengths, "clip", k=5).centres)


def test_the_same_seed_gives_the_same_codebook():
    base = random(100, 6).float()
    first, again = Codebook.fit(base, "clip", k=8, seed=3, restarts=2), Codebook.fit(base, "clip", k=8, seed=3, restarts=2)
    assert torch.equal(first.centres, again.centres)
    assert not torch.equal(first.centres, Codebook.fit(base, "clip", k=8, seed=4, restarts=1).centres)


def test_kept_as_plain_arrays(codebook):
    file = io.BytesIO()
    np.savez(file, **codebook.to_arrays())
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        again = Codebook.from_arrays(arrays)
    assert again.space == "clip" and torch.equal(again.centres, codebook.centres)
    features = random(30, 12)
    assert torch.equal(again.assign(features), codebook.assign(features))


def test_bad_input_is_named(codebook):
    with pytest.raises(ValueError, match="k is 64, but the base has 3 different"):
        Codebook.fit(torch.eye(3).repeat(50, 1), "clip")
    with pytest.raises(ValueError, match="k is 0"):
        Codebook.fit(random(9, 3), "clip", k=0)
    with pytest.raises(ValueError, match="width 5, but this codebook is of clip with 12"):
        codebook.assign(random(4, 5))
    with pytest.raises(ValueError, match="not finite"):
        codebook.occupancy(torch.full((4, 12), math.nan))
