"""Checkpoints are written whole or not at all, the newest are kept, and a damaged one is told apart."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from core.config import ROOT, RunConfig
from core.errors import UserError
from core.runs import checkpoints
from core.runs.folder import create


@pytest.fixture
def run(tmp_path):
    return create(tmp_path / "demo", RunConfig())


def tensors(value: float) -> dict[str, np.ndarray]:
    # an optimizer's step is a number without dimensions, a transposed weight is not contiguous
    return {
        "lora/a": np.full((3, 2), value, np.float32),
        "optimizer/step/a": np.array(value, np.float32),
        "lora/t": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }


def save(run, iteration: int, value: float | None = None, keep: int = 5) -> None:
    checkpoints.save(run, iteration, tensors(iteration if value is None else value), {"note": "x"}, keep=keep)


def loaded(run, iteration: int) -> float:
    return float(checkpoints.load(run, iteration)[0]["lora/a"][0, 0])


def test_comes_back_bit_by_bit_with_its_state_and_settings(run):
    save(run, 7)
    found, state = checkpoints.load(run, 7)
    expected = tensors(7)
    assert found.keys() == expected.keys() and all(
        np.array_equal(found[n], expected[n]) and found[n].shape == expected[n].shape for n in found
    )
    assert state == {"iteration": 7, "note": "x"}
    assert (run.checkpoints / "000007" / "config.yaml").read_bytes() == run.config_file.read_bytes()


def test_keeps_the_newest(run):
    for iteration in (2, 4, 6, 1_000_000):  # one with more digits than the rest
        save(run, iteration, keep=2)
    assert checkpoints.all_of(run) == [6, 1_000_000]
    assert sorted(p.name for p in run.checkpoints.iterdir()) == ["000006", "1000000"]


def test_none_in_a_fresh_run_and_in_none(run):
    assert checkpoints.all_of(run) == []
    shutil.rmtree(run.path)
    assert checkpoints.all_of(run) == []


def test_failure_while_writing_leaves_the_old_ones(run, monkeypatch):
    save(run, 3)

    def full(tensors, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(checkpoints, "save_file", full)
        for iteration in (3, 6):
            with pytest.raises(OSError):
                save(run, iteration, 9.0)
    assert checkpoints.all_of(run) == [3] and loaded(run, 3) == 3
    save(run, 6)
    assert checkpoints.all_of(run) == [3, 6] and loaded(run, 6) == 6


KILLED_AT = """
import os, sys
from pathlib import Path
import numpy as np
from core.runs import checkpoints
from core.runs.folder import Run
name, turn = sys.argv[2], int(sys.argv[3])
owner = checkpoints.os if name == "replace" else checkpoints.shutil if name == "rmtree" else checkpoints
plain, calls = getattr(owner, name), 0
def dies(*args, **kwargs):
    global calls
    calls += 1
    if calls == turn:
        os.kill(os.getpid(), 9)
    return plain(*args, **kwargs)
setattr(owner, name, dies)
checkpoints.save(Run(Path(sys.argv[1])), 3, {"lora/a": np.full((3, 2), 9, np.float32)}, {}, keep=5)
os._exit(0)
"""


@pytest.mark.parametrize("name, turn", [("save_file", 1), ("replace", 1), ("replace", 2), ("rmtree", 2), ("rmtree", 3)])
def test_kill_while_the_same_iteration_is_saved_again_loses_nothing(run, name, turn):
    """A stop at an iteration that has a checkpoint writes it anew."""
    save(run, 3)
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_AT, str(run.path), name, str(turn)], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}
    )
    assert killed.returncode == -9
    assert checkpoints.all_of(run) == [3] and loaded(run, 3) in (3, 9)
    save(run, 3, 11.0)
    assert loaded(run, 3) == 11 and [p.name for p in run.checkpoints.iterdir()] == ["000003"]


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    "damage, said",
    [
        (lambda f: cut(f / "tensors.safetensors", 40), "checkpoint 3 of demo is damaged. Remove the folder"),
        (lambda f: cut(f / "tensors.safetensors", 0), "checkpoint 3 of demo is damaged. Remove the folder"),
        (lambda f: (f / "tensors.safetensors").unlink(), "checkpoint 3 of demo cannot be read"),
        (lambda f: cut(f / "state.json", 5), "checkpoint 3 of demo cannot be read"),
        (lambda f: (f / "state.json").unlink(), "There are: 6."),
    ],
    ids=["cut", "empty", "no tensors", "cut state", "no state"],
)
def test_damaged_one_is_told_in_one_line_and_the_others_stay(run, damage, said):
    save(run, 3)
    save(run, 6)
    damage(run.checkpoints / "000003")
    with pytest.raises(UserError) as caught:
        checkpoints.load(run, 3)
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert loaded(run, 6) == 6
