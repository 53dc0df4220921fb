"""queue.json in the folder of runs: names of runs that wait for their turn, in order. Written whole or not at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from ..config import NAME
from .folder import Run, write_atomically

_lock = threading.Lock()


@dataclass(frozen=True)
class Queue:
    """`held`: nothing more is started until a person lets it go on; `reason`: why, if no person held it."""

    runs: tuple[str, ...] = ()
    held: bool = False
    reason: str = ""


def _file(where: Path) -> Path:
    return Path(where) / "queue.json"


def read(where: Path) -> Queue:
    """The queue as written. A name that is no run any more, or stands there twice, is left out; so is a file that cannot be read."""
    try:
        found = json.loads(_file(where).read_text(encoding="utf-8"))
        names, held, reason = found["runs"], found["held"] is True, str(found.get("reason", ""))
    except (OSError, ValueError, KeyError, TypeError):
        return Queue()
    known = [n for n in names if isinstance(n, str) and NAME.fullmatch(n) and Run(Path(where) / n).exists()] if isinstance(names, list) else []
    return Queue(tuple(dict.fromkeys(known)), held, reason)


def change(where: Path, by: Callable[[Queue], Queue]) -> Queue:
    """Replace the queue by `by(queue)`; no two changes of this process overlap. Returns the new one."""
    with _lock:
        before = read(where)
        after = by(before)
        if after != before:
            write_atomically(_file(where), json.dumps(asdict(after), indent=1))
        return after


def append(where: Path, name: str) -> Queue:
    """Put a run at the end; one that waits already keeps its place."""
    return change(where, lambda q: q if name in q.runs else replace(q, runs=(*q.runs, name)))


def remove(where: Path, name: str) -> Queue:
    return change(where, lambda q: replace(q, runs=tuple(n for n in q.runs if n != name)))


def order(where: Path, names: Sequence[str]) -> Queue:
    """Put the waiting runs into the order of `names`. Those that are not named follow as they were; unknown names are nothing."""
    rank = {name: place for place, name in enumerate(dict.fromkeys(names))}
    return change(where, lambda q: replace(q, runs=tuple(sorted(q.runs, key=lambda n: rank.get(n, len(rank))))))


def rename(where: Path, old: str, new: str, waited: Queue) -> Queue:
    """A run whose folder got the name `new` keeps its place in the queue `waited` that was read before."""
    return change(where, lambda q: replace(q, runs=tuple(new if n == old else n for n in waited.runs)))


def hold(where: Path, held: bool, reason: str = "") -> Queue:
    return change(where, lambda q: replace(q, held=held, reason=reason if held else ""))
