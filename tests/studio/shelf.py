"""The app on a runs folder of its own, and written runs to put into it: for the tests of the list of runs and of runs as a whole."""

from __future__ import annotations

import os
import shutil
import time

import numpy as np
import pytest
from fastapi.testclient import TestClient
from sample_run import write_run

from core.runs import checkpoints
from core.runs.folder import Run
from studio.shell import build

URL = "http://127.0.0.1:7860"


class Studio:
    """The app on a folder of its own. Trainers that it starts are only noted; `begin` and `end` play their part."""

    def __init__(self, runs):
        runs.mkdir(exist_ok=True)  # as app.py does
        self.runs, self.started = runs, []
        self.client = TestClient(build(runs, starter=lambda run, resume=False: self.started.append((run.name, resume))), base_url=URL)

    def get(self, route: str):
        return self.client.get(f"/api/{route}").json()

    def post(self, route: str, /, **body):
        return self.client.post(f"/api/{route}", json=body, headers={"Origin": URL})

    def refused(self, route: str, /, **body) -> str:
        answer = self.post(route, **body)
        assert answer.status_code in (400, 404), answer.text
        return answer.json()["error"]

    def row(self, name: str) -> dict:
        return next(r for r in self.get("runs/all")["runs"] if r["name"] == name)

    def begin(self, name: str) -> None:
        with Run(self.runs / name).database() as db:
            db.set_status(state="running", pid=os.getpid(), process_started=None)

    def end(self, name: str, state: str = "stopped") -> None:
        with Run(self.runs / name).database() as db:
            db.set_status(state=state, pid=None)


@pytest.fixture
def studio(tmp_path):
    return Studio(tmp_path / "runs")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A run of 12 iterations, to be copied: writing one takes a while."""
    return write_run(tmp_path_factory.mktemp("written") / "cats", iterations=12, end=20)


@pytest.fixture
def put(studio, written):
    """put(name): a copy of the written run in the studio's folder."""

    def copy(name: str, where=None, age: float = 0) -> Run:
        target = (where or studio.runs) / name
        shutil.copytree(written.path, target)
        os.utime(target / "config.yaml", (time.time() - age,) * 2)
        return Run(target)

    return copy


def lora(run: Run, *iterations: int) -> None:
    """Checkpoints with a LoRA on one layer of an SD3."""
    matrices = {"A": np.ones((32, 8), np.float32), "B": np.ones((8, 32), np.float32)}
    for iteration in iterations:
        checkpoints.save(run, iteration, {f"lora/transformer_blocks.0.attn.to_q.lora_{side}.default.weight": m for side, m in matrices.items()}, {}, keep=9)
