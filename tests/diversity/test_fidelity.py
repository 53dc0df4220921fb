import math

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from core.diversity import features as features_module
from core.diversity.fidelity import Fidelity, fidelity, frechet_distance


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(real, fake, k) -> Fidelity:
    """Picture by picture, with plain lists."""

    def radius(point, points):
        return sorted(math.dist(point, other) for other in points)[k]

    real, fake = real.tolist(), fake.tolist()
    real_radii, fake_radii = [radius(p, real) for p in real], [radius(p, fake) for p in fake]
    inside = [[math.dist(r, f) < radius for f in fake] for r, radius in zip(real, real_radii)]
    return Fidelity(
        precision=sum(any(row[j] for row in inside) for j in range(len(fake))) / len(fake),
        recall=sum(any(math.dist(r, f) < radius for f, radius in zip(fake, fake_radii)) for r in real) / len(real),
        density=sum(map(sum, inside)) / (k * len(fake)),
        coverage=sum(min(math.dist(r, f) for f in fake) < radius for r, radius in zip(real, real_radii)) / len(real),
    )


@pytest.mark.parametrize("block", [2**24, 1, 70])  # all at once, row by row, in uneven blocks
@pytest.mark.parametrize(("seed", "shift", "k"), [(0, 0.0, 5), (1, 1.5, 3), (2, 0.7, 1), (3, 20.0, 5)])
def test_against_the_definition(monkeypatch, block, seed, shift, k):
    monkeypatch.setattr(features_module, "MOST_DISTANCES", block)
    real, fake = random(31, 3, seed=seed), 0.8 * random(23, 3, seed=seed + 100) + shift
    ours, expected = fidelity(real, fake, k), by_definition(real, fake, k)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(ours, name) == pytest.approx(getattr(expected, name), abs=1e-12), name
    if shift == 1.5:
        assert 0 < expected.recall < 1 and 0 < expected.coverage < 1  # the case tells the four apart
        assert len({expected.precision, expected.recall, expected.density, expected.coverage}) == 4


def test_a_set_against_itself():
    """Each ball holds its centre and k - 1 others: the k-th is on its edge, and the edge is outside."""
    points = random(40, 4)
    assert fidelity(points, points, 5) == Fidelity(1.0, 1.0, pytest.approx(1.0), 1.0)


def test_a_collapsed_generator_has_recall_zero_and_no_nan():
    real = random(20, 3)
    found = fidelity(real, real[:1].repeat(20, 1), 5)
    inside = sum(math.dist(real[0], r) < sorted(math.dist(r, o) for o in real)[5] for r in real)
    assert found == Fidelity(1.0, 0.0, pytest.approx(inside / 5), pytest.approx(inside / 20))


def test_copies_on_both_sides_hold_nothing():
    same = random(1, 300).float().repeat(12, 1)
    assert fidelity(same, same, 5) == Fidelity(0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize(
    ("real", "fake", "k", "words"),
    [
        (random(5, 3), random(9, 3), 5, "real .* N >= 6"),
        (random(9, 3), random(5, 3), 5, "fake .* N >= 6"),
        (random(9, 3), random(9, 4), 5, "width 3 and 4"),
        (random(9, 3), random(9, 3), 0, "k is 0"),
        (random(9, 3), random(9, 3).index_fill(0, torch.tensor([2]), math.nan), 5, "fake: 1 of 9"),
    ],
)
def test_bad_input_is_named(real, fake, k, words):
    with pytest.raises(ValueError, match=words):
        fidelity(real, fake, k)


def whitened(n, width, seed):
    """(n, width) of mean 0 and unbiased covariance 1, up to rounding."""
    points = random(n, width, seed=seed)
    return torch.linalg.qr(points - points.mean(dim=0)).Q * (n - 1) ** 0.5


def test_frechet_of_commuting_covariances():
    """Covariances U diag(s^2) U^T with one U: the distance is |gap|^2 + |s_a - s_b|^2."""
    basis = torch.linalg.qr(random(6, 6, seed=3)).Q
    s_a, s_b, gap = random(6, seed=4).abs(), random(6, seed=5).abs(), random(6, seed=6)
    a, b = whitened(50, 6, 1) * s_a @ basis.mT, whitened(50, 6, 2) * s_b @ basis.mT + gap
    assert frechet_distance(a, b) == pytest.approx(float(gap.square().sum() + (s_a - s_b).square().sum()), rel=1e-10)


def test_frechet_against_scipy():
    mix = random(5, 5, seed=9)
    a, b = random(80, 5, seed=1), random(80, 5, seed=2) @ mix + 0.3
    m, s, t = (a.mean(0) - b.mean(0)).numpy(), np.cov(a.numpy().T), np.cov(b.numpy().T)
    assert np.abs(s @ t - t @ s).max() > 0.1  # they do not commute
    assert frechet_distance(a, b) == pytest.approx(m @ m + np.trace(s + t - 2 * sqrtm(s @ t).real), rel=1e-9)


def test_frechet_of_fewer_pictures_than_features():
    """Singular covariances, against the symmetric root through eigenvalues."""
    a, b = random(6, 30, seed=1), 2 * random(6, 30, seed=2)
    s, t = np.cov(a.numpy().T), np.cov(b.numpy().T)
    values, vectors = np.linalg.eigh(s)
    root = vectors * np.sqrt(values.clip(0)) @ vectors.T
    shared = np.sqrt(np.linalg.eigvalsh(root @ t @ root).clip(0)).sum()
    expected = ((a - b).mean(0) ** 2).sum().item() + np.trace(s + t) - 2 * shared
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_is_symmetric_zero_for_equal_sets_and_counts_a_shift():
    a, b = random(40, 7, seed=1), random(40, 7, seed=2)
    assert frechet_distance(a, b) == pytest.approx(frechet_distance(b, a), rel=1e-12)
    assert 0 <= frechet_distance(a, a[torch.randperm(40, generator=torch.Generator().manual_seed(0))]) < 1e-12
    assert frechet_distance(a, a + 3) == pytest.approx(9 * 7, rel=1e-12)
    assert frechet_distance(a + 1000, b + 1000) == pytest.approx(frechet_distance(a, b), rel=1e-9)


@pytest.mark.parametrize(("n", "m", "words"), [(10, 12, "10 and 12 pictures"), (1, 1, "N >= 2"), (0, 0, "N >= 2")])
def test_frechet_refuses_sets_that_have_no_comparable_covariance(n, m, words):
    with pytest.raises(ValueError, match=words):
        frechet_distance(random(n, 3), random(m, 3))
