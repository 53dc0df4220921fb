"""The iterations of a run as the charts show them, read once and then only continued."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import Any

from core.alarms import ENOUGH, Reader, Watch
from core.config import FIELDS
from core.runs.database import Database
from core.runs.folder import Run

from .prose import apart
from .settings import settings
from .verdict import Verdict, collapsing_below, sentence

_PAGE = 1000  # rows in one answer
_KEPT_RUNS = 8
_NAMED = 24  # letters of a prompt in the verdict, so that the remedy at its end is read too


class History:
    """Rows of one run. `epoch` changes whenever rows already given out were rewritten (a resume after a crash)."""

    def __init__(self, run: Run):
        config = settings(run)
        self.per_iteration = config.group_size * config.prompts_per_iteration
        self.groups = math.ceil(ENOUGH / config.group_size)  # iterations that drew a prompt, of which its shares are means
        self.prompts = config.prompts
        self._config = config
        self._lock = threading.Lock()
        self.epoch = 0
        self._clear()

    def _clear(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.dials: list[dict[str, Any]] = []
        self._last: tuple[int, float] | None = None
        self._event = 0
        self.warnings: list[dict[str, Any]] = []
        self.branch: dict[str, Any] | None = None  # {"of": run, "at": checkpoint} from which this one began
        self.kept: dict[str, Any] = {}  # what others derived from these rows
        self.rollback: dict[str, Any] | None = None  # {"to": run, "at": checkpoint, "iteration"}: the branch that goes on instead
        self._reader = Reader(self.per_iteration)
        self._watch = Watch(warn=self._config.alarm_warn, pause=self._config.alarm_pause, parting=self._config.alarm_parting)
        self._verdict = Verdict(collapsing_below(self._config.alarm_warn))
        self._shares: dict[str, list[list[float]]] = {}

    @property
    def window(self) -> int:
        """Iterations that hold at least 96 pictures: readings are means over so many."""
        return self._reader.window

    def update(self, db: Database) -> "History":
        with self._lock:
            if self._last is not None:
                row = db.row("SELECT time FROM iterations WHERE iteration = ?", self._last[0])
                if row is None or row["time"] != self._last[1]:
                    self._clear()
                    self.epoch += 1
            for event in db.events(self._event):
                self._event = event["id"]
                if event["kind"] == "dial":
                    self.dials.append({**event, "label": _label(event["name"])})
                elif event["kind"] == "warning":
                    self.warnings.append({"id": event["id"], "iteration": event["iteration"], "message": str(event["message"])})
                elif event["kind"] == "branch":
                    self.branch = {"of": event["of"], "at": event["at"]}
                elif event["kind"] == "rollback":
                    self.rollback = {"to": event["to"], "at": event["at"], "iteration": event["iteration"]}
            for found in db.iterations(self._last[0] if self._last else -1):
                self._last = (found["iteration"], found["time"])
                self.rows.append(self._row(found))
        return self

    def _row(self, found: dict[str, Any]) -> dict[str, Any]:
        found = finite(found)
        reading, level = self._reader.next(found), found.get("yardstick") or 1.0
        self._watch.next(reading)
        row = {
            "iteration": found["iteration"],
            "duration": found["duration"],
            "phases": found.get("seconds") or {},
            "vendi": found.get("vendi") or 0.0,
            "reward": found.get("reward") or 0.0,
            "clusters": found.get("clusters"),
            "distance": found.get("distance"),
            "pictures": reading.pictures,
            "yardstick": level,
            "by_prompt": {prompt: variety and variety / level for prompt, variety in (found.get("vendi_by_prompt") or {}).items()},
            "raw": found.get("reward_raw") or {},
            "window": found.get("window"),
            "shares": self._smooth_shares(found["iteration"], found.get("look_shares") or {}),
        }
        row |= {"base": reading.base, "q": reading.q, "variety": reading.variety, "reward_mean": reading.reward}
        row["verdict"] = self._verdict.next(row["variety"], row["base"], row["pictures"])
        before = self.rows[-1] if self.rows else None
        row["since"] = before["since"] if before and before["verdict"] == row["verdict"] else row["iteration"]
        row["alarms"] = {kind: alarm.iteration for kind, alarm in self._watch.standing.items()}
        row["say"] = self._sentence(row)
        return row

    def _smooth_shares(self, iteration: int, found: dict[str, list[float]]) -> dict[str, list[float]]:
        """Shares over the last pictures of a prompt, at least 96 of them once there are so many; the base model's stand alone."""
        smooth = {}
        for prompt, shares in found.items():
            past = self._shares.setdefault(prompt, []) if iteration else []
            past.append([s or 0.0 for s in shares])
            del past[: -self.groups]
            smooth[prompt] = [round(sum(column) / len(past), 5) for column in zip(*past)]
        return smooth

    def _sentence(self, row: dict[str, Any]) -> list[str]:
        shares = row["shares"]
        prompt = max(shares, key=lambda p: max(shares[p], default=0), default=None)
        name = apart(self.prompts[int(prompt)], _NAMED) if prompt is not None and len(self.prompts) > 1 and int(prompt) < len(self.prompts) else ""
        return sentence(row["verdict"], [*self.rows, row], self.dials, prompt, name)

    def alarms(self) -> list[dict[str, Any]]:
        """Alarms that stand now: {"kind", "iteration", "message"}."""
        return [{"kind": a.kind, "iteration": a.iteration, "message": a.message} for a in self._watch.standing.values()]

    def since(self, iteration: int) -> dict[str, Any]:
        """The next page of rows after `iteration`."""
        start = next((i for i, r in enumerate(self.rows) if r["iteration"] > iteration), len(self.rows))
        page = self.rows[start : start + _PAGE]
        return {"epoch": self.epoch, "rows": page, "more": start + _PAGE < len(self.rows), "dials": self.dials, "window": self.window, "groups": self.groups}


def finite(value: Any) -> Any:
    """JSON knows no NaN: it becomes null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {k: finite(v) for k, v in value.items()}
    if isinstance(value, list):
        return [finite(v) for v in value]
    return value


def _label(name: str) -> str:
    return FIELDS[name].json_schema_extra["label"] if name in FIELDS else name


_kept: OrderedDict[str, History] = OrderedDict()
_kept_lock = threading.Lock()


def history(run: Run, db: Database) -> History:
    """The run's history up to now. Keeps the last few runs, so that a poll reads only what is new."""
    key = f"{run.path.absolute()}:{run.config_file.stat().st_mtime_ns}"
    with _kept_lock:
        if key not in _kept:
            _kept[key] = History(run)
            while len(_kept) > _KEPT_RUNS:
                _kept.popitem(last=False)
        _kept.move_to_end(key)
    return _kept[key].update(db)
