"""What the list of runs shows, and what a person does with a run as a whole: rename, archive, delete."""

from __future__ import annotations

import os
import shutil
from functools import lru_cache
from pathlib import Path
from typing import Any

from core.config import NAME, RunConfig
from core.errors import UserError
from core.runs import checkpoints, folder, queue
from core.runs.compare import end_sampler
from core.runs.database import ALIVE, Database
from core.runs.folder import Run

from . import head, started, watched
from .history import History, finite, history
from .presets import describe
from .settings import settings

ARCHIVE = "archived runs"  # has a space, so no run can be called so
_PATH_DOTS = 40  # of the small picture in a row
_FRONT_DOTS = 500
_MOST_ROWS = 300
_KEPT = 1024  # rows that are remembered: more than the list and the archive have, or each look would read all of them anew


def listed(runs: Path) -> dict[str, Any]:
    """Every run newest first (of very many the newest, and how many are left out), the queue, and what is archived."""
    waiting = queue.read(runs)
    found = folder.find(runs)
    own = [row(run, run.name, waiting) for run in found[:_MOST_ROWS]]
    others = [row(run, name, waiting) for name, run in watched.read(runs).items()]
    rows = sorted(own + others, key=lambda r: r.get("started") or r["made"], reverse=True)
    archived = [{"name": run.name, "size": size(run)} for run in folder.find(runs / ARCHIVE)[:_MOST_ROWS]]
    return {"runs": rows, "left_out": len(found) - len(own), "queue": queue_row(waiting), "archived": archived}


def queue_row(waiting: queue.Queue) -> dict[str, Any]:
    return {"runs": list(waiting.runs), "held": waiting.held, "reason": waiting.reason}


def row(run: Run, name: str, waiting: queue.Queue = queue.Queue()) -> dict[str, Any]:
    """One run of the list under the name it has here; one that cannot be read says why."""
    modified = _modified(run)
    mine = {"name": name, "watched": watched.holds(run), "size": _size(run, modified)}
    if name == run.name and not NAME.fullmatch(name):  # copied or renamed by hand: no address leads to it
        why = "The folder's name has a sign that a run cannot carry. Rename it: letters, digits, - and _."
        return mine | {"made": run.config_file.stat().st_mtime, "broken": why, "nameless": True}
    try:
        found = _resting(run, modified) or _working(run, modified)
    except UserError as error:
        made = run.config_file.stat().st_mtime if run.exists() else 0.0
        return mine | {"made": made, "broken": str(error).replace(f"{run.path}{os.sep}", "")}
    place = waiting.runs.index(name) + 1 if name in waiting.runs else 0
    state = "queued" if place and found["state"] in ("stopped", "failed", "died") else found["state"]
    return found | mine | {"state": state, "word": head.WORDS.get(state, state), "place": place}


@lru_cache(maxsize=_KEPT)
def _resting(run: Run, modified: tuple[int, ...]) -> dict[str, Any] | None:
    """The row of a run without a trainer, read again only when its files change; None if a trainer may have it."""
    with run.database(readonly=True) as db:
        status = db.status()
        if status.get("state", "preparing") in ALIVE:
            return None
    return _row(run, status, status["state"], dict(_finished_past(run, modified)))


def _working(run: Run, modified: tuple[int, ...]) -> dict[str, Any]:
    """The same of a run whose trainer is at work, or was when it was last heard of."""
    with run.database(readonly=True) as db:
        status = db.status()
        state = started.state(run, status)
        past = _summary(history(run, db), db) if _alive(state) else dict(_finished_past(run, modified))
    return _row(run, status, state, past)


def _alive(state: str) -> bool:
    return state in ALIVE or state == "silent"


def _row(run: Run, status: dict[str, Any], state: str, past: dict[str, Any]) -> dict[str, Any]:
    config = settings(run)
    return past | {
        "made": run.config_file.stat().st_mtime,
        "state": state,
        "alive": _alive(state),
        "iteration": status.get("iteration", 0),
        "iterations": status.get("iterations") or config.iterations,
        "saved": checkpoints.all_of(run)[-3:],
        "message": status.get("message", ""),
        "preset": _described(run, run.config_file.stat().st_mtime_ns),
        "model": config.model,
    }


@lru_cache(maxsize=_KEPT)
def _described(run: Run, modified: int) -> dict[str, Any]:
    """The preset a run is nearest to. Looking through all presets would take longer than all else in a row."""
    return describe(settings(run))


@lru_cache(maxsize=_KEPT)
def _finished_past(run: Run, modified: tuple[int, ...]) -> dict[str, Any]:
    with run.database(readonly=True) as db:
        return _summary(History(run).update(db), db)


def _modified(run: Run) -> tuple[int, ...]:
    def when(name: str) -> int:
        try:
            return os.stat(run.path / name).st_mtime_ns
        except OSError:
            return 0

    return tuple(when(name) for name in ("run.db", "run.db-wal", "config.yaml", "checkpoints", "export"))


def _summary(past: History, db: Database) -> dict[str, Any]:
    rows = past.rows
    trained = [r for r in rows if r["iteration"] > 0]
    copied = past.branch["at"] if past.branch else -1  # the iterations up to there were another run's time
    return finite(
        {
            "path": [[round(r["variety"], 4), round(r["reward_mean"], 4)] for r in thinned(trained, _PATH_DOTS)],
            "base": [round(rows[0]["variety"], 4), round(rows[0]["reward_mean"], 4)] if rows and rows[0]["iteration"] == 0 else None,
            "verdict": trained[-1]["verdict"] if trained else None,
            "seconds": sum(r["duration"] or 0.0 for r in rows if r["iteration"] > copied),
            "started": _started(db),
            "branch": past.branch,
        }
    )


