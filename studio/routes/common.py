"""What all routes share: the runs folder, and how a name in an address becomes a run inside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi import Request
from fastapi.responses import Response

from core.config import NAME
from core.errors import UserError
from core.runs.database import Database
from core.runs.folder import Run

from ..data import lesson, watched

Starter = Callable[..., Any]


@dataclass(frozen=True)
class Place:
    """The runs folder, and `starter(run, resume=False)`, which starts a trainer on a run of it."""

    runs: Path
    starter: Starter

    def run(self, name: str) -> Run:
        """The run called `name` inside the runs folder, or a watched or recorded one, which is only read. Raises UserError."""
        if name.startswith(lesson.PREFIX):
            return lesson.run(name)
        run = watched.read(self.runs).get(name) if "@" in name else None
        if run is not None:
            return run
        run = Run(self.runs / name)
        if not NAME.fullmatch(name) or run.path.resolve().parent != self.runs.resolve() or not run.exists():
            raise UserError(f"There is no run {name!r} here.", "run")
        return run

    def own(self, name: str) -> Run:
        """The run called `name`, to be changed. Raises UserError if it is one that is only watched, or recorded."""
        run = self.run(name)
        if lesson.holds(run):
            raise UserError("This is a recorded run of the lesson: it can only be looked at.")
        if watched.holds(run):
            raise UserError(f"{name} is only watched: it is driven elsewhere. Pause, turn or stop it there.")
        return run

    def reading(self, name: str) -> Database:
        return self.run(name).database(readonly=True)

    def refuse_changes(self, request: Request) -> None:
        """A dependency of every route: whatever would change a run is refused for one that is only watched or recorded."""
        name = request.path_params.get("name")
        if request.method not in ("GET", "HEAD") and name and ("@" in name or name.startswith(lesson.PREFIX)):
            self.own(name)


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
