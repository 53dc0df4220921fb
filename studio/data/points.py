"""Dots of the map as binary columns, and the pictures behind them.

A binary answer (packed.py) tells n and holds the columns, each little-endian and of n rows: x, y, reward float32; id, iteration
uint32; prompt uint16; look uint8 (254 none, 255 new). A dot that is not laid out yet has x = y = NaN.
"""

from __future__ import annotations

import json
import threading
import time
from collections import OrderedDict
from typing import Any, Literal

import numpy as np

from core.diversity.projection import Pca
from core.errors import UserError
from core.runs.database import Database, unpack

from .history import finite
from .packed import packed

Method = Literal["umap", "pca"]
_COLUMNS = (("x", "<f4"), ("y", "<f4"), ("reward", "<f4"), ("id", "<u4"), ("iteration", "<u4"), ("prompt", "<u2"), ("look", "u1"))
_NEW, _NONE = 255, 254
_LARGEST_BLOCK = 100_000  # dots in one answer
_PATIENCE = 60  # seconds
_FITTED_ON = 2000  # base pictures at most that the plane of all prompts is fitted on
_KEPT_PLANES = 8
_LISTED = 512  # pictures of all prompts in one answer


def method(db: Database, prompt: int) -> Method:
    """UMAP once every base picture of the prompt is laid out, PCA until then, or if the layout was left behind.

    New pictures are laid out a moment after they are made. Some that still wait a minute later wait for nobody.
    """
    if not has_umap(db, prompt):
        return "pca"
    newest = db.row("SELECT max(iteration) AS i FROM pictures WHERE kind = 'train' AND prompt = ?", prompt)["i"]
    left = db.row(
        "SELECT i.time FROM pictures p JOIN iterations i ON i.iteration = p.iteration "
        "WHERE p.kind = 'train' AND p.prompt = ? AND p.iteration = ? AND p.umap_x IS NULL LIMIT 1",
        prompt,
        newest,
    )
    return "pca" if left is not None and time.time() - left["time"] > _PATIENCE else "umap"


def has_umap(db: Database, prompt: int) -> bool:
    """Whether every base picture of the prompt is laid out by UMAP."""
    row = db.row("SELECT count(*) AS n, count(umap_x) AS ready FROM pictures WHERE kind = 'base' AND prompt = ?", prompt)
    return 0 < row["n"] == row["ready"]


def base(db: Database, prompt: int, wish: Method | None = None) -> bytes:
    """The fixed cloud of the base model, laid out as wished where that exists. JSON: n, method, umap (whether it exists)."""
    there = has_umap(db, prompt)
    how = method(db, prompt) if wish is None or wish == "umap" and not there else wish
    return _pack(db, "kind = 'base' AND prompt = ?", (prompt,), how, umap=there)


def points(db: Database, prompt: int, since: int, until: int, how: Method) -> bytes:
    """Pictures of the iterations since < iteration <= until, laid out by `how`. JSON: n, method."""
    return _pack(db, "kind = 'train' AND prompt = ? AND iteration > ? AND iteration <= ?", (prompt, since, until), how)


def base_of_all(db: Database) -> bytes:
    """The base pictures of every prompt on one plane. JSON: n, method, umap (false)."""
    return _pack_all(db, "kind = 'base'", ())


def points_of_all(db: Database, since: int, until: int) -> bytes:
    """Pictures of every mapped prompt of the iterations since < iteration <= until on that plane."""
    mapped = "prompt IN (SELECT prompt FROM prompts WHERE mapped = 1)"
    return _pack_all(db, f"kind = 'train' AND {mapped} AND iteration > ? AND iteration <= ?", (since, until))


def _pack(db: Database, where: str, values: tuple, how: Method, **more: Any) -> bytes:
    found = db.rows(
        f"SELECT {how}_x, {how}_y, reward, id, iteration, prompt, look FROM pictures "
        f"WHERE {where} ORDER BY iteration, id LIMIT {_LARGEST_BLOCK}",
        *values,
    )
    return _columns_of(list(zip(*found)), len(found), {"method": how, **more})


