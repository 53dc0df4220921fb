import math

import numpy as np
import pytest
import torch
from torchmetrics.image.inception import InceptionScore as TheirScore

from core.diversity.inception import inception_score


def probabilities(n, classes, seed=0):
    return torch.randn(n, classes, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(2).softmax(dim=1)


def test_certain_and_even_is_the_number_of_classes():
    score = inception_score(torch.eye(6).repeat(20, 1), splits=1)
    assert (score.mean, score.std) == (pytest.approx(6), 0)


@pytest.mark.parametrize("row", [[1.0, 0.0, 0.0], [0.2, 0.5, 0.3]])
def test_all_alike_is_one(row):
    score = inception_score(torch.tensor(row).repeat(50, 1))
    assert (score.mean, score.std) == (pytest.approx(1), pytest.approx(0, abs=1e-9))


def test_two_pictures_by_hand():
    """p, 1 - p and the reverse: the marginal is even, so KL = log 2 - H(p)."""
    p = 0.9
    entropy = -p * math.log(p) - (1 - p) * math.log(1 - p)
    assert inception_score(torch.tensor([[p, 1 - p], [1 - p, p]]), splits=1).mean == pytest.approx(math.exp(math.log(2) - entropy), rel=1e-6)


@pytest.mark.filterwarnings("ignore::UserWarning")  # on its buffer, and on the std of one split
def test_against_torchmetrics():
    p = probabilities(60, 7)
    theirs = TheirScore(feature=torch.nn.Identity(), splits=1)
    theirs.update(p.log())
    assert inception_score(p, splits=1).mean == pytest.approx(theirs.compute()[0].item(), rel=1e-9)


def test_splits_against_the_definition():
    p = probabilities(53, 4)
    shuffled = p[torch.randperm(53, generator=torch.Generator().manual_seed(2))].numpy()
    scores = []
    for part in np.array_split(shuffled, 10):
        scores.append(np.exp(np.mean([sum(row * np.log(row / part.mean(axis=0))) for row in part])))
    score = inception_score(p, seed=2)
    assert (score.mean, score.std) == (pytest.approx(np.mean(scores)), pytest.approx(np.std(scores)))


def test_pictures_in_the_order_of_their_prompts_are_mixed_first():
    """Ten kinds in ten stretches: without shuffling each split would see one kind and score 1."""
    assert inception_score(torch.eye(10).repeat_interleave(200, dim=0)).mean == pytest.approx(10, rel=0.05)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (probabilities(9, 4), "N >= splits = 10"),
        (torch.randn(20, 4), "sum to 1"),
        (probabilities(20, 4)[:, :3], "sum to 1"),
        (torch.tensor([[1.5, -0.5]]).repeat(20, 1), "0 or more"),
        (torch.full((20, 4), math.nan), "sum to 1"),
        (torch.ones(20), r"\(N, C\)"),
    ],
)
def test_bad_input_is_named(values, words):
    with pytest.raises(ValueError, match=words):
        inception_score(values)
