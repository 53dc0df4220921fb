"""Looks: groups of alike pictures, fixed once per prompt on pictures of the base model. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .spectral import cluster

MOST_CLUSTERED = 400  # spectral clustering is cubic in the number of pictures; the rest joins the nearest look
SMALLEST_LOOK = 3  # pictures; a stray pair is no look
SMALLEST_REACH = 0.02  # of a base whose pictures are all the same
REACH_PERCENTILE = 99.0


def _unit(features: np.ndarray) -> np.ndarray:
    features = np.asarray(features, dtype=np.float32)
    return features / np.maximum(np.linalg.norm(features, axis=-1, keepdims=True), 1e-12)


def _centres(unit: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Unit mean direction of each label 0 ... K - 1: (K, F)."""
    return _unit(np.stack([unit[labels == k].mean(axis=0) for k in range(labels.max() + 1)]))


def _nearest(unit: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest centre and the distance 1 - cosine to it, both (M,)."""
    distance = 1 - unit @ centres.T
    labels = distance.argmin(axis=1)
    return labels, distance[np.arange(len(unit)), labels]


@dataclass(frozen=True)
class Looks:
    """K looks, numbered by their share of the base pictures: 0 = A = largest.

    centres: (K, F) float32, unit length. labels: (N,) look of each base picture, never new. shares: (K,) of the
    base. medoids: (K,) index of the base picture nearest to each centre. reach: a picture farther than this from
    every centre is new; the 99th percentile of the distances of base pictures to their own look's centre, each
    taken without the picture itself (else a picture pulls its centre near, and fresh base pictures look new).
    """

    centres: np.ndarray
    labels: np.ndarray
    base_shares: np.ndarray
    medoids: np.ndarray
    reach: float

    @classmethod
    def fit(cls, features: np.ndarray, *, k_range: tuple[int, int] = (2, 6), seed: int = 0) -> "Looks":
        """Find the looks of base features (N, F). The order of the pictures does not matter. Raises ValueError if N is 0."""
        unit = _unit(features)
        if not len(unit):
            raise ValueError("looks need at least one base picture")
        order = np.lexsort(unit.T[::-1])  # one order whatever the order given, so that k-means starts alike
        if len(order) > MOST_CLUSTERED:
            order = order[np.random.default_rng(seed).choice(len(order), MOST_CLUSTERED, replace=False)]
        part = unit[order]
        # Looks differ in how alike their pictures are, which one kernel width for all does not serve: on 60 planted sets
        # of 2 to 6 uneven groups (N = 120), self-tuning found them with ARI 0.99, the median width with 0.81.
        labels = cluster(np.clip(1 - part @ part.T, 0, None), sigma="self_tuning", k_range=k_range, seed=seed)
        sizes = np.bincount(labels)
        kept = max(1, int((sizes >= SMALLEST_LOOK).sum()))  # labels are numbered by size
        centres = _centres(part[labels < kept], labels[labels < kept])
        labels, _ = _nearest(unit, centres)

        shares = np.bincount(labels, minlength=kept) / len(unit)
        rank = [k for k in np.argsort(-shares, kind="stable") if shares[k] > 0]
        centres, shares = centres[rank], shares[rank]
        labels, distance = _nearest(unit, centres)
        medoids = np.array([np.where(labels == k, distance, np.inf).argmin() for k in range(len(rank))])
        return cls(centres, labels, shares, medoids, _reach(unit, labels, distance))

    def assign(self, features: np.ndarray) -> np.ndarray:
        """Look of each picture (M, F) -> (M,) int64: the nearest, or -1 = new if it is out of reach of all."""
        labels, distance = _nearest(_unit(features), self.centres)
        return np.where(distance > self.reach, -1, labels)

    def shares(self, labels: np.ndarray) -> list[float]:
        """Share of each look among `labels`, then of new: K + 1 numbers that sum to 1."""
        labels = np.asarray(labels)
        return [float((labels == k).mean()) for k in (*range(len(self.centres)), -1)]

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Plain arrays for np.savez; read them back with allow_pickle=False."""
        return {
            "centres": self.centres, "labels": self.labels, "base_shares": self.base_shares,
            "medoids": self.medoids, "reach": np.float64(self.reach),
        }  # fmt: skip

    @classmethod
    def from_arrays(cls, arrays) -> "Looks":
        return cls(*(arrays[name] for name in ("centres", "labels", "base_shares", "medoids")), float(arrays["reach"]))


def _reach(unit: np.ndarray, labels: np.ndarray, distance: np.ndarray) -> float:
    """The 99th percentile of leave-one-out distances to the own look's centre."""
    left_out = distance.copy()
    for k in np.unique(labels):
        members = unit[labels == k]
        if len(members) > 1:
            others = _unit(members.sum(axis=0) - members)
            left_out[labels == k] = 1 - (members * others).sum(axis=1)
    return max(float(np.percentile(left_out, REACH_PERCENTILE)), SMALLEST_REACH)
