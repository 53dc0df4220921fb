"""Commands to a worker: dials, pause, stop, pictures on request, and its heartbeat."""

import sqlite3
import threading
import time

import pytest
from working import answers, events, metrics, pictures, send, status, work

from core import control
from core.config import LIVE
from core.training import Trainer

pytestmark = pytest.mark.usefixtures("prompt_answers")


def test_dials_change_between_iterations_and_wrong_ones_are_answered_in_a_sentence(new_run, at_iteration):
    run = new_run(iterations=3)
    at_iteration(
        2,
        lambda: [
            send(run, "set", changes={"creative_beta": 1.5, "sa_reg_steps": 2}),
            send(run, "set", name="noise_level", value=0.5),
            send(run, "set", changes={"seed": 3}),
            send(run, "set", changes={"creative_beta": 9}),
            send(run, "set", changes={"noise_level": 1e-5}),
            send(run, "set", changes={"no_such": 1}),
            send(run, "set", changes={"sa_reg_steps": 5}),
            send(run, "set", changes=["creative_beta"]),
            send(run, "set", name=["x"]),
            send(run, "set"),
            send(run, "set", changes={"pull": 0.0}),
        ],
    )
    assert work(run) == 0
    said = answers(run)
    live = f"These can change: {', '.join(LIVE)}."
    assert said[:3] == ["ok", "ok", f"seed: Seed is fixed when the run starts. {live}"]
    assert said[3] == "creative_beta: Diversity bonus is 9. Use 0 to 3." and "too small to be trained" in said[4]
    assert (
        said[5] == f"no_such: no_such is fixed when the run starts. {live}"
        and said[6] == "sa_reg_steps: Leash length is 5, the run has 4 steps. Use 0 to 4."
    )
    assert "is no change. Send the names of settings with their values." in said[7]
    assert all("is fixed when the run starts" in s for s in said[8:10]) and said[10] == "ok"
    assert [(e["iteration"], e["name"], e["old"], e["new"]) for e in events(run, "dial")] == [
        (3, "creative_beta", 0.0, 1.5),
        (3, "sa_reg_steps", 0, 2),
        (3, "noise_level", 0.7, 0.5),
    ]
    rows = metrics(run)
    assert [r["dials"]["creative_beta"] for r in rows] == [0, 0, 0, 1.5] and [r["dials"]["noise_level"] for r in rows[2:]] == [0.7, 0.5]
    assert rows[3]["leash"][0] > 0 and rows[2]["leash"] == [0.0] * 4
    assert {p[7] is None for p in pictures(run) if p[1] == 3} == {False}  # the bonus of each picture, now that it is paid


def test_dial_that_is_undone_in_time_never_turns(new_run, at_iteration):
    run = new_run(iterations=2)

    def turn():
        with run.database() as db:
            db.undo(db.send("set", changes={"creative_beta": 1.5}))

    at_iteration(1, turn)
    assert work(run) == 0
    assert answers(run) == ["undone"] and events(run, "dial") == [] and metrics(run)[2]["dials"]["creative_beta"] == 0


def test_dial_that_is_undone_at_the_same_moment_never_turns(new_run, monkeypatch):
    run = new_run(iterations=1)
    command = send(run, "set", changes={"creative_beta": 1.5})
    plain = Trainer.adopt

    def adopt(self, config):
        plain(self, config)
        if config.creative_beta == 1.5:
            with run.database() as db:
                assert db.undo(command)

    monkeypatch.setattr(Trainer, "adopt", adopt)
    assert work(run) == 0
    assert answers(run) == ["undone"] and events(run, "dial") == [] and metrics(run)[1]["dials"]["creative_beta"] == 0


