import time

import numpy as np
import pytest
import torch
from sklearn.cluster import SpectralClustering
from sklearn.metrics import adjusted_rand_score

from core.diversity.clusters import spectral_labels
from core.diversity.distance import mean_pairwise, pairwise
from core.diversity.spectral import affinity, eigengap, kmeans, normalised_spectrum, renumber

SIZES = (12, 6, 4, 2)


def planted(seed: int, sizes=SIZES, width: int = 64, noise: float = 0.5) -> tuple[torch.Tensor, np.ndarray]:
    """Unit features of groups of given sizes around random directions, shuffled, with their true labels."""
    random = np.random.default_rng(seed)
    centres = random.standard_normal((len(sizes), width))
    centres /= np.linalg.norm(centres, axis=1, keepdims=True)
    truth = random.permutation(np.repeat(np.arange(len(sizes)), sizes))
    points = centres[truth] + noise * random.standard_normal((len(truth), width)) / np.sqrt(width)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return torch.from_numpy(points), truth


def test_distances_against_the_definition():
    features = torch.nn.functional.normalize(torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(0)), dim=-1)
    distances = pairwise(features)
    expected = torch.tensor([[[1 - float(a @ b) if i != j else 0 for j, b in enumerate(g)] for i, a in enumerate(g)] for g in features])
    torch.testing.assert_close(distances, expected, atol=1e-6, rtol=0)
    assert torch.equal(distances, distances.mT) and (distances >= 0).all()
    upper = [np.mean([float(d[i, j]) for i in range(5) for j in range(i)]) for d in expected]
    torch.testing.assert_close(mean_pairwise(distances), torch.tensor(upper, dtype=torch.float32))


def test_distance_of_equal_pictures_is_exactly_zero_or_positive():
    features = torch.nn.functional.normalize(torch.randn(1, 3, 300, generator=torch.Generator().manual_seed(1)), dim=-1).repeat(1, 4, 1)
    assert (pairwise(features) >= 0).all()
    assert torch.equal(pairwise(features).diagonal(dim1=1, dim2=2), torch.zeros(1, 12))


def test_mean_pairwise_of_one_picture_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        mean_pairwise(torch.zeros(1, 1, 1))


@pytest.mark.parametrize("sigma", ["median", "self_tuning"])
def test_planted_groups_are_found(sigma):
    scores = []
    for seed in range(20):
        features, truth = planted(seed)
        labels = spectral_labels(pairwise(features), k=4, sigma=sigma)
        assert labels.dtype == torch.int64 and labels.shape == (24,)
        scores.append(adjusted_rand_score(truth, labels))
    assert np.mean(scores) >= 0.95


def test_against_scikit_learn():
    for seed in range(5):
        features, _ = planted(seed, noise=0.8)
        distance = pairwise(features)
        weights = affinity(distance.numpy(), "median")
        theirs = SpectralClustering(4, affinity="precomputed", random_state=0, assign_labels="kmeans").fit_predict(weights)
        assert adjusted_rand_score(theirs, spectral_labels(distance, k=4)) >= 0.9


def test_erratum_smallest_eigenvectors_of_the_affinity_are_noise():
    """DiverseGRPO's text takes the smallest eigenvalues of what is the affinity; that must stay wrong."""
    literal, ours = [], []
    for seed in range(20):
        features, truth = planted(seed)
        distance = pairwise(features).numpy()
        values, vectors = normalised_spectrum(distance, "median")
        assert values[0] == pytest.approx(1) and (np.diff(values) <= 1e-12).all()
        smallest = vectors[:, -4:] / np.linalg.norm(vectors[:, -4:], axis=1, keepdims=True)
        literal.append(adjusted_rand_score(truth, kmeans(smallest, 4, 10, 0)))
        ours.append(adjusted_rand_score(truth, spectral_labels(torch.from_numpy(distance), k=4)))
    assert abs(np.mean(literal)) < 0.15
    assert np.mean(ours) > 0.95


def test_eigengap():
    assert eigengap(np.array([1, 0.95, 0.9, 0.2, 0.1, 0.05, 0.0]), (2, 6)) == 3
    assert eigengap(np.array([1, 0.1, 0.0]), (2, 6)) == 2
    assert eigengap(np.array([1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]), (2, 6)) == 2


@pytest.mark.parametrize("groups", [2, 3, 4, 5, 6])
def test_eigengap_finds_the_number_of_even_groups(groups):
    features, truth = planted(3, sizes=(8,) * groups)
    labels = spectral_labels(pairwise(features))
    assert adjusted_rand_score(truth, labels) == 1


def test_homogeneous_group_is_one_cluster():
    same = torch.ones(24, 8) / 8**0.5
    assert torch.equal(spectral_labels(pairwise(same)), torch.zeros(24, dtype=torch.int64))
    near = torch.full((24, 24), 0.019).fill_diagonal_(0)
    assert spectral_labels(near, min_spread=0.02).max() == 0
    assert spectral_labels(near, min_spread=0.0, k=4).max() == 3


def test_collapsed_group_with_one_outlier():
    """23 duplicates: the median distance is 0 and the graph falls apart; the outlier must stand alone."""
    features = torch.zeros(24, 8)
    features[:, 0] = 1
    features[5] = torch.eye(8)[3]
    labels = spectral_labels(pairwise(features))
    assert labels[5] == 1 and labels.sum() == 1


def test_labels_are_numbered_by_size_then_by_first_member():
    assert renumber(np.array([7, 3, 3, 5, 5, 3, 9])).tolist() == [2, 0, 0, 1, 1, 0, 3]
    features, truth = planted(0)
    sizes = torch.bincount(spectral_labels(pairwise(features), k=4))
    assert sizes.tolist() == sorted(SIZES, reverse=True)


def test_deterministic_and_equivariant():
    features, _ = planted(7)
    distance = pairwise(features)
    labels = spectral_labels(distance, k=4)
    assert torch.equal(labels, spectral_labels(distance, k=4))
    order = torch.randperm(24, generator=torch.Generator().manual_seed(0))
    assert adjusted_rand_score(labels[order], spectral_labels(distance[order][:, order], k=4)) == 1


def test_kmeans_reaches_the_global_optimum_of_a_small_set():
    """Against every split into two, not against another heuristic."""
    points = np.random.default_rng(2).standard_normal((9, 2))

    def cost(labels):
        return sum(((points[labels == k] - points[labels == k].mean(axis=0)) ** 2).sum() for k in (0, 1) if (labels == k).any())

    best = min(cost((number >> np.arange(9)) & 1) for number in range(1, 256))
    assert cost(kmeans(points, 2, 20, 0)) == pytest.approx(best)


def test_not_finite_distances_are_refused():
    with pytest.raises(ValueError, match="finite"):
        spectral_labels(torch.full((4, 4), float("nan")))


def test_small_groups():
    assert spectral_labels(torch.tensor([[0.0, 1.0], [1.0, 0.0]])).tolist() == [0, 0]
    distance = 1 - torch.block_diag(torch.ones(2, 2), torch.ones(2, 2))
    assert spectral_labels(distance).tolist() == [0, 0, 1, 1]


def test_group_of_24_is_quick():
    distance = pairwise(planted(0)[0])
    spectral_labels(distance)
    best = min(_seconds(distance) for _ in range(20))
    assert best < 0.01


def _seconds(distance) -> float:
    start = time.perf_counter()
    spectral_labels(distance)
    return time.perf_counter() - start
