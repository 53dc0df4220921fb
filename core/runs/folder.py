"""runs/<name>/: config.yaml, run.db, checkpoints/, export/, log.txt. Making, finding, starting and ending runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from ..config import NAME, ROOT, RunConfig, load
from ..errors import UserError
from .database import ALIVE, Database

HEARTBEAT_LIMIT = 10.0  # seconds of silence after which a worker counts as not answering
SMALLEST_FREE = 200 * 2**20  # bytes of free disk below which nothing is started


def write_atomically(path: Path, data: bytes | str) -> None:
    """Replace `path` in one step, so that a reader or a crash never meets half a file."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(data.encode() if isinstance(data, str) else data)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


@dataclass(frozen=True)
class Run:
    """A run folder. Cheap to make; opens nothing until asked."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def config_file(self) -> Path:
        return self.path / "config.yaml"

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    @property
    def export(self) -> Path:
        return self.path / "export"

    @property
    def log(self) -> Path:
        return self.path / "log.txt"

    @property
    def film(self) -> Path:
        """One base picture after each denoising step, side by side; runs of older versions have none."""
        return self.path / "film.webp"

    def exists(self) -> bool:
        return self.config_file.exists()

    def config(self) -> RunConfig:
        return load(self.config_file)

    def database(self, *, readonly: bool = False) -> Database:
        return Database(self.path / "run.db", readonly=readonly, create=not readonly)


def create(path: Path, config: RunConfig) -> Run:
    """Make a new run folder. Raises UserError if it is taken, cannot be written or the disk is nearly full."""
    run, config = Run(Path(path)), config.placed()
    if not NAME.fullmatch(run.name):
        raise UserError(f"name: {run.name!r} cannot name a run. Use 1 to 60 letters, digits, - and _.", "name")
    try:
        if run.exists():
            raise UserError(f"{run.path}: a run is here already. Choose another name, or continue it with --resume.", "run_dir")
        check_disk(run.path.parent)
        for folder in (run.path, run.checkpoints, run.export):
            folder.mkdir(parents=True, exist_ok=True)
        with run.database() as db:
            db.set_status(state="preparing", iterations=config.iterations, message="Starting the trainer")
        write_atomically(run.config_file, config.to_yaml())  # last: a run exists once it is whole
    except (OSError, sqlite3.Error) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{run.path}: the run folder cannot be written ({reason}). Choose another folder with --run-dir.", "run_dir") from None
    return run


def size(place: Path) -> int:
    """Bytes of all files below `place`."""
    total = 0
    for where, _, names in os.walk(place):
        for name in names:
            with suppress(OSError):  # an old checkpoint that goes meanwhile
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def yardstick(run: Run) -> dict[str, float]:
    """Mean and spread of each reward on the base pictures, on which all of the run's rewards stand. Raises UserError."""
    place = run.path / "rewards.json"
    try:
        return {str(name): float(value) for name, value in json.loads(place.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{place}: the scale of the rewards cannot be read ({reason}). Copy the file again from where the run came from.") from None


def check_writable(folder: Path) -> None:
    """Raises UserError if nothing can be written into `folder`, or into the one that it would be made in."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise UserError(f"The folder of runs, {folder.absolute()}, can only be read. Start the studio with another one (--runs FOLDER), or make it writable.", "runs")


def check_disk(folder: Path) -> None:
    """Raises UserError if the disk that would hold `folder` is nearly full."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < SMALLEST_FREE:
        raise UserError(f"disk: only {free / 2**20:.0f} MB free in {folder}, a run needs {SMALLEST_FREE // 2**20} MB. Free some space.", "run_dir")


def find(folder: Path) -> list[Run]:
    """Runs directly under `folder`, newest first."""
    if not Path(folder).is_dir():
        return []
    runs = [Run(p) for p in Path(folder).iterdir() if (p / "config.yaml").exists() and (p / "run.db").exists()]
    return sorted(runs, key=lambda r: r.config_file.stat().st_mtime, reverse=True)


def next_name(folder: Path, stem: str) -> str:
    """`stem-01`, `stem-02`, ...: the first that is free. Whatever the stem, `create` accepts the name."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", stem)[:50].strip("-_") or "run"
    number = 1
    while (Path(folder) / f"{stem}-{number:02d}").exists():
        number += 1
    return f"{stem}-{number:02d}"


def start_worker(run: Run, *, resume: bool = False) -> subprocess.Popen:
    """Start the trainer as a process of its own that outlives the studio; its output goes to log.txt."""
    command = [sys.executable, "-m", "core", "train", str(run.path.absolute()), "--worker"]
    if resume:
        command.append("--resume")
    detached = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP} if os.name == "nt" else {"start_new_session": True}
    with open(run.log, "ab") as log:
        return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **detached)


def worker_process(status: dict) -> psutil.Process | None:
    """The living worker that wrote `status`, or None. A reused process number is not mistaken for it."""
    if not status.get("pid"):  # psutil.Process(None) is the process that asks
        return None
    try:
        process = psutil.Process(status["pid"])
        started = status.get("process_started")
        if started and abs(process.create_time() - started) > 2 or process.status() == psutil.STATUS_ZOMBIE:
            return None
        return process
    except (psutil.Error, ValueError):
        return None


def claim(db: Database, model: str) -> None:
    """Write this process into the run as its worker, which loads `model`. Raises UserError if another worker has it."""
    other = worker_process(db.status())
    if other is not None and other.pid != os.getpid():
        raise UserError(f"{db.path.parent.name}: another trainer (process {other.pid}) has this run. Stop it first.")
    me = psutil.Process()
    db.set_status(state="preparing", message=f"Loading {model}", remedy="", details="", phase="loading", pid=me.pid, process_started=me.create_time())


def state(status: dict) -> str:
    """The state a person should see: as written, but 'died' if the worker is gone and 'silent' if it does not beat."""
    written = status.get("state", "preparing")
    if written not in ALIVE:
        return written
    silent = time.time() - status.get("heartbeat", 0)
    if status.get("pid") and worker_process(status) is None:
        return "died"
    if silent > HEARTBEAT_LIMIT:
        return "silent" if status.get("pid") else "died"
    return written


def end_worker(run: Run) -> bool:
    """End the worker's process at once. Nothing is lost but what came after the newest checkpoint, which is made anew when the run goes on. True if one was ended."""
    with run.database() as db:
        process = worker_process(db.status())
        if process is None:
            return False
        saved = db.status()["saved_at"]
        try:
            children = process.children(recursive=True)
        except psutil.NoSuchProcess:  # it ended by itself meanwhile
            children = []
        for p in (process, *children):
            try:
                p.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            except psutil.Error:
                continue
        psutil.wait_procs([process, *children], timeout=5)
        db.set_status(state="stopped", message=f"Ended at once. {f'Saved at {saved}; what came after is made anew when it resumes.' if saved else 'Nothing was saved yet: it would begin anew.'}", pid=None)
        return True
