"""Binary answers: uint32 length of a JSON text (little-endian), the text padded with spaces to a multiple of 4 bytes, then what it tells of.

Read by studio/static/lib/packed.js.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any


def packed(told: dict[str, Any], parts: Iterable[bytes]) -> bytes:
    """`told` as the text, then `parts` one after another."""
    text = json.dumps(told).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + b"".join(parts)
