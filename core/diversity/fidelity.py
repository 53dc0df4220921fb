"""How one set of pictures lies to another: precision, recall, density, coverage, and the Frechet distance. All in float64.

'real' is the reference. Without photographs that is the base model on the same prompts with other seeds (our choice), and
then these numbers say how far the tuned model has drifted, not how good it is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .features import checked, distance_rows, same_width


@dataclass(frozen=True)
class Fidelity:
    """precision, recall, coverage: 0 to 1. density: 0 or more, may exceed 1."""

    precision: float
    recall: float
    density: float
    coverage: float


def fidelity(real: Tensor, fake: Tensor, k: int = 5) -> Fidelity:
    """Precision and recall (Kynkaanniemi et al. 2019, arXiv 1904.06991), density and coverage (Naeem et al. 2020, arXiv 2002.09797).

    real (N, F), fake (M, F), Euclidean. The ball of a picture reaches to its k-th nearest other picture of its own set: the
    (k + 1)-th smallest distance, the smallest being its own 0. Inside is strictly less, as in the authors' code.
        precision  share of fake pictures inside some real ball
        recall     share of real pictures inside some fake ball
        density    number of real balls around a fake picture, averaged, over k
        coverage   share of real pictures whose ball holds a fake picture
    A picture with k copies has a ball of radius 0 that holds nothing: a collapsed generator gets recall 0, not nan.
    Compare equal N and M only. O((N + M)^2 F) time; memory is bounded by `features.MOST_DISTANCES`, not by N M.
    Raises ValueError unless k >= 1 and both sets hold more than k finite feature vectors.
    """
    if k < 1:
        raise ValueError(f"k is {k}; use 1 or more neighbours.")
    real, fake = checked(real, "real", k + 1), checked(fake, "fake", k + 1)
    same_width(real, fake)
    real_radii, fake_radii = _radii(real, k), _radii(fake, k)
    around = torch.zeros(len(fake), dtype=torch.int64, device=fake.device)
    recalled = covered = 0
    for rows, distances in distance_rows(real, fake):
        radii = real_radii[rows]
        around += (distances < radii[:, None]).sum(dim=0)
        recalled += int((distances < fake_radii).any(dim=1).sum())
        covered += int((distances.amin(dim=1) < radii).sum())
    return Fidelity((around > 0).double().mean().item(), recalled / len(real), around.double().mean().item() / k, covered / len(real))


def _radii(points: Tensor, k: int) -> Tensor:
    """Distance of each point (N, F) to its k-th nearest other: (N,)."""
    return torch.cat([distances.kthvalue(k + 1, dim=1).values for _, distances in distance_rows(points, points)])


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """Squared Frechet distance of Gaussians fitted to features (N, F): |m_a - m_b|^2 + Tr(S_a + S_b - 2 (S_a S_b)^1/2).

    Heusel et al. 2017 (arXiv 1706.08500); it is the FID only on the pool features of their Inception network. S are the
    unbiased covariances. Tr (S_a S_b)^1/2 is the sum of the square roots of the eigenvalues of the symmetric matrix
    S_a^1/2 S_b S_a^1/2. With factors S = A^T A these are the singular values of A_a A_b^T, which are taken here: nothing
    is squared first, so singular covariances (N <= F) need neither a ridge nor the real part of a complex root.
    Biased upwards for small N, so both sets must have the same N, and only numbers of equal N may be compared;
    the literature uses 10 000 or more. O(N F + min(N, F)^2) memory, O(N F min(N, F)) time.
    Raises ValueError if N differs, is below 2, or a feature is not finite.
    """
    if len(a) != len(b):
        raise ValueError(f"the sets have {len(a)} and {len(b)} pictures; a Frechet distance depends on the number, so take the same of both.")
    a, b = checked(a, "a", 2), checked(b, "b", 2)
    same_width(a, b)
    root_a, root_b = _covariance_factor(a), _covariance_factor(b)
    gap = (a.mean(dim=0) - b.mean(dim=0)).square().sum()
    shared = torch.linalg.svdvals(root_a @ root_b.mT).sum()
    return max(0.0, (gap + root_a.square().sum() + root_b.square().sum() - 2 * shared).item())


def _covariance_factor(points: Tensor) -> Tensor:
    """A (min(N, F), F) such that A^T A is the unbiased covariance of points (N, F)."""
    centred = (points - points.mean(dim=0)) / (len(points) - 1) ** 0.5
    return centred if len(points) <= points.shape[1] else torch.linalg.qr(centred, mode="r").R
