"""Lays out the UMAP of a run beside the training: `python -m core.mapper RUN_DIR`, one process, low priority.

UMAP compiles for seconds on a new machine and its fit is slow, so it never runs in the trainer or in the studio. This process reads
pictures from the run's database and writes only their umap_x and umap_y. If it fails, the studio stays on PCA.
"""

from __future__ import annotations

import os
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
import psutil

from .errors import UserError
from .runs.database import ALIVE, Database, unpack
from .runs.folder import Run, state

PAUSE = 1.0  # seconds between looks into the database
BATCH = 1000  # pictures placed at once


class Projector(Protocol):
    """A map fitted on base pictures. `base` (N, 2): where they are."""

    base: np.ndarray

    def transform(self, features: np.ndarray) -> np.ndarray: ...


def _umap(features: np.ndarray, seed: int) -> Projector:
    from .diversity.projection import UmapMap

    return UmapMap.fit(features, seed)


def _write(db: Database, ids: list[int], places: np.ndarray) -> None:
    finite = np.isfinite(places).all(axis=1)
    db.update_pictures(("umap_x", "umap_y"), [(float(x), float(y), i) for i, (x, y), ok in zip(ids, places, finite, strict=True) if ok])


class Mapper:
    """Fits each mapped prompt once its base pictures are complete and places every later picture of it.

    `fit(features, seed)` makes the map. Equal base pictures give an equal map, so after a resume the pictures that are
    already placed keep their place; on a machine where the fit comes out otherwise they are all placed anew.
    """

    def __init__(self, db: Database, base_pictures: int, seed: int, fit: Callable[[np.ndarray, int], Projector] = _umap):
        self.db = db
        self.base_pictures = base_pictures
        self.seed = seed
        self.fit = fit
        self.maps: dict[int, Projector] = {}
        self.seen = 0  # newest picture that was looked at

    def step(self) -> int:
        """Do what can be done now; returns the number of pictures placed."""
        placed = self._follow()
        for prompt in self._ready():
            placed += self._lay_out(prompt)
        return placed

    def _ready(self) -> list[int]:
        """Mapped prompts without a map whose base pictures are all there."""
        found = self.db.rows(
            "SELECT p.prompt, COUNT(*) AS n FROM prompts p JOIN pictures b ON b.kind = 'base' AND b.prompt = p.prompt "
            "WHERE p.mapped = 1 GROUP BY p.prompt ORDER BY p.prompt"
        )
        return [r["prompt"] for r in found if r["prompt"] not in self.maps and r["n"] >= self.base_pictures]

    def _lay_out(self, prompt: int) -> int:
        rows = self.db.rows("SELECT id, umap_x, umap_y, embedding FROM pictures WHERE kind = 'base' AND prompt = ? ORDER BY id", prompt)
        self.maps[prompt] = fitted = self.fit(unpack(r["embedding"] for r in rows), self.seed)
        before = np.array([(r["umap_x"], r["umap_y"]) for r in rows], dtype=np.float64)
        if not np.allclose(before, fitted.base, atol=1e-3):
            later = self.db.rows("SELECT id FROM pictures WHERE kind IN ('train', 'sample') AND prompt = ? AND umap_x IS NOT NULL", prompt)
            self.db.update_pictures(("umap_x", "umap_y"), [(None, None, r["id"]) for r in later])
            _write(self.db, [r["id"] for r in rows], fitted.base)
        placed = len(rows)
        earlier = self.db.rows(
            "SELECT id, prompt, embedding FROM pictures WHERE kind IN ('train', 'sample') AND prompt = ? AND umap_x IS NULL AND id <= ?",
            prompt, self.seen,
        )  # fmt: skip
        for start in range(0, len(earlier), BATCH):
            placed += self._place(earlier[start : start + BATCH])
        self.db.add_event("map", self.db.status().get("iteration", 0), prompt=prompt, method="umap")
        return placed

    def _follow(self) -> int:
        placed = 0
        while rows := self.db.rows(
            "SELECT id, kind, prompt, umap_x, embedding FROM pictures WHERE id > ? ORDER BY id LIMIT ?", self.seen, BATCH
        ):
            self.seen = rows[-1]["id"]
            placed += self._place([r for r in rows if r["kind"] != "base" and r["umap_x"] is None])
        return placed

    def _place(self, rows: list[sqlite3.Row]) -> int:
        """Write the places of those rows whose prompt has a map."""
        placed = 0
        for prompt in sorted({r["prompt"] for r in rows} & self.maps.keys()):
            mine = [r for r in rows if r["prompt"] == prompt]
            _write(self.db, [r["id"] for r in mine], self.maps[prompt].transform(unpack(r["embedding"] for r in mine)))
            placed += len(mine)
        return placed


def follow(run: Run, fit: Callable[[np.ndarray, int], Projector] = _umap, pause: float = PAUSE) -> None:
    """Map `run` until it has ended, or the process that started this one is gone, and nothing is left to place.

    A failure becomes a warning in the run.
    """
    parent = os.getppid()
    config = run.config()
    with run.database() as db:
        mapper = Mapper(db, config.base_pictures, config.seed, fit)
        try:
            while True:
                # Read before placing: what the worker wrote before it ended is then still placed.
                alive = state(db.status()) in (*ALIVE, "silent") and not _orphaned(parent)  # a silent worker may come back
                if mapper.step() == 0:
                    if not alive:
                        break
                    time.sleep(pause)
        except Exception as error:  # whatever goes wrong here must not reach the run; the studio has PCA
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            message = f"The UMAP layout stopped ({reason}). The map shows PCA; the run goes on."
            db.add_event("warning", db.status().get("iteration", 0), message=message)


def _orphaned(parent: int) -> bool:
    """True once the process that started this one is gone. Windows keeps the old number, others hand the child on."""
    return not psutil.pid_exists(parent) if os.name == "nt" else os.getppid() != parent


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: python -m core.mapper RUN_DIR", file=sys.stderr)
        return 2
    os.environ["NUMBA_NUM_THREADS"] = "1"
    os.environ.setdefault("NUMBA_OPT", "1")  # compiles in two thirds of the time and places as quickly
    if hasattr(os, "nice"):
        os.nice(10)
    try:
        follow(Run(Path(sys.argv[1])))
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
