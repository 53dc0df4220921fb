"""run.db: what a reader can see while the worker writes, and that a command is answered once."""

import json
import os
import sqlite3
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from core.config import ROOT
from core.errors import UserError
from core.runs.database import STATES, Database, pack, unpack


@pytest.fixture
def db(tmp_path):
    with Database(tmp_path / "run.db", create=True) as made:
        made.set_status(state="running", iterations=10)
        yield made


def picture(iteration: int, position: int = 0, kind: str = "train") -> dict:
    return {"kind": kind, "iteration": iteration, "prompt": 0, "position": position, "seed": 1, "embedding": b"\0\0", "thumb": b""}


def count(db: Database, table: str) -> int:
    return db.row(f"SELECT count(*) AS n FROM {table}")["n"]


def test_opens_in_wal_mode_and_again_without_loss(db):
    assert db.row("PRAGMA journal_mode")[0] == "wal"
    db.add_iteration(1, 0.5, {"reward": 1.0})
    with Database(db.path) as again, Database(db.path, readonly=True) as reader:
        assert count(again, "iterations") == count(reader, "iterations") == 1
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            reader.set_status(state="failed")


def test_no_database_and_no_such_file_are_one_line(tmp_path):
    with pytest.raises(UserError, match="there is no run here"):
        Database(tmp_path / "run.db", readonly=True)
    assert not (tmp_path / "run.db").exists()
    (tmp_path / "run.db").write_bytes(b"not a database at all" * 100)
    for options in ({"readonly": True}, {}):
        with pytest.raises(UserError, match="cannot be opened .file is not a database."):
            Database(tmp_path / "run.db", **options)


