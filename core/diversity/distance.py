"""Perceptual distances within groups."""

from __future__ import annotations

import torch
from torch import Tensor


def pairwise(features: Tensor) -> Tensor:
    """Distances 1 - <e_i, e_j> of unit features (..., G, F) -> (..., G, G), symmetric, >= 0, zero diagonal.

    With centred features this is the DreamSim distance (Fu et al. 2023, arXiv 2306.09344); range 0 to 2.
    """
    distance = 1 - features @ features.mT
    distance = (0.5 * (distance + distance.mT)).clamp(min=0)
    itself = torch.eye(distance.shape[-1], dtype=torch.bool, device=distance.device)
    return distance.masked_fill(itself, 0)


def mean_pairwise(distances: Tensor) -> Tensor:
    """Mean distance over the G (G - 1) / 2 pairs of each group: (P, G, G) -> (P,)."""
    size = distances.shape[-1]
    if size < 2:
        raise ValueError(f"a group of {size} has no pairs; a mean pairwise distance needs at least 2")
    return distances.sum(dim=(-2, -1)) / (size * (size - 1))
