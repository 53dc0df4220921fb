"""A trainer that is busy, or only loads its libraries, still beats."""

import sqlite3
import threading
import time

from core.config import RunConfig
from core.runs import folder, heart
from core.runs.heart import Heart


def test_a_run_is_not_silent_while_its_trainer_loads(tmp_path, monkeypatch):
    monkeypatch.setattr(heart, "EVERY", 0.05)
    monkeypatch.setattr(folder, "HEARTBEAT_LIMIT", 0.5)
    run = folder.create(tmp_path / "cats", RunConfig(prompts=("cat",)))
    with run.database() as db:
        folder.claim(db, "Emoji SD3")
        assert db.status()["message"] == "Loading Emoji SD3"
        with Heart(db):
            time.sleep(0.8)
            assert folder.state(db.status()) == "preparing"
        time.sleep(0.8)
        assert folder.state(db.status()) == "silent"


def test_a_beat_that_is_refused_is_not_the_last(monkeypatch):
    monkeypatch.setattr(heart, "EVERY", 0.01)
    beats, enough = [], threading.Event()

    class Full:
        def set_status(self, **values):
            beats.append(values)
            if len(beats) == 1:
                raise sqlite3.OperationalError("database or disk is full")
            if len(beats) == 3:
                enough.set()

    with Heart(Full(), lambda: {"memory_used": 5}):
        assert enough.wait(20)
    assert beats[:3] == 3 * [{"memory_used": 5}]
