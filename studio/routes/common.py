"""What all routes share: the runs folder, and how a name in an address becomes a run inside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.responses import Response

from core.config import NAME
from core.errors import UserError
from core.runs.database import Database
from core.runs.folder import Run

Starter = Callable[..., Any]


@dataclass(frozen=True)
class Place:
    """The runs folder, and `starter(run, resume=False)`, which starts a trainer on a run of it."""

    runs: Path
    starter: Starter

    def run(self, name: str) -> Run:
        """The run called `name` inside the runs folder. Raises UserError."""
        run = Run(self.runs / name)
        if not NAME.fullmatch(name) or run.path.resolve().parent != self.runs.resolve() or not run.exists():
            raise UserError(f"There is no run {name!r} here.", "run")
        return run

    def reading(self, name: str) -> Database:
        return self.run(name).database(readonly=True)


def binary(data: bytes) -> Response:
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})


def as_dict(body: dict, key: str) -> dict:
    """body[key] as names with values. Raises UserError."""
    value = body.get(key)
    if not isinstance(value, dict):
        raise UserError(f"{key}: expected names with values.", key)
    return value


def as_int(body: dict, key: str) -> int:
    """body[key] as a whole number. Raises UserError."""
    value = body.get(key)
    if not isinstance(value, int):
        raise UserError(f"{key}: expected a whole number.", key)
    return value
