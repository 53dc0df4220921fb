"""Spectral clustering of a distance matrix in NumPy (Ng, Jordan, Weiss 2001), quick on groups of a few dozen."""

from __future__ import annotations

import numpy as np

SIGMA_FLOOR = 0.02  # near-duplicates drive the kernel width to 0; perceptual distances are about 0.1 to 0.3


def affinity(distance: np.ndarray, sigma: str) -> np.ndarray:
    """Gaussian affinity (G, G) of distances (G, G); its diagonal stays 1, which the normalisation makes harmless.

    'median': exp(-d^2 / 2 s^2), s the median off-diagonal distance. 'self_tuning': exp(-d^2 / s_i s_j), s_i the
    distance to the 7th neighbour, the 3rd in groups under 16 (Zelnik-Manor and Perona 2004).
    """
    size = len(distance)
    if sigma == "median":
        width = max(float(np.median(distance[~np.eye(size, dtype=bool)])), SIGMA_FLOOR)
        return np.exp(-(distance**2) / (2 * width**2))
    if sigma == "self_tuning":
        neighbour = min(7 if size >= 16 else 3, size - 1)
        widths = np.maximum(np.sort(distance, axis=1)[:, neighbour], SIGMA_FLOOR)
        return np.exp(-(distance**2) / np.outer(widths, widths))
    raise ValueError(f"sigma {sigma!r} is none of 'median', 'self_tuning'")


def normalised_spectrum(distance: np.ndarray, sigma: str) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues, largest first, and eigenvectors (columns) of D^-1/2 A D^-1/2.

    The informative vectors of this normalised *affinity* belong to its largest eigenvalues, which are the smallest
    of the Laplacian I - D^-1/2 A D^-1/2. DiverseGRPO (arXiv 2512.21514) names the affinity "Laplacian" and takes
    the smallest; read literally that clusters noise.
    """
    weights = affinity(distance, sigma)
    scale = 1 / np.sqrt(weights.sum(axis=1))
    values, vectors = np.linalg.eigh(weights * np.outer(scale, scale))
    return values[::-1], vectors[:, ::-1]


def eigengap(values: np.ndarray, k_range: tuple[int, int]) -> int:
    """The k of `k_range` with the largest gap between the k-th and the next eigenvalue; the smallest k of equals."""
    low, high = k_range[0], min(k_range[1], len(values) - 1)
    gaps = values[low - 1 : high] - values[low : high + 1]
    return low + int(np.argmax(np.round(gaps, 10)))  # rounded, so that rounding errors do not choose among equals


def kmeans(points: np.ndarray, k: int, restarts: int, seed: int, iterations: int = 100) -> np.ndarray:
    """Labels (N,) of the best of `restarts` runs of Lloyd's k-means with k-means++ starts, all run side by side."""
    random = np.random.default_rng(seed)
    count = len(points)
    runs = np.arange(restarts)
    squares = (points**2).sum(axis=1)

    def distances(centres: np.ndarray) -> np.ndarray:  # (R, K, D) -> (R, N, K)
        cross = (points @ centres.reshape(-1, points.shape[1]).T).reshape(count, restarts, -1).transpose(1, 0, 2)
        return np.maximum(squares[None, :, None] - 2 * cross + (centres**2).sum(axis=2)[:, None, :], 0)

    centres = points[random.integers(count, size=restarts)][:, None]
    nearest = distances(centres)[:, :, 0]
    while centres.shape[1] < k:
        mass = np.cumsum(nearest, axis=1)
        chosen = (mass <= random.random((restarts, 1)) * mass[:, -1:]).sum(axis=1).clip(max=count - 1)
        centres = np.concatenate([centres, points[chosen][:, None]], axis=1)
        nearest = np.minimum(nearest, distances(centres[:, -1:])[:, :, 0])

    labels = np.full((restarts, count), -1)
    for _ in range(iterations):
        reach = distances(centres)
        found = reach.argmin(axis=2)
        if np.array_equal(found, labels):
            break
        labels = found
        member = (labels[:, :, None] == np.arange(k)).astype(points.dtype)  # (R, N, K)
        sizes = member.sum(axis=1)[:, :, None]
        # An empty cluster keeps its centre.
        centres = np.where(sizes > 0, member.transpose(0, 2, 1) @ points / np.maximum(sizes, 1), centres)
    cost = np.round(reach[runs[:, None], np.arange(count), labels].sum(axis=1), 12)
    return labels[int(cost.argmin())]


def renumber(labels: np.ndarray) -> np.ndarray:
    """The same groups numbered by size, 0 = largest, equal sizes by their first member."""
    names, first, inverse, sizes = np.unique(labels, return_index=True, return_inverse=True, return_counts=True)
    rank = np.empty(len(names), dtype=np.int64)
    rank[np.lexsort((first, -sizes))] = np.arange(len(names))
    return rank[inverse]


def cluster(
    distance: np.ndarray,
    *,
    k: str | int = "eigengap",
    sigma: str = "median",
    min_spread: float = 0.02,
    k_range: tuple[int, int] = (2, 6),
    restarts: int = 10,
    seed: int = 0,
) -> np.ndarray:
    """Labels (G,) int64 of a distance matrix (G, G), 0 = largest cluster. Deterministic for a seed.

    A group whose largest distance is below `min_spread` is one cluster: splitting it would cluster noise.
    Raises ValueError if `distance` is not square or holds a value that is not finite.
    """
    distance = np.asarray(distance, dtype=np.float64)
    size = len(distance)
    if distance.shape != (size, size) or not np.isfinite(distance).all():
        raise ValueError(f"distances must be a finite square matrix, got shape {distance.shape}")
    if size < 3 or distance.max() < min_spread or k == 1:
        return np.zeros(size, dtype=np.int64)
    values, vectors = normalised_spectrum(distance, sigma)
    groups = eigengap(values, k_range) if k == "eigengap" else min(int(k), size)
    rows = vectors[:, :groups]
    rows = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    return renumber(kmeans(rows, groups, restarts, seed))