def _started(db: Database) -> float | None:
    """When training began, in seconds since 1970: a branch's own beginning; of runs of older versions when their base was measured. None: not yet.

    The settings' file does not tell, as it is written again when a run is resumed with other settings, or copied.
    """
    found = db.row(
        "SELECT coalesce((SELECT max(time) FROM events WHERE kind = 'branch'), (SELECT min(time) FROM events WHERE kind = 'started'), "
        "(SELECT min(time) FROM iterations)) AS time"
    )
    return found["time"]


def thinned(rows: list, most: int) -> list:
    """At most `most` of them, evenly spread, always with the first and the last."""
    if len(rows) <= most:
        return rows
    return [rows[round(i * (len(rows) - 1) / (most - 1))] for i in range(most)]


def size(run: Run) -> int:
    """Bytes of the folder."""
    return _size(run, _modified(run))


@lru_cache(maxsize=_KEPT)
def _size(run: Run, modified: tuple[int, ...]) -> int:
    total = 0
    for where, _, names in os.walk(run.path):
        for name in set(names) - {"run.db-shm"}:  # SQLite's, there only while somebody reads
            try:
                total += os.lstat(os.path.join(where, name)).st_size
            except OSError:  # a draft that was moved meanwhile
                continue
    return total


def front(run: Run, name: str) -> dict[str, Any]:
    """Every iteration's reward and variety, and what must be alike for two runs to be compared."""
    with run.database(readonly=True) as db:
        rows = history(run, db).rows
    config = settings(run)
    dots = thinned([r for r in rows if r["iteration"] > 0], _FRONT_DOTS)
    base = rows[0] if rows and rows[0]["iteration"] == 0 else None
    return finite(
        {
            "name": name,
            "preset": describe(config),
            "points": [[r["iteration"], r["variety"], r["reward_mean"], r["q"]] for r in dots],
            "base": [base["variety"], base["reward_mean"]] if base else None,
            "alike": alike(config),
        }
    )


def alike(config: RunConfig) -> dict[str, str]:
    """What gives two runs the same axes, in words a person can compare."""
    return {
        "rewards": ", ".join(f"{name} {weight:g}" for name, weight in sorted(config.rewards.items())),
        "model": config.model,
        "prompts": "\n".join(config.prompts),
        "pictures per prompt": str(config.group_size),
    }


# --- a run as a whole ---------------------------------------------------------------------------------------------
def _at_rest(run: Run) -> None:
    """Raises UserError while a trainer works in the folder."""
    try:
        with run.database(readonly=True) as db:
            state = started.state(run, db.status())
    except UserError:  # a trainer cannot open it either
        return
    if _alive(state):
        raise UserError(f"{run.name} has a trainer at work. Stop it first.", "state")


def _moved(run: Run, target: Path) -> None:
    end_sampler(run)  # Compare's process holds files of it open
    try:
        target.parent.mkdir(exist_ok=True)
        os.rename(run.path, target)
    except OSError as error:
        raise UserError(f"{run.name} cannot be moved ({error.strerror}). Check the folder's permissions.", "name") from None


def rename(runs: Path, run: Run, to: str) -> str:
    """Give a run that is at rest another name; it keeps its place in the queue. Raises UserError."""
    if not NAME.fullmatch(to):
        raise UserError("Name has a sign that a folder cannot carry. Use 1 to 60 letters, digits, - and _.", "name")
    if to == run.name:
        return to
    _at_rest(run)
    if (runs / to).exists():
        raise UserError(f"A run is called {to} already.", "name")
    waited = queue.read(runs)
    _moved(run, runs / to)
    queue.rename(runs, run.name, to, waited)
    return to


def archive(runs: Path, run: Run) -> str:
    """Put a run aside; the name under which `restore` finds it."""
    _at_rest(run)
    shelf = runs / ARCHIVE
    name = run.name if not (shelf / run.name).exists() else folder.next_name(shelf, run.name)
    _moved(run, shelf / name)
    queue.remove(runs, run.name)
    return name


def archived(runs: Path, name: str) -> Run:
    """A run that was put aside. Raises UserError."""
    run = Run(runs / ARCHIVE / name)
    if not NAME.fullmatch(name) or run.path.is_symlink() or not run.exists():
        raise UserError(f"There is no archived run {name!r} here.", "run")
    return run


def restore(runs: Path, run: Run) -> str:
    """Put an archived run back, under another name if its own was given away meanwhile."""
    name = run.name if not (runs / run.name).exists() else folder.next_name(runs, run.name)
    _moved(run, runs / name)
    return name


def delete(runs: Path, run: Run, typed: str) -> None:
    """Remove a run for good, if its name was typed. Raises UserError."""
    if typed != run.name:
        raise UserError(f"Type {run.name} to delete it.", "typed")
    _at_rest(run)
    queue.remove(runs, run.name)
    doomed = run.path.with_name(f".deleted-{run.name}")  # first out of every list: what is half removed must not count as a run
    shutil.rmtree(doomed, ignore_errors=True)
    _moved(run, doomed)
    shutil.rmtree(doomed, ignore_errors=True)
