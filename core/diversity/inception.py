"""The Inception Score, from class probabilities that a classifier gave."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class InceptionScore:
    """mean and population standard deviation over the splits; each split scores 1 to C."""

    mean: float
    std: float


def inception_score(probabilities: Tensor, *, splits: int = 10, seed: int = 0) -> InceptionScore:
    """exp(mean_x KL(p(y|x) || p(y))) of probabilities (N, C), over `splits` parts (Salimans et al. 2016, arXiv 1606.03498).

    The pictures are shuffled by `seed` first: pictures in the order of their prompts would fill each split with few kinds.
    It speaks about the classes of the classifier: with ImageNet's, on faces or emoji, mostly noise. Softmax over the 1000
    classes, not over the 1008 outputs of the FID's Inception port. Biased by the size N / splits; compare equal N only.
    Raises ValueError for N < splits, or rows that are no probabilities (logits, or a slice without a new softmax).
    """
    if probabilities.ndim != 2 or splits < 1 or len(probabilities) < splits:
        raise ValueError(f"probabilities must be (N, C) with N >= splits = {splits} >= 1, got {tuple(probabilities.shape)}.")
    p = probabilities.detach().cpu().double()
    if not (p.amin() >= 0 and (p.sum(dim=1) - 1).abs().amax() <= 1e-3):
        raise ValueError("each row of probabilities must be 0 or more and sum to 1; give softmax outputs, not logits.")
    p = p[torch.randperm(len(p), generator=torch.Generator().manual_seed(seed))]
    scores = torch.stack([_score(part) for part in p.tensor_split(splits)])
    return InceptionScore(scores.mean().item(), scores.std(correction=0).item())


def _score(p: Tensor) -> Tensor:
    """exp of the mean KL divergence of the rows (M, C) from their mean; 0 log 0 = 0."""
    marginal = p.mean(dim=0)
    return (torch.special.xlogy(p, p) - torch.special.xlogy(p, marginal)).sum(dim=1).mean().exp()
