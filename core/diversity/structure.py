"""Variety of structure: how unlike pictures are pixel by pixel, by SSIM (Wang et al. 2004).

LPIPS is not here: the libraries that have it fetch its AlexNet from the network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

PAIRS_AT_ONCE = 64  # 0.2 GiB at 256 pixels


def luminance(images: Tensor, side: int = 256) -> Tensor:
    """images (N, 3, H, W) in [0, 1] -> luma (N, 1, h, w) float32 (Rec. 601), the longer side shrunk to at most `side` pixels.

    `side` is our choice. Smaller pictures are left as they are, as enlarging them would only add blur; SSIM depends on the
    size in pixels, so compare equal sizes only. Raises ValueError for another shape or values outside [0, 1].
    """
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ValueError(f"images must be (N, 3, H, W), got {tuple(images.shape)}.")
    if not (images.amin() >= -1e-4 and images.amax() <= 1 + 1e-4):  # also refuses nan
        raise ValueError(f"images must lie in [0, 1], got {images.amin().item():g} to {images.amax().item():g}.")
    weights = torch.tensor([0.299, 0.587, 0.114], device=images.device)
    grey = (images.detach().float() * weights[:, None, None]).sum(dim=1, keepdim=True)
    longer = max(grey.shape[-2:])
    if longer <= side:
        return grey
    size = [max(1, round(pixels * side / longer)) for pixels in grey.shape[-2:]]
    return F.interpolate(grey, size, mode="bilinear", antialias=True)


def ssim_diversity(grey: Tensor, sigma: float = 1.5) -> float:
    """1 - mean SSIM over the N (N - 1) / 2 pairs of luma pictures (N, 1, h, w) in [0, 1]: 0 for copies, up to 2, more is more varied.

    Direction and form are our choice: papers give an 'SSIM' column without them. The window is Gaussian, 11 x 11 at sigma 1.5
    pixels, and mirrored at the border (torchmetrics). SSIM sees position, not content: a shifted copy counts as different.
    O(N^2) SSIMs, O(PAIRS_AT_ONCE h w) memory. Raises ValueError for N < 2 or pictures no larger than half the window.
    """
    if grey.ndim != 4 or grey.shape[1] != 1 or len(grey) < 2:
        raise ValueError(f"pictures must be luma (N, 1, h, w) of N >= 2, got {tuple(grey.shape)}; make them with `luminance`.")
    half_window = int(3.5 * sigma + 0.5)
    if min(grey.shape[-2:]) <= half_window:
        raise ValueError(f"pictures of {grey.shape[-2]} x {grey.shape[-1]} are too small for SSIM; both sides need more than {half_window} pixels.")
    first, second = torch.triu_indices(len(grey), len(grey), 1, device=grey.device)
    total = 0.0
    for i, j in zip(first.split(PAIRS_AT_ONCE), second.split(PAIRS_AT_ONCE)):
        alike = structural_similarity_index_measure(grey[i], grey[j], sigma=sigma, data_range=1.0, reduction="none")
        total += alike.double().sum().item()
    return 1 - total / len(first)
