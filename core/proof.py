"""Methods side by side: each trained on the same seeds, measured at regular iterations, compared at equal reward and at equal variety.

A track that is finished is not trained again and one that was measured is not measured again, so that a long comparison
goes on where it was interrupted.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from .config import RunConfig
from .errors import UserError
from .evaluation import Measure, trajectory
from .runs import folder
from .worker import carry_out

FREE = {"iterations", "keep_checkpoints"}  # a run may go on for longer, and keep more
SPACES = {"clip": "clip (the bonus's own)", "pixels": "pixels (held out)"}


class Interrupted(Exception):
    """A training of the comparison was stopped or failed; `code` is its exit code."""

    def __init__(self, code: int):
        super().__init__(f"a training ended with {code}")
        self.code = code


def trained(run: folder.Run, config: RunConfig) -> folder.Run:
    """The run, carried out to its end; one that is there goes on, if `config` is its own but for its length. A longer
    one holds the shorter: but for prompt noise that fades over the run, nothing depends on how many iterations are to come.

    Raises Interrupted, and UserError if the folder holds a run of other settings.
    """
    if not run.exists():
        folder.create(run.path, config)
    known, config = run.config(), config.placed()
    if known != config:
        mine, theirs = config.model_dump(), known.model_dump()
        free = FREE if config.prompt_noise_iter_decay == "none" else FREE - {"iterations"}
        other = next((name for name in mine if mine[name] != theirs[name] and name not in free), None)
        if other:
            raise UserError(f"{run.path}: holds a run with {other}={theirs[other]}, not {mine[other]}. Name another --run-dir.", "run_dir")
        if config.iterations > known.iterations:
            folder.write_atomically(run.config_file, config.to_yaml())
            with run.database() as db:
                db.set_status(state="stopped")
    if _state(run) != "finished":
        code = carry_out(run, resume=True, follow=False)
        if code or _state(run) != "finished":
            raise Interrupted(code or 130)
    return run


def measured(run: folder.Run, *, scale: folder.Run | None = None, until: int | None = None) -> list[Measure]:
    """Base and every checkpoint of the run, kept in evaluation.json beside it; rewards on `scale`'s yardstick, its own if None.

    `until` leaves out what came after that iteration.
    """
    measures = _measured(run, scale)
    return measures if until is None else [m for m in measures if m.iteration <= until]


def _measured(run: folder.Run, scale: folder.Run | None) -> list[Measure]:
    kept = run.path / "evaluation.json"
    with run.database(readonly=True) as db:
        iteration = db.status()["iteration"]
    yardstick = folder.yardstick(scale or run)
    if kept.exists():
        found = json.loads(kept.read_text())
        if (found["iteration"], found.get("yardstick")) == (iteration, yardstick):
            return [Measure(**m) for m in found["measures"]]
    measures = trajectory(run, yardstick)
    found = {"iteration": iteration, "yardstick": yardstick, "measures": [asdict(m) for m in measures]}
    folder.write_atomically(kept, json.dumps(found, indent=1))
    return measures


def variety_at_reward(measures: Sequence[Measure], reward: float, space: str) -> float:
    """Variety where a track first reaches `reward`, interpolated between checkpoints; nan if it never does."""
    return _first_crossing([m.reward for m in measures], [getattr(m, space) for m in measures], reward)


def reward_at_variety(measures: Sequence[Measure], variety: float, space: str) -> float:
    """Reward where a track's variety first falls to `variety`; that of the last checkpoint if it never falls so far."""
    values = [getattr(m, space) for m in measures]
    found = _first_crossing([-v for v in values], [m.reward for m in measures], -variety)
    return found if np.isfinite(found) else measures[-1].reward


def at_equal_reward(method: Sequence[Measure], baseline: Sequence[Measure], space: str) -> float:
    """Variety of the method over that of the baseline, less 1, at the highest reward that both reach."""
    reward = min(max(m.reward for m in method), max(m.reward for m in baseline))
    return variety_at_reward(method, reward, space) / variety_at_reward(baseline, reward, space) - 1


def gain_at_equal_variety(method: Sequence[Measure], baseline: Sequence[Measure], space: str) -> float:
    """Reward gained over the base by the method over that by the baseline, less 1, at the lowest variety that both fall to.

    nan if the baseline had gained nothing when it came there: then there is no such ratio.
    """
    lowest = lambda track: min(getattr(m, space) for m in track)
    variety = max(lowest(method), lowest(baseline))
    gain = lambda track: reward_at_variety(track, variety, space) - track[0].reward
    return gain(method) / gain(baseline) - 1 if gain(baseline) > 0 else float("nan")


def kept_near_gain(method: Sequence[Measure], baseline: Sequence[Measure], space: str, *, left: float, gain: float) -> float:
    """Share of the base's variety that the method keeps where it has `gain` times the reward that the baseline had gained
    when its looks (clip) first fell to `left` of the base's. nan if either never comes so far.
    """
    fallen = _first_crossing([-m.clip for m in baseline], [m.reward for m in baseline], -left * baseline[0].clip)
    near = method[0].reward + gain * (fallen - baseline[0].reward)
    return variety_at_reward(method, near, space) / getattr(method[0], space)


def _first_crossing(levels: Sequence[float], values: Sequence[float], level: float) -> float:
    """`values` where `levels` first rises through `level`, on the line between two neighbours; nan if it never does."""
    for (before, value), (after, following) in zip(zip(levels, values), zip(levels[1:], values[1:])):
        if before <= level <= after:
            share = (level - before) / max(after - before, 1e-12)
            return value * (1 - share) + following * share
    return float("nan")


def _state(run: folder.Run) -> str:
    with run.database(readonly=True) as db:
        return db.status()["state"]
