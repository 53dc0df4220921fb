"""What the screen tests share: the browser, and a trainer that only pretends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# the first is the same browser without windows: a page costs it a third less
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), "/usr/bin/chromium")
FLAGS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--process-per-site",  # pages share a process, and so what it has compiled
]


class FakeTrainer:
    """starter(run) for studio.shell.build: starts fake_worker.py; ends what it started."""

    def __init__(self, **env: str):
        self.env = env
        self.started: list[subprocess.Popen] = []

    def __call__(self, run, *, resume: bool = False) -> subprocess.Popen:
        command = [sys.executable, str(HERE / "fake_worker.py"), str(run.path)]
        process = subprocess.Popen(
            command, env={**os.environ, "OMP_NUM_THREADS": "1", **self.env}, stderr=open(run.log, "ab"), start_new_session=True
        )
        self.started.append(process)
        return process

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
