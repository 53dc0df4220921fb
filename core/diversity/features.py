"""Sets of features as the metrics between two sets take them: checked, in float64, and compared a block of rows at a time."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

MOST_DISTANCES = 2**24  # held at once: 128 MiB in float64


def checked(features: Tensor, name: str, least: int = 1) -> Tensor:
    """`features` (N, F) in float64, apart from the graph. Raises ValueError for another shape, N < least, or a value that is not finite."""
    if features.ndim != 2 or len(features) < least:
        raise ValueError(f"{name} must be features (N, F) of N >= {least} pictures, got shape {tuple(features.shape)}.")
    features = features.detach().double()
    bad = int((~features.isfinite().all(dim=1)).sum())
    if bad:
        raise ValueError(f"{name}: {bad} of {len(features)} feature vectors are not finite; check the pictures or the model that embeds them.")
    return features


def same_width(a: Tensor, b: Tensor) -> None:
    """Raises ValueError if features (N, F) and (M, F) differ in F: then they are of different spaces."""
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features of width {a.shape[1]} and {b.shape[1]} are of different spaces; embed both sets with the same model.")


def distance_rows(a: Tensor, b: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Euclidean distances (N, M) of a (N, F) and b (M, F) in blocks of whole rows: (rows, (R, M)).

    Differences are squared, not expanded into inner products: copies of a picture are exactly 0 apart, which the strict
    comparisons of `fidelity` rest on. O(N M F) time; R is such that a block holds at most MOST_DISTANCES values.
    """
    step = max(1, MOST_DISTANCES // max(1, len(b)))
    for start in range(0, len(a), step):
        rows = slice(start, min(start + step, len(a)))
        yield rows, torch.cdist(a[rows], b, compute_mode="donot_use_mm_for_euclid_dist")
