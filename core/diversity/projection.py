"""The map: features -> two coordinates, fitted once on base pictures and only applied after. No torch."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np


def _frame(coordinates: np.ndarray) -> tuple[np.ndarray, float]:
    """Offset (2,) and one scale for both axes that bring `coordinates` into [-1, 1] squared."""
    low, high = coordinates.min(axis=0), coordinates.max(axis=0)
    return (low + high) / 2, max(float((high - low).max()) / 2, 1e-9)


@dataclass(frozen=True)
class Pca:
    """First two principal components of the base, scaled so that the base fills [-1, 1] on its longer side.

    mean: (F,). axes: (2, F) unit rows, the largest loading of each positive, so that a map is never mirrored
    between runs. offset: (2,). scale: a positive number.
    """

    mean: np.ndarray
    axes: np.ndarray
    offset: np.ndarray
    scale: float

    @classmethod
    def fit(cls, features: np.ndarray) -> "Pca":
        """Fit on base features (N, F), N >= 2."""
        features = np.asarray(features, dtype=np.float64)
        if len(features) < 2:
            raise ValueError(f"a map needs at least 2 pictures, got {len(features)}")
        mean = features.mean(axis=0)
        axes = np.zeros((2, features.shape[1]))
        found = np.linalg.svd(features - mean, full_matrices=False)[2][:2]
        axes[: len(found)] = found * np.sign(found[np.arange(len(found)), np.abs(found).argmax(axis=1)])[:, None]
        offset, scale = _frame((features - mean) @ axes.T)
        return cls(mean, axes, offset, scale)

    def transform(self, features: np.ndarray) -> np.ndarray:
        """(M, F) -> (M, 2) float32."""
        return (((np.asarray(features, dtype=np.float64) - self.mean) @ self.axes.T - self.offset) / self.scale).astype(np.float32)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for np.savez; read them back with allow_pickle=False."""
        return {"mean": self.mean, "axes": self.axes, "offset": self.offset, "scale": np.float64(self.scale)}

    @classmethod
    def from_arrays(cls, arrays) -> "Pca":
        return cls(arrays["mean"], arrays["axes"], arrays["offset"], float(arrays["scale"]))


def _keep_compiled() -> None:
    """Let later processes load what UMAP compiles, as it does for pynndescent only: else each run would compile for some 14 seconds anew.

    Numba keeps it beside the package, or in the user's cache folder, and compiles again for another processor, numba or umap.
    """
    from umap import layouts, umap_, utils

    for function in (f for module in (layouts, umap_, utils) for f in vars(module).values() if hasattr(f, "enable_caching")):
        if function.stats.cache_path is None:
            with suppress(RuntimeError):  # neither folder can be written
                function.enable_caching()


@dataclass(frozen=True)
class UmapMap:
    """UMAP of the base (McInnes et al. 2018, arXiv 1802.03426), scaled like Pca. One thread and a seed: reproducible.

    Features are of unit length, where Euclidean order is cosine order. `base` (N, 2) float32 holds the fitted pictures.
    The first fit and the first transform on a machine compile for seconds.
    """

    model: Any
    offset: np.ndarray
    scale: float
    base: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, seed: int = 0) -> "UmapMap":
        """Fit on base features (N, F), N >= 5."""
        if len(features) < 5:
            raise ValueError(f"UMAP needs at least 5 pictures, got {len(features)}")
        import umap

        _keep_compiled()
        model = umap.UMAP(n_neighbors=min(15, len(features) - 1), random_state=seed, transform_seed=seed, n_jobs=1)
        placed = model.fit_transform(np.asarray(features, dtype=np.float32))
        offset, scale = _frame(placed)
        return cls(model, offset, scale, ((placed - offset) / scale).astype(np.float32))

    def transform(self, features: np.ndarray) -> np.ndarray:
        """(M, F) -> (M, 2) float32."""
        placed = self.model.transform(np.asarray(features, dtype=np.float32))
        return ((placed - self.offset) / self.scale).astype(np.float32)
