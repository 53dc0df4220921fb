"""The lesson's words say what the recorded runs hold, its runs can be looked at and never changed, and no torch is imported."""

from __future__ import annotations

import dataclasses
import json
import re
import sqlite3
import subprocess
import sys

import pytest
from fastapi.testclient import TestClient

from core.config import ROOT
from studio.data import lesson
from studio.shell import build

ORIGIN = {"host": "127.0.0.1:7860", "origin": "http://127.0.0.1:7860"}


def stored(name: str, sql: str) -> list[tuple]:
    with sqlite3.connect(f"{(lesson.FOLDER / name / 'run.db').as_uri()}?mode=ro", uri=True) as db:
        return db.execute(sql).fetchall()


def metrics(name: str) -> dict[int, dict]:
    return {i: json.loads(m) for i, m in stored(name, "SELECT iteration, metrics FROM iterations")}


@pytest.fixture(scope="module")
def steps() -> list[dict]:
    return lesson.lesson()["steps"]


@pytest.fixture
def client(tmp_path):
    return TestClient(build(tmp_path), base_url="http://127.0.0.1:7860", headers=ORIGIN)


def test_six_steps_of_one_sentence_each(steps):
    assert len(steps) == 6
    for step in steps:
        assert step["title"] and step["action"]["label"] and step["notes"]
        for sentence in (step["sentence"], step["after"]):
            assert re.fullmatch(r"[^.?]+((?<=\d)\.(?=\d)[^.?]+)*[.?]", sentence), sentence
        assert "!" not in json.dumps(step)


def test_the_number_of_looks_is_the_recorded_one(steps):
    found = len(stored("collapse", "SELECT look FROM looks WHERE prompt = 0"))
    word = ("", "one", "two", "three", "four", "five", "six")[found]
    assert steps[0]["title"].lower().startswith(word + " kind")
    assert f"{word} look" in steps[0]["sentence"]
    for _, share in stored("collapse", "SELECT look, share FROM looks WHERE prompt = 0"):
        assert f"{100 * share:.0f}\u00a0%" in steps[0]["after"]


def test_the_collapse_ends_before_a_dial_is_turned_or_with_the_run(steps):
    turns = stored("collapse", "SELECT iteration FROM events WHERE kind = 'dial'")
    end = turns[0][0] - 1 if turns else max(metrics("collapse"))
    assert steps[1]["to"] == steps[1]["until"] == steps[2]["until"] == steps[4]["from"] == end
    assert steps[3]["to"] == max(metrics(steps[3]["run"].removeprefix("lesson:")))


def test_reward_and_variety_are_means_over_the_last_96_pictures(steps):
    rows, end = metrics("collapse"), steps[1]["to"]
    over = lambda name: sum(rows[i][name] for i in range(end - 3, end + 1)) / 4  # noqa: E731 (4 iterations of 24 pictures)
    assert steps[1]["after"] == f"After {end} iterations the mean reward is up from 0 to {over('reward'):.2g}."
    assert f"reward alone left {over('vendi'):.1f} at {end}." in steps[4]["after"]


def test_the_verdict_is_that_of_the_charts(steps, client):
    rows = client.get("/api/runs/lesson:collapse/series").json()["rows"]
    for mark in steps[2]["marks"]:
        first = next(r["iteration"] for r in rows if r["iteration"] > 0 and r["verdict"] == mark["word"])
        assert mark["iteration"] == first
        assert f"{mark['word']} at iteration {first}" in steps[2]["after"]
    assert steps[2]["marks"]


def test_pairs_and_what_is_said_of_them(steps):
    pairs = lesson.lesson()["pairs"]
    sides = {
        name: stored("diverse", f"SELECT seed, reward, look FROM pictures WHERE kind = 'sample' AND iteration {sign} 0 ORDER BY position")
        for name, sign in (("base", "="), ("tuned", ">"))
    }
    assert [p["seed"] for p in pairs] == [r[0] for r in sides["base"]] == [r[0] for r in sides["tuned"]]
    better = sum(t[1] > b[1] for b, t in zip(sides["base"], sides["tuned"]))
    assert steps[5]["after"].startswith(f"{better} of {len(pairs)} score higher")
    mean = sum(t[1] for t in sides["tuned"]) / len(pairs)
    assert f"to {mean:.2g}" in steps[5]["after"]


