"""The heartbeat of a run's trainer, by which others know that it is alive though a step is long."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from typing import Any

from .database import Database

EVERY = 1.0  # seconds


class Heart:
    """Beats in a thread of its own until it is closed, or the block is left; `told()` gives what is written with every beat."""

    def __init__(self, db: Database, told: Callable[[], dict[str, Any]] = dict):
        self.db, self._told = db, told
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="heart", daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        while not self._ended.wait(EVERY):
            told = self._told()
            try:
                self.db.set_status(**told)
            except sqlite3.Error:  # a disk that is full for a moment: miss one beat, not all that follow
                continue

    def close(self) -> None:
        self._ended.set()
        self._thread.join()

    def __enter__(self) -> "Heart":
        return self

    def __exit__(self, *_) -> None:
        self.close()
