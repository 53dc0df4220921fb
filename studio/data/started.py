"""Trainers that this studio started and that may not have written their process number yet.

A trainer imports for some seconds before its first sign of life. Meanwhile the run folder alone cannot tell a slow
start from a failed one; the process can.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from core.runs import folder
from core.runs.database import ALIVE
from core.runs.folder import Run

_processes: dict[Path, subprocess.Popen] = {}


def remember(run: Run, process: subprocess.Popen | None) -> None:
    if process is not None:
        _processes[run.path.absolute()] = process


def state(run: Run, status: dict) -> str:
    """folder.state, but a start is 'preparing' as long as its process lives, and 'died' as soon as it does not."""
    seen = folder.state(status)
    process = _processes.get(run.path.absolute())
    if process is None or status.get("pid") or status.get("state") not in ALIVE:
        return seen
    return "preparing" if process.poll() is None else "died"
