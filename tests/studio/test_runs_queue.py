"""The queue of runs through the app's routes, and its runner."""

from __future__ import annotations

import json
import time

import pytest
from shelf import Studio, lora, put, studio, written  # noqa: F401

from core.config import RunConfig
from core.runs import queue
from core.runs.folder import HEARTBEAT_LIMIT, Run
from studio.data.queue import Runner

@pytest.fixture
def runner(studio):
    """The queue's runner, looking only when told to."""
    studio.post("queue/hold", held=True)  # the one of the app does nothing
    mine = Runner(studio.runs, lambda run, resume=False: studio.started.append((run.name, resume)))

    def step():
        queue.hold(studio.runs, False)
        try:
            return mine.step()
        finally:
            queue.hold(studio.runs, True)

    mine.look = step
    return mine


def test_runs_start_one_after_another(studio, put, runner):
    for name in "abc":
        put(name)
    lora(Run(studio.runs / "b"), 10)
    for name in "abc":
        studio.post("queue", run=name)
    assert [studio.row(n)["place"] for n in "abc"] == [1, 2, 3] and studio.row("a")["word"] == "Queued"
    assert runner.look() == "a" and studio.started == [("a", False)] and queue.read(studio.runs).runs == ("b", "c")
    assert runner.look() is None  # it is starting
    studio.begin("a")
    assert runner.look() is None
    studio.end("a", "failed")  # a fault of one is no reason to keep the others waiting
    assert runner.look() == "b" and studio.started[-1] == ("b", True)
    studio.begin("b"), studio.end("b", "finished")
    assert runner.look() == "c" and queue.read(studio.runs).runs == ()
    assert runner.look() is None


def test_who_queues_is_told_whether_it_starts(studio, put):
    put("a"), put("b"), put("c")
    studio.post("queue/hold", held=True)
    assert studio.post("queue", run="a").json()["starts"] is False  # the queue is held
    studio.post("queue/remove", run="a")
    queue.hold(studio.runs, False)
    assert studio.post("queue", run="a").json()["starts"] is True
    studio.begin("a")
    assert studio.post("queue", run="b").json()["starts"] is False  # a is at work
    assert studio.post("queue", run="c").json()["starts"] is False


def test_any_trainer_of_the_folder_holds_the_queue_up(studio, put, runner):
    put("by-hand"), put("waits")
    studio.begin("by-hand")
    studio.post("queue", run="waits")
    assert runner.look() is None and studio.started == []
    with Run(studio.runs / "by-hand").database() as db:  # it lives, but gives no sign
        db.write("UPDATE status SET heartbeat = ?", time.time() - 10 * HEARTBEAT_LIMIT)
    assert studio.row("by-hand")["state"] == "silent" and runner.look() is None
    studio.end("by-hand")
    assert runner.look() == "waits"


def test_run_that_was_started_by_hand_leaves_the_queue(studio, put, runner):
    put("a"), put("b")
    studio.post("queue", run="a"), studio.post("queue", run="b")
    studio.begin("a")
    assert runner.look() is None and queue.read(studio.runs).runs == ("b",)


def test_full_disk_holds_the_queue_and_says_so(studio, put, runner, monkeypatch):
    put("a")
    studio.post("queue", run="a")
    monkeypatch.setattr("core.runs.folder.SMALLEST_FREE", 2**62)
    queue.hold(studio.runs, False)
    assert runner.step() is None and studio.started == []
    found = studio.get("runs/all")["queue"]
    assert found["held"] and "MB free" in found["reason"] and found["runs"] == ["a"]


def test_queue_survives_a_new_studio(studio, put, runner):
    for name in "abc":
        put(name)
        studio.post("queue", run=name)
    studio.post("queue/order", runs=["c", "a", "b"])
    studio.post("queue/remove", run="a")
    assert Studio(studio.runs).get("runs/all")["queue"] == {"runs": ["c", "b"], "held": True, "reason": ""}
    assert json.loads((studio.runs / "queue.json").read_text())["runs"] == ["c", "b"]


def test_new_settings_can_wait_in_the_queue(studio, runner):
    config = RunConfig(iterations=7).model_dump(mode="json")
    assert studio.post("queue", config=config, name="later").json()["queue"]["runs"] == ["later"]
    row = studio.row("later")
    assert (row["word"], row["place"], row["iteration"], row["iterations"]) == ("Queued", 1, 0, 7)
    assert runner.look() == "later" and studio.started == [("later", False)]
    assert studio.post("queue", config={**config, "group_size": 1}, name="x").json()["field"] == "group_size"
    assert not (studio.runs / "x").exists()


def test_what_cannot_wait_is_refused(studio, put, runner):
    put("done"), put("busy")
    studio.end("done", "finished"), studio.begin("busy")
    assert "has finished" in studio.refused("queue", run="done") and "has a trainer" in studio.refused("queue", run="busy")
    assert "no run" in studio.refused("queue", run="nobody")
    for wrong in ("abc", [1], None):
        assert studio.post("queue/order", runs=wrong).json()["field"] == "runs"


def test_renamed_and_archived_runs_in_the_queue(studio, put, runner):
    for name in "abc":
        put(name)
        studio.post("queue", run=name)
    studio.post("runs/b/rename", to="z")
    studio.post("runs/a/archive")
    assert queue.read(studio.runs).runs == ("z", "c")


def test_the_app_s_own_runner_starts_what_waits(studio, put):
    put("a")
    studio.post("queue", run="a")
    end = time.time() + 10
    while not studio.started and time.time() < end:
        time.sleep(0.05)
    assert studio.started == [("a", False)]