def _pack_all(db: Database, where: str, values: tuple) -> bytes:
    found = db.rows(
        f"SELECT embedding, reward, id, iteration, prompt, look FROM pictures WHERE {where} ORDER BY iteration, id LIMIT {_LARGEST_BLOCK}",
        *values,
    )
    embeddings, *rest = list(zip(*found)) or [()] * len(_COLUMNS)
    placed = _plane(db).transform(unpack(embeddings)) if found else np.empty((0, 2))
    return _columns_of([placed[:, 0], placed[:, 1], *rest], len(found), {"method": "pca", "umap": False})


def _columns_of(columns: list, n: int, told: dict[str, Any]) -> bytes:
    parts = []
    for (name, kind), column in zip(_COLUMNS, columns or [()] * len(_COLUMNS)):
        if name == "look":
            column = [_NONE if v is None else _NEW if v < 0 else v for v in column]
        # where numpy makes floats, it reads None as NaN
        parts.append(np.array(column, dtype=kind).tobytes())
    return packed({"n": n, **told}, parts)


_planes: OrderedDict[tuple, Pca] = OrderedDict()
_planes_lock = threading.Lock()


def _plane(db: Database) -> Pca:
    """The first two principal components of the base pictures of all prompts together, fitted once they are complete."""
    known = db.row("SELECT count(*) AS n, max(id) AS newest FROM pictures WHERE kind = 'base'")
    key = (str(db.path.absolute()), known["n"], known["newest"])
    with _planes_lock:
        if key not in _planes:
            every = -(-known["n"] // _FITTED_ON)
            found = db.rows("SELECT embedding FROM pictures WHERE kind = 'base' AND id % ? = 0 ORDER BY id", every)
            _planes[key] = Pca.fit(unpack(r["embedding"] for r in found))
            while len(_planes) > _KEPT_PLANES:
                _planes.popitem(last=False)
        _planes.move_to_end(key)
        return _planes[key]


def some(db: Database, numbers: list[int]) -> dict[str, Any]:
    """Details of the pictures with these ids, as far as they exist, oldest first."""
    marks = ", ".join("?" * len(numbers))
    return {"pictures": [_details(r) for r in db.rows(f"SELECT {_DETAILS} FROM pictures WHERE id IN ({marks}) ORDER BY id", *numbers)]}


def sampled(db: Database, command: int) -> dict[str, Any]:
    """What became of a `sample` command: answer null while it waits, else the trainer's sentence, and its pictures if that is 'ok'."""
    asked = db.row("SELECT time, body, taken, answer FROM commands WHERE id = ? AND kind = 'sample'", command)
    if asked is None:
        raise UserError(f"No pictures were asked for by command {command}.", "command")
    if asked["answer"] != "ok":
        return {"answer": asked["answer"], "pictures": []}
    # the trainer writes the event when the pictures are there and answers right after
    prompt = json.loads(asked["body"]).get("prompt", 0)
    made = db.row(
        "SELECT iteration, body FROM events WHERE kind = 'sample' AND time BETWEEN ? AND ? AND json_extract(body, '$.prompt') = ? ORDER BY id DESC",
        asked["time"],
        asked["taken"],
        prompt,
    )
    found = db.rows(
        f"SELECT {_DETAILS} FROM pictures WHERE kind = 'sample' AND prompt = ? AND iteration = ? ORDER BY id DESC LIMIT ?",
        prompt,
        made["iteration"],
        len(json.loads(made["body"])["seeds"]),
    )
    return {"answer": "ok", "iteration": made["iteration"], "pictures": [_details(r) for r in reversed(found)]}


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


def pictures_of_all(db: Database, iteration: int, count: int) -> dict[str, Any]:
    """The pictures of the newest iteration up to `iteration`, of every prompt it drew; before the first, base pictures."""
    row = db.row("SELECT max(iteration) AS i FROM iterations WHERE iteration <= ?", iteration)
    if not row["i"]:
        found = db.rows(f"SELECT {_DETAILS} FROM pictures WHERE kind = 'base' ORDER BY position, prompt LIMIT ?", count)
    else:
        found = db.rows(f"SELECT {_DETAILS} FROM pictures WHERE kind = 'train' AND iteration = ? ORDER BY id LIMIT ?", row["i"], _LISTED)
    return {"iteration": row["i"] or 0, "pictures": [_details(r) for r in found]}


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
