"""compare.db without a model: what is wanted, in which order it is made, what is kept and what is dropped."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from core.config import RunConfig
from core.errors import UserError
from core.runs import compare, folder
from core.runs.compare import BASE, EVERY, OPENED, SHOWN, THROUGH, Store, Want, side


@pytest.fixture
def run(tmp_path):
    return folder.create(tmp_path / "demo", RunConfig(prompts=("cat", "dog"), prompts_per_iteration=1))


@pytest.fixture
def store(run):
    with Store(run) as store:
        yield store


def pictures(seeds, size: int = 10) -> list[dict]:
    return [
        {"seed": s, "reward": s / 10, "look": 0, "embedding": b"e", "pixels": b"p", "picture": bytes([s % 256]) * size, "thumb": None} for s in seeds
    ]


def shown(checkpoint: int, strength: int = 100, seeds=(0, 1, 2), prompt: int = 0) -> Want:
    return Want(SHOWN, prompt, *side(checkpoint, strength), tuple(seeds))


def test_strength_zero_is_the_base_model_and_the_base_has_one_strength():
    assert side(20, 0) == side(0, 130) == side(0, 0) == BASE and side(20, 65) == (20, 65)
    for wrong in (-1, 151):
        with pytest.raises(UserError, match="strength: .* is out of range. Use 0 to 1.5"):
            side(20, wrong)


def test_only_what_is_missing_is_made_and_the_rest_never_again(store):
    store.want("page", [shown(0), shown(20)])
    assert store.next() == Want(SHOWN, 0, 0, 100, (0, 1, 2))
    store.add(0, BASE, pictures([0, 2]))
    assert store.next().seeds == (1,)
    store.add(0, BASE, pictures([1]))
    assert store.next() == Want(SHOWN, 0, 20, 100, (0, 1, 2))
    store.add(0, (20, 100), pictures([0, 1, 2]))
    assert store.next() is None
    first = store.pictures(0, (20, 100), [1])[1]["id"]
    store.add(0, (20, 100), pictures([1], size=99))
    assert store.pictures(0, (20, 100), [1])[1]["id"] == first and len(store.picture(first)) == 10


def test_a_newer_wish_replaces_the_older_one(store):
    store.want("page", [shown(20, 100)])
    store.want("page", [shown(20, 65)])
    assert [w.strength for w in store.wants()] == [65]


def test_pictures_on_screen_come_first_then_a_seed_through_training_then_measures(store):
    store.want("page", [
        Want(EVERY, 1, 20, 100, (0, 1), True), Want(OPENED, 0, 20, 100, (0, 1), True), Want(THROUGH, 0, 10, 100, (2,)), shown(20, seeds=(2, 3)),
    ])  # fmt: skip
    made = []
    while wanted := store.next():
        made.append((wanted.lane, wanted.prompt, wanted.side, wanted.seeds, wanted.measure))
        if wanted.measure:
            store.add_measure(wanted.prompt, wanted.side, {"n": 2})
        else:
            store.add(wanted.prompt, wanted.side, pictures(wanted.seeds))
    assert made == [
        (SHOWN, 0, (20, 100), (2, 3), False), (THROUGH, 0, (10, 100), (2,), False),
        (OPENED, 0, BASE, (0, 1), False), (OPENED, 0, (20, 100), (0, 1), False), (OPENED, 0, (20, 100), (), True),
        (EVERY, 1, BASE, (0, 1), False), (EVERY, 1, (20, 100), (0, 1), False), (EVERY, 1, (20, 100), (), True),
    ]  # fmt: skip


def test_two_pages_are_both_served_and_the_one_seen_last_first(store):
    store.want("old", [shown(10)])
    time.sleep(0.01)
    store.want("new", [shown(20)])
    assert [w.checkpoint for w in store.wants()] == [20, 10]
    time.sleep(0.01)
    store.want("old", [shown(10)])
    assert [w.checkpoint for w in store.wants()] == [10, 20]


def test_a_page_that_is_gone_wants_nothing(store, monkeypatch):
    store.want("page", [shown(20), Want(OPENED, 0, 20, 100, (0,), True)], take=7)
    assert store.asked() and store.taken_for() == 7
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 20)
    assert [w.lane for w in store.wants()] == [OPENED] and store.taken_for() is None  # numbers may be awaited in another tab
    monkeypatch.setattr(time, "time", lambda: now + 130)
    assert store.wants() == [] and store.next() is None and not store.asked()


def test_what_cannot_be_made_is_not_tried_again_until_something_else_is_wanted(store):
    store.want("page", [shown(20), shown(30)])
    store.refuse(20, "The weights after 20 are not kept any more.")
    assert store.next().checkpoint == 30 and store.problems() == {20: "The weights after 20 are not kept any more."}
    store.want("page", [shown(20), shown(30)])  # a sign of life changes nothing
    assert store.next().checkpoint == 30
    store.want("page", [shown(20)])
    assert store.next().checkpoint == 20 and store.problems() == {}
    store.refuse(0, "No memory.")
    store.want("page", [Want(OPENED, 0, 20, 100, (0,), True)])
    store.refuse(0, "No memory.")
    assert store.next() is None  # a measure needs the base too


def test_the_oldest_pictures_are_dropped_beyond_the_cap_but_none_that_is_wanted(run):
    with Store(run, largest=1000) as store:
        store.want("page", [shown(20, seeds=(0,))])
        store.add(0, (20, 100), pictures([0], size=300))
        store.add(0, (10, 100), pictures([1], size=300))
        store.add(0, (10, 100), pictures([2], size=300))
        store.add(0, (10, 100), pictures([3], size=300))
        assert sorted(store.pictures(0, (10, 100), range(9))) == [2, 3] and list(store.pictures(0, (20, 100), [0])) == [0]
        store.want("page", [shown(20, seeds=range(4))])
        store.add(0, (20, 100), pictures([1, 2, 3], size=400))
        assert sorted(store.pictures(0, (20, 100), range(4))) == [0, 1, 2, 3]  # all are wanted: over the cap, but no circle


def test_a_large_picture_has_a_small_one_beside_it(store):
    row = pictures([5])[0]
    store.add(0, BASE, [row, {**row, "seed": 6, "thumb": b"small"}])
    plain, large = (store.pictures(0, BASE, [s])[s]["id"] for s in (5, 6))
    assert store.picture(plain, small=True) == store.picture(plain) and store.picture(large, small=True) == b"small" != store.picture(large)
    assert store.picture(1) is None


def test_a_run_that_goes_on_from_earlier_forgets_what_came_later(run):
    with Store(run) as store:
        for checkpoint in (0, 10, 20):
            store.add(0, (checkpoint, 100), pictures([0]))
            store.add_measure(0, (checkpoint, 100), {"n": 1})
    for iteration in (10, 20):
        compare.weights_file(run, iteration).parent.mkdir(exist_ok=True)
        compare.weights_file(run, iteration).write_bytes(b"")
    compare.forget_after(run, 10)
    with Store(run) as store:
        assert [bool(store.pictures(0, (c, 100), [0])) for c in (0, 10, 20)] == [True, True, False]
        assert [bool(store.measure(0, (c, 100))) for c in (0, 10, 20)] == [True, True, False]
    assert compare.taken(run) == [10]


def test_a_damaged_file_costs_only_what_can_be_drawn_again(run):
    compare.path(run).write_bytes(b"no database" * 200)
    with pytest.raises(UserError, match="pictures cannot be kept here"):
        Store(run)
    compare.forget_after(run, 0)
    Store(run).close()


def test_numbers_of_pictures_do_not_come_again_with_a_new_file(run):
    ids = []
    for _ in range(2):
        with Store(run) as store:
            store.add(0, BASE, pictures([0]))
            ids.append(store.pictures(0, BASE, [0])[0]["id"])
        compare.path(run).unlink()
        time.sleep(0.005)
    assert ids[1] > ids[0] and ids[1] < 2**53  # and JavaScript can hold them


def test_weights_that_were_taken_count_with_the_checkpoints_and_only_the_newest_are_kept(run):
    for iteration in (3, 5, 8, 13):
        compare.weights_file(run, iteration).parent.mkdir(exist_ok=True)
        compare.weights_file(run, iteration).write_bytes(b"")
    from core.runs import checkpoints

    checkpoints.save(run, 5, {"x": np.zeros(1)}, {}, keep=5)
    assert compare.available(run) == [3, 5, 8, 13]
    compare.drop_old_weights(run)
    assert compare.available(run) == [5, 8, 13]


def test_there_is_one_sampler_and_a_dead_one_is_told(run, store):
    assert store.sampler()["state"] == "none" and store.claim() and store.sampler()["state"] == "loading"
    other = "import sys; from core.runs.compare import Store; from core.runs.folder import Run; import pathlib; print(Store(Run(pathlib.Path(sys.argv[1]))).claim())"
    told = subprocess.run([sys.executable, "-c", other, str(run.path)], capture_output=True, text=True, check=True, cwd=folder.ROOT)
    assert told.stdout.strip() == "False"
    store.tell("ended")
    told = subprocess.run([sys.executable, "-c", other, str(run.path)], capture_output=True, text=True, check=True, cwd=folder.ROOT)
    assert told.stdout.strip() == "True"
    assert store.sampler()["state"] == "died" and "stopped by itself" in store.sampler()["message"]  # that process is gone
    assert store.claim() and store.sampler()["pid"] == os.getpid()
    store.tell("failed", "No memory.", "Traceback")
    assert (store.sampler()["state"], store.sampler()["message"]) == ("failed", "No memory.")
    store.forgive()
    assert store.sampler()["state"] == "none"


def test_ending_a_sampler_ends_its_process(run, store):
    waiting = "import sys, time, pathlib; from core.runs.compare import Store; from core.runs.folder import Run; Store(Run(pathlib.Path(sys.argv[1]))).claim(); print('here', flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", waiting, str(run.path)], stdout=subprocess.PIPE, cwd=folder.ROOT)
    assert process.stdout.readline()
    assert compare.end_sampler(run) and process.wait(5) is not None
    assert store.sampler()["state"] == "ended" and not compare.end_sampler(run)


def test_many_may_open_a_new_store_at_once(run):
    """Two tabs on Compare, say: SQLite does not wait when it is to change to its write-ahead log."""
    for _ in range(4):
        compare.path(run).unlink(missing_ok=True)
        together, failures = threading.Barrier(8), []

        def opening():
            together.wait()
            try:
                compare.Store(run).close()
            except UserError as error:
                failures.append(str(error))

        threads = [threading.Thread(target=opening) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        with compare.Store(run) as store:
            assert store._db.execute("SELECT count(*) FROM sqlite_sequence WHERE name = 'pictures'").fetchone()[0] == 1
