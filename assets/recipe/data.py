"""Captioned emoji: the parquet as tensors, the fixed held-out split, and the caption mixture.

The split is by (emoji, style) pair and depends only on the pair's own name, so it survives any change of
the row order and every stage of the recipe holds out the same pictures.
"""

from __future__ import annotations

import hashlib
import io
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from PIL import Image

STYLES = ("noto", "twemoji", "fluent-3d", "fluent-color", "fluent-flat")
HELD_OUT_SHARE = 0.05
# CLDR calls these animals by the name of one sex or kind; people type the plain word.
PLAIN_WORDS = {"ewe": "sheep", "honeybee": "bee", "chipmunk": "squirrel"}


@dataclass(frozen=True)
class Emoji:
    """One row of the parquet. `image` is uint8 (64, 64, 3)."""

    image: np.ndarray
    codepoint: str
    name: str
    keywords: tuple[str, ...]
    group: str
    subgroup: str
    style: str

    @property
    def held_out(self) -> bool:
        digest = hashlib.sha256(f"{self.codepoint}/{self.style}".encode()).digest()
        return int.from_bytes(digest[:4], "big") / 2**32 < HELD_OUT_SHARE

    @property
    def plain_name(self) -> str:
        return PLAIN_WORDS.get(self.name, self.name)


def load(parquet: Path, groups: tuple[str, ...] | None = None) -> list[Emoji]:
    """Every picture that is not a flag, in file order; `groups` keeps some Unicode groups only."""
    rows = pq.read_table(parquet).to_pylist()
    return [
        Emoji(
            image=np.asarray(Image.open(io.BytesIO(r["image"])).convert("RGB")),
            codepoint=r["codepoint"],
            name=r["name"],
            keywords=tuple(r["keywords"]),
            group=r["group"],
            subgroup=r["subgroup"],
            style=r["style"],
        )
        for r in rows
        if not r["is_flag"] and (groups is None or r["group"] in groups)
    ]


def split(emoji: list[Emoji]) -> tuple[list[Emoji], list[Emoji]]:
    """(training, held-out), each in file order."""
    return [e for e in emoji if not e.held_out], [e for e in emoji if e.held_out]


def pictures(emoji: list[Emoji]) -> torch.Tensor:
    """float32 (N, 3, 64, 64) in [-1, 1], the range that AutoencoderKL is trained on."""
    stack = np.stack([e.image for e in emoji])
    return torch.from_numpy(stack).permute(0, 3, 1, 2).float().div(127.5).sub(1).contiguous()


def caption(e: Emoji, rng: random.Random, *, empty: float = 0.0) -> str:
    """One caption out of the mixture that makes short prompts many-valued.

    name 45 %, name + style 20 %, one keyword 20 %, subgroup 8 %, group 7 %; `empty` is taken off the top
    and is what classifier-free guidance and the guidance distillation need.
    """
    if rng.random() < empty:
        return ""
    draw = rng.random()
    name = e.plain_name if rng.random() < 0.9 else e.name
    if draw < 0.45:
        return name
    if draw < 0.65:
        return f"{name}, {e.style}"
    if draw < 0.85 and e.keywords:
        return rng.choice(e.keywords)
    if draw < 0.93:
        return e.subgroup.replace("-", " ")
    return group_caption(e)


def group_caption(e: Emoji) -> str:
    """The group as a person would type it: 'animal', 'fruit', 'smiley'."""
    if e.group == "Animals & Nature":
        return "animal" if e.subgroup.startswith("animal") else "plant"
    if e.group == "Food & Drink":
        return {"food-fruit": "fruit", "food-vegetable": "vegetable", "drink": "drink"}.get(e.subgroup, "food")
    if e.group == "Smileys & Emotion":
        return "smiley" if e.subgroup.startswith(("face", "cat", "monkey")) else "emotion"
    return e.group.lower()
