from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.ndimage import correlate

from core.diversity.structure import PAIRS_AT_ONCE, luminance, ssim_diversity


def random(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def ssim(a, b) -> float:
    """Wang et al. 2004, equation 13, with an 11 x 11 Gaussian window mirrored at the border."""
    line = np.exp(-np.arange(-5, 6) ** 2 / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2
    local = lambda x: correlate(x, window, mode="mirror")
    c1, c2 = 0.01**2, 0.03**2
    mean_a, mean_b = local(a), local(b)
    var_a, var_b, cov = local(a * a) - mean_a**2, local(b * b) - mean_b**2, local(a * b) - mean_a * mean_b
    return float(((2 * mean_a * mean_b + c1) * (2 * cov + c2) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))).mean())


def test_against_a_second_implementation_over_more_pairs_than_one_batch():
    shared = random(1, 1, 20, 14, seed=9)
    grey = 0.5 * shared + 0.5 * random(13, 1, 20, 14)
    pairs = list(combinations(grey[:, 0].double().numpy(), 2))
    assert len(pairs) > PAIRS_AT_ONCE
    expected = 1 - np.mean([ssim(a, b) for a, b in pairs])
    assert 0.2 < expected < 0.8
    assert ssim_diversity(grey) == pytest.approx(expected, abs=1e-5)


def test_copies_have_no_variety():
    assert ssim_diversity(random(1, 1, 32, 32).repeat(4, 1, 1, 1)) == pytest.approx(0, abs=1e-6)


def test_black_and_white():
    """No variance, means 0 and 1: SSIM = c1 / (1 + c1)."""
    pair = torch.stack([torch.zeros(1, 16, 16), torch.ones(1, 16, 16)])
    assert ssim_diversity(pair) == pytest.approx(1 - 1e-4 / (1 + 1e-4), abs=1e-6)


def test_luminance_weighs_colours_and_only_shrinks():
    colours = torch.eye(3)[:, :, None, None].expand(3, 3, 8, 12)
    grey = luminance(colours)
    assert grey.shape == (3, 1, 8, 12)
    torch.testing.assert_close(grey[:, 0, 0, 0], torch.tensor([0.299, 0.587, 0.114]))
    assert luminance(random(2, 3, 64, 64)).shape == (2, 1, 64, 64)
    small = luminance(random(2, 3, 300, 600), side=256)
    assert small.shape == (2, 1, 128, 256)
    assert luminance(torch.full((1, 3, 40, 40), 0.3), side=10).numpy() == pytest.approx(0.3, abs=1e-6)
    stripes = torch.ones(1, 3, 40, 40) * (torch.arange(40) % 4 == 0)
    assert luminance(stripes, side=10).numpy() == pytest.approx(0.25, abs=0.1)  # all pixels count, not the nearest two


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: luminance(2 * random(2, 3, 8, 8) - 1), r"\[0, 1\]"),
        (lambda: luminance(torch.full((2, 3, 8, 8), float("nan"))), r"\[0, 1\]"),
        (lambda: luminance(random(2, 1, 8, 8)), r"\(N, 3, H, W\)"),
        (lambda: ssim_diversity(random(1, 1, 16, 16)), "N >= 2"),
        (lambda: ssim_diversity(random(4, 3, 16, 16)), "luma"),
        (lambda: ssim_diversity(random(4, 1, 16, 5)), "16 x 5 are too small"),
    ],
)
def test_bad_input_is_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
