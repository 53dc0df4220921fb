"""Routes and their guard, through the whole app."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from chromium import FakeTrainer
from fastapi.testclient import TestClient
from sample_run import write_run

from core.config import ROOT, RunConfig
from core.runs import folder
from studio import static_files
from studio.page import STYLES
from studio.shell import build
from studio.views import screens

URL = "http://127.0.0.1:7860"
OWN = {"Origin": URL}


@pytest.fixture(scope="module")
def studio(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    started = []
    client = TestClient(build(runs, starter=lambda run, resume=False: started.append((run.name, resume))), base_url=URL)
    client.runs, client.started = runs, started
    write_run(runs / "cats", iterations=8)
    return client


@pytest.fixture
def ready_model(tmp_path):
    """A model folder to start with, whether the embedded one is built or not."""
    (tmp_path / "model_index.json").write_text('{"_class_name": "StableDiffusion3Pipeline"}')
    return str(tmp_path)


def test_reading_routes(studio):
    assert [r["name"] for r in studio.get("/api/runs").json()["runs"]] == ["cats"]
    assert studio.get("/api/runs/cats/head").json()["iteration"] == 8
    series = studio.get("/api/runs/cats/series?since=5").json()
    assert len(series["rows"]) == 3
    assert (series["window"], series["groups"]) == (4, 4)  # iterations of 24 pictures that hold 96
    assert studio.get("/api/runs/cats/info").json()["rewards"] == {"style_preference": "Preferred style"}
    assert studio.get("/api/runs/cats/base?prompt=0").headers["content-type"] == "application/octet-stream"
    found = studio.get("/api/runs/cats/pictures?iteration=8&prompt=0").json()
    thumb = studio.get(f"/api/runs/cats/thumb/{found['pictures'][0]['id']}.webp")
    assert thumb.headers["content-type"] == "image/webp" and "immutable" in thumb.headers["cache-control"]
    sheet = studio.get("/api/runs/cats/thumbs?ids=" + ",".join(str(p["id"]) for p in found["pictures"]))
    assert sheet.headers["content-type"] == "application/octet-stream" and "immutable" in sheet.headers["cache-control"]
    assert thumb.content in sheet.content
    assert studio.get("/api/presets").json()["presets"][0]["name"] == "collapse-demo"


@pytest.mark.parametrize("ids", ["", "one", "1,,2", "0", "1;2", ",".join(["1"] * 401)])
def test_a_sheet_names_ids_that_it_cannot_read(studio, ids):
    answer = studio.get(f"/api/runs/cats/thumbs?ids={ids}")
    assert answer.status_code == 400 and answer.json()["field"] == "ids"


def test_gradio_does_not_look_for_events_all_the_time(monkeypatch):
    """At its own pace, a thousand times a second, the studio would take 5 % of a core while nobody looks."""
    paces = []
    queue = screens()._queue

    async def sleep(seconds):
        paces.append(seconds)
        queue.stopped = True

    monkeypatch.setattr("asyncio.sleep", sleep)
    for loop in (queue.start_processing, queue.start_progress_updates):
        queue.stopped = False
        with pytest.raises(StopIteration):  # it waits for nothing but its sleep, so it needs no event loop
            loop().send(None)
    assert paces == [1.0, 1.0]


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example:7860"},
        {"Host": "127.0.0.1:7861"},
        {"Host": "127.0.0.1"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:7861"},
        {"Origin": "https://127.0.0.1:7860"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"},
    ],
)
@pytest.mark.parametrize("path", ["/api/runs", "/api/runs/cats/head", "/studio/static/manymodes.js", "/", "/gradio_api/info"])
def test_other_hosts_and_origins_are_refused_everywhere(studio, headers, path):
    answer = studio.get(path, headers=headers)
    assert answer.status_code == 403 and set(answer.json()) == {"error", "field"}


def test_own_page_and_localhost_are_served(studio):
    assert studio.get("/api/runs", headers={"Host": "localhost:7860", "Origin": "http://localhost:7860"}).status_code == 200
    page = studio.get("/", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"})  # a link from elsewhere may open it
    assert page.status_code == 200 and page.text.index("/manymodes.js") < page.text.index("</head>")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]


def test_a_change_needs_the_studios_origin(studio):
    for headers in ({}, {"Origin": "http://evil.example"}):
        assert studio.post("/api/runs/cats/commands", json={"kind": "stop"}, headers=headers).status_code == 403
    with folder.Run(studio.runs / "cats").database(readonly=True) as db:
        assert db.rows("SELECT * FROM commands") == []


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e", "a%2Fb", "x" * 61, "<b>", "-cats"])
def test_unknown_and_odd_run_names(studio, name):
    answer = studio.get(f"/api/runs/{name}/head")
    assert answer.status_code in (404, 405) and "head" not in answer.json()


def test_a_link_out_of_the_runs_folder_is_no_run(studio, tmp_path):
    write_run(tmp_path / "outside", iterations=1)
    (studio.runs / "inside").symlink_to(tmp_path / "outside")
    assert studio.get("/api/runs/inside/head").status_code == 404
    (studio.runs / "inside").unlink()


def test_the_pulse_beats_with_every_iteration_event_and_state(studio):
    beat = lambda: studio.get("/api/runs/cats/pulse").json()  # noqa: E731
    first = beat()
    assert first["iteration"] == 8 and beat() == first
    with folder.Run(studio.runs / "cats").database() as db:
        event = db.add_event("state", 8, state="resumed")
        assert beat() == first | {"event": event}
        state = db.status()["state"]
        db.set_status(state="paused")
        assert beat()["state"] == "paused"
        db.set_status(state=state)


def test_commands(studio):
    def send(body):
        return studio.post("/api/runs/cats/commands", json=body, headers=OWN)

    number = send({"kind": "set", "changes": {"creative_beta": 0.5, "sa_reg_steps": 4}}).json()["command"]
    assert studio.get("/api/runs/cats/head").json()["waiting"] == [
        {"id": number, "kind": "set", "changes": {"creative_beta": 0.5, "sa_reg_steps": 4}}
    ]
    assert send({"kind": "undo", "command": number}).json() == {"undone": True}
    assert send({"kind": "undo", "command": number}).json() == {"undone": False}
    assert studio.get("/api/runs/cats/head").json()["waiting"] == []
    for body, field in [
        ({"kind": "set", "changes": {"creative_beta": 9}}, "creative_beta"),
        ({"kind": "set", "changes": {"sa_reg_steps": 11}}, "sa_reg_steps"),
        ({"kind": "set", "changes": {"group_size": 8}}, "group_size"),
        ({"kind": "set", "changes": {}}, "changes"),
        ({"kind": "set"}, "changes"),
        ({"kind": "set", "changes": {"creative_beta": "much"}}, "creative_beta"),
        ({"kind": "explode"}, "kind"),
        ({"kind": "undo", "command": "x"}, "command"),
    ]:
        answer = send(body)
        assert (answer.status_code, answer.json()["field"]) == (400, field), body
    assert studio.post("/api/runs/cats/commands", content="[1]", headers=OWN).status_code == 422


def test_start_makes_a_run_and_starts_its_trainer(studio, ready_model):
    config = RunConfig(prompts=("cat", "cat"), creative_beta=0.25, model=ready_model).model_dump(mode="json")
    assert studio.post("/api/runs", json={"config": config, "name": "fresh"}, headers=OWN).json() == {"run": "fresh"}
    assert studio.started[-1] == ("fresh", False)
    assert folder.Run(studio.runs / "fresh").config() == RunConfig(**config)
    again = studio.post("/api/runs", json={"config": config, "name": "fresh"}, headers=OWN)
    assert (again.status_code, again.json()["field"]) == (400, "name")
    for body, field in [
        ({"config": {**config, "group_size": 1}, "name": "n1"}, "group_size"),
        ({"config": {**config, "rewards": {"x": 1}}, "name": "n2"}, "rewards"),
        ({"config": {**config, "model": "/nowhere"}, "name": "n3"}, "model"),
        ({"config": config, "name": "../n4"}, "name"),
        ({"name": "n5"}, "config"),
    ]:
        answer = studio.post("/api/runs", json=body, headers=OWN)
        assert (answer.status_code, answer.json()["field"]) == (400, field)
    assert sorted(p.name for p in studio.runs.iterdir()) == ["cats", "fresh"]


def test_resume_only_a_run_without_a_trainer(studio):
    assert studio.post("/api/runs/cats/resume", headers=OWN).json() == {"run": "cats"}
    assert studio.started[-1] == ("cats", True)
    assert studio.post("/api/runs/cats/resume", headers=OWN).status_code == 404  # it is preparing now


def test_end_ends_a_deaf_trainer(studio):
    run = folder.create(studio.runs / "deaf", RunConfig(base_pictures=24))
    deaf = FakeTrainer(FAKE_DEAF="1")
    deaf(run)
    try:
        end = time.time() + 15
        while studio.get("/api/runs/deaf/head").json()["state"] != "running" and time.time() < end:
            time.sleep(0.05)
        studio.post("/api/runs/deaf/commands", json={"kind": "stop"}, headers=OWN)
        time.sleep(0.3)
        assert studio.get("/api/runs/deaf/head").json()["state"] == "running"
        assert studio.post("/api/runs/deaf/end", headers=OWN).json() == {"ended": True}
        assert studio.get("/api/runs/deaf/head").json()["state"] == "stopped"
        assert not psutil.pid_exists(deaf.started[0].pid)
    finally:
        deaf.end()


def test_the_studio_imports_no_engine():
    heavy = ("torch", "transformers", "diffusers", "peft", "umap", "sklearn", "numba")
    code = f"import sys, pathlib, studio.shell as s; s.build(pathlib.Path('nowhere')); print([m for m in {heavy} if m in sys.modules])"
    told = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
    assert not list(Path(ROOT / "studio").rglob("*.pyi"))


def test_a_wrong_port_is_one_clear_line(tmp_path):
    told = subprocess.run([sys.executable, "app.py", "--port", "0", "--runs", str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert told.returncode == 2 and told.stderr == "--port: 0 is no port. Use 1 to 65535.\n"


def test_scripts_are_kept_for_good_until_one_of_them_changes(studio, tmp_path, monkeypatch):
    shutil.copytree(static_files.PLACE, tmp_path / "static")
    monkeypatch.setattr(static_files, "PLACE", tmp_path / "static")
    before = static_files.version()
    page = studio.get("/").text
    assert page.count(f"/studio/static/{before}/") == len(STYLES) + 1 and "/studio/static/manymodes.js" not in page
    kept, asked = (studio.get(f"/studio/static/{place}lib/store.js") for place in (f"{before}/", ""))
    assert kept.content == asked.content and "import" in kept.text
    assert "immutable" in kept.headers["cache-control"] and asked.headers["cache-control"] == "no-cache"
    for wrong in (f"{before}/../../shell.py", f"{before}/%2e%2e/%2e%2e/shell.py", f"{before}/lib/none.js", f"{before[:-1]}/lib/store.js"):
        answer = studio.get(f"/studio/static/{wrong}")
        assert answer.status_code == 404 and "immutable" not in answer.headers.get("cache-control", ""), wrong
    (tmp_path / "static" / "lib" / "store.js").write_text("// another")
    assert static_files.version() != before
    assert f"/studio/static/{static_files.version()}/manymodes.js" in studio.get("/").text
