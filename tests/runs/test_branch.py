"""A branch on disk: what it takes along, what it leaves, and that the other run is only read."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "studio"))

from sample_run import write_run  # noqa: E402

from core.errors import UserError  # noqa: E402
from core.runs import checkpoints, folder  # noqa: E402
from core.runs.branch import branch, free_path  # noqa: E402


@pytest.fixture
def parent(tmp_path):
    """A run of 30 iterations with checkpoints at 10 and 20; beta was turned at 15 and 25."""
    run = write_run(tmp_path / "cats", iterations=30, base_pictures=24, steps=10)
    for file, text in (("base.npz", "yardstick"), ("rewards.json", "{}")):
        (run.path / file).write_text(text)
    for n in (10, 20):
        state = {"dials": {"creative_beta": 0.0 if n < 15 else 0.5, "sa_reg_steps": 3}}
        checkpoints.save(run, n, {"lora/a": np.arange(n)}, state, keep=5)
    with run.database() as db:
        db.add_event("dial", 15, name="creative_beta", old=0.0, new=0.5)
        db.add_event("dial", 25, name="creative_beta", old=0.5, new=1.0)
        db.add_event("alarm", 20, alarm="low", message="Low.")
        db.add_event("alarm", 26, alarm="low", message="Low.")
        db.send("set", changes={"creative_beta": 2.0})
    return run


def told(run, sql):
    with run.database(readonly=True) as db:
        return [tuple(r) for r in db.rows(sql)]


def fingerprint(run):
    with run.database(readonly=True) as db:
        rows = [tuple(r) for table in ("status", "iterations", "pictures", "events", "commands") for r in db.rows(f"SELECT * FROM {table}")]
    files = {p.relative_to(run.path): hashlib.sha256(p.read_bytes()).hexdigest() for p in run.path.rglob("*") if p.is_file() and "run.db" not in p.name}
    return rows, files


def test_a_branch_has_the_history_up_to_its_checkpoint_and_the_parent_is_untouched(parent):
    before = fingerprint(parent)
    made = branch(parent, parent.path.with_name("again"), 20)
    assert fingerprint(parent) == before
    assert told(made, "SELECT max(iteration), count(*) FROM iterations") == [(20, 21)]
    columns = "id, iteration, seed, reward, look, embedding, thumb"
    assert told(made, f"SELECT {columns} FROM pictures ORDER BY id") == told(parent, f"SELECT {columns} FROM pictures WHERE iteration <= 20 ORDER BY id")
    assert told(made, "SELECT * FROM looks") == told(parent, "SELECT * FROM looks")
    assert told(made, "SELECT * FROM commands") == []
    kinds = told(made, "SELECT kind, iteration, body FROM events ORDER BY id")
    assert [(k, i) for k, i, _ in kinds] == [("map", 0), ("dial", 15), ("alarm", 20), ("branch", 21)]
    assert json.loads(kinds[-1][2]) == {"of": "cats", "at": 20}
    assert checkpoints.all_of(made) == [20] and np.array_equal(checkpoints.load(made, 20)[0]["lora/a"], np.arange(20))
    assert (made.path / "base.npz").read_text() == "yardstick" and made.config() == parent.config()
    with made.database(readonly=True) as db:
        status = db.status()
    assert (status["state"], status["iteration"], status["saved_at"], status["pid"], status["message"]) == ("stopped", 20, 20, None, "Begins from cats at 20.")


def test_live_dials_wait_for_the_first_iteration_and_others_are_settings(parent):
    made = branch(parent, parent.path.with_name("other"), 10, {"creative_beta": 0.75, "iterations": 90, "alarm_pause": 30.0})
    with made.database(readonly=True) as db:
        assert [(kind, body) for _, kind, body in db.pending()] == [("set", {"changes": {"creative_beta": 0.75}})]
    assert made.config() == parent.config().with_changes(iterations=90, alarm_pause=30.0)


@pytest.mark.parametrize(
    "name, at, changes, said",
    [
        ("x", 15, {}, "checkpoint 15 of cats cannot be read"),
        ("x", 20, {"seed": 3}, "seed: this is fixed when a run starts. In a branch these can change: iterations"),
        ("x", 20, {"creative_beta": 9}, "creative_beta: Diversity bonus is 9. Use 0 to 3."),
        ("x", 20, {"sa_reg_steps": 11}, "sa_reg_steps: Leash length is 11, the run has 10 steps."),
        ("cats", 20, {}, "something is here already"),
        ("no name", 20, {}, "cannot name a run"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_nothing(parent, name, at, changes, said):
    before = sorted(p.name for p in parent.path.parent.iterdir())
    with pytest.raises(UserError, match=said.replace(".", r"\.")):
        branch(parent, parent.path.with_name(name), at, changes)
    assert sorted(p.name for p in parent.path.parent.iterdir()) == before


def test_a_branch_that_fails_half_way_leaves_no_folder(parent):
    (parent.path / "rewards.json").unlink()
    with pytest.raises(UserError, match="the branch cannot be written"):
        branch(parent, parent.path.with_name("half"), 20)
    assert not parent.path.with_name("half").exists() and len(folder.find(parent.path.parent)) == 1


def test_free_path_counts_and_does_not_grow(parent):
    assert free_path(parent, 20).name == "cats-from-20"
    free_path(parent, 20).mkdir()
    assert free_path(parent, 20).name == "cats-from-20-2"
    assert free_path(folder.Run(parent.path.with_name("cats-from-20-2")), 10).name == "cats-from-10"
    assert len(free_path(folder.Run(parent.path.with_name("x" * 60)), 99_999).name) <= 60
