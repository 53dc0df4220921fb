"""The list of runs through the app's routes: what a row shows, in which order, and what it costs to look."""

from __future__ import annotations

import json
import os
import time

import pytest
from saved_run import saved_run
from shelf import lora, put, studio, written  # noqa: F401

from core.config import RunConfig
from core.runs.branch import branch
from core.runs.folder import Run, create
from studio.data import runs as shelf

def test_newest_first_with_everything_a_row_shows(studio, put):
    put("old", age=100), put("new", age=1), put("middle", age=50)
    rows = studio.get("runs/all")["runs"]
    assert [r["name"] for r in rows] == ["new", "middle", "old"]
    series = studio.get("runs/new/series")["rows"]
    row = rows[0]
    assert (row["state"], row["word"], row["iteration"], row["iterations"]) == ("stopped", "Stopped", 12, 20)
    assert row["path"] == [[round(r["variety"], 4), round(r["reward_mean"], 4)] for r in series[1:]]
    assert row["base"] == [round(series[0]["variety"], 4), round(series[0]["reward_mean"], 4)] and row["verdict"] == series[-1]["verdict"]
    assert row["seconds"] == pytest.approx(1 + 12 * 0.5)
    assert row["size"] == sum(p.stat().st_size for p in (studio.runs / "new").rglob("*") if p.is_file() and p.name != "run.db-shm")


def test_a_run_is_as_new_as_its_training_whenever_its_settings_were_written(studio, put):
    old, new = put("old"), put("new", age=50)
    for run, at in ((old, 1000.0), (new, 2000.0)):
        with run.database() as db:
            db.write("UPDATE iterations SET time = time + ? - (SELECT min(time) FROM iterations)", at)
    os.utime(old.config_file)  # resumed with other settings
    assert [(r["name"], r["started"]) for r in studio.get("runs/all")["runs"]] == [("new", 2000.0), ("old", 1000.0)]
    with old.database() as db:  # trainers note it themselves, before they measure the base
        db.write("UPDATE events SET time = 3000 WHERE id = ?", db.add_event("started", 0))
    create(studio.runs / "not-yet", RunConfig())
    assert [(r["name"], r["started"]) for r in studio.get("runs/all")["runs"]] == [("not-yet", None), ("old", 3000.0), ("new", 2000.0)]


def test_a_branch_began_when_it_was_made_and_counts_its_own_time_only(studio):
    run = saved_run(studio.runs / "cats", (10,), iterations=12)
    with run.database() as db:
        for table in ("events", "iterations"):
            db.write(f"UPDATE {table} SET time = time - 5000")
        db.write("UPDATE events SET time = 0 WHERE id = ?", db.add_event("started", 0))
    made = branch(run, studio.runs / "cats-from-10", 10)
    row = studio.row("cats-from-10")
    assert time.time() - 60 < row["started"] <= time.time() and row["branch"] == {"of": "cats", "at": 10}
    assert (row["seconds"], studio.row("cats")["seconds"]) == (0, 1 + 12 * 0.5) and studio.row("cats")["started"] == 0
    with made.database() as db:
        metrics = json.loads(db.row("SELECT metrics FROM iterations WHERE iteration = 10")["metrics"])
        db.add_iteration(11, 0.25, metrics)
    assert studio.row("cats-from-10")["seconds"] == 0.25


def test_damaged_run_is_listed_with_its_reason_and_hides_no_other(studio, put):
    put("good")
    (put("no-settings").config_file).write_text("model: [")
    (put("no-database").path / "run.db").write_bytes(b"not a database at all" * 100)
    rows = {r["name"]: r for r in studio.get("runs/all")["runs"]}
    assert "broken" not in rows["good"] and "run.db" in rows["no-database"]["broken"] and "YAML" in rows["no-settings"]["broken"]
    assert [r["name"] for r in studio.get("runs")["runs"]] == ["good"]  # what the strip may open


def test_a_damaged_run_can_be_put_aside_and_deleted(put):
    first, second = put("no-database"), put("no-words")
    for run in (first, second):
        (run.path / "run.db").write_bytes(b"not a database at all" * 100)
    assert shelf.archive(first.path.parent, first) == "no-database" and not first.path.exists()
    shelf.delete(second.path.parent, second, "no-words")
    assert not second.path.exists()


def test_a_look_at_what_did_not_change_opens_no_file(studio, put, monkeypatch):
    """Two hundred runs are looked at every two seconds: only a trainer at work is worth a database."""
    put("rests", age=2), put("works", age=1), put("died", age=0)
    studio.begin("works")
    with Run(studio.runs / "died").database() as db:
        db.set_status(state="running", pid=2**22 + 1, process_started=1.0)
    studio.get("runs/all")  # the first look makes SQLite's own files beside the database
    before = studio.get("runs/all")["runs"]
    opened, plain = [], Run.database
    monkeypatch.setattr(Run, "database", lambda run, **how: opened.append(run.name) or plain(run, **how))
    assert studio.get("runs/all")["runs"] == before and sorted(set(opened)) == ["died", "works"]
    with Run(studio.runs / "rests").database() as db:
        db.set_status(state="failed", message="no memory")
    assert (studio.row("rests")["state"], studio.row("rests")["message"]) == ("failed", "no memory")
    studio.post("queue/hold", held=True), studio.post("queue", run="rests")
    assert (studio.row("rests")["word"], studio.row("rests")["place"]) == ("Queued", 1)  # though no file of its own changed


def test_of_very_many_the_newest_are_listed_and_the_rest_is_counted(studio, put, monkeypatch):
    monkeypatch.setattr(shelf, "_MOST_ROWS", 2)
    for age, name in enumerate("abc"):
        put(name, age=10 * age)
    found = studio.get("runs/all")
    assert [r["name"] for r in found["runs"]] == ["a", "b"] and found["left_out"] == 1


def test_thinning_keeps_ends_and_order():
    assert shelf.thinned(list(range(5)), 5) == [0, 1, 2, 3, 4]
    thin = shelf.thinned(list(range(1000)), 40)
    assert len(thin) == 40 and (thin[0], thin[-1]) == (0, 999) and thin == sorted(set(thin))


def test_front_names_what_must_be_alike(studio, put):
    put("a")
    front = studio.get("runs/a/front")
    assert [p[0] for p in front["points"]] == list(range(1, 13)) and front["base"][1] == 0
    assert front["alike"] == {"rewards": "style_preference 1", "model": "emoji-sd3", "prompts": "cat", "pictures per prompt": "24"}


def test_crash_is_told_with_what_is_saved(studio, put):
    run = put("crashed")
    lora(run, 5, 10)
    with run.database() as db:
        db.set_status(state="running", pid=2**22 + 1, process_started=1.0)
    row = studio.row("crashed")
    assert (row["state"], row["iteration"], row["saved"], row["alive"]) == ("died", 12, [5, 10], False)
    assert studio.post("runs/crashed/resume").json() == {"run": "crashed"} and studio.started == [("crashed", True)]
