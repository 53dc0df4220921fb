"""A person's text inside a sentence of the studio's own."""

from __future__ import annotations

import re

_TURNS = re.compile("[\u0590-\u08ff\u200e\u200f\u202a-\u202e\ufb1d-\ufdff\ufe70-\ufefc]")  # what may be read from the right
_ISOLATES = re.compile("[\u2066-\u2069]")
_LONGEST = 60  # letters of a prompt in a sentence


def apart(text: str, longest: int = _LONGEST) -> str:
    """`text`, cut to `longest` letters, so that its direction ends where it ends: isolated by Unicode's FSI and PDI (UAX #9)."""
    text = _ISOLATES.sub("", text)
    text = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return f"\u2068{text}\u2069" if _TURNS.search(text) else text
