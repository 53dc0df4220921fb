"""What rewards there are, in words for a person. Imports nothing heavy: the studio reads it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

from ..errors import UserError


@dataclass(frozen=True)
class RewardInfo:
    """`meaning`: what a higher raw value means. `low`, `high`: where raw values of ordinary pictures lie."""

    name: str
    label: str
    unit: str
    meaning: str
    low: float
    high: float


_ALL = (
    RewardInfo("incompressibility", "Hard to compress", "kB", "more detail and texture: a larger JPEG file at quality 95", 0.6, 200.0),
    RewardInfo("compressibility", "Easy to compress", "kB", "plainer: a smaller JPEG file at quality 95, counted below zero", -200.0, -0.6),
    RewardInfo("colourfulness", "Colourful", "", "stronger and more different colours; 0 is grey, 109 is extreme", 0.0, 250.0),
    RewardInfo("brightness", "Bright", "", "lighter on the whole: 0 is black, 1 is white", 0.0, 1.0),
    RewardInfo("clip_score", "Matches prompt", "", "the picture fits its prompt better: cosine of the two in CLIP's space", -1.0, 1.0),
    RewardInfo("style_preference", "Preferred style", "log-odds", "more surely the preferred style; 0 is even odds", -20.0, 20.0),
    RewardInfo("own", "Your own reward", "", "whatever your Python file scores higher", float("-inf"), float("inf")),
)
REGISTRY: dict[str, RewardInfo] = {r.name: r for r in _ALL}


def check_names(names: Iterable[str]) -> None:
    """Raises UserError at the first name that is no reward, with the nearest one and the list."""
    for name in names:
        if name not in REGISTRY:
            near = difflib.get_close_matches(str(name), REGISTRY, n=1)
            hint = f"Did you mean {near[0]}? " if near else ""
            raise UserError(f"rewards: {name!r} is no reward. {hint}There are: {', '.join(REGISTRY)}.", "rewards")
