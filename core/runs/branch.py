"""A branch: a new run that begins from a checkpoint of another one, with its dials and its history up to there.

The other run is only read. Without a change a branch repeats it bit by bit, because everything random follows from the
seed and the iteration.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from ..config import LIVE, NAME, RESUMABLE
from ..errors import UserError
from . import checkpoints
from .database import Database
from .folder import Run, check_disk, write_atomically

_SUFFIX = re.compile(r"-from-\d+(-\d+)?$")


def free_path(run: Run, at: int) -> Path:
    """Beside `run`: its name with -from-<at>, numbered if that is taken."""
    stem = f"{_SUFFIX.sub('', run.name)[:44]}-from-{at}"
    number, path = 1, run.path.with_name(stem)
    while path.exists():
        number += 1
        path = run.path.with_name(f"{stem}-{number}")
    return path


def branch(run: Run, path: Path, at: int, changes: dict[str, Any] | None = None) -> Run:
    """Make the run folder `path` from checkpoint `at` of `run`. It is stopped; resuming it goes on from there.

    `changes`: live dials, which turn in the first iteration of the branch, and settings that a resume may change.
    Raises UserError if the checkpoint is not there, a change is not allowed, or the folder is taken or cannot be written.
    """
    changes = changes or {}
    fixed = sorted(set(changes) - {*LIVE, *RESUMABLE})
    if fixed:
        raise UserError(f"{fixed[0]}: this is fixed when a run starts. In a branch these can change: {', '.join((*RESUMABLE, *LIVE))}.", fixed[0])
    _, state = checkpoints.load(run, at)
    config = run.config()
    turned = {name: value for name, value in changes.items() if name in LIVE}
    config.with_changes(**{**state["dials"], **changes})  # they must fit together
    config = config.with_changes(**{name: value for name, value in changes.items() if name not in LIVE})
    new = Run(Path(path))
    if not NAME.fullmatch(new.name):
        raise UserError(f"name: {new.name!r} cannot name a run. Use 1 to 60 letters, digits, - and _.", "name")
    try:
        check_disk(new.path.parent)
        try:
            new.path.mkdir(parents=True)
        except FileExistsError:
            raise UserError(f"{new.path}: something is here already. Choose another name for the branch.", "name") from None
        try:
            _copy(run, new, at)
            with new.database() as db:
                _begin(db, run, at, config.iterations)
                if turned:
                    db.send("set", changes=turned)
            write_atomically(new.config_file, config.to_yaml())  # last: a run exists once it is whole
        except BaseException:
            shutil.rmtree(new.path, ignore_errors=True)
            raise
    except (OSError, sqlite3.Error) as error:
        raise UserError(f"{new.path}: the branch cannot be written ({getattr(error, 'strerror', None) or error}). Choose another folder.", "name") from None
    return new


def _copy(run: Run, new: Run, at: int) -> None:
    """The checkpoint, the yardstick of the base, and the database without what came after `at`."""
    for file in ("base.npz", "rewards.json"):
        shutil.copy2(run.path / file, new.path / file)
    if run.film.exists():
        shutil.copy2(run.film, new.film)
    new.export.mkdir()
    shutil.copytree(checkpoints.path(run, at), new.checkpoints / f"{at:06d}")
    source = f"{(run.path / 'run.db').absolute().as_uri()}?mode=ro"
    # a backup is whole also while a trainer writes
    with closing(sqlite3.connect(source, uri=True, timeout=10)) as old, closing(sqlite3.connect(new.path / "run.db")) as db:
        old.backup(db)
        with db:
            db.execute("DELETE FROM iterations WHERE iteration > ?", (at,))
            db.execute("DELETE FROM pictures WHERE iteration > ?", (at,))
            db.execute("DELETE FROM events WHERE iteration > ? AND kind NOT IN ('map', 'yardstick')", (at,))  # these stay as long as the base pictures
            db.execute("DELETE FROM commands")
        db.execute("VACUUM")


def _begin(db: Database, run: Run, at: int, iterations: int) -> None:
    db.set_status(
        state="stopped", message=f"Begins from {run.name} at {at}.", remedy="", details="", phase="", iteration=at, iterations=iterations,
        saved_at=at, done=0, total=0, pid=None, process_started=None, memory_used=0,
    )  # fmt: skip
    db.add_event("branch", at + 1, of=run.name, at=at)
