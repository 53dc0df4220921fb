"""The iterations of a run as the charts show them, read once and then only continued."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import Any

from core.config import FIELDS
from core.runs.database import Database
from core.runs.folder import Run

from .settings import settings
from .verdict import ENOUGH, Verdict, sentence

_PAGE = 1000  # rows in one answer
_KEPT_RUNS = 8


class History:
    """Rows of one run. `epoch` changes whenever rows already given out were rewritten (a resume after a crash)."""

    def __init__(self, run: Run):
        config = settings(run)
        self.per_iteration = config.group_size * config.prompts_per_iteration
        self.group_size = config.group_size
        self.prompts = config.prompts
        self._lock = threading.Lock()
        self.epoch = 0
        self._clear()

    def _clear(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.dials: list[dict[str, Any]] = []
        self._last: tuple[int, float] | None = None
        self._event = 0
        self._verdict = Verdict()
        self._shares: dict[str, list[list[float]]] = {}
        self._base: dict[str, Any] = {}

    @property
    def window(self) -> int:
        """Iterations that hold at least 96 pictures: readings are means over so many."""
        return math.ceil(ENOUGH / self.per_iteration)

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
            for found in db.iterations(self._last[0] if self._last else -1):
                self._last = (found["iteration"], found["time"])
                self.rows.append(self._row(found))
        return self

    def _row(self, found: dict[str, Any]) -> dict[str, Any]:
        found = finite(found)
        if found["iteration"] == 0:
            self._base = found
        by_prompt = found.get("vendi_by_prompt") or {}
        row = {
            "iteration": found["iteration"],
            "duration": found["duration"],
            "phases": found.get("seconds") or {},
            "vendi": found.get("vendi") or 0.0,
            "reward": found.get("reward") or 0.0,
            "clusters": found.get("clusters"),
            "distance": found.get("distance"),
            "pictures": found["iteration"] * self.per_iteration,
            "by_prompt": by_prompt,
            "raw": found.get("reward_raw") or {},
            "window": found.get("window"),
            "shares": self._smooth_shares(found.get("look_shares") or {}),
        }
        row["level"] = self._base_level(by_prompt)
        row["base"] = self._base.get("vendi") or row["level"]
        # the base row opens the curves, but never dilutes the means of the trained iterations
        last = (
            [row, *reversed([r for r in self.rows[1 - self.window :] if r["iteration"] > 0])][: self.window] if self.window > 1 else [row]
        )
        # Prompts differ in variety, and an iteration may draw only some: so each is judged by the base model on the same
        # prompts, and shown on the scale of all. With every prompt in every iteration this is the plain mean.
        level = sum(r["level"] for r in last)
        row["q"] = sum(r["vendi"] for r in last) / level if level else 0.0
        row["variety"] = row["q"] * row["base"]
        row["reward_mean"] = sum(r["reward"] for r in last) / len(last)
        row["verdict"] = self._verdict.next(row["variety"], row["base"], row["pictures"])
        row["say"] = self._sentence(row)
        return row

    def _base_level(self, by_prompt: dict[str, float]) -> float:
        """Effective number of looks of the base model on the prompts of this iteration, as far as measured."""
        known = self._base.get("vendi_by_prompt") or {}
        levels = [known[p] for p in by_prompt if known.get(p)]
        return sum(levels) / len(levels) if levels else self._base.get("vendi") or 0.0

    def _smooth_shares(self, found: dict[str, list[float]]) -> dict[str, list[float]]:
        """Shares over the last pictures of a prompt, at least 96 of them."""
        keep = math.ceil(ENOUGH / self.group_size)
        smooth = {}
        for prompt, shares in found.items():
            past = self._shares.setdefault(prompt, [])
            past.append([s or 0.0 for s in shares])
            del past[:-keep]
            smooth[prompt] = [round(sum(column) / len(past), 5) for column in zip(*past)]
        return smooth

    def _sentence(self, row: dict[str, Any]) -> list[str]:
        shares = row["shares"]
        prompt = max(shares, key=lambda p: max(shares[p], default=0), default=None)
        name = self.prompts[int(prompt)] if prompt is not None and len(self.prompts) > 1 and int(prompt) < len(self.prompts) else ""
        return sentence(row["verdict"], [*self.rows, row], self.dials, prompt, name)

    def since(self, iteration: int) -> dict[str, Any]:
        """The next page of rows after `iteration`."""
        start = next((i for i, r in enumerate(self.rows) if r["iteration"] > iteration), len(self.rows))
        page = self.rows[start : start + _PAGE]
        return {"epoch": self.epoch, "rows": page, "more": start + _PAGE < len(self.rows), "dials": self.dials, "window": self.window}


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
