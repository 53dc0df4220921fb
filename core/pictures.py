"""Rows of the table `pictures` from tensors: thumbnails, packed embeddings, places."""

from __future__ import annotations

import io
import json

import numpy as np
import torch
from PIL import Image

from .runs.database import pack

THUMB_SIDE = 128  # pixels; a smaller picture is kept as it is


def to_uint8(images: torch.Tensor) -> np.ndarray:
    """(B, 3, H, W) in [0, 1] -> uint8 (B, H, W, 3), rounded as every image writer does."""
    return images.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).cpu().numpy()


def thumbnail(image: np.ndarray) -> bytes:
    """WebP of one picture, at most THUMB_SIDE wide."""
    picture = Image.fromarray(image)
    picture.thumbnail((THUMB_SIDE, THUMB_SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=90, method=0)
    return buffer.getvalue()


def picture_rows(
    kind: str, iteration: int, prompt: int, seeds: list[int], images: torch.Tensor, features: np.ndarray, raw: dict[str, torch.Tensor], quality: torch.Tensor, *,
    placed: tuple[np.ndarray, np.ndarray] | None = None, bonus: torch.Tensor | None = None, clusters: torch.Tensor | None = None,
) -> list[dict]:
    """One dict per picture of one prompt's group, in the columns of schema.sql."""
    scores = {name: values.tolist() for name, values in raw.items()}
    rows = []
    for g, (seed, image) in enumerate(zip(seeds, to_uint8(images))):
        row = {
            "kind": kind, "iteration": iteration, "prompt": prompt, "position": g, "seed": seed, "reward": float(quality[g]),
            "scores": json.dumps({name: values[g] for name, values in scores.items()}), "embedding": pack(features[g]), "thumb": thumbnail(image),
        }
        if placed is not None:
            row |= {"look": int(placed[0][g]), "pca_x": float(placed[1][g, 0]), "pca_y": float(placed[1][g, 1])}
        if bonus is not None:
            row["bonus"] = float(bonus[g])
        if clusters is not None:
            row["cluster"] = int(clusters[g])
        rows.append(row)
    return rows
