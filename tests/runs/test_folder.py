"""A run folder: made whole or not at all, found, named, and its worker told alive from dead."""

import os
import sqlite3
import subprocess
import sys
import time
from types import SimpleNamespace

import psutil
import pytest

from core.config import NAME, RunConfig
from core.errors import UserError
from core.runs import folder
from core.runs.database import ALIVE, STATES, Database
from core.runs.folder import Run, create, end_worker, find, next_name, state, worker_process, write_atomically


def refused(path) -> str:
    with pytest.raises(UserError) as caught:
        create(path, RunConfig())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_names_its_files_in_full(tmp_path, monkeypatch):
    """Its trainer works in another folder than the person who typed them."""
    for name in ("here", "here/model", "here/emoji-sd3", "there"):
        (tmp_path / name).mkdir()
    (tmp_path / "here" / "red.py").write_text("")
    monkeypatch.chdir(tmp_path / "here")
    config = RunConfig(model="model", reward_file="red.py", rewards={"own": 1.0}, clip_model="./model")
    run = create(tmp_path / "demo", config)
    monkeypatch.chdir(tmp_path / "there")
    here = tmp_path / "here"
    assert run.config() == config.with_changes(model=str(here / "model"), reward_file=str(here / "red.py"), clip_model=str(here / "model"))
    for name in ("emoji-sd3", "owner/name", "gone/model.txt", "W" * 10_000, "~nobody/x", "a\0b"):  # the embedded one, one of the hub, and what is nothing stay as they are
        assert RunConfig(model=name).placed() == RunConfig(model=name)


def test_new_run_holds_its_config_and_waits_for_a_worker(tmp_path):
    run = create(tmp_path / "deep" / "demo-01", RunConfig(seed=7, iterations=12))
    assert run.exists() and run.name == "demo-01" and run.config() == RunConfig(seed=7, iterations=12)
    assert run.checkpoints.is_dir() and run.export.is_dir()
    with run.database(readonly=True) as db:
        assert (db.status()["state"], db.status()["iterations"], db.status()["pid"]) == ("preparing", 12, None)


def test_taken_folder_is_refused_and_left_alone(tmp_path):
    create(tmp_path / "demo", RunConfig(seed=7))
    assert "a run is here already. Choose another name, or continue it with --resume." in refused(tmp_path / "demo")
    assert Run(tmp_path / "demo").config().seed == 7


@pytest.mark.parametrize("name", ["a b", "-x", ".hidden", "ü", "x" * 61, "x" * 5000])
def test_bad_name_is_refused(tmp_path, name):
    assert "cannot name a run. Use 1 to 60 letters, digits, - and _." in refused(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "file", tmp_path / "file" / "demo"):
        assert "the run folder cannot be written" in refused(path)
    assert (tmp_path / "file").read_text() == "in the way"


def test_folder_that_may_not_even_be_looked_into_is_refused(tmp_path, monkeypatch):
    def denied(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Run, "exists", denied)
    assert "(Permission denied). Choose another folder with --run-dir." in refused(tmp_path / "demo")


def test_disk_nearly_full_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda path: SimpleNamespace(free=150 * 2**20))
    assert refused(tmp_path / "runs" / "demo").startswith("disk: only 150 MB free in ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), sqlite3.OperationalError("database or disk is full")])
def test_run_that_could_not_be_finished_does_not_exist_and_can_be_made_later(tmp_path, monkeypatch, error):
    def full(self, **values):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Database, "set_status", full)
        assert "cannot be written" in refused(tmp_path / "demo")
    assert not Run(tmp_path / "demo").exists() and find(tmp_path) == []
    assert create(tmp_path / "demo", RunConfig()).exists()


@pytest.mark.parametrize("failing", ["replace", "write"])
def test_write_atomically_leaves_the_old_content_when_it_breaks(tmp_path, monkeypatch, failing):
    file = tmp_path / "config.yaml"
    write_atomically(file, "old")

    def broken(*_):
        raise OSError(28, "No space left on device")

    if failing == "replace":
        monkeypatch.setattr(folder.os, "replace", broken)
    else:
        monkeypatch.setattr(type(file), "write_bytes", lambda self, data: (self.open("wb").write(data[:1]), broken()))
    with pytest.raises(OSError):
        write_atomically(file, "new and longer")
    assert [p.name for p in tmp_path.iterdir()] == ["config.yaml"] and file.read_text() == "old"


