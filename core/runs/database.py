"""run.db: SQLite in WAL mode, one writer for facts (the worker), any number of readers, commands from anyone."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError

SCHEMA = Path(__file__).with_name("schema.sql").read_text()
STATES = ("preparing", "running", "pausing", "paused", "sampling", "stopping", "stopped", "finished", "failed", "replay")
ALIVE = ("preparing", "running", "pausing", "paused", "sampling", "stopping")
COMMANDS = ("pause", "resume", "stop", "set", "sample")

# What iterations.metrics holds. Per-prompt values come as {"<prompt index>": value}.
METRICS = {
    "reward": "mean weighted reward, on the base's scale (0 = base mean, 1 = one base spread)",
    "reward_raw": "mean raw value per reward name",
    "vendi": "effective number of looks: Vendi score per prompt (n = group size, kernel scaled on the base), then averaged; with HRF's late starts of the last n finished pictures",
    "vendi_by_prompt": "the same, per prompt",
    "distance": "mean pairwise perceptual distance in a group",
    "clusters": "mean number of spectral clusters",
    "largest_share": "mean share of the largest cluster",
    "look_shares": "per prompt: share of each look, then of 'new'",
    "look_rewards": "per prompt: mean reward of each look, null where empty",
    "loss": "policy loss", "kl": "approximate KL to the rollout policy", "pull": "KL to the base", "leash": "leash penalty by step",
    "ratio_mean": "mean ratio", "ratio_max": "largest ratio", "ratio_min": "smallest ratio", "first_ratio": "largest |ratio - 1| before the first update",
    "clip_fraction": "share of clipped ratios", "grad_norm": "norm before clipping", "zero_std": "share of groups without any spread",
    "corr_reward": "correlation of advantage and reward", "corr_bonus": "correlation of advantage and bonus",
    "seconds": "per phase: rollout, decode, reward, diversity, update, write",
    "dials": "the live dials in force",
    "window": "[start, [trained steps]] of the iteration",
    "sigmas": "of iteration 0 only: the T + 1 noise levels of a rollout",
}


def _to_read(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing. In a folder that cannot be written WAL has no place for its index (sqlite.org/wal.html, 5):
    the file is read as it is, without what a crash left in run.db-wal.
    """
    def opened(how: str) -> sqlite3.Connection:
        db = sqlite3.connect(f"{path.absolute().as_uri()}?{how}", uri=True, timeout=10, check_same_thread=False)
        try:
            db.execute("SELECT id FROM status")  # opening is lazy: a file that is no run.db shows here
        except sqlite3.Error:
            db.close()
            raise
        return db

    try:
        return opened("mode=ro")
    except sqlite3.OperationalError:
        if os.access(path.parent, os.W_OK):
            raise
        return opened("mode=ro&immutable=1")


def to_wal(db: sqlite3.Connection, patience: float = 10.0) -> None:
    """Readers and a writer beside each other from now on. Raises sqlite3.OperationalError.

    The change needs the file for itself, and SQLite does not wait for that as it waits otherwise: of two that open a new file at once, one
    would fail ("database is locked").
    """
    end = time.monotonic() + patience
    while True:
        try:
            db.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(0.02)


