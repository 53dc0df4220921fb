"""Watched folders: runs of other machines, only read."""

from __future__ import annotations

import os
import shutil

import pytest
from shelf import Studio, lora, put, studio, written  # noqa: F401

from core.config import RunConfig
from core.runs.folder import HEARTBEAT_LIMIT, create
from studio.data import watched

@pytest.fixture
def far(put, tmp_path):
    """A run of another machine."""
    (tmp_path / "cluster").mkdir()
    return put("drift", tmp_path / "cluster")


def test_watched_run_is_read_like_any_other(studio, far):
    assert studio.post("watched", path=f' "{far.path}" ').json() == {"run": "drift@cluster"}
    assert studio.post("watched", path=str(far.path)).json() == {"run": "drift@cluster"}  # once is enough
    row = studio.row("drift@cluster")
    assert row["watched"] and row["iteration"] == 12 and studio.get("runs")["runs"][0]["watched"]
    assert studio.get("runs/drift@cluster/head")["watched"] and len(studio.get("runs/drift%40cluster/series")["rows"]) == 13
    pictures = studio.get("runs/drift@cluster/pictures?iteration=3")["pictures"]
    assert studio.client.get(f"/api/runs/drift@cluster/thumb/{pictures[0]['id']}.webp").status_code == 200
    lora(far, 5)
    assert studio.client.get("/api/runs/drift@cluster/lora/comfy.safetensors").status_code == 200
    assert Studio(studio.runs).row("drift@cluster")["watched"]  # a new studio still watches it
    assert studio.post("watched/drift@cluster/forget").status_code == 200
    assert studio.client.get("/api/runs/drift@cluster/head").status_code == 404 and far.exists()


def test_nothing_changes_a_watched_run(studio, far):
    studio.post("watched", path=str(far.path))
    before = (far.path / "run.db").read_bytes(), sorted(os.listdir(far.path.parent))
    for path, body in [
        ("commands", {"kind": "stop"}), ("commands", {"kind": "set", "changes": {"creative_beta": 1}}), ("end", {}), ("resume", {}),
        ("rename", {"to": "x"}), ("archive", {}), ("delete", {"typed": "drift"}), ("delete", {"typed": "drift@cluster"}), ("anything-new", {}),
    ]:  # fmt: skip
        answer = studio.post(f"runs/drift@cluster/{path}", **body)
        assert answer.status_code in (400, 404, 405), path
        if path != "anything-new":
            assert "only watched" in answer.json()["error"], path
    assert "only watched" in studio.refused("queue", run="drift@cluster")
    assert ((far.path / "run.db").read_bytes(), sorted(os.listdir(far.path.parent))) == before and studio.started == []


def test_exactly_the_named_folders_are_open(studio, far, put, tmp_path):
    put("secret", tmp_path / "cluster")
    studio.post("watched", path=str(far.path))
    for name in ("secret@cluster", "secret", "drift@cluster%2F..%2Fsecret", "..%2Fcluster%2Fdrift", "drift", "@", "drift@cluster@", "%2Ftmp"):
        assert studio.client.get(f"/api/runs/{name}/head").status_code == 404, name
    shutil.move(far.path, tmp_path / "elsewhere")
    far.path.symlink_to(tmp_path / "cluster" / "secret")  # what was named now leads elsewhere
    assert studio.client.get("/api/runs/drift@cluster/head").status_code == 404
    assert studio.get("runs/all")["runs"] == []


@pytest.mark.parametrize(
    "wish, words",
    [("", "name the folder"), ("cluster/drift", "Write the whole path"), ("/nowhere/at/all", "no folder on this computer"), ("{far}/config.yaml", "no folder"),
     ("{far}/..", "holds 1 runs (drift)"), ("{far}/checkpoints", "is no run"), ("{runs}/own", "in this list already"), ("a\0b", "name the folder"), ("/" + "x" * 5000, "name the folder")],
)  # fmt: skip
def test_wrong_folder_is_refused_in_words(studio, far, put, wish, words):
    put("own")
    (far.path / "checkpoints").mkdir(exist_ok=True)
    answer = studio.post("watched", path=wish.format(far=far.path, runs=studio.runs))
    assert answer.status_code == 400 and answer.json()["field"] == "path" and words in answer.json()["error"]
    assert watched.read(studio.runs) == {}


def test_two_machines_may_have_runs_of_one_name(studio, put, tmp_path):
    for where in ("x/cluster", "y/cluster", "z/clüster <b>"):
        (tmp_path / where).mkdir(parents=True)
        studio.post("watched", path=str(put("drift", tmp_path / where).path))
    assert list(watched.read(studio.runs)) == ["drift@cluster", "drift@cluster-2", "drift@cl-ster-b"]


def test_a_far_trainer_lives_while_its_heartbeat_changes_whatever_its_clock_says(studio, far, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(watched.time, "monotonic", lambda: now[0])
    studio.post("watched", path=str(far.path))

    def beat(at: float) -> str:
        with far.database() as db:
            db.set_status(state="running", pid=2**22 + 1)  # no process of this machine
            db.write("UPDATE status SET heartbeat = ?", at)
        return studio.get("runs/drift@cluster/head")["state"]

    assert beat(5.0) == "running"  # its clock is years behind
    now[0] += HEARTBEAT_LIMIT + 1
    assert studio.get("runs/drift@cluster/head")["state"] == "silent"
    assert beat(6.0) == "running"
    now[0] += HEARTBEAT_LIMIT - 1
    assert studio.get("runs/drift@cluster/head")["state"] == "running"


def test_damaged_list_of_watched_folders_is_empty(studio, far):
    for text in ("", "[", "[1]", '{"x@y": 5}', '{"x@y": "/etc"}'):
        (studio.runs / "watched.json").write_text(text)
        assert watched.read(studio.runs) == {}
    assert studio.post("watched", path=str(far.path)).status_code == 200


def test_create_still_refuses_a_name_with_an_at(tmp_path):
    with pytest.raises(Exception, match="cannot name a run"):
        create(tmp_path / "a@b", RunConfig())