def test_write_atomically_killed_in_the_middle_leaves_the_old_content(tmp_path):
    file = tmp_path / "weights"
    write_atomically(file, b"old")
    code = (
        "import os, sys; from pathlib import Path; from core.runs import folder\n"
        "folder.os.replace = lambda a, b: os.kill(os.getpid(), 9)\n"
        "folder.write_atomically(Path(sys.argv[1]), b'new')"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(file)], cwd=folder.ROOT)
    assert killed.returncode == -9 and file.read_bytes() == b"old"


def test_find_lists_whole_runs_newest_first(tmp_path):
    assert find(tmp_path / "none") == []
    for age, name in enumerate(["new", "middle", "old"]):
        run = create(tmp_path / name, RunConfig())
        os.utime(run.config_file, (1000 - age, 1000 - age))
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.yaml").write_text("seed: 1\n")
    (tmp_path / "file").touch()
    assert [run.name for run in find(tmp_path)] == ["new", "middle", "old"]


def test_next_name_is_free_and_accepted(tmp_path):
    assert next_name(tmp_path / "none", "demo") == "demo-01"
    for name in ("demo-01", "demo-02", "demo-04"):
        (tmp_path / name).mkdir()
    assert next_name(tmp_path, "demo") == "demo-03"
    for stem in ("My run: é!", "_x_", "---", "", "x" * 80, "../up", "日本"):
        name = next_name(tmp_path, stem)
        assert NAME.fullmatch(name)
        assert create(tmp_path / name, RunConfig()).exists()


@pytest.fixture
def dummy():
    """A process that sleeps, with a child that sleeps."""
    code = "import subprocess, sys, time; c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); print(c.pid, flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    child = int(process.stdout.readline())
    yield process, psutil.Process(child)
    for p in (process.pid, child):
        try:
            psutil.Process(p).kill()
        except psutil.NoSuchProcess:
            continue
    process.wait()
    process.stdout.close()


def status_of(pid: int | None, **changes) -> dict:
    started = psutil.Process(pid).create_time() if pid else None
    return {"state": "running", "pid": pid, "process_started": started, "heartbeat": time.time(), **changes}


def test_state_of_a_living_worker_is_what_it_wrote(dummy):
    for written in STATES:
        assert state(status_of(dummy[0].pid, state=written)) == written


def test_silent_and_died_are_told_apart(dummy):
    process, _ = dummy
    long_ago = time.time() - folder.HEARTBEAT_LIMIT - 1
    assert state(status_of(process.pid, heartbeat=long_ago)) == "silent"
    assert state(status_of(None, state="preparing")) == "preparing"
    assert state(status_of(None, state="preparing", heartbeat=long_ago)) == "died"
    before = status_of(process.pid)
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE  # until its starter waits for it
    assert state(before) == "died"
    process.wait()
    assert {state({**before, "state": s}) for s in ALIVE} == {"died"}
    assert state({**before, "state": "finished", "heartbeat": long_ago}) == "finished"
    assert state({}) == "died"


def test_reused_process_number_is_not_the_worker(dummy):
    status = status_of(dummy[0].pid)
    assert worker_process(status).pid == dummy[0].pid
    older = {**status, "process_started": status["process_started"] - 100}
    assert worker_process(older) is None and state(older) == "died"


@pytest.mark.parametrize("pid", [None, 0, -5, 2**40])
def test_no_process_number_is_never_the_process_that_asks(pid):
    assert worker_process({"pid": pid, "process_started": None}) is None
    assert worker_process({}) is None


def test_end_worker_ends_the_process_and_its_children(tmp_path, dummy):
    process, child = dummy
    run = create(tmp_path / "demo", RunConfig())
    assert not end_worker(run)
    with run.database() as db:
        status = status_of(process.pid)
        db.set_status(state="running", pid=status["pid"], process_started=status["process_started"])
    assert end_worker(run)
    assert process.wait(timeout=5) is not None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    with run.database(readonly=True) as db:
        assert (db.status()["state"], db.status()["pid"]) == ("stopped", None)
    assert not end_worker(run)


def test_start_worker_runs_the_engine_apart_and_logs_its_words(tmp_path, monkeypatch):
    engine = tmp_path / "core"
    engine.mkdir()
    (engine / "__init__.py").touch()  # or the real package wins where it is on the path
    (engine / "__main__.py").write_text("import os, sys\nprint(sys.argv[1:], os.getsid(0) == os.getpid(), file=sys.stderr)\n")
    monkeypatch.setattr(folder, "ROOT", tmp_path)
    run = create(tmp_path / "demo", RunConfig())
    for resume in (False, True):
        assert folder.start_worker(run, resume=resume).wait(timeout=30) == 0
    common = f"['train', '{run.path}', '--worker'"
    assert run.log.read_text() == f"{common}] True\n{common}, '--resume'] True\n"
