"""The studio's scripts and styles, under an address that changes with them: a browser keeps them for good, and is never half old.

`/studio/static/<version>/manymodes.js` imports its neighbours by relative addresses, so the version in the page's head
is that of all of them. Without it each of some 110 files would be asked for anew, or asked about, on every load.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles

PLACE = Path(__file__).parent / "static"
URL = "/studio/static"
_VERSIONED = re.compile(r"v[0-9a-f]{12}[\\/]")  # StaticFiles hands on the path with the system's own slashes
FOR_GOOD = "public, max-age=31536000, immutable"


def version() -> str:
    """Of the files as they are now: v and twelve digits, from their names, sizes and times of change."""
    stats = ((file, file.stat()) for file in sorted(PLACE.rglob("*")) if file.suffix in (".js", ".css"))
    told = "\n".join(f"{file.relative_to(PLACE).as_posix()} {stat.st_size} {stat.st_mtime_ns}" for file, stat in stats)
    return "v" + hashlib.sha256(told.encode()).hexdigest()[:12]


class VersionedFiles(StaticFiles):
    """Files of PLACE, kept by a browser for good if they are asked for with a version, else asked about on every load."""

    def __init__(self) -> None:
        super().__init__(directory=PLACE)

    async def get_response(self, path: str, scope: Any) -> Response:
        found = _VERSIONED.match(path)
        response = await super().get_response(path[found.end() :] if found else path, scope)
        response.headers["Cache-Control"] = FOR_GOOD if found else "no-cache"
        return response