def test_dial_turned_after_the_last_checkpoint_survives_a_crash(new_run, at_iteration):
    run = new_run(iterations=5, checkpoint_every=3)
    at_iteration(4, lambda: send(run, "set", changes={"creative_beta": 1.5, "learning_rate": 2e-3}))
    at_iteration(5, lambda: 1 / 0)
    assert work(run) == 1
    assert {e["iteration"] for e in events(run, "dial")} == {5}
    assert work(run, resume=True) == 0
    assert [(e["iteration"], e["name"], e["new"]) for e in events(run, "dial")] == [(4, "creative_beta", 1.5), (4, "learning_rate", 2e-3)]
    assert [r["dials"]["creative_beta"] for r in metrics(run)] == [0, 0, 0, 0, 1.5, 1.5] and metrics(run)[4]["dials"][
        "learning_rate"
    ] == 2e-3


def test_pause_holds_between_micro_steps_until_resumed(new_run, at_micro_step):
    run, straight = new_run("run", iterations=2), new_run("straight", iterations=2)
    seen = []

    def person():
        deadline = time.monotonic() + 60
        while status(run)["state"] != "paused" and time.monotonic() < deadline:
            time.sleep(0.01)
        before = status(run)
        send(run, "pause")  # twice is as good as once
        time.sleep(0.2)
        after = status(run)
        seen.append((before["state"], after["state"], before["iteration"], after["iteration"]))
        send(run, "resume")

    helper = threading.Thread(target=person)
    at_micro_step(6 + 2, lambda: (send(run, "pause"), helper.start()))
    assert work(run) == 0
    helper.join()
    assert seen == [("paused", "paused", 1, 1)] and answers(run) == ["ok", "ok", "ok"]
    assert [(e["iteration"], e["state"]) for e in events(run, "state")] == [(2, "paused"), (2, "running"), (3, "finished")]
    assert work(straight) == 0 and metrics(run) == metrics(straight)


def test_stop_ends_a_pause(new_run, at_iteration):
    run = new_run()
    at_iteration(2, lambda: (send(run, "pause"), threading.Timer(0.2, send, (run, "stop")).start()))
    assert work(run) == 0
    assert (status(run)["state"], status(run)["iteration"], answers(run)) == ("stopped", 1, ["ok", "ok"])


def test_pictures_on_request(new_run, at_iteration):
    run = new_run(iterations=2)
    at_iteration(1, lambda: [send(run, "sample", prompt=1), send(run, "sample", prompt=7), send(run, "sample", prompt="cat")])
    assert work(run) == 0
    assert answers(run) == ["ok", "prompt: 7 is not in the list. Use 0 to 1.", "prompt: 'cat' is not in the list. Use 0 to 1."]
    mine = [p for p in pictures(run) if p[0] == "sample"]
    assert len(mine) == 8 and {(p[1], p[2]) for p in mine} == {(1, 1)} and all(p[9] is not None and p[10] is not None for p in mine)
    assert events(run, "sample")[0]["seeds"] == [p[4] for p in mine] and status(run)["state"] == "finished"


def test_bonus_that_drowns_the_reward_is_told_once(new_run):
    run = new_run(
        iterations=2, creative_combine="raw_sum", creative_beta=3.0, cluster_k=3, cluster_min_spread=0.0, rewards={"brightness": 0.01}
    )
    assert work(run) == 0
    (warning,) = events(run, "warning")
    assert warning["iteration"] == 1 and "outweighs the reward" in warning["message"]


def test_heart_beats_on_after_one_beat_was_refused(tmp_path, monkeypatch):
    class Impatient(threading.Event):
        def wait(self, timeout=None):
            return super().wait(0.01)

    monkeypatch.setattr(threading, "Event", Impatient)
    beats = []

    class Full:
        def set_status(self, **values):
            beats.append(values)
            if len(beats) == 1:
                raise sqlite3.OperationalError("database or disk is full")

    heart = control.Control(Full())
    deadline = time.monotonic() + 20
    while len(beats) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    heart.close()
    assert len(beats) >= 3 and 0 < beats[0]["memory_used"] < beats[0]["memory_total"]