def test_iteration_is_written_whole_or_not_at_all(db):
    def pictures():
        yield picture(1)
        with Database(db.path, readonly=True) as reader:  # in the middle of the transaction
            assert (count(reader, "iterations"), count(reader, "pictures")) == (0, 0)
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        db.add_iteration(1, 0.5, {"reward": 1.0}, pictures())
    assert (count(db, "iterations"), count(db, "pictures"), db.status()["iteration"]) == (0, 0, 0)

    db.write("CREATE TRIGGER full BEFORE UPDATE ON status BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    with pytest.raises(sqlite3.Error, match="disk full"):
        db.add_iteration(1, 0.5, {"reward": 1.0}, [picture(1)])
    assert (count(db, "iterations"), count(db, "pictures")) == (0, 0)
    db.write("DROP TRIGGER full")

    db.add_iteration(1, 0.5, {"reward": 1.0}, [picture(1, n) for n in range(3)])
    assert (count(db, "iterations"), count(db, "pictures"), db.status()["iteration"]) == (1, 3, 1)


READER = """
import json, sys, time
from pathlib import Path
from core.runs.database import Database
seen = []
with Database(Path(sys.argv[1]), readonly=True) as db:
    print("ready", flush=True)
    while not seen or seen[-1][0] < 40:
        db._db.execute("BEGIN")
        iterations = db.row("SELECT count(*) AS n FROM iterations")["n"]
        pictures = db.row("SELECT count(*) AS n FROM pictures")["n"]
        status = db.status()["iteration"]
        db._db.execute("COMMIT")
        seen.append((iterations, pictures, status))
        time.sleep(0.001)
print(json.dumps(seen))
"""


def test_two_processes_read_whole_iterations_while_one_writes(db):
    command = [sys.executable, "-c", READER, str(db.path)]
    readers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    assert [reader.stdout.readline() for reader in readers] == ["ready\n"] * 2
    for iteration in range(1, 41):
        db.add_iteration(iteration, 0.1, {}, [picture(iteration, n) for n in range(5)])
        time.sleep(0.01)
    for reader in readers:
        out, err = reader.communicate(timeout=60)
        assert reader.returncode == 0, err
        seen = json.loads(out)
        assert len({tuple(x) for x in seen}) > 3  # it did look on while the other wrote
        assert all(pictures == 5 * iterations and status == iterations for iterations, pictures, status in seen)
        assert seen == sorted(seen)


def test_threads_share_one_connection(db):
    threads = [threading.Thread(target=lambda: [db.add_event("state", 1) for _ in range(20)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(db, "events") == 80


def test_status_keeps_what_is_not_told_and_beats(db):
    before = time.time()
    db.set_status(message="Drawing", pid=5)
    db.set_status(done=3)
    status = db.status()
    assert (status["state"], status["message"], status["pid"], status["done"]) == ("running", "Drawing", 5, 3)
    assert before <= status["heartbeat"] <= time.time()
    with pytest.raises(ValueError, match="sleeping"):
        db.set_status(state="sleeping")
    assert db.status()["state"] in STATES


def test_commands_wait_in_the_order_they_were_sent(db):
    with Database(db.path) as studio:
        ids = [studio.send("set", name="creative_beta", value=0.5), studio.send("pause"), studio.send("sample", prompts=["cat"])]
    assert db.pending() == [
        (ids[0], "set", {"name": "creative_beta", "value": 0.5}), (ids[1], "pause", {}), (ids[2], "sample", {"prompts": ["cat"]}),
    ]
    db.answer(ids[1])
    assert [i for i, _, _ in db.pending()] == [ids[0], ids[2]]
    with pytest.raises(UserError, match="command 'dance' is unknown. Use one of pause, resume, stop, set, sample."):
        db.send("dance")


def test_command_is_answered_once_and_undone_only_while_it_waits(db):
    taken, waiting = db.send("pause"), db.send("stop")
    db.answer(taken, "ok")
    db.answer(taken, "too late")
    assert not db.undo(taken)
    assert db.undo(waiting) and not db.undo(waiting)
    db.answer(waiting, "ok")
    answers = {r["id"]: r["answer"] for r in db.rows("SELECT id, answer FROM commands")}
    assert answers == {taken: "ok", waiting: "undone"}
    assert db.pending() == []


def test_forget_after_drops_what_is_trained_anew_and_nothing_else(db):
    db.add_pictures([picture(0, kind="base"), picture(6, kind="sample")])
    for iteration in range(7):
        db.add_iteration(iteration, 0.1, {"reward": iteration}, [picture(iteration)])
    db.add_event("dial", 6, name="creative_beta")
    db.add_event("checkpoint", 4)
    db.add_event("checkpoint", 6)
    db.forget_after(4)
    assert [r["iteration"] for r in db.iterations()] == [0, 1, 2, 3, 4]
    assert [(r["kind"], r["iteration"]) for r in db.rows("SELECT * FROM pictures WHERE kind != 'train'")] == [("base", 0), ("sample", 6)]
    assert [r[0] for r in db.rows("SELECT iteration FROM pictures WHERE kind = 'train'")] == [0, 1, 2, 3, 4]
    assert [(e["kind"], e["iteration"]) for e in db.events()] == [("dial", 6), ("checkpoint", 4)]
    assert db.status()["iteration"] == 4
    db.add_iteration(5, 0.1, {"reward": 55})
    assert db.iterations(since=4)[0]["reward"] == 55 and db.status()["iteration"] == 5


def test_an_iteration_written_again_replaces_the_first(db):
    db.add_iteration(1, 0.1, {"reward": 1.0})
    db.add_iteration(1, 0.2, {"reward": 2.0})
    assert [(r["reward"], r["duration"]) for r in db.iterations()] == [(2.0, 0.2)]


def test_events_and_iterations_since(db):
    first, second = db.add_event("dial", 3, name="pull", value=0.1), db.add_event("state", 4, state="paused")
    assert [e["id"] for e in db.events(first)] == [second]
    assert {k: v for k, v in db.events()[0].items() if k != "time"} == {
        "id": first, "iteration": 3, "kind": "dial", "name": "pull", "value": 0.1,
    }


def test_update_pictures_sets_each_by_its_id(db):
    ids = db.add_pictures([picture(1, n) for n in range(3)])
    db.update_pictures(("look", "umap_x"), [(2, 0.5, ids[2]), (1, 0.25, ids[0])])
    found = {r["id"]: (r["look"], r["umap_x"]) for r in db.rows("SELECT * FROM pictures")}
    assert found == {ids[0]: (1, 0.25), ids[1]: (None, None), ids[2]: (2, 0.5)}


def test_embeddings_come_back_within_half_precision():
    vectors = np.random.default_rng(0).normal(size=(4, 7)).astype(np.float32)
    blobs = [pack(v) for v in vectors[:, ::-1]]  # a view that is not contiguous
    assert len(blobs[0]) == 14
    back = unpack(blobs)
    assert back.dtype == np.float32 and back.shape == (4, 7)
    np.testing.assert_allclose(back, vectors[:, ::-1], rtol=2**-11)
    assert pack(np.array([1.0])) == b"\x00\x3c"  # IEEE 754 half, little-endian


def test_a_run_in_a_folder_that_cannot_be_written_is_read_as_it_is(tmp_path, monkeypatch):
    path = tmp_path / "run.db"
    with Database(path, create=True) as db:
        db.add_iteration(1, 2.0, {"reward": 0.5})
    plain, asked = sqlite3.connect, []

    def refuse(address, **options):
        """As SQLite does on a mount that is read only: WAL's index has no place."""
        asked.append(address.partition("?")[2])
        if "immutable" not in address:
            raise sqlite3.OperationalError("unable to open database file")
        return plain(address, **options)

    monkeypatch.setattr(sqlite3, "connect", refuse)
    with pytest.raises(UserError, match="cannot be opened"):  # where the folder can be written, that is not the reason
        Database(path, readonly=True)
    monkeypatch.setattr(os, "access", lambda place, how: False)
    with Database(path, readonly=True) as db:
        assert [r["reward"] for r in db.iterations()] == [0.5]
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            db.add_event("state", 1, state="stopped")
    assert asked == ["mode=ro", "mode=ro", "mode=ro&immutable=1"]