def test_without_a_turned_dial_the_other_run_makes_the_fourth_step():
    collapse, diverse = lesson.read(lesson.COLLAPSE), lesson.read(lesson.DIVERSE)
    step = lesson.steps(dataclasses.replace(collapse, turns=[]), diverse)[3]
    assert (step["run"], step["from"], step["to"]) == ("lesson:diverse", 0, diverse.last)
    assert f"β of {diverse.config.creative_beta:.2g}" in step["sentence"]
    rows = metrics("diverse")
    over = [sum(rows[i]["vendi"] for i in range(max(1, at - 3), at + 1)) / min(4, at) for at in range(1, diverse.last + 1)]
    low = min(over)
    if over[-1] >= 0.8 * rows[0]["vendi"]:
        assert f"from {low:.1f} at iteration {over.index(low) + 1} to {over[-1]:.1f} of {rows[0]['vendi']:.1f} at {diverse.last}" in step["after"]


def test_a_turned_dial_is_told_from_the_run_itself():
    collapse = lesson.read(lesson.COLLAPSE)
    rows = [r for r in collapse.rows if r["iteration"] <= 20]  # all of reward alone
    turn = {"name": "creative_beta", "iteration": 17, "old": 0.0, "new": 0.5}
    collapse = dataclasses.replace(collapse, rows=rows, turns=[turn])
    step = lesson.steps(collapse, lesson.read(lesson.DIVERSE))[3]
    assert (step["run"], step["from"], step["until"], step["to"]) == ("lesson:collapse", 16, 16, collapse.last)
    assert step["action"]["label"] == "Turn β to 0.5"
    before, after = collapse.row(16)["variety"], collapse.rows[-1]["variety"]
    assert after < before  # nothing was turned yet: the sentence must not say that looks return
    assert step["after"].startswith(f"The looks do not return: variety goes from {before:.1f} to {after:.1f} of ")


# --- the recorded runs behind the routes of Live ---------------------------------------------------------------------------
def test_a_recorded_run_answers_like_any_other(client):
    head = client.get("/api/runs/lesson:collapse/head").json()
    assert (head["state"], head["word"], head["alive"]) == ("replay", "Replay", False)
    picture = stored("collapse", "SELECT id FROM pictures WHERE kind = 'train' ORDER BY id LIMIT 1")[0][0]
    answer = client.get(f"/api/runs/lesson:collapse/thumb/{picture}.webp")
    assert answer.headers["content-type"] == "image/webp" and answer.content[8:12] == b"WEBP"
    for rest in ("info", "base", "points", "pictures?iteration=9", "schedule", "grids"):
        assert client.get(f"/api/runs/lesson:diverse/{rest}").status_code == 200


def test_a_recorded_run_cannot_be_changed(client):
    files = {p: p.read_bytes() for p in lesson.FOLDER.rglob("*") if p.is_file()}
    for rest, body in (
        ("commands", {"kind": "stop"}), ("end", {}), ("resume", {}), ("rename", {"to": "mine"}), ("archive", {}),
        ("delete", {"typed": "collapse"}), ("grids", {"ids": [1]}),
    ):  # fmt: skip
        answer = client.post(f"/api/runs/lesson:collapse/{rest}", json=body)
        assert answer.status_code == 400 and "only be looked at" in answer.json()["error"]
    assert {p: p.read_bytes() for p in lesson.FOLDER.rglob("*") if p.is_file()} == files


@pytest.mark.parametrize("name", ["lesson:", "lesson:none", "lesson:..", "lesson:..%2F..%2Fruns", "lesson:collapse%2F..%2Fdiverse", "lesson:."])
def test_no_other_folder_can_be_reached_by_that_door(client, name):
    assert client.get(f"/api/runs/{name}/head").status_code == 404


def test_a_missing_recording_is_said_in_words(client, monkeypatch, tmp_path):
    monkeypatch.setattr(lesson, "FOLDER", tmp_path)
    answer = client.get("/api/lesson")
    assert answer.status_code == 404 and "no recorded run" in answer.json()["error"]


def test_the_whole_lesson_imports_no_torch(tmp_path):
    code = f"""
import sys
from fastapi.testclient import TestClient
from studio.shell import build
client = TestClient(build(__import__('pathlib').Path({str(tmp_path)!r})), base_url="http://127.0.0.1:7860", headers={ORIGIN!r})
for path in ("lesson", *(f"runs/lesson:{{n}}/{{r}}" for n in ("collapse", "diverse") for r in ("head", "info", "series", "base", "points", "schedule", "pictures?iteration=3"))):
    assert client.get(f"/api/{{path}}").status_code == 200, path
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
