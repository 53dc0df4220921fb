import os
import threading
import time

import numpy as np
import pytest

from core.config import build
from core.mapper import Mapper, _orphaned, follow, main
from core.runs.database import pack
from core.runs.folder import create

BASE = 24


class FirstTwo:
    """A map that keeps the first two features, moved by `shift`: what is placed where can be read off."""

    shift = 0.0

    def __init__(self, features, seed=0):
        self.base = self.transform(features)

    def transform(self, features):
        return features[:, :2] + self.shift


def feature(number: int) -> np.ndarray:
    return np.array([number, -number, 7, 7], dtype=np.float32)


def picture(kind, prompt, number, iteration=0):
    place = {"kind": kind, "iteration": iteration, "prompt": prompt, "position": number, "seed": number}
    return {**place, "embedding": pack(feature(number)), "thumb": b"w"}


def add(db, kind, prompt, numbers, iteration=0):
    return db.add_pictures([picture(kind, prompt, n, iteration) for n in numbers])


def places(db, kind, prompt):
    rows = db.rows("SELECT umap_x, umap_y FROM pictures WHERE kind = ? AND prompt = ? ORDER BY id", kind, prompt)
    return [(r["umap_x"], r["umap_y"]) for r in rows]


def expected(numbers, shift=0.0):
    return [(n + shift, -n + shift) for n in numbers]


@pytest.fixture
def run(tmp_path):
    run = create(tmp_path / "map-01", build({"prompts": ["cat", "dog", "cow"], "base_pictures": BASE}))
    with run.database() as db:
        for index, mapped in enumerate((1, 1, 0)):
            db.write("INSERT INTO prompts (prompt, text, mapped) VALUES (?, ?, ?)", index, "x", mapped)
    return run


@pytest.fixture
def db(run):
    with run.database() as db:
        yield db


def test_waits_for_the_whole_base_and_places_it(db):
    mapper = Mapper(db, BASE, 0, FirstTwo)
    add(db, "base", 0, range(BASE - 1))
    assert mapper.step() == 0 and places(db, "base", 0)[0] == (None, None)
    add(db, "base", 0, [BASE - 1])
    assert mapper.step() == BASE
    assert places(db, "base", 0) == expected(range(BASE))
    assert [(e["kind"], e["prompt"], e["method"]) for e in db.events()] == [("map", 0, "umap")]
    assert mapper.step() == 0 and len(db.events()) == 1


def test_follows_training_and_sample_pictures_of_mapped_prompts_only(db):
    mapper = Mapper(db, BASE, 0, FirstTwo)
    add(db, "train", 0, [5], iteration=1)  # before the map exists
    for prompt in (0, 2):
        add(db, "base", prompt, range(BASE))
    mapper.step()
    add(db, "train", 0, [30, 31], iteration=2)
    add(db, "sample", 0, [40], iteration=2)
    add(db, "train", 1, [50], iteration=2)  # mapped, but its base is not there yet
    add(db, "train", 2, [60], iteration=2)
    assert mapper.step() == 3
    assert places(db, "train", 0) == expected([5, 30, 31]) and places(db, "sample", 0) == expected([40])
    assert places(db, "train", 1) == places(db, "train", 2) == [(None, None)]
    assert set(places(db, "base", 2)) == {(None, None)}
    add(db, "base", 1, range(BASE))
    assert mapper.step() == BASE + 1
    assert places(db, "train", 1) == expected([50])


def test_resumed_mapper_keeps_places_and_fills_gaps(db):
    add(db, "base", 0, range(BASE))
    Mapper(db, BASE, 0, FirstTwo).step()
    old, new = add(db, "train", 0, [1, 2], iteration=1)
    db.update_pictures(("umap_x", "umap_y"), [(0.125, 0.25, old)])
    Mapper(db, BASE, 0, FirstTwo).step()
    assert places(db, "train", 0) == [(0.125, 0.25), (2, -2)]


def test_a_map_that_comes_out_otherwise_places_everything_anew(db):
    add(db, "base", 0, range(BASE))
    add(db, "train", 0, [1, 2], iteration=1)
    Mapper(db, BASE, 0, FirstTwo).step()

    class Moved(FirstTwo):
        shift = 0.5

    Mapper(db, BASE, 0, Moved).step()
    assert places(db, "base", 0) == expected(range(BASE), 0.5)
    assert places(db, "train", 0) == expected([1, 2], 0.5)


def test_a_place_that_is_not_a_number_is_left_out(db):
    class Holed(FirstTwo):
        def transform(self, features):
            return np.where(features[:, :1] == 3, np.nan, features[:, :2])

    add(db, "base", 0, range(BASE))
    Mapper(db, BASE, 0, Holed).step()
    assert places(db, "base", 0)[2:5] == [(2, -2), (None, None), (4, -4)]


def test_ends_after_the_run_with_nothing_left_to_place(run, db):
    db.set_status(state="running", pid=os.getpid())
    thread = in_background(run)
    add(db, "base", 0, range(BASE))
    wait_for(lambda: places(db, "base", 0) == expected(range(BASE)))
    assert thread.is_alive()
    add(db, "train", 0, [9], iteration=1)
    db.set_status(state="finished")
    thread.join(5)
    assert not thread.is_alive() and places(db, "train", 0) == expected([9])


def test_ends_when_its_worker_is_gone_although_the_run_says_running(run, db, monkeypatch):
    db.set_status(state="running", pid=os.getpid())
    add(db, "base", 0, range(BASE))
    monkeypatch.setattr("core.mapper._orphaned", lambda parent: True)
    thread = in_background(run)
    thread.join(5)
    assert not thread.is_alive() and places(db, "base", 0) == expected(range(BASE))


def test_a_failure_becomes_a_warning_and_the_run_is_left_alone(run, db):
    def broken(features, seed):
        raise RuntimeError("no layout\nlong story")

    db.set_status(state="running", pid=os.getpid(), iteration=4)
    add(db, "base", 0, range(BASE))
    follow(run, broken, 0.01)
    (event,) = db.events()
    assert event["kind"] == "warning" and event["iteration"] == 4
    assert event["message"] == "The UMAP layout stopped (no layout). The map shows PCA; the run goes on."
    assert db.status()["state"] == "running"


def test_orphans_are_told():
    assert not _orphaned(os.getppid())
    assert _orphaned(2**22 + 1)


def test_wrong_arguments_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(os, "nice", lambda n: None, raising=False)
    monkeypatch.setattr("sys.argv", ["mapper"])
    assert main() == 2 and "usage" in capsys.readouterr().err
    monkeypatch.setattr("sys.argv", ["mapper", str(tmp_path / "none")])
    assert main() == 2 and capsys.readouterr().err.count("\n") == 1


def in_background(run):
    thread = threading.Thread(target=follow, args=(run, FirstTwo, 0.01), daemon=True)
    thread.start()
    return thread


def wait_for(condition, seconds=5):
    end = time.time() + seconds
    while not condition():
        assert time.time() < end, "did not happen in time"
        time.sleep(0.01)
