"""Folders and hub names as people type them: whatever is typed, the answer is a folder, a name or no."""

from __future__ import annotations

import os
import re
from pathlib import Path

_HUB = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}/[A-Za-z0-9_][A-Za-z0-9_.-]{0,95}")  # owner/name, as huggingface_hub takes them
_LONGEST = 60  # letters of a wrong name in a sentence


def folder(name: str) -> Path | None:
    """The folder that `name` means, or None. Names that no file system holds (too long, with a NUL, an unknown ~user) are none."""
    path = os.path.expanduser(name)
    return Path(path) if os.path.isdir(path) else None  # Path.is_dir raises for some of them


def is_hub_name(name: str) -> bool:
    """Whether `name` has the form owner/name; whether there is such a model only the hub knows."""
    return _HUB.fullmatch(name) is not None


def quoted(name: object) -> str:
    """What was given as a name, in quotation marks and on one line, cut to 60 letters."""
    return repr(f"{name[: _LONGEST - 1]}…" if isinstance(name, str) and len(name) > _LONGEST else name)
