"""Dots of the map as binary columns, and the pictures behind them.

Layout of a binary answer: uint32 length of a JSON text, the text (padded with spaces to a multiple of 4 bytes), then
the columns, each little-endian and of n rows: x, y, reward float32; id, iteration uint32; prompt uint16; look uint8
(254 none, 255 new). A dot that is not laid out yet has x = y = NaN.
"""

from __future__ import annotations

import json
import time
from typing import Any, Literal

import numpy as np

from core.runs.database import Database

from .history import finite

Method = Literal["umap", "pca"]
_COLUMNS = (("x", "<f4"), ("y", "<f4"), ("reward", "<f4"), ("id", "<u4"), ("iteration", "<u4"), ("prompt", "<u2"), ("look", "u1"))
_NEW, _NONE = 255, 254
_LARGEST_BLOCK = 100_000  # dots in one answer
_PATIENCE = 60  # seconds


def method(db: Database, prompt: int) -> Method:
    """UMAP once every base picture of the prompt is laid out, PCA until then, or if the layout was left behind.

    New pictures are laid out a moment after they are made. Some that still wait a minute later wait for nobody.
    """
    row = db.row("SELECT count(*) AS all_of_them, count(umap_x) AS ready FROM pictures WHERE kind = 'base' AND prompt = ?", prompt)
    if not row["all_of_them"] or row["ready"] < row["all_of_them"]:
        return "pca"
    newest = db.row("SELECT max(iteration) AS i FROM pictures WHERE kind = 'train' AND prompt = ?", prompt)["i"]
    left = db.row(
        "SELECT i.time FROM pictures p JOIN iterations i ON i.iteration = p.iteration "
        "WHERE p.kind = 'train' AND p.prompt = ? AND p.iteration = ? AND p.umap_x IS NULL LIMIT 1",
        prompt,
        newest,
    )
    return "pca" if left is not None and time.time() - left["time"] > _PATIENCE else "umap"


def base(db: Database, prompt: int) -> bytes:
    """The fixed cloud of the base model. JSON: n, method."""
    return _pack(db, "kind = 'base' AND prompt = ?", (prompt,), method(db, prompt))


def points(db: Database, prompt: int, since: int, until: int, how: Method) -> bytes:
    """Pictures of the iterations since < iteration <= until, laid out by `how`. JSON: n, method."""
    return _pack(db, "kind = 'train' AND prompt = ? AND iteration > ? AND iteration <= ?", (prompt, since, until), how)


def _pack(db: Database, where: str, values: tuple, how: Method) -> bytes:
    found = db.rows(
        f"SELECT {how}_x, {how}_y, reward, id, iteration, prompt, look FROM pictures "
        f"WHERE {where} ORDER BY iteration, id LIMIT {_LARGEST_BLOCK}",
        *values,
    )
    columns = list(zip(*found)) or [()] * len(_COLUMNS)
    nan = float("nan")
    parts = []
    for (name, kind), column in zip(_COLUMNS, columns):
        if name == "look":
            column = [_NONE if v is None else _NEW if v < 0 else v for v in column]
        elif kind == "<f4":
            column = [nan if v is None else v for v in column]
        parts.append(np.asarray(column, dtype=kind).tobytes())
    text = json.dumps({"n": len(found), "method": how}).encode()
    text += b" " * (-len(text) % 4)
    return len(text).to_bytes(4, "little") + text + b"".join(parts)


def pictures(db: Database, prompt: int, iteration: int, count: int) -> dict[str, Any]:
    """The pictures of the newest iteration up to `iteration` that drew `prompt`; before the first, base pictures."""
    row = db.row("SELECT max(iteration) AS i FROM pictures WHERE kind = 'train' AND prompt = ? AND iteration <= ?", prompt, iteration)
    if row["i"] is None:
        found = db.rows(f"SELECT {_DETAILS} FROM pictures WHERE kind = 'base' AND prompt = ? ORDER BY position LIMIT ?", prompt, count)
        return {"iteration": 0, "pictures": [_details(r) for r in found]}
    found = db.rows(
        f"SELECT {_DETAILS} FROM pictures WHERE kind = 'train' AND prompt = ? AND iteration = ? ORDER BY position", prompt, row["i"]
    )
    return {"iteration": row["i"], "pictures": [_details(r) for r in found]}


_DETAILS = "id, kind, iteration, prompt, position, seed, reward, scores, bonus, cluster, look"


def picture(db: Database, number: int) -> dict[str, Any] | None:
    """One picture's details with its rank by reward in its group, or None."""
    row = db.row(f"SELECT {_DETAILS} FROM pictures WHERE id = ?", number)
    if row is None:
        return None
    group = db.row(
        "SELECT count(*) AS n, sum(reward > ?) AS better FROM pictures WHERE kind = ? AND prompt = ? AND iteration = ?",
        row["reward"],
        row["kind"],
        row["prompt"],
        row["iteration"],
    )
    return {**_details(row), "rank": (group["better"] or 0) + 1, "of": group["n"]}


def _details(row: Any) -> dict[str, Any]:
    # a seed may be larger than a JavaScript number holds exactly, so it travels as text
    return finite({**dict(row), "seed": str(row["seed"]), "scores": json.loads(row["scores"])})


def thumb(db: Database, number: int) -> bytes | None:
    row = db.row("SELECT thumb FROM pictures WHERE id = ?", number)
    return None if row is None else row["thumb"]
