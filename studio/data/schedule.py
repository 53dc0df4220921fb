"""The schedule of a run as the studio draws it: which steps every iteration trains, and how strong the dials are at each step.

What is planned comes from core.plan, which the trainer executes; what is past, from what the trainer recorded.
"""

from __future__ import annotations

import bisect
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from PIL import Image

from core.config import LIVE, RunConfig
from core.plan import plan
from core.runs.database import Database
from core.runs.folder import Run

from .history import history
from .settings import settings

EXACT = 1000  # iterations up to which each is planned; of a longer run, a few in each row
ROWS = 96  # more than a screen has room for
_SAMPLES = 4  # planned iterations of each row of a longer run
_PIECES = 40  # of a run over which the prompt noise fades: the curve of a piece is off by less than a pixel

_STANDING = ("full", "mix_frozen")

Recorded = Mapping[int, tuple[int, list[int]]]  # iteration -> (start, trained steps)


@dataclass(frozen=True)
class Row:
    """What one iteration noises and trains. known: False while HRF-D has not chosen its start yet."""

    start: int
    trained: tuple[int, ...]
    stochastic: tuple[int, ...]
    known: bool = True

    def drawn(self) -> dict[str, Any]:
        return {"start": self.start, "trained": list(self.trained), "stochastic": list(self.stochastic), "known": self.known}


@dataclass(frozen=True)
class Course:
    """A run from its first to its last iteration: the settings in force in each, and what was recorded.

    parts: (first iteration, settings), in order, from iteration 1 on. levels: T + 1 noise levels of the model, None if not known.
    """

    parts: tuple[tuple[int, RunConfig], ...]
    iterations: int
    recorded: Recorded
    levels: list[float] | None = None

    def config(self, iteration: int) -> RunConfig:
        return self.parts[bisect.bisect_right([first for first, _ in self.parts], iteration) - 1][1]

    def row(self, iteration: int, guess: int | None = None) -> Row:
        """The row of `iteration`; a start that HRF-D will choose is unknown, and drawn at `guess`."""
        config, past = self.config(iteration), self.recorded.get(iteration)
        planned = plan(config, iteration, sigmas=self.levels, start=past[0] if past else guess)
        if past and tuple(past[1]) != planned.trained:  # the run was made by another version: what it did counts
            return Row(past[0], tuple(past[1]), tuple(past[1]))
        return Row(planned.start, planned.trained, planned.stochastic, known=past is not None or not planned.chosen)


def schedule(course: Course, at: int) -> dict[str, Any]:
    """What the map draws. `now` is iteration `at` in full; `lanes` are the dials that act per step, `rows` the window over the run."""
    at = min(max(1, at), course.iterations)
    earlier = [n for n in course.recorded if n < at and course.config(n).window == course.config(at).window]
    now = course.row(at, guess=course.recorded[max(earlier)][0] if earlier else None)
    config = course.config(at)
    return {
        "steps": config.steps,
        "iterations": course.iterations,
        "now": {"iteration": at, **now.drawn(), "guessed": bool(earlier)},
        "rows": rows(course),
        "lanes": lanes(course),
    }


