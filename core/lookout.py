"""The worker's watch over variety and disk: writes alarms down as events and does what the settings ask for."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from typing import Any

from .alarms import SPAN, Alarm, Reader, Watch, last_healthy
from .config import RunConfig
from .control import Control
from .errors import UserError
from .runs import checkpoints, folder
from .runs.branch import branch, free_path
from .runs.database import Database

MOST_BETA = 3.0


class Lookout:
    """Looks at every iteration of one run. Alarms of a history that is there already are not raised again."""

    def __init__(self, run: folder.Run, db: Database, control: Control, config: RunConfig):
        self.run, self.db, self.control = run, db, control
        self.reader = Reader(config.group_size * config.prompts_per_iteration)
        self.watch = Watch(warn=config.alarm_warn, pause=config.alarm_pause, parting=config.alarm_parting)
        self.q: dict[int, float] = {}
        self._told = False  # that the bonus cannot be raised
        for row in db.iterations():
            self._read(row)

    def _read(self, row: Mapping[str, Any]) -> list[Alarm]:
        reading = self.reader.next(row)
        self.q[reading.iteration] = reading.q
        return self.watch.next(reading)

    def healthy(self) -> int | None:
        """The newest checkpoint at which variety was healthy."""
        return last_healthy(checkpoints.all_of(self.run), self.q)

    def look(self, iteration: int, metrics: Mapping[str, Any], config: RunConfig) -> folder.Run | None:
        """After an iteration: raise alarms, act on them. A branch to go on with instead, if one was made. Raises Stopped."""
        raised = self._read({"iteration": iteration, **metrics})
        for alarm in raised:
            self.db.add_event("alarm", iteration, alarm=alarm.kind, message=alarm.message)
            print(f"{self.run.name}, iteration {iteration}: {alarm.message}", file=sys.stderr)
        if config.alarm_action == "branch" and raised:
            made = self._roll_back(iteration, config)
            if made is not None:
                return made
        if config.alarm_action == "raise_beta" and self.watch.standing:
            self._raise_beta(iteration, config)
        deep = any(alarm.kind == "deep" for alarm in raised)
        if raised and (deep or config.alarm_action in ("pause", "branch")) and iteration < config.iterations:
            self._pause(f"Paused by an alarm at {iteration}. {raised[-1].message}")
        return None

    def _pause(self, why: str) -> None:
        print(f"{why} Resume it in the studio, or press Ctrl+C and go on with --resume.", file=sys.stderr)
        self.control.pause(why)

    def _raise_beta(self, iteration: int, config: RunConfig) -> None:
        """One step, and the next only after it has had the time to show."""
        turned = [e["iteration"] for e in self.db.events() if e["kind"] == "dial" and e["name"] == "creative_beta"]
        beta = raised_beta(config)
        if beta <= config.creative_beta or turned and iteration - turned[-1] < SPAN:
            return
        try:
            config.with_changes(creative_beta=beta)
        except UserError as error:
            if not self._told:
                self._told = True
                self.db.add_event("warning", iteration, message=f"The alarm could not raise the bonus: {error}")
            return
        self.db.send("set", changes={"creative_beta": beta})

    def _roll_back(self, iteration: int, config: RunConfig) -> folder.Run | None:
        """A branch from the last healthy checkpoint with a raised bonus: with the same dials it would only repeat this run."""
        at, beta = self.healthy(), raised_beta(config)
        if at is None or beta == config.creative_beta:
            return None
        try:
            made = branch(self.run, free_path(self.run, at), at, {"creative_beta": beta})
        except UserError as error:
            self.db.add_event("warning", iteration, message=f"The alarm could not roll back: {error}")
            return None
        self.db.add_event("rollback", iteration + 1, to=made.name, at=at)
        print(f"{self.run.name}: rolled back to {at} with a diversity bonus of {beta:g}; {made.name} goes on.", file=sys.stderr)
        return made

    def wait_for_disk(self, iteration: int) -> None:
        """Pause while the disk has too little left for a checkpoint. Raises Stopped."""
        while (free := shutil.disk_usage(self.run.path).free) < folder.SMALLEST_FREE:
            self._pause(f"Only {free / 1e9:.1f} GB left: paused at {iteration}. Free some space, then resume.")


def raised_beta(config: RunConfig) -> float:
    """The diversity bonus one step up, at most 3."""
    return min(MOST_BETA, round(config.creative_beta + config.alarm_beta_step, 4))
