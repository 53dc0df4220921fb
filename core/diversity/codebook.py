"""Kinds of picture, fixed once on the base model: how evenly the pictures of another model fall into them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .features import checked, distance_rows


@dataclass(frozen=True)
class Occupancy:
    """entropy: H = -sum p log p of the shares of the entries, in nats. effective: exp(H), 1 to k. occupied: entries with a picture."""

    entropy: float
    effective: float
    occupied: int


@dataclass(frozen=True, eq=False)
class Codebook:
    """k centres (k, F) float32 in the feature space named `space`. A codebook fitted anew for each model would make its
    numbers incomparable: fit it once, on the base, and keep it."""

    centres: Tensor
    space: str

    @classmethod
    def fit(cls, features: Tensor, space: str, *, k: int = 64, seed: int = 0, restarts: int = 10) -> "Codebook":
        """k-means of the directions of base features (N, F), all prompts together (CLIP cluster entropy; k is our choice).

        Deterministic for a seed. Raises ValueError if fewer than k of the features differ.
        """
        unit = F.normalize(checked(features, "features"), dim=1)
        different = len(unit.unique(dim=0))
        if not 1 <= k <= different:
            raise ValueError(f"k is {k}, but the base has {different} different pictures; use 1 to {different}, or draw more.")
        from sklearn.cluster import KMeans  # seconds to import, and only needed here

        found = KMeans(k, n_init=restarts, random_state=seed).fit(unit.cpu().numpy())
        return cls(torch.from_numpy(found.cluster_centers_).float(), space)

    def assign(self, features: Tensor) -> Tensor:
        """Nearest entry to the direction of each feature (N, F) -> (N,) int64. Raises ValueError for another width."""
        features = checked(features, "features")
        if features.shape[1] != self.centres.shape[1]:
            raise ValueError(f"features have width {features.shape[1]}, but this codebook is of {self.space} with {self.centres.shape[1]}.")
        unit, centres = F.normalize(features, dim=1), self.centres.to(features.device, torch.float64)
        return torch.cat([distances.argmin(dim=1) for _, distances in distance_rows(unit, centres)])

    def occupancy(self, features: Tensor) -> Occupancy:
        """How features (N, F) of one prompt fill the codebook; at most min(N, k) entries, so compare equal N only."""
        shares = torch.bincount(self.assign(features), minlength=len(self.centres)).double() / len(features)
        entropy = -torch.special.xlogy(shares, shares).sum().item()
        return Occupancy(entropy, float(np.exp(entropy)), int((shares > 0).sum()))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for np.savez; read them back with allow_pickle=False."""
        return {"centres": self.centres.numpy(), "space": np.array(self.space)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Codebook":
        return cls(torch.from_numpy(np.array(arrays["centres"])), str(arrays["space"]))