def rows(course: Course) -> list[dict[str, Any]]:
    """The window over the run, a row for each position; more than `ROWS` are merged, with the share of iterations that train each step."""
    N, bins = course.iterations, min(ROWS, course.iterations)
    edges = [1 + N * b // bins for b in range(bins + 1)]  # the first iteration of each merged row, then N + 1
    found = [(n, course.row(n)) for n in (range(1, N + 1) if N <= EXACT else _spread(edges))]
    positions = [next(part) for _, part in groupby(found, key=lambda f: f[1])]
    if N <= EXACT and len(positions) <= ROWS:
        ends = [first for first, _ in positions[1:]] + [N + 1]
        return [{"from": first, "to": end - 1, **row.drawn()} for (first, row), end in zip(positions, ends)]
    steps, merged = course.parts[0][1].steps, []
    for first, end in zip(edges, edges[1:]):
        inside = [row for n, row in found if first <= n < end]
        # a sample of equal windows proves nothing of a window that moves or is drawn
        if len(set(inside)) > 1 or N > EXACT and inside[0].known and course.config(first).window not in _STANDING:
            share = [round(sum(i in row.trained for row in inside) / len(inside), 3) for i in range(steps)]
            merged.append({"from": first, "to": end - 1, "share": share, "known": any(row.known for row in inside)})
        elif merged and merged[-1] == {"from": merged[-1]["from"], "to": first - 1, **inside[0].drawn()}:
            merged[-1]["to"] = end - 1
        else:
            merged.append({"from": first, "to": end - 1, **inside[0].drawn()})
    return merged


def _spread(edges: list[int]) -> list[int]:
    """A few iterations of each merged row, unevenly, so that no window moves in step with them."""
    golden = (math.sqrt(5) - 1) / 2
    cells = [(first + (end - first) * k / _SAMPLES, (end - first) / _SAMPLES) for first, end in zip(edges, edges[1:]) for k in range(_SAMPLES)]
    return sorted({int(first + width * (golden * number % 1)) for number, (first, width) in enumerate(cells)})


def lanes(course: Course) -> list[dict[str, Any]]:
    """Per stretch of iterations: leash length and strength, prompt noise of each step, and the dials of the window."""
    found = []
    for (first, config), (after, _) in zip(course.parts, [*course.parts[1:], (course.iterations + 1, None)]):
        fades = config.prompt_noise_scale > 0 and config.prompt_noise_iter_decay != "none"
        pieces = min(_PIECES, after - first) if fades else 1
        cuts = [first + (after - first) * k // pieces for k in range(pieces + 1)]
        found += [_lane(config, course.levels, begin, end) for begin, end in zip(cuts, cuts[1:]) if end > begin]
    return found


def _lane(config: RunConfig, levels: list[float] | None, first: int, after: int) -> dict[str, Any]:
    c = config
    noise = plan(c, (first + after - 1) // 2, sigmas=levels, start=0).prompt_noise
    return {
        "from": first,
        "to": after - 1,
        "leash": c.sa_reg_steps,
        "strength": 1.0 if c.sa_reg_weight == "auto" else c.sa_reg_weight,
        "noise": [round(strength.noise, 5) for strength in noise] if noise else None,
        "scale": c.prompt_noise_scale,
        # full strength up to step a, gone from step b; only a clock of steps says at which steps that is
        "fade": [(1 - c.prompt_noise_tau2) * c.steps, (1 - c.prompt_noise_tau1) * c.steps] if c.prompt_noise_clock == "step" else None,
        "certain": noise is None or c.prompt_noise_clock == "step" or levels is not None,
        "window": c.window,
        "size": c.window_size,
        "stride": c.window_stride,
        "interval": c.window_interval,
    }


def of_config(config: RunConfig) -> dict[str, Any]:
    """The schedule of a run that has not begun."""
    return schedule(Course(((1, config),), config.iterations, {}), 1) | {"film": 0}


def of_run(run: Run, db: Database, changes: Mapping[str, Any] | None = None, since: int | None = None) -> dict[str, Any]:
    """The schedule of a run with its past turns and recorded windows, and with `changes`, if any, in force from iteration `since` on.

    Raises UserError if the changes do not go together with the settings in force.
    """
    past, config = history(run, db), settings(run)
    newest = past.rows[-1]["iteration"] if past.rows else 0
    N = db.status().get("iterations") or config.iterations
    turns = [(t["iteration"], {t["name"]: t["new"]}) for t in past.dials if t["name"] in LIVE]
    at = newest + 1
    if changes:
        at = max(at, since or 0)
        turns.append((at, dict(changes)))
    recorded = {r["iteration"]: (r["window"][0], r["window"][1]) for r in past.rows if r.get("window")}
    course = Course(_parts(config, turns), max(N, at if changes else newest, 1), recorded, _levels(db, config))
    return schedule(course, at) | {"film": _frames(run)}


def _frames(run: Run) -> int:
    """How many pictures the run's film holds; 0 without one."""
    if not run.film.exists():
        return 0
    with Image.open(run.film) as strip:
        return strip.width // strip.height


def _parts(config: RunConfig, turns: Iterable[tuple[int, dict[str, Any]]]) -> tuple[tuple[int, RunConfig], ...]:
    """The settings in force, from the iteration on in which they changed. Dials turned together are taken together."""
    parts = [(1, config)]
    for iteration, together in groupby(sorted(turns, key=lambda t: t[0]), key=lambda t: t[0]):
        changed = parts[-1][1].with_changes(**{name: value for _, turn in together for name, value in turn.items()})
        if iteration <= parts[-1][0]:
            parts.pop()
        parts.append((max(1, iteration), changed))
    return tuple(parts)


def _levels(db: Database, config: RunConfig) -> list[float] | None:
    """The model's noise levels, as the trainer recorded them with its base measure; older runs have none."""
    if config.prompt_noise_clock == "step":  # they would change nothing
        return None
    first = db.row("SELECT metrics FROM iterations WHERE iteration = 0")
    levels = json.loads(first["metrics"]).get("sigmas") if first else None
    return levels if levels and len(levels) == config.steps + 1 and all(math.isfinite(s) for s in levels) else None
