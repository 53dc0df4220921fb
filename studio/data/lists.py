"""Ready prompt lists: the text files of presets/prompts, whose README names sources and licences."""

from __future__ import annotations

import functools
from typing import Any

from core import prompt_files


@functools.cache
def ready() -> list[dict[str, Any]]:
    """Every shipped list, shortest first: its name, title, where it is from, and its prompts."""
    found = []
    for path in prompt_files.SHIPPED.glob("*.txt"):
        words = [line.lstrip("# ").strip() for line in path.read_text(encoding="utf-8").splitlines()[:2] if line.startswith("#")]
        title, source = (*words, path.stem, "")[:2] if words else (path.stem, "")
        found.append({"name": path.stem, "title": title, "source": source, "prompts": list(prompt_files.listed(path.stem))})
    return sorted(found, key=lambda one: (len(one["prompts"]), one["name"]))
