"""The worker's side of the commands: pause and stop between micro-steps, dials and pictures between iterations."""

from __future__ import annotations

import time
from collections.abc import Callable

from .config import FIELDS, LIVE, RunConfig
from .errors import UserError
from .footprint import memory
from .runs.database import Database
from .runs.heart import Heart

POLL_EVERY = 0.1  # seconds between looks at the commands
PAUSED_POLL = 0.1


class Stopped(Exception):
    """A person asked the run to stop."""


class Control:
    """Answers commands on the worker's own thread; its heart beats beside, also while a step is long."""

    def __init__(self, db: Database, device_type: str = "cpu"):
        self.db, self.device_type = db, device_type
        self.while_paused: Callable[[], object] = lambda: None  # short pieces of work for a pause
        self._looked = 0.0
        self._heart = Heart(db, self._memory)

    def close(self) -> None:
        self._heart.close()

    def _memory(self) -> dict[str, int]:
        used, total = memory(self.device_type)
        return {"memory_used": used, "memory_total": total}

    def between(self) -> None:
        """Called between micro-steps. Raises Stopped; waits here while paused."""
        if time.monotonic() - self._looked < POLL_EVERY:
            return
        self._looked = time.monotonic()
        for command, kind, _ in self.db.pending():
            if kind == "stop":
                self._stop(command)
            if kind in ("pause", "resume"):
                self.db.answer(command)
            if kind == "pause":
                self.pause()
                return

    def _stop(self, command: int) -> None:
        self.db.set_status(state="stopping", message="Stopping")
        self.db.answer(command)
        raise Stopped

    def pause(self, why: str = "Paused") -> None:
        """Wait until a person resumes. Raises Stopped."""
        before = self.db.status()["state"]
        self.db.set_status(state="paused", message=why)
        self.db.add_event("state", self.db.status()["iteration"] + 1, state="paused")
        while True:
            self.while_paused()
            time.sleep(PAUSED_POLL)
            for command, kind, _ in self.db.pending():
                if kind == "stop":
                    self._stop(command)
                if kind in ("pause", "resume"):
                    self.db.answer(command)
                if kind == "resume":
                    self.db.set_status(state=before, message="")
                    self.db.add_event("state", self.db.status()["iteration"] + 1, state="running")
                    return

    def take_changes(self, config: RunConfig, iteration: int, adopt: Callable[[RunConfig], None]) -> RunConfig:
        """Turned dials, adopted in order; each change in force from `iteration` on is an event."""
        for command, kind, body in self.db.pending():
            if kind != "set":
                continue
            try:
                changes = body["changes"] if "changes" in body else {str(body.get("name")): body.get("value")}
                if not isinstance(changes, dict) or not changes:
                    raise UserError(f"set: {changes!r} is no change. Send the names of settings with their values.")
                fixed = [name for name in changes if name not in LIVE]
                if fixed:
                    label = FIELDS[fixed[0]].json_schema_extra["label"] if fixed[0] in FIELDS else fixed[0]
                    raise UserError(f"{fixed[0]}: {label} is fixed when the run starts. These can change: {', '.join(LIVE)}.")
                changed = config.with_changes(**changes)
                adopt(changed)
            except UserError as error:
                self.db.answer(command, str(error))
                continue
            if not self.db.answer(command):  # undone while it was looked at
                adopt(config)
                continue
            for name in changes:
                old, new = getattr(config, name), getattr(changed, name)
                if old != new:
                    self.db.add_event("dial", iteration, name=name, old=old, new=new)
            config = changed
        return config

    def take_samples(self) -> list[tuple[int, dict]]:
        """Waiting requests for pictures: (command id, body)."""
        return [(command, body) for command, kind, body in self.db.pending() if kind == "sample"]
