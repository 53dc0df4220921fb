import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.optimize import brentq
from scipy.special import stirling2
from sklearn.neighbors import NearestNeighbors

from core.diversity import features as features_module
from core.diversity.retrieval import (
    RetrievalScore,
    adjusted,
    item_bounds,
    log_probabilities,
    log_stirling2,
    most_likely_items,
    retrieval_score,
)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def probability(k, s, n) -> Fraction:
    """P(k | s, n) in exact numbers."""
    return Fraction(int(stirling2(n, k, exact=True)) * math.perm(s, k), s**n)


@pytest.mark.parametrize("n", [1, 2, 5, 26, 60, 300])
def test_stirling_numbers_against_exact_integers(n):
    row = log_stirling2(n)
    exact = stirling2(n, np.arange(1, n + 1), exact=True)
    assert row.shape == (n + 1,) and row[0] == -np.inf
    np.testing.assert_allclose(row[1:], [math.log(int(x)) for x in exact], rtol=1e-12, atol=1e-12)


def test_stirling_numbers_of_nothing():
    assert log_stirling2(0).tolist() == [0.0]
    with pytest.raises(ValueError, match="n is -1"):
        log_stirling2(-1)


@pytest.mark.parametrize(("items", "n"), [(1, 4), (3, 7), (9, 4), (6, 6)])
def test_probabilities_against_exact_fractions(items, n):
    expected = [float(probability(k, items, n)) for k in range(n + 1)]
    np.testing.assert_allclose(np.exp(log_probabilities(items, n)), expected, rtol=1e-11, atol=1e-300)


@pytest.mark.parametrize(("items", "n"), [(2000, 1000), (50, 3000), (5000, 300)])
def test_probabilities_of_large_numbers(items, n):
    p = np.exp(log_probabilities(items, n))
    assert p.sum() == pytest.approx(1, abs=1e-8)
    assert p @ np.arange(n + 1) == pytest.approx(items * (1 - (1 - 1 / items) ** n), rel=1e-8)


@pytest.mark.parametrize("n", [2, 5, 9])
def test_most_likely_items_and_bounds_against_trying_all(n):
    """In exact numbers, every s; k = 1 and k = n included. No probability equals the level, as 1/20 would."""
    size, level = 40, Fraction(503, 10000)
    for retrieved in range(1, n + 1):
        every = range(retrieved, size + 1)
        best = max(every, key=lambda s: probability(retrieved, s, n))
        assert most_likely_items(retrieved, n, size) == best, retrieved
        enough = [s for s in every if sum(probability(k, s, n) for k in range(retrieved, n + 1)) >= level]
        not_more = [s for s in every if sum(probability(k, s, n) for k in range(retrieved + 1)) >= level]
        assert item_bounds(retrieved, n, size, 0.0503) == (min(enough), max(not_more)), retrieved


def test_identical_sets_retrieve_everything():
    points = random(30, 4)
    score = retrieval_score(points, points[torch.randperm(30, generator=torch.Generator().manual_seed(0))])
    assert (score.retrieved, score.queries, score.size) == (30, 30, 30)
    assert (score.irs_alpha, score.irs_inf, score.irs_inf_bounds) == (1, 1, (1, 1))


def draws(items, n, seed):
    """Queries that fall next to the first `items` of 4000 reference pictures, at random."""
    reference = random(4000, 3)
    chosen = torch.randint(items, (n,), generator=torch.Generator().manual_seed(seed))
    return retrieval_score(reference[chosen] + 1e-6 * random(n, 3, seed=seed + 1), reference), len(chosen.unique())


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_simulated_draws_recover_the_number_of_items(seed):
    score, different = draws(2000, 1000, seed)
    assert score.retrieved == different == pytest.approx(787, abs=30)
    moments = brentq(lambda s: s * (1 - (1 - 1 / s) ** 1000) - different, different, 1e6)
    assert score.reachable == pytest.approx(moments, rel=0.01)
    assert score.low < 2000 < score.high and score.low < score.reachable < score.high
    assert score.irs_alpha == different / 4000 and score.irs_inf == score.reachable / 4000
    assert score.irs_inf_bounds == (score.low / 4000, score.high / 4000)


def test_the_number_of_items_is_recovered_within_a_tenth():
    assert np.mean([draws(2000, 1000, seed)[0].reachable for seed in range(3, 9)]) == pytest.approx(2000, rel=0.1)
    assert most_likely_items(787, 1000, 4000) == pytest.approx(2000, rel=0.01)


def test_many_queries_of_few_items_saturate():
    score, _ = draws(30, 2000, 0)
    assert (score.low, score.reachable, score.high) == (30, 30, 30)


@pytest.mark.parametrize("block", [2**24, 1, 90])
def test_neighbours_against_scikit_learn(monkeypatch, block):
    monkeypatch.setattr(features_module, "MOST_DISTANCES", block)
    queries, reference = random(50, 6, seed=1), random(40, 6, seed=2)
    nearest = NearestNeighbors(n_neighbors=1).fit(reference.numpy()).kneighbors(queries.numpy(), return_distance=False)
    assert retrieval_score(queries, reference).retrieved == len(np.unique(nearest)) < 40


def test_a_collapsed_generator_retrieves_one_picture():
    score = retrieval_score(random(1, 5).repeat(25, 1), random(25, 5, seed=1))
    assert (score.retrieved, score.reachable, score.low, score.high) == (1, 1, 1, 1)


def test_adjusted_is_the_ratio_and_wants_equal_numbers():
    made, real = RetrievalScore(10, 50, 100, 20, 15, 30), RetrievalScore(30, 50, 100, 40, 30, 60)
    assert adjusted(made, real) == 0.5
    with pytest.raises(ValueError, match="same numbers"):
        adjusted(made, RetrievalScore(30, 60, 100, 40, 30, 60))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: most_likely_items(6, 5, 10), "6 different"),
        (lambda: most_likely_items(6, 9, 5), "6 different"),
        (lambda: most_likely_items(1, 1, 5), "2 or more queries"),
        (lambda: item_bounds(2, 5, 10, 0.0), "level is 0"),
        (lambda: retrieval_score(random(1, 3), random(5, 3)), "queries .* N >= 2"),
        (lambda: retrieval_score(random(5, 3), random(0, 3)), "reference .* N >= 1"),
        (lambda: retrieval_score(random(5, 3), random(5, 4)), "width 3 and 4"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