class Database:
    """One connection to a run.db. Safe to share between threads of a process (one lock)."""

    def __init__(self, path: Path, *, readonly: bool = False, create: bool = False):
        self.path = Path(path)
        if not create and not self.path.exists():
            raise UserError(f"{self.path.parent}: there is no run here. Name a folder that holds run.db.")
        self._lock = threading.RLock()
        try:
            if readonly:
                self._db = _to_read(self.path)
            else:
                self._db = sqlite3.connect(self.path, timeout=10, check_same_thread=False)
                to_wal(self._db)
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise UserError(f"{self.path}: the run's database cannot be opened ({error}). Check the folder's permissions and free space.") from None
        self._db.row_factory = sqlite3.Row

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __enter__(self) -> "Database":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        with self._lock:
            return self._db.execute(sql, values).fetchone()

    def write(self, sql: str, *values: Any) -> int:
        """One statement in its own transaction; returns the last row id."""
        with self._lock, self._db:
            return self._db.execute(sql, values).lastrowid

    # --- status -------------------------------------------------------------------------------------------------
    def status(self) -> dict[str, Any]:
        row = self.row("SELECT * FROM status WHERE id = 0")
        return dict(row) if row else {}

    def set_status(self, **values: Any) -> None:
        """Change fields of the status row; every change is a heartbeat."""
        if "state" in values and values["state"] not in STATES:
            raise ValueError(f"state {values['state']!r} is none of {STATES}")
        values["heartbeat"] = time.time()
        with self._lock, self._db:
            self._db.execute("INSERT OR IGNORE INTO status (id, state) VALUES (0, 'preparing')")
            columns = ", ".join(f"{name} = ?" for name in values)
            self._db.execute(f"UPDATE status SET {columns} WHERE id = 0", tuple(values.values()))

    # --- facts --------------------------------------------------------------------------------------------------
    def add_event(self, kind: str, iteration: int, **body: Any) -> int:
        return self.write("INSERT INTO events (time, iteration, kind, body) VALUES (?, ?, ?, ?)", time.time(), iteration, kind, json.dumps(body))

    def add_iteration(self, iteration: int, seconds: float, metrics: dict[str, Any], pictures: Iterable[dict[str, Any]] = ()) -> None:
        """One finished iteration with its pictures, in one transaction: a reader sees all of it or nothing."""
        with self._lock, self._db:
            self._db.execute(
                "INSERT OR REPLACE INTO iterations (iteration, time, seconds, metrics) VALUES (?, ?, ?, ?)",
                (iteration, time.time(), seconds, json.dumps(metrics)),
            )
            self._insert_pictures(pictures)
            self._db.execute("UPDATE status SET iteration = max(iteration, ?), heartbeat = ? WHERE id = 0", (iteration, time.time()))

    def add_pictures(self, pictures: Iterable[dict[str, Any]]) -> list[int]:
        with self._lock, self._db:
            return self._insert_pictures(pictures)

    def _insert_pictures(self, pictures: Iterable[dict[str, Any]]) -> list[int]:
        ids = []
        for picture in pictures:
            names = ", ".join(picture)
            marks = ", ".join("?" * len(picture))
            ids.append(self._db.execute(f"INSERT INTO pictures ({names}) VALUES ({marks})", tuple(picture.values())).lastrowid)
        return ids

    def update_pictures(self, columns: tuple[str, ...], rows: Iterable[tuple]) -> None:
        """Set `columns` for many pictures; each row ends with the picture's id."""
        assignments = ", ".join(f"{c} = ?" for c in columns)
        with self._lock, self._db:
            self._db.executemany(f"UPDATE pictures SET {assignments} WHERE id = ?", list(rows))

    def forget_after(self, iteration: int) -> None:
        """Drop what a crashed worker wrote past its last checkpoint, so that a resumed run writes it anew."""
        with self._lock, self._db:
            self._db.execute("DELETE FROM iterations WHERE iteration > ?", (iteration,))
            self._db.execute("DELETE FROM pictures WHERE kind = 'train' AND iteration > ?", (iteration,))
            self._db.execute("DELETE FROM events WHERE iteration > ? AND kind IN ('checkpoint', 'warning')", (iteration + 1,))
            self._db.execute("DELETE FROM events WHERE iteration > ? AND kind IN ('alarm', 'failure')", (iteration,))
            self._db.execute("UPDATE status SET iteration = ? WHERE id = 0", (iteration,))

    # --- commands -----------------------------------------------------------------------------------------------
    def send(self, kind: str, **body: Any) -> int:
        """Ask the worker for something; returns the command's id."""
        if kind not in COMMANDS:
            raise UserError(f"command {kind!r} is unknown. Use one of {', '.join(COMMANDS)}.")
        return self.write("INSERT INTO commands (time, kind, body) VALUES (?, ?, ?)", time.time(), kind, json.dumps(body))

    def pending(self) -> list[tuple[int, str, dict[str, Any]]]:
        """Commands not yet taken, oldest first: (id, kind, body)."""
        found = self.rows("SELECT id, kind, body FROM commands WHERE taken IS NULL ORDER BY id")
        return [(r["id"], r["kind"], json.loads(r["body"])) for r in found]

    def answer(self, command: int, text: str = "ok") -> bool:
        """Take a command with an answer; False if it was undone or taken before."""
        with self._lock, self._db:
            changed = self._db.execute("UPDATE commands SET taken = ?, answer = ? WHERE id = ? AND taken IS NULL", (time.time(), text, command))
            return changed.rowcount == 1

    def undo(self, command: int) -> bool:
        """Take a waiting command back; False if the worker already took it."""
        with self._lock, self._db:
            changed = self._db.execute("UPDATE commands SET taken = ?, answer = 'undone' WHERE id = ? AND taken IS NULL", (time.time(), command))
            return changed.rowcount == 1

    # --- reading ------------------------------------------------------------------------------------------------
    def iterations(self, since: int = -1) -> list[dict[str, Any]]:
        """Finished iterations after `since`: iteration, time, seconds and the metrics, flat."""
        found = self.rows("SELECT * FROM iterations WHERE iteration > ? ORDER BY iteration", since)
        return [{"iteration": r["iteration"], "time": r["time"], "duration": r["seconds"], **json.loads(r["metrics"])} for r in found]

    def events(self, since: int = 0) -> list[dict[str, Any]]:
        found = self.rows("SELECT * FROM events WHERE id > ? ORDER BY id", since)
        return [{"id": r["id"], "time": r["time"], "iteration": r["iteration"], "kind": r["kind"], **json.loads(r["body"])} for r in found]


def pack(vector: np.ndarray) -> bytes:
    """An embedding as float16 bytes."""
    return np.ascontiguousarray(vector, dtype="<f2").tobytes()


def unpack(blobs: Iterable[bytes]) -> np.ndarray:
    """float32 (N, F) from stored embeddings."""
    return np.stack([np.frombuffer(b, dtype="<f2") for b in blobs]).astype(np.float32)
