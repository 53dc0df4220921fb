"""Trainers that this studio started and that may not have written their process number yet.

A trainer imports for some seconds before its first sign of life. Meanwhile the run folder alone cannot tell a slow
start from a failed one; the process can.
"""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

from core.runs import folder, queue
from core.runs.database import ALIVE
from core.runs.folder import Run

from . import watched

_processes: dict[Path, subprocess.Popen] = {}


def remember(run: Run, process: subprocess.Popen | None) -> None:
    if process is not None:
        _processes[run.path.absolute()] = process


def state(run: Run, status: dict) -> str:
    """folder.state, but a start is 'preparing' as long as its process lives, and 'died' as soon as it does not; 'queued' while it waits."""
    if watched.holds(run):
        return watched.state(run, status)
    seen = folder.state(status)
    process = _processes.get(run.path.absolute())
    if process is not None and not status.get("pid") and status.get("state") in ALIVE:
        seen = "preparing" if process.poll() is None else "died"
    return "queued" if seen in ("stopped", "failed", "died") and run.name in queue.read(run.path.parent).runs else seen


def was_killed(run: Run) -> bool:
    """Whether a trainer that this studio started was ended by a signal that nobody here sent: most often for want of memory."""
    process = _processes.get(run.path.absolute())
    return process is not None and process.poll() == -signal.SIGKILL if hasattr(signal, "SIGKILL") else False
