"""Runs of other machines that a person watches here: watched.json in the runs folder, a name for each path. Read only.

A watched run's name has an @ in it, which no run of this folder can have: `drift-03@cluster`. Its trainer is a process
of another computer, so whether it lives can only be told from its heartbeat, and only by whether that still changes:
the other clock may be wrong.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from core.errors import UserError
from core.runs import folder
from core.runs.database import ALIVE
from core.runs.folder import Run, write_atomically

_LONGEST = 4096  # letters of a path
_heartbeats: dict[Path, tuple[float, float]] = {}  # path -> (heartbeat, when it was first seen here)
_known: set[Path] = set()


def _file(runs: Path) -> Path:
    return runs / "watched.json"


def read(runs: Path) -> dict[str, Run]:
    """Watched runs by name, in the order they were added. A path that is a run no more, or leads elsewhere now, is left out."""
    try:
        found = json.loads(_file(runs).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    named = {name: Path(path) for name, path in found.items() if isinstance(path, str)} if isinstance(found, dict) else {}
    there = {name: Run(path) for name, path in named.items() if _is_run(path) and path.resolve() == path}
    _known.update(run.path for run in there.values())
    return there


def holds(run: Run) -> bool:
    """Whether `run` is one that is only watched."""
    return run.path in _known


def add(runs: Path, text: str) -> str:
    """Watch the run in the folder `text`; the name under which it is shown. Raises UserError in words for the field."""
    path = _checked(runs, text)
    known = read(runs)
    for name, run in known.items():
        if run.path == path:
            return name
    stem = f"{_plain(path.name)}@{_plain(path.parent.name)}"
    name, number = stem, 2
    while name in known:
        name, number = f"{stem}-{number}", number + 1
    _write(runs, known | {name: Run(path)})
    return name


def forget(runs: Path, name: str) -> None:
    """Watch it no more. Nothing in its folder changes."""
    known = read(runs)
    gone = known.pop(name, None)
    if gone is None:
        raise UserError(f"{name} is not watched.", "run")
    _write(runs, known)
    _known.discard(gone.path)


def state(run: Run, status: dict) -> str:
    """As written, but 'silent' once the heartbeat has not changed for a while as seen from here."""
    written = status.get("state", "preparing")
    if written not in ALIVE:
        return written
    beat, now = status.get("heartbeat", 0), time.monotonic()
    before, since = _heartbeats.get(run.path, (None, now))
    if before != beat:
        before, since = _heartbeats[run.path] = (beat, now)
    return "silent" if now - since > folder.HEARTBEAT_LIMIT else written


def _write(runs: Path, known: dict[str, Run]) -> None:
    write_atomically(_file(runs), json.dumps({name: str(run.path) for name, run in known.items()}, indent=1))


def _is_run(path: Path) -> bool:
    return (path / "config.yaml").is_file() and (path / "run.db").is_file()


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)[:40].strip("-_") or "run"


def _checked(runs: Path, text: str) -> Path:
    """The folder that `text` names, with no link left in it. Raises UserError."""
    wish = text.strip().strip("\"'")
    if not wish or len(wish) > _LONGEST or "\0" in wish:
        raise UserError("path: name the folder of a run, for example /mnt/cluster/runs/drift-03.", "path")
    try:
        path = Path(wish).expanduser()
        if not path.is_absolute():
            raise UserError(f"path: {wish} could be anywhere. Write the whole path, from / or a drive on.", "path")
        path = path.resolve()
        is_folder = path.is_dir()
        inside = [p.name for p in sorted(path.iterdir()) if _is_run(p)] if is_folder and not _is_run(path) else []
    except (OSError, RuntimeError) as error:
        raise UserError(f"path: {wish} cannot be read ({getattr(error, 'strerror', None) or error}).", "path") from None
    if not is_folder:
        raise UserError(f"path: {wish} is no folder on this computer. If it is on another one, mount it first.", "path")
    if inside:
        few = ", ".join(inside[:4]) + (" and more" if len(inside) > 4 else "")
        raise UserError(f"path: {wish} holds {len(inside)} runs ({few}). Name one of them.", "path")
    if not _is_run(path):
        raise UserError(f"path: {wish} is no run: it has no config.yaml or no run.db.", "path")
    if path.parent == runs.resolve():
        raise UserError(f"path: {path.name} is in this list already.", "path")
    return path
