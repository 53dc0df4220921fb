"""Remedies through the whole app: a branch, a resume with changes, the log; and what the head says about them."""

from __future__ import annotations

import os
import shutil
import time

import psutil
import pytest
from fastapi.testclient import TestClient
from saved_run import saved_run

from core.runs import folder
from studio.data import head, remedy
from studio.data.history import history
from studio.routes import branch as routes
from studio.shell import build

URL = "http://127.0.0.1:7860"
OWN = {"Origin": URL}


@pytest.fixture
def studio(tmp_path):
    started = []
    client = TestClient(build(tmp_path, starter=lambda run, resume=False: started.append((run.name, resume))), base_url=URL)
    client.runs, client.started = tmp_path, started
    return client


def made(studio, name="cats", saved=(20, 40), iterations=41, **options):
    return saved_run(studio.runs / name, saved, iterations=iterations, **options)


def told(run):
    with run.database(readonly=True) as db:
        return head.head(run, db)


def send(studio, path, body):
    answer = studio.post(f"/api/runs/{path}", json=body, headers=OWN)
    return answer.status_code, answer.json()


# --- branch ----------------------------------------------------------------------------------------------------------
def test_roll_back_starts_a_branch_and_the_first_run_points_to_it(studio):
    run = made(studio)
    assert send(studio, "cats/branch", {"from": 20, "changes": {"creative_beta": 0.5}}) == (200, {"run": "cats-from-20"})
    assert studio.started == [("cats-from-20", True)]
    new = folder.Run(studio.runs / "cats-from-20")
    assert told(new)["branch"] == {"of": "cats", "at": 20} and told(new)["waiting"][0]["changes"] == {"creative_beta": 0.5}
    assert told(new)["newest"] == 20 and told(run)["newest"] == 41
    assert told(run)["rollback"]["to"] == "cats-from-20"
    with run.database() as db:  # the first run goes on after all: then the pointer is of the past
        db.set_status(iteration=42)
    assert told(run)["rollback"] is None


def test_wrong_branches_are_refused_in_a_sentence(studio):
    made(studio)
    assert send(studio, "cats/branch", {"from": 30})[1]["error"].startswith("checkpoint 30 of cats cannot be read")
    assert send(studio, "cats/branch", {"from": "20"})[0] == 400 and send(studio, "cats/branch", {})[1]["field"] == "from"
    assert send(studio, "cats/branch", {"from": 20, "changes": {"seed": 1}})[1]["field"] == "seed"
    assert studio.post("/api/runs/cats/branch", json={"from": 20}).status_code == 403
    assert [p.name for p in studio.runs.iterdir() if p.is_dir()] == ["cats"] and studio.started == []


def test_a_trainer_that_does_not_stop_in_time_keeps_the_branch_waiting(studio, monkeypatch):
    monkeypatch.setattr(routes, "PATIENCE", 0.3)
    run = made(studio)
    me = psutil.Process(os.getpid())
    with run.database() as db:
        db.set_status(state="running", pid=me.pid, process_started=me.create_time())
    code, answer = send(studio, "cats/branch", {"from": 20})
    assert code == 200 and answer["waits"].startswith("cats is still finishing a step. cats-from-20 is ready")
    assert studio.started == [] and told(folder.Run(studio.runs / "cats-from-20"))["state"] == "stopped"
    with run.database(readonly=True) as db:
        assert [kind for _, kind, _ in db.pending()] == ["stop"]


# --- resume with changes -----------------------------------------------------------------------------------------------
def test_resume_takes_settings_into_the_file_and_dials_as_a_turn(studio):
    run = made(studio)
    assert send(studio, "cats/resume", {"changes": {"micro_batch": 12, "learning_rate": 1e-4}}) == (200, {"run": "cats"})
    assert run.config().micro_batch == 12 and run.config().learning_rate == 3e-4
    assert told(run)["waiting"][0]["changes"] == {"learning_rate": 1e-4} and studio.started == [("cats", True)]


def test_resume_refuses_what_is_fixed_and_starts_nothing(studio):
    run = made(studio)
    before = run.config()
    assert send(studio, "cats/resume", {"changes": {"seed": 4}})[1]["field"] == "seed"
    assert send(studio, "cats/resume", {"changes": {"micro_batch": 0}})[1]["field"] == "micro_batch"
    assert run.config() == before and studio.started == [] and told(run)["waiting"] == []


def test_log_is_served_as_text(studio):
    run = made(studio)
    assert studio.get("/api/runs/cats/log").text == "The log is empty."
    run.log.write_text("<script>1</script>\nKilled\n")
    answer = studio.get("/api/runs/cats/log")
    assert answer.text == "<script>1</script>\nKilled\n" and answer.headers["content-type"].startswith("text/plain")


