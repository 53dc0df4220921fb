"""Spectral clusters of one group of pictures: the labels that the creative bonus counts."""

from __future__ import annotations

import torch
from torch import Tensor

from .spectral import cluster


def spectral_labels(
    distance: Tensor,
    *,
    k: str | int = "eigengap",
    sigma: str = "median",
    min_spread: float = 0.02,
    k_range: tuple[int, int] = (2, 6),
    restarts: int = 10,
    seed: int = 0,
) -> Tensor:
    """Distances (G, G) -> labels (G,) int64 on the same device, 0 = largest cluster, equal sizes by first member.

    DiverseGRPO (arXiv 2512.21514) section on the creative reward, with the largest eigenvectors; see `spectral`.
    `k` is 'eigengap' (the best of `k_range`) or a number. Raises ValueError if a distance is not finite.
    """
    labels = cluster(
        distance.detach().cpu().double().numpy(), k=k, sigma=sigma, min_spread=min_spread, k_range=k_range, restarts=restarts, seed=seed
    )
    return torch.from_numpy(labels).to(distance.device)
