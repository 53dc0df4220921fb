"""The shipped presets: a YAML file each, that opens with its title and a sentence, in folders that group them."""

from __future__ import annotations

import difflib
from pathlib import Path

from .config import ROOT, RunConfig, load
from .errors import UserError

PRESETS = ROOT / "presets"
PRESET_GROUPS = {"": "On the embedded model", "rivals": "Bases and rivals on the embedded model", "real": "On models from the hub, with the papers' dials"}
_CARDS = ("collapse-demo", "diverse-grpo", "drift-style", "hrf", "hrf-d", "ddpo")  # the order that people meet them in


def preset_names(group: str = "") -> list[str]:
    """Shipped presets of a group (a folder of presets/), the demo first."""
    names = sorted(p.stem for p in (PRESETS / group).glob("*.yaml"))
    return sorted(names, key=lambda n: (_CARDS.index(n) if n in _CARDS else len(_CARDS), n))


def preset_path(name: str) -> Path:
    known = {n: PRESETS / group / f"{n}.yaml" for group in PRESET_GROUPS for n in preset_names(group)}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {near[0]}?" if near else f"There are: {', '.join(known)}."
        raise UserError(f"preset {name!r} does not exist. {hint}")
    return known[name]


def load_preset(name: str) -> RunConfig:
    return load(preset_path(name))


def preset_words(name: str) -> tuple[str, str]:
    """(title, sentence): the two plain lines that a preset opens with."""
    lines = preset_path(name).read_text(encoding="utf-8").splitlines()
    words = [line.lstrip("# ").strip() for line in lines[:2] if line.startswith("#")]
    return (words + ["", ""])[0], (words + ["", ""])[1]
