"""compare.db in a run folder: what Compare asks for, and every picture and measure that was made for it.

A page says what it wants to see as a whole, again and again while it is open; whoever has the model (the trainer between
two iterations, else a sampler process of its own) makes the first thing that is wanted and missing. So a moved slider
needs no cancelling: what is no longer wanted is not made. Nothing here imports torch.

A side is (checkpoint, strength): the base model is checkpoint 0, strength counts in hundredths, and at strength 0 every
checkpoint is the base model.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ..config import ROOT
from ..errors import UserError
from . import checkpoints
from .database import to_wal
from .folder import Run, worker_process

MEASURED = 48  # pictures a side behind every measure, seeds 0 to 47; Vendi depends on the number, so it is always the same
STRONGEST = 150  # hundredths
LARGEST = 512 * 2**20  # bytes of pictures; the oldest are dropped first
KEPT_WEIGHTS = 3  # newest weights that were taken from a running trainer
LANES = SHOWN, THROUGH, OPENED, EVERY = range(4)  # pictures on screen; one seed at every checkpoint; measure of the prompt; of all prompts
LIFE = {SHOWN: 10.0, THROUGH: 10.0, OPENED: 120.0, EVERY: 120.0}  # seconds that a want outlives the last sign of its page
BASE = (0, 100)

SCHEMA = """
CREATE TABLE IF NOT EXISTS pictures (
    id INTEGER PRIMARY KEY AUTOINCREMENT,     -- never used twice, so that a browser may keep a picture for ever
    prompt INTEGER NOT NULL,                  -- index in the config's list
    checkpoint INTEGER NOT NULL,              -- iteration of the weights; 0 = base model
    strength INTEGER NOT NULL,                -- of the LoRA, in hundredths
    seed INTEGER NOT NULL,
    reward REAL,                              -- as in run.db: 0 = base mean, 1 = one base spread; null without a scale
    look INTEGER,                             -- 0 = A ...; -1 = new; null for a prompt without looks
    embedding BLOB NOT NULL,                  -- float16, the measure that training uses
    pixels BLOB NOT NULL,                     -- float16 (3, 16, 16): what the held-out measure sees
    picture BLOB NOT NULL,                    -- lossless WebP
    thumb BLOB,                               -- small WebP of a large picture
    UNIQUE (prompt, checkpoint, strength, seed)
);
CREATE TABLE IF NOT EXISTS measures (
    prompt INTEGER NOT NULL, checkpoint INTEGER NOT NULL, strength INTEGER NOT NULL,
    body TEXT NOT NULL,                       -- JSON, see core.comparing.measure
    PRIMARY KEY (prompt, checkpoint, strength)
);
CREATE TABLE IF NOT EXISTS pages (
    page TEXT PRIMARY KEY,
    seen REAL NOT NULL,                       -- when it last asked
    wants TEXT NOT NULL,                      -- JSON list of Want
    take INTEGER                              -- wants the weights after this iteration or a later one
);
CREATE TABLE IF NOT EXISTS problems (         -- what could not be made, until somebody wants something else
    checkpoint INTEGER PRIMARY KEY, message TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS sampler (          -- one row: the process that serves while no trainer runs
    id INTEGER PRIMARY KEY CHECK (id = 0),
    pid INTEGER, process_started REAL,
    state TEXT NOT NULL,                      -- loading | ready | ended | failed
    message TEXT NOT NULL DEFAULT '', details TEXT NOT NULL DEFAULT ''
);
"""


@dataclass(frozen=True)
class Want:
    """Pictures of one prompt on one side; with `measure`, the numbers over them too."""

    lane: int
    prompt: int
    checkpoint: int
    strength: int
    seeds: tuple[int, ...]
    measure: bool = False

    @property
    def side(self) -> tuple[int, int]:
        return self.checkpoint, self.strength


def side(checkpoint: int, strength: int) -> tuple[int, int]:
    """(checkpoint, strength) by which pictures are kept. Raises UserError for a strength out of range."""
    if not 0 <= strength <= STRONGEST:
        raise UserError(f"strength: {strength / 100:g} is out of range. Use 0 to {STRONGEST / 100:g}.", "strength")
    return (checkpoint, strength) if checkpoint and strength else BASE


class Store:
    """One connection to a run's compare.db. Safe to share between threads of a process (one lock).

    readonly: what is there can be read, nothing is asked for; a file that is not there counts as empty.
    """

    def __init__(self, run: Run, *, largest: int = LARGEST, readonly: bool = False):
        self.run, self.largest = run, largest
        self._lock = threading.RLock()
        file = path(run)
        fresh = not file.exists()
        place = file.absolute().as_uri() + ("?mode=ro" if readonly else "")
        try:
            self._db = sqlite3.connect("file::memory:" if readonly and fresh else place, uri=True, timeout=10, check_same_thread=False)
            self._db.row_factory = sqlite3.Row
            if readonly and not fresh:
                self._db.execute("SELECT id FROM pictures LIMIT 1")  # opening is lazy: a file that is no compare.db shows here
                return
            to_wal(self._db)
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.executescript(SCHEMA)
            if fresh:  # a run of the same name may have been here before: its numbers must not come again
                self._write("INSERT INTO sqlite_sequence (name, seq) SELECT 'pictures', ? WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = 'pictures')", time.time_ns() // 1_000_000)
        except sqlite3.Error as error:
            raise UserError(f"{file}: pictures cannot be kept here ({error}). Check the folder's permissions and free space.") from None

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def _rows(self, sql: str, *values: Any) -> list[sqlite3.Row]:
        with self._lock:
            return self._db.execute(sql, values).fetchall()

    def _row(self, sql: str, *values: Any) -> sqlite3.Row | None:
        with self._lock:
            return self._db.execute(sql, values).fetchone()

    def _write(self, sql: str, *values: Any) -> int:
        with self._lock, self._db:
            return self._db.execute(sql, values).rowcount

    # --- asking -------------------------------------------------------------------------------------------------
    def want(self, page: str, wants: Iterable[Want], take: int | None = None) -> None:
        """All that `page` wants from now on, in place of what it wanted before. `take`: see `taken_for`."""
        now, text = time.time(), json.dumps([asdict(w) for w in wants])
        with self._lock, self._db:
            before = self._db.execute("SELECT wants, take FROM pages WHERE page = ?", (page,)).fetchone()
            if before is not None and (before["wants"], before["take"]) == (text, take):
                self._db.execute("UPDATE pages SET seen = ? WHERE page = ?", (now, page))
                return
            self._db.execute("INSERT OR REPLACE INTO pages (page, seen, wants, take) VALUES (?, ?, ?, ?)", (page, now, text, take))
            self._db.execute("DELETE FROM pages WHERE seen < ?", (now - max(LIFE.values()),))
            self._db.execute("DELETE FROM problems")

    def asked(self) -> bool:
        """True if a page asked for something lately: all that a trainer looks at when nobody compares."""
        return self._row("SELECT 1 FROM pages WHERE seen > ?", time.time() - max(LIFE.values())) is not None

    def wants(self) -> list[Want]:
        """What is wanted now: by lane, within a lane of the page that was seen last, then in the order that it named."""
        found, now = [], time.time()
        for row in self._rows("SELECT seen, wants FROM pages ORDER BY seen DESC"):
            for body in json.loads(row["wants"]):
                wanted = Want(**{**body, "seeds": tuple(body["seeds"])})
                if now - row["seen"] < LIFE[wanted.lane]:
                    found.append(wanted)
        return sorted(found, key=lambda w: w.lane)

    def next(self) -> Want | None:
        """The first thing that is wanted and missing: its missing pictures, or with `measure` and no seeds its numbers."""
        refused = {r["checkpoint"] for r in self._rows("SELECT checkpoint FROM problems")}
        for wanted in self.wants():
            sides = (BASE, wanted.side) if wanted.measure else (wanted.side,)
            if any(where[0] in refused for where in sides) or (wanted.measure and self.measure(wanted.prompt, wanted.side)):
                continue
            for where in sides:
                there = self._seeds(wanted.prompt, where, wanted.seeds)
                missing = tuple(s for s in wanted.seeds if s not in there)
                if missing:
                    return Want(wanted.lane, wanted.prompt, *where, missing)
            if wanted.measure:
                return Want(wanted.lane, wanted.prompt, *wanted.side, (), True)
        return None

    def taken_for(self) -> int | None:
        """The least iteration after which a page wants to see the weights that are not saved, or None."""
        row = self._row("SELECT min(take) AS least FROM pages WHERE seen > ?", time.time() - LIFE[SHOWN])
        return row["least"]

    def refuse(self, checkpoint: int, message: str) -> None:
        """Remember why nothing of `checkpoint` can be made; it is not tried again until a page wants something else."""
        self._write("INSERT OR REPLACE INTO problems VALUES (?, ?)", checkpoint, message)

    def problems(self) -> dict[int, str]:
        return {r["checkpoint"]: r["message"] for r in self._rows("SELECT * FROM problems")}

    def forgive(self) -> None:
        """Try again what failed, with a new sampler too."""
        self._write("DELETE FROM problems")
        self._write("DELETE FROM sampler WHERE state = 'failed'")

    # --- pictures -----------------------------------------------------------------------------------------------
    def _seeds(self, prompt: int, where: tuple[int, int], seeds: Iterable[int]) -> set[int]:
        found = self._rows("SELECT seed FROM pictures WHERE prompt = ? AND checkpoint = ? AND strength = ?", prompt, *where)
        return {r["seed"] for r in found} & set(seeds)

    def add(self, prompt: int, where: tuple[int, int], pictures: Iterable[dict[str, Any]]) -> None:
        """Pictures with the columns seed, reward, look, embedding, pixels, picture, thumb; then the cap is kept."""
        with self._lock, self._db:
            for row in pictures:
                names = ["prompt", "checkpoint", "strength", *row]
                values = (prompt, *where, *row.values())
                self._db.execute(f"INSERT OR IGNORE INTO pictures ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})", values)
        self._trim()

    def _trim(self) -> None:
        """Drop the oldest pictures beyond the cap, but none that is wanted: it would be made again at once."""
        size = "length(picture) + length(embedding) + length(pixels) + coalesce(length(thumb), 0)"
        over = (self._row(f"SELECT sum({size}) AS bytes FROM pictures")["bytes"] or 0) - self.largest
        if over <= 0:
            return
        wanted = {(w.prompt, *where, s) for w in self.wants() for s in w.seeds for where in ((w.side, BASE) if w.measure else (w.side,))}
        dropped = []
        for row in self._rows(f"SELECT id, prompt, checkpoint, strength, seed, {size} AS bytes FROM pictures ORDER BY id"):
            if over <= 0:
                break
            if (row["prompt"], row["checkpoint"], row["strength"], row["seed"]) not in wanted:
                dropped.append((row["id"],))
                over -= row["bytes"]
        with self._lock, self._db:
            self._db.executemany("DELETE FROM pictures WHERE id = ?", dropped)

    def pictures(self, prompt: int, where: tuple[int, int], seeds: Iterable[int], columns: str = "id, seed, reward, look") -> dict[int, sqlite3.Row]:
        """Those of `seeds` that are there, by seed."""
        marks = ", ".join(str(int(s)) for s in seeds)
        sql = f"SELECT seed, {columns} FROM pictures WHERE prompt = ? AND checkpoint = ? AND strength = ? AND seed IN ({marks})"
        return {r["seed"]: r for r in self._rows(sql, prompt, *where)}

    def picture(self, number: int, *, small: bool = False) -> bytes | None:
        """WebP of one picture; `small`: a thumbnail if the picture is large."""
        row = self._row(f"SELECT {'coalesce(thumb, picture)' if small else 'picture'} AS data FROM pictures WHERE id = ?", number)
        return None if row is None else row["data"]

    def checkpoints_of(self, prompt: int, seed: int) -> set[int]:
        """Iterations of which this seed was drawn as trained, whether their weights are still there or not."""
        sql = "SELECT checkpoint FROM pictures WHERE prompt = ? AND seed = ? AND strength = 100 AND checkpoint > 0"
        return {r["checkpoint"] for r in self._rows(sql, prompt, seed)}

    def forget_after(self, iteration: int) -> None:
        with self._lock, self._db:
            for table in ("pictures", "measures", "problems"):
                self._db.execute(f"DELETE FROM {table} WHERE checkpoint > ?", (iteration,))

    # --- measures -----------------------------------------------------------------------------------------------
    def measure(self, prompt: int, where: tuple[int, int]) -> dict[str, Any] | None:
        row = self._row("SELECT body FROM measures WHERE prompt = ? AND checkpoint = ? AND strength = ?", prompt, *where)
        return None if row is None else json.loads(row["body"])

    def measures(self, where: tuple[int, int]) -> dict[int, dict[str, Any]]:
        """Every measured prompt of one side."""
        found = self._rows("SELECT prompt, body FROM measures WHERE checkpoint = ? AND strength = ?", *where)
        return {r["prompt"]: json.loads(r["body"]) for r in found}

    def add_measure(self, prompt: int, where: tuple[int, int], body: dict[str, Any]) -> None:
        self._write("INSERT OR REPLACE INTO measures VALUES (?, ?, ?, ?)", prompt, *where, json.dumps(body))

    # --- the sampler --------------------------------------------------------------------------------------------
    def sampler(self) -> dict[str, Any]:
        """State of the sampler: none, loading, ready, ended, failed, or died if its process is gone without a word."""
        row = self._row("SELECT * FROM sampler")
        if row is None:
            return {"state": "none", "message": "", "details": ""}
        found = dict(row)
        if found["state"] in ("loading", "ready") and worker_process(found) is None:
            found |= {"state": "died", "message": "The sampler stopped by itself (ended from outside, or for want of memory)."}
        return found

    def claim(self) -> bool:
        """Write this process in as the sampler; False if another one lives."""
        me = psutil.Process()
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            with self._db:
                row = self._db.execute("SELECT * FROM sampler").fetchone()
                other = worker_process(dict(row)) if row is not None and row["state"] in ("loading", "ready") else None
                if other is not None and other.pid != me.pid:
                    return False
                self._db.execute(
                    "INSERT OR REPLACE INTO sampler (id, pid, process_started, state) VALUES (0, ?, ?, 'loading')", (me.pid, me.create_time()),
                )
                return True

    def tell(self, state: str, message: str = "", details: str = "") -> None:
        """The sampler's own word on itself."""
        self._write("UPDATE sampler SET state = ?, message = ?, details = ? WHERE id = 0", state, message, details)


# --- files beside the database ----------------------------------------------------------------------------------------
def path(run: Run) -> Path:
    return run.path / "compare.db"


def weights_file(run: Run, iteration: int) -> Path:
    """The LoRA as it was after `iteration`, taken from a running trainer that did not save there."""
    return run.path / "compare" / f"{iteration:06d}.safetensors"


def taken(run: Run) -> list[int]:
    """Iterations of which the weights were taken, oldest first."""
    return sorted(int(p.stem) for p in (run.path / "compare").glob("*.safetensors") if p.stem.isdigit())


def forget_after(run: Run, iteration: int) -> None:
    """Drop what was made of later weights: a run that goes on from `iteration` makes them anew, perhaps otherwise."""
    for later in taken(run):
        if later > iteration:
            weights_file(run, later).unlink(missing_ok=True)
    if not path(run).exists():
        return
    try:
        with Store(run) as store:
            store.forget_after(iteration)
    except UserError:  # a file that cannot be read holds nothing that cannot be drawn again
        path(run).unlink(missing_ok=True)


def drop_old_weights(run: Run) -> None:
    for iteration in taken(run)[:-KEPT_WEIGHTS]:
        weights_file(run, iteration).unlink(missing_ok=True)


def available(run: Run) -> list[int]:
    """Iterations whose weights can be sampled from: checkpoints and what was taken, oldest first."""
    return sorted({*checkpoints.all_of(run), *taken(run)})


def weights(run: Run, iteration: int) -> dict[str, np.ndarray]:
    """The LoRA after `iteration`, saved or taken, by names that begin with lora/. Raises UserError if it cannot be read."""
    file = weights_file(run, iteration)
    if iteration in checkpoints.all_of(run) or not file.exists():
        return checkpoints.load(run, iteration, prefix="lora/")[0]
    try:
        return load_file(file)
    except (OSError, SafetensorError):
        raise UserError(f"The weights after {iteration} of {run.name} are damaged. Choose another checkpoint.") from None


def weights_made(run: Run, iteration: int) -> float:
    """When they were written, in seconds since 1970."""
    file = checkpoints.path(run, iteration) / "tensors.safetensors"
    return (file if file.exists() else weights_file(run, iteration)).stat().st_mtime


# --- the sampler's process ----------------------------------------------------------------------------------------------
def start_sampler(run: Run) -> subprocess.Popen:
    """Start the process that draws for Compare while no trainer runs; its output goes to log.txt. It ends by itself, also if this one is killed."""
    detached = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
    command = [sys.executable, "-m", "core.comparing", str(run.path.absolute()), str(os.getpid())]
    threads = {"GOMP_SPINCOUNT": "10000"}  # before torch is loaded, as for a trainer: see core.__main__
    with open(run.log, "ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=threads | os.environ, **detached)


def end_sampler(run: Run) -> bool:
    """End the sampler's process, before the folder is moved or deleted. True if one was ended."""
    if not path(run).exists():
        return False
    with Store(run) as store:
        found = store.sampler()
        process = worker_process(found) if found["state"] in ("loading", "ready") else None
        if process is None:
            return False
        process.kill()
        psutil.wait_procs([process], timeout=5)
        store.tell("ended")
        return True
