"""Is a run losing its variety? Readings of its history, and the alarms that follow from them. Numbers alone, no torch.

A reading is a mean over the newest iterations that together hold at least 96 pictures. q is variety (effective number
of looks) divided by the base model's on the same prompts. Three alarms:

    low      q is below the warning line (45 % unless set otherwise)
    deep     q is below the pausing line (off unless set)
    parting  reward up, variety down: over the last 25 iterations both trends are clear, and q is below healthy

An alarm is raised once and stands until it is over by a margin, so that noise does not repeat it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

HEALTHY = 0.80  # of the base model's variety
WARN = 0.45  # where nothing else is set
HYSTERESIS = 0.03
SPAN = 25  # iterations
ENOUGH = 96  # pictures
FEWEST = 8  # iterations from which a trend is read
CLEAR, GONE = 3.0, 1.0  # t of a trend that raises `parting`, and below which it is over


@dataclass(frozen=True)
class Reading:
    """What one iteration says. `own_q` and `own_reward` are of this iteration alone, the others means over 96 pictures."""

    iteration: int
    pictures: int  # made so far, over all iterations
    variety: float  # effective number of looks, on the scale of all prompts
    base: float  # of the base model
    q: float
    reward: float
    own_q: float
    own_reward: float


class Reader:
    """Readings of one run, row after row as Database.iterations gives them; the base measure (iteration 0) comes first."""

    def __init__(self, per_iteration: int):
        self.per_iteration = per_iteration  # pictures
        self.window = math.ceil(ENOUGH / per_iteration)  # iterations
        self._base: Mapping[str, Any] = {}
        self._last: deque[tuple[float, float, float]] = deque(maxlen=self.window)

    def next(self, row: Mapping[str, Any]) -> Reading:
        iteration, variety, reward = row["iteration"], row.get("vendi") or 0.0, row.get("reward") or 0.0
        if iteration == 0:
            self._base = row
        level = self._level(row.get("vendi_by_prompt") or {}) * (row.get("yardstick") or 1.0)
        base = self._base.get("vendi") or level
        # Prompts differ in variety, and an iteration may draw only some: so each is judged by the base model on the same
        # prompts, and shown on the scale of all. With every prompt in every iteration this is the plain mean. And once window
        # or noise were turned, by the base model with such noise (core.yardstick).
        last = [*self._last, (variety, level, reward)][-self.window :]
        if iteration > 0:  # the base row opens the curves, but never dilutes the means of the trained iterations
            self._last.append(last[-1])
        levels = sum(x[1] for x in last)
        q = sum(x[0] for x in last) / levels if levels else 0.0
        return Reading(
            iteration, iteration * self.per_iteration, q * base, base, q, sum(x[2] for x in last) / len(last), variety / level if level else 0.0, reward
        )

    def _level(self, by_prompt: Mapping[str, float]) -> float:
        """Effective number of looks of the base model on the prompts of an iteration; of one that was not measured the mean of those that were."""
        known, mean = self._base.get("vendi_by_prompt") or {}, self._base.get("vendi") or 0.0
        levels = [known.get(p) or mean for p in by_prompt]
        return sum(levels) / len(levels) if levels else mean


@dataclass(frozen=True)
class Alarm:
    kind: str  # low, deep or parting
    iteration: int  # at which it was raised
    q: float
    message: str  # a sentence for a person


class Watch:
    """Alarms of one run, reading after reading. `warn` and `pause` are percent of the base model's variety, None is off."""

    def __init__(self, *, warn: float | None = 100 * WARN, pause: float | None = None, parting: bool = True):
        self.lines = {"low": warn, "deep": pause}
        self.parting = parting
        self.standing: dict[str, Alarm] = {}
        self._recent: deque[Reading] = deque(maxlen=SPAN)

    def next(self, reading: Reading) -> list[Alarm]:
        """The alarms that this reading raises; `standing` holds all that have not passed."""
        if reading.iteration == 0:
            return []
        self._recent.append(reading)
        if reading.pictures < ENOUGH or reading.base <= 0:
            return []
        raised = []
        for kind in ("low", "deep", "parting"):
            message = self._parting(reading) if kind == "parting" else self._below(kind, reading)
            if message is None:
                self.standing.pop(kind, None)
            elif kind not in self.standing:
                self.standing[kind] = Alarm(kind, reading.iteration, reading.q, message)
                raised.append(self.standing[kind])
        return raised

    def _below(self, kind: str, now: Reading) -> str | None:
        line = self.lines[kind]
        if line is None or now.q >= line / 100 + (HYSTERESIS if kind in self.standing else 0.0):
            return None
        return f"Variety is at {math.floor(100 * now.q)} % of the base model's, below {line:g} %."

    def _parting(self, now: Reading) -> str | None:
        stands = "parting" in self.standing
        if not self.parting or len(self._recent) < FEWEST or now.q >= HEALTHY + (HYSTERESIS if stands else 0.0):
            return None
        n = len(self._recent)
        (slope, up), (_, down) = trend([r.own_reward for r in self._recent]), trend([r.own_q for r in self._recent])
        enough = GONE if stands else CLEAR
        if up < enough or down > -enough:
            return None
        return (
            f"Reward up, variety down: over {n} iterations reward rose by {slope * (n - 1):.1f} "
            f"while variety fell to {100 * now.q:.0f} % of the base model's."
        )


def trend(values: Sequence[float]) -> tuple[float, float]:
    """(slope, t) of the least-squares line through `values` at 0, 1, 2, ...: t = r sqrt((n - 2) / (1 - r^2)), n >= 3."""
    n = len(values)
    mean, middle = sum(values) / n, (n - 1) / 2
    xx = n * (n * n - 1) / 12
    xy = sum((x - middle) * (y - mean) for x, y in enumerate(values))
    yy = sum((y - mean) ** 2 for y in values)
    slope, left = xy / xx, yy - xy * xy / xx  # left: what the line does not explain
    if yy <= 1e-12 * n * max(1.0, mean * mean):  # rounding noise of a constant
        return 0.0, 0.0
    return slope, math.copysign(math.inf, slope) if left <= 1e-12 * yy else slope / math.sqrt(left / (n - 2) / xx)


def alarms(
    rows: Iterable[Mapping[str, Any]], per_iteration: int, *, warn: float | None = 100 * WARN, pause: float | None = None, parting: bool = True
) -> list[Alarm]:
    """Every alarm that a whole history raises, oldest first."""
    reader, watch = Reader(per_iteration), Watch(warn=warn, pause=pause, parting=parting)
    return [alarm for row in rows for alarm in watch.next(reader.next(row))]


def last_healthy(saved: Iterable[int], q: Mapping[int, float]) -> int | None:
    """The newest of the saved iterations at which variety was healthy; None if there is none. q: by iteration."""
    return max((n for n in saved if q.get(n, 0.0) >= HEALTHY), default=None)
