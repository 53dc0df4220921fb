"""Trial iterations: started as a process of their own, watched, and what they found kept beside the runs."""

from __future__ import annotations

import atexit
import json
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from core.batch import in_flight
from core.config import ROOT, RunConfig
from core.errors import UserError
from core.runs import folder
from core.runs.database import ALIVE

from . import cost, started

TRIAL = [sys.executable, "-m", "core.trial"]
_KEPT = 200  # measurements
_KILLED = (-9, 137)  # how a process ends that the system took for its memory
_lock = threading.Lock()
_jobs: dict[Path, "Job"] = {}


class Job:
    """One measurement under way: a trial, and further ones with fewer pictures in flight if memory does not last."""

    def __init__(self, runs: Path, config: RunConfig):
        self.runs, self.config = runs, config
        self.began = time.time()
        self.doing, self.error, self.field = "Starting", "", None
        self.process: subprocess.Popen | None = None
        self.stopped = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def stop(self) -> None:
        with _lock:
            self.stopped = True
            if self.process is not None and self.process.poll() is None:
                self.process.terminate()
        self._thread.join(5)

    def _work(self) -> None:
        place = tempfile.mkdtemp(prefix="manymodes-")
        try:
            self._measure(Path(place))
        except UserError as error:
            self.error, self.field = str(error), error.field
        except OSError as error:
            self.error = f"The trial could not be started ({error.strerror})."
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _measure(self, place: Path) -> None:
        trying = self.config
        while True:
            told = self._trial(trying, place)
            if self.stopped:
                return
            if "measured" in told:
                break
            if not told["memory"]:
                raise UserError(told["error"], told.get("field"))
            fewer = in_flight(trying) // 2
            if not fewer and trying.gradient_checkpointing:
                raise UserError("This needs more memory than there is, even with one picture in flight and checkpointing. Use a smaller model or smaller pictures.", "model")
            trying = trying.with_changes(**({"micro_batch": fewer} if fewer else {"gradient_checkpointing": True}))
        took = time.time() - self.began
        keep(self.runs, trying, told["measured"], took)
        if trying is not self.config:
            keep(self.runs, self.config, cost.scaled(self.config, trying, told["measured"]), took)

    def _trial(self, config: RunConfig, place: Path) -> dict[str, Any]:
        """The last line of one trial's output."""
        with open(place / "log.txt", "w+b") as log:
            with _lock:
                if self.stopped:
                    return {}
                self.process = subprocess.Popen(
                    [*TRIAL, "-", "--folder", str(place)], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, encoding="utf-8"
                )
            with self.process as process:
                try:
                    process.stdin.write(json.dumps(config.model_dump(mode="json")))
                    process.stdin.close()
                except OSError:  # it ended before it listened; its exit says the rest
                    pass
                told: dict[str, Any] = {}
                for line in process.stdout:
                    told = json.loads(line)
                    self.doing = told.get("doing", self.doing)
            if "measured" in told or "error" in told:
                return told
            log.seek(0)
            last = (log.read().decode(errors="replace").strip().splitlines() or ["no word"])[-1][-300:]
        return {"error": f"The trial stopped by itself ({last}).", "memory": process.returncode in _KILLED}


def start(runs: Path, config: RunConfig) -> None:
    """Begin to measure `config`. Raises UserError if a trial or a training would be in its way."""
    folder.check_writable(runs)
    busy = training(runs)
    if busy:
        raise UserError(f"{busy} is training. A trial beside it would measure too much; pause it or wait.", "measure")
    with _lock:
        job = _jobs.get(runs.absolute())
        if job is not None and job.running:
            raise UserError("A trial is under way already.", "measure")
    _jobs[runs.absolute()] = Job(runs, config)


def stop(runs: Path) -> None:
    """End the trial under way, if there is one; nothing of it is kept."""
    job = _jobs.pop(runs.absolute(), None)
    if job is not None:
        job.stop()


def state(runs: Path) -> dict[str, Any]:
    """{"running", "doing", "seconds", "error", "field"} of the newest trial."""
    job = _jobs.get(runs.absolute())
    if job is None:
        return {"running": False, "doing": "", "seconds": 0, "error": "", "field": None}
    return {"running": job.running, "doing": job.doing, "seconds": round(time.time() - job.began), "error": job.error, "field": job.field}


def training(runs: Path) -> str:
    """The name of a run that computes at the moment, or ''."""
    for run in folder.find(runs):
        try:
            with run.database(readonly=True) as db:
                status = db.status()
        except UserError:
            continue
        if status.get("state") in ALIVE and status.get("state") != "paused" and started.state(run, status) in ALIVE:
            return run.name
    return ""


# --- what was measured --------------------------------------------------------------------------------------------
def _file(runs: Path) -> Path:
    return runs / "measured.json"


def kept(runs: Path) -> list[dict[str, Any]]:
    """Measurements of this computer, newest first; none if the file cannot be read."""
    try:
        found = json.loads(_file(runs).read_text(encoding="utf-8"))
        return [m for m in found if m["node"] == platform.node()]
    except (OSError, ValueError, TypeError, KeyError):
        return []


def keep(runs: Path, config: RunConfig, measured: dict[str, Any], took: float) -> None:
    """Remember what a trial of `config` found; it takes the place of an older one of the same cost."""
    one = {"cost": list(cost.key(config)), "node": platform.node(), "at": time.time(), "took": took, "model": config.model, **measured}
    others = [m for m in kept(runs) if m["cost"] != one["cost"]]
    runs.mkdir(parents=True, exist_ok=True)
    folder.write_atomically(_file(runs), json.dumps([one, *others][:_KEPT]))


@atexit.register
def _end_all() -> None:
    for job in _jobs.values():
        job.stop()