# --- what the head offers ------------------------------------------------------------------------------------------------
def test_a_narrowing_run_is_told_with_its_remedies(studio):
    run = made(studio, saved=(10, 20, 40, 80), iterations=94)
    seen = told(run)
    assert seen["verdict"] in ("Narrowing", "Collapsing") and seen["alarms"][0]["kind"] == "parting"
    with run.database(readonly=True) as db:
        q = {r["iteration"]: r["q"] for r in history(run, db).rows}
    best = max(n for n in (10, 20, 40, 80) if q[n] >= 0.8)
    assert seen["narrowing"] == {"beta": 0.5, "turned": None, "back": best, "branch": f"cats-from-{best}"} and seen["lines"] == {"warn": 45.0, "pause": None}


def test_a_raised_bonus_is_given_time_to_show(studio):
    run = made(studio, iterations=94)
    with run.database() as db:
        db.add_event("dial", 80, name="creative_beta", old=0.0, new=0.5)
        assert head.head(run, db)["narrowing"]["turned"] == 80 and head.head(run, db)["narrowing"]["beta"] == 0.75
        db.add_event("dial", 81, name="creative_beta", old=0.5, new=0.1)  # lowering it is no remedy
        assert head.head(run, db)["narrowing"]["turned"] == 80
    late = made(studio, name="late", iterations=94)
    with late.database() as db:
        db.add_event("dial", 60, name="creative_beta", old=0.0, new=0.5)
        assert head.head(late, db)["narrowing"]["turned"] is None


def test_a_healthy_run_needs_no_remedy(studio):
    assert told(made(studio, iterations=10))["narrowing"] is None


@pytest.mark.parametrize("now, then", [(0.0, 0.5), (0.3, 0.5), (0.5, 0.75), (2.9, 3.0), (3.0, None)])
def test_the_bonus_goes_up_by_steps_to_its_bound(studio, now, then):
    assert remedy.next_beta(made(studio).config().with_changes(creative_beta=now)) == then


def test_no_bonus_is_offered_where_it_could_pay_nothing(studio):
    config = made(studio).config().with_changes(window="hrf_latter")
    assert remedy.next_beta(config) is None


@pytest.mark.parametrize(
    "body, changes, checkpointing",
    [
        ({"reason": "memory", "fewer": 12, "saving": 3 * 10**9, "thrifty": False}, {"micro_batch": 12}, True),
        ({"reason": "memory", "fewer": 2, "saving": 40 * 10**6, "thrifty": True}, {"micro_batch": 2}, False),  # too little to speak of
        ({"reason": "memory", "fewer": 0, "thrifty": True}, {}, False),
        ({"reason": "memory", "fewer": 12}, {"micro_batch": 12}, False),  # by a trainer that did not know of it
        ({"reason": "number", "rate": 1e-4}, {"learning_rate": 1e-4}, False),
        ({"reason": "disk"}, {}, False),
    ],
)
def test_a_failure_says_with_what_to_go_on(studio, body, changes, checkpointing):
    run = made(studio, state="failed")
    assert told(run)["failure"] == {"reason": "fault", "saved": 40, "changes": {}, "saving": 0, "checkpointing": False}
    with run.database() as db:
        db.add_event("failure", 42, **body)
    assert told(run)["failure"] == {"reason": body["reason"], "saved": 40, "changes": changes, "saving": 3 * 10**9 if body.get("saving", 0) > 10**9 else 0, "checkpointing": checkpointing}


def test_what_was_asked_of_a_trainer_is_known_to_every_tab(studio):
    run = made(studio, state="running")
    with run.database() as db:
        assert told(run)["asked"] is None
        number = db.send("pause")
        db.write("UPDATE commands SET time = time - 12")
        assert told(run)["asked"]["kind"] == "pause" and told(run)["asked"]["seconds"] == pytest.approx(12, abs=2)
        db.answer(number)
    assert told(run)["asked"] is None


def test_warnings_and_alarms_of_a_crashed_stretch_are_forgotten(studio):
    run = made(studio, iterations=94)
    with run.database() as db:
        db.add_event("warning", 90, message="Ratio off.")
        db.add_event("alarm", 90, alarm="low", message="Low.")
        assert [w["message"] for w in head.head(run, db)["warnings"]] == ["Ratio off."]
        db.forget_after(40)
        assert head.head(run, db)["warnings"] == [] and [e["kind"] for e in db.events() if e["kind"] in ("warning", "alarm")] == []


def test_pictures_have_a_new_version_where_their_numbers_come_again(tmp_path):
    """A browser keeps them by run and number: a run of the same name, and one that goes on, count again."""
    versions = []
    for _ in range(2):
        run = saved_run(tmp_path / "cats", iterations=3, saved=())
        with run.database() as db:
            db.add_event("started", 0)
            versions.append(head.head(run, db)["pictures"])
            for state in ("stopped", "resumed", "finished"):
                time.sleep(0.002)
                db.add_event("state", 4, state=state)
                versions.append(head.head(run, db)["pictures"])
        shutil.rmtree(run.path)
        time.sleep(0.002)
    began, stopped, resumed, finished, again, *_ = versions
    assert 0 < began == stopped < resumed == finished < again
