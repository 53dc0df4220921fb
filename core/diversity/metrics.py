"""How varied a set of pictures is, in numbers. All in float64."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor


def _entropy_number(values: Tensor, q: float) -> Tensor:
    """exp of the Renyi entropy of order q of eigenvalues (..., n): clipped at 0 and made to sum to 1 first."""
    values = values.clamp(min=0)
    values = values / values.sum(dim=-1, keepdim=True)
    if q == 1:
        return torch.exp(-torch.special.xlogy(values, values).sum(dim=-1))
    if math.isinf(q):
        return 1 / values.amax(dim=-1)
    return values.pow(q).sum(dim=-1).pow(1 / (1 - q)) if q > 0 else (values > 1e-12).sum(dim=-1).double()


def _spectrum(features: Tensor) -> Tensor:
    """Non-zero eigenvalues of the cosine kernel / n of features (..., N, F), through the smaller of the two Gram matrices."""
    unit = F.normalize(features.double(), dim=-1)
    count, width = unit.shape[-2:]
    gram = unit.mT @ unit if count > width else unit @ unit.mT
    return torch.linalg.eigvalsh(gram / count)


def vendi(features: Tensor | None = None, *, kernel: Tensor | None = None, q: float = 1) -> float:
    """Vendi score: the effective number of different items, 1 to n (Friedman and Dieng 2023, arXiv 2210.02410).

    Give features (N, F), compared by cosine, or a positive semi-definite `kernel` (N, N) with unit diagonal.
    Order q as in Pasarkar and Dieng 2023 (arXiv 2310.12952), q = inf allowed. Compare equal N only: it grows with N.
    Features cost O(min(N, F)^2) memory and min(N, F)^3 time, a kernel O(N^2) and N^3.
    """
    if (features is None) == (kernel is None):
        raise ValueError("give either features or a kernel")
    if q < 0:
        raise ValueError(f"q is {q}; the order must be at least 0")
    values = _spectrum(features) if kernel is None else torch.linalg.eigvalsh(kernel.double() / kernel.shape[-1])
    return float(_entropy_number(values, q))


def vendi_per_group(features: Tensor, q: float = 1) -> Tensor:
    """Vendi score of order q of each group: (P, G, F) -> (P,) float64. Its mean is 'per prompt, then averaged', not the pooled score."""
    return _entropy_number(_spectrum(features), q)


SMALLEST_SCALE = 0.02  # as the clusters' smallest spread: below it, differences are rounding


def base_scale(distances: Tensor) -> float:
    """Length that `variety` measures by: the median distance between two base pictures (N, N), floored."""
    apart = distances[~torch.eye(len(distances), dtype=torch.bool, device=distances.device)]
    return max(SMALLEST_SCALE, float(apart.median()))


def variety(distances: Tensor, scale: float | None) -> Tensor:
    """Effective number of looks of each group: Vendi score of the kernel exp(-d / scale). (P, G, G) -> (P,) float64.

    Pictures of one prompt are all alike to a plain cosine (a collapsed group scores 1.2, a varied one 1.5), so the
    kernel is stretched to the distances of the base model (our choice). With d = 1 - cos = |a - b|^2 / 2 it is a
    Gaussian kernel, hence positive semi-definite. Without a scale: the cosine itself.
    """
    kernel = 1 - distances.double() if scale is None else torch.exp(-distances.double() / scale)
    return _entropy_number(torch.linalg.eigvalsh(kernel / kernel.shape[-1]), 1)


def cluster_counts(labels: Tensor) -> Tensor:
    """Number of different labels in each group: (P, G) -> (P,)."""
    ordered = labels.sort(dim=-1).values
    return 1 + (ordered[..., 1:] != ordered[..., :-1]).sum(dim=-1)


def largest_share(labels: Tensor) -> Tensor:
    """Share of the largest cluster of each group: (P, G) -> (P,) float32."""
    alike = (labels[..., :, None] == labels[..., None, :]).sum(dim=-1)
    return alike.amax(dim=-1).float() / labels.shape[-1]


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson correlation of two tensors of equal shape over the places where both are finite; 0 if either is constant."""
    a, b = a.flatten().double(), b.flatten().double()
    both = a.isfinite() & b.isfinite()
    if both.sum() < 2:
        return 0.0
    a, b = a[both] - a[both].mean(), b[both] - b[both].mean()
    spread = a.norm() * b.norm()
    constant = spread <= 1e-12
    return 0.0 if constant else float((a @ b / spread).clamp(-1, 1))
