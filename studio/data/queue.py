"""The queue's runner: starts waiting runs one after another, while the studio is open.

Any trainer in the runs folder counts, whoever started it: the next run waits until none is left. Two studios on one
folder start nothing twice, because a run is marked as starting before it leaves the queue, and a trainer gives way to
one that has the run already.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from core.errors import UserError
from core.runs import checkpoints, folder, queue
from core.runs.database import ALIVE
from core.runs.folder import Run

from . import measuring, setup, started

EVERY = 2.0  # seconds between looks


class Runner:
    """Looks after the queue of `runs`; `starter(run, resume=...)` starts a trainer."""

    def __init__(self, runs: Path, starter: Callable[..., Any]):
        self.runs, self.starter = runs, starter
        self._look = threading.Event()

    def begin(self) -> None:
        threading.Thread(target=self._watch, name="queue", daemon=True).start()

    def wake(self) -> None:
        """The queue was changed: look now."""
        self._look.set()

    def _watch(self) -> None:
        while True:
            self._look.wait(EVERY)
            self._look.clear()
            try:
                self.step()
            except (OSError, UserError):  # a folder that is away for a moment; the next look may find it
                continue

    def step(self) -> str | None:
        """Start the first run of the queue if no trainer is at work; its name, or None."""
        waiting = queue.read(self.runs)
        if not waiting.runs:
            return None
        at_work = busy(self.runs)
        if at_work in waiting.runs:  # a person was faster
            queue.remove(self.runs, at_work)
        if waiting.held or at_work:
            return None
        run = Run(self.runs / waiting.runs[0])
        try:
            folder.check_disk(run.path)
        except UserError as error:
            queue.hold(self.runs, True, reason=str(error))
            return None
        with run.database() as db:
            db.set_status(state="preparing", message="Starting the trainer", remedy="", details="", pid=None)
        queue.remove(self.runs, run.name)
        measuring.stop(self.runs)  # as Start does: a trial would take the memory that the run needs
        try:
            started.remember(run, self.starter(run, resume=bool(checkpoints.all_of(run))))
        except OSError as error:
            with run.database() as db:
                db.set_status(state="failed", message=f"The trainer could not be started ({error.strerror or error}).")
        return run.name


def enqueue(runs: Path, name: str) -> None:
    """Put a run of the folder at the end of the queue. Raises UserError if it is at work or has nothing left to do."""
    run = Run(runs / name)
    with run.database(readonly=True) as db:
        status = db.status()
    if is_busy(run, status):
        raise UserError(f"{name} has a trainer already.", "queue")
    if status.get("state") == "finished":
        raise UserError(f"{name} has finished. Duplicate it to Setup to run it again.", "queue")
    queue.append(runs, name)


def make(values: dict[str, Any], name: str, runs: Path) -> Run:
    """A new run that waits in the queue. Raises UserError that names the wrong field."""
    run = setup.make(values, name, runs)
    with run.database() as db:
        db.set_status(state="stopped", message="Waits in the queue.")
    queue.append(runs, name)
    return run


def is_busy(run: Run, status: dict) -> bool:
    state = started.state(run, status)
    return state in ALIVE or state == "silent"


def busy(runs: Path) -> str | None:
    """A run of the folder that has a trainer, or None."""
    for run in folder.find(runs):
        try:
            modified = tuple(_modified(run.path / name) for name in ("run.db", "run.db-wal"))
            if is_busy(run, dict(_status(run, modified))):
                return run.name
        except UserError:
            continue  # what cannot be read has no trainer
    return None


def _modified(file: Path) -> int:
    try:
        return os.stat(file).st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=512)
def _status(run: Run, modified: tuple[int, ...]) -> tuple[tuple[str, Any], ...]:
    """The status row, read again only when the database changes."""
    with run.database(readonly=True) as db:
        return tuple(db.status().items())
