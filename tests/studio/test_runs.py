"""The list of runs, a run as a whole, the queue and watched folders, through the app's routes."""

from __future__ import annotations

import json
import os
import shutil
import time

import numpy as np
import pytest
from fastapi.testclient import TestClient
from safetensors import safe_open
from safetensors.numpy import load
from sample_run import write_run

from core.config import RunConfig
from core.runs import checkpoints, queue
from core.runs.folder import HEARTBEAT_LIMIT, Run, create
from studio.data import runs as shelf
from studio.data import watched
from studio.data.queue import Runner
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


# --- the list -----------------------------------------------------------------------------------------------------
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


def test_damaged_run_is_listed_with_its_reason_and_hides_no_other(studio, put):
    put("good")
    (put("no-settings").config_file).write_text("model: [")
    (put("no-database").path / "run.db").write_bytes(b"not a database at all" * 100)
    rows = {r["name"]: r for r in studio.get("runs/all")["runs"]}
    assert "broken" not in rows["good"] and "run.db" in rows["no-database"]["broken"] and "YAML" in rows["no-settings"]["broken"]
    assert [r["name"] for r in studio.get("runs")["runs"]] == ["good"]  # what the strip may open


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


# --- a run as a whole -----------------------------------------------------------------------------------------------
def test_rename(studio, put):
    put("a"), put("b")
    assert studio.post("runs/a/rename", to="cats-2").json() == {"run": "cats-2"}
    assert sorted(r["name"] for r in studio.get("runs/all")["runs"]) == ["b", "cats-2"] and studio.get("runs/cats-2/head")["iteration"] == 12
    assert studio.refused("runs/cats-2/rename", to="b") == "A run is called b already."
    for wrong in ("", "../x", "a b", "x" * 61, ".x", "<b>", "a/b"):
        assert "cannot carry" in studio.refused("runs/cats-2/rename", to=wrong)
    studio.begin("cats-2")
    assert "Stop it first" in studio.refused("runs/cats-2/rename", to="c")


def test_archive_and_back(studio, put):
    put("a")
    assert studio.post("runs/a/archive").json() == {"archived": "a"}
    found = studio.get("runs/all")
    assert found["runs"] == [] and [r["name"] for r in found["archived"]] == ["a"] and studio.client.get("/api/runs/a/head").status_code == 404
    put("a")  # its name is given away
    assert studio.post("runs/a/archive").json() == {"archived": "a-01"}
    put("a")
    assert studio.post("archived/a/restore").json() == {"run": "a-01"}
    assert studio.get("runs/a-01/head")["iteration"] == 12
    studio.begin("a")
    assert "Stop it first" in studio.refused("runs/a/archive")
    for wrong in ("nothing", "..%2Fa", "."):
        assert studio.client.post(f"/api/archived/{wrong}/restore", headers={"Origin": URL}).status_code in (404, 405)


def test_delete_needs_the_name(studio, put, tmp_path):
    run = put("a")
    (tmp_path / "precious").mkdir()
    (run.path / "link").symlink_to(tmp_path / "precious")
    for typed in ("", "A", "a ", None):
        assert studio.refused("runs/a/delete", typed=typed) == "Type a to delete it." and run.exists()
    studio.begin("a")
    assert "Stop it first" in studio.refused("runs/a/delete", typed="a") and run.exists()
    studio.end("a")
    assert studio.post("runs/a/delete", typed="a").json() == {"deleted": "a"}
    assert os.listdir(studio.runs) == [] and (tmp_path / "precious").is_dir()
    put("b")
    studio.post("runs/b/archive")
    assert studio.post("archived/b/delete", typed="b").status_code == 200 and studio.get("runs/all")["archived"] == []


def test_export_is_a_file_that_says_where_it_comes_from(studio, put):
    lora(put("a"), 5, 10)
    offered = studio.get("runs/a/lora")
    assert offered["saved"] == [5, 10] and set(offered["forms"]) == {"diffusers", "comfy"} and offered["licence"] == "Apache-2.0"
    answer = studio.client.get("/api/runs/a/lora/comfy.safetensors?iteration=5")
    assert 'filename="a-5-comfy.safetensors"' in answer.headers["content-disposition"]
    file = studio.runs / "x.safetensors"
    file.write_bytes(answer.content)
    with safe_open(file, "np") as found:
        assert found.metadata()["manymodes.iteration"] == "5"
        assert (found.get_tensor("lora_unet_joint_blocks_0_x_block_attn_qkv.lora_up.weight")[:8] == 64 / 32).all()
    weaker = studio.client.get("/api/runs/a/lora/comfy.safetensors?strength=0.5")
    assert 'filename="a-10-x0.5-comfy.safetensors"' in weaker.headers["content-disposition"]
    assert (load(weaker.content)["lora_unet_joint_blocks_0_x_block_attn_qkv.lora_up.weight"][:8] == 0.5 * 64 / 32).all()
    assert studio.client.get("/api/runs/a/lora/comfy.safetensors?strength=2").json()["field"] == "strength"
    assert studio.client.get("/api/runs/a/lora/pickle.safetensors").json()["field"] == "format"
    assert studio.client.get("/api/runs/a/lora/comfy.safetensors?iteration=7").status_code == 400
    put("bare")
    assert "nothing is saved" in studio.client.get("/api/runs/bare/lora/comfy.safetensors").json()["error"]


# --- the queue ------------------------------------------------------------------------------------------------------
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


# --- watched folders --------------------------------------------------------------------------------------------------
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
