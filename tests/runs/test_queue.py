"""The queue's file: order, places, and what is left of it when it or a run is damaged."""

import json
import threading

import pytest

from core.config import RunConfig
from core.runs import queue
from core.runs.folder import create
from core.runs.queue import Queue


@pytest.fixture
def runs(tmp_path):
    for name in "abcd":
        create(tmp_path / name, RunConfig())
    return tmp_path


def filled(runs, names: str) -> Queue:
    for name in names:
        last = queue.append(runs, name)
    return last


def test_first_come_first_and_nobody_twice(runs):
    assert filled(runs, "bacab").runs == ("b", "a", "c")
    assert queue.read(runs) == Queue(("b", "a", "c"))
    assert queue.remove(runs, "a").runs == ("b", "c") == queue.remove(runs, "nobody").runs


@pytest.mark.parametrize("wish, expected", [("cba", "cba"), ("c", "cab"), ("xcx", "cab"), ("", "abc"), ("bb", "bac")])
def test_order_moves_those_that_are_named_and_loses_none(runs, wish, expected):
    filled(runs, "abc")
    assert "".join(queue.order(runs, list(wish)).runs) == expected == "".join(queue.read(runs).runs)


def test_hold_says_why_and_forgets_it(runs):
    filled(runs, "a")
    assert queue.hold(runs, True, "disk: full") == Queue(("a",), True, "disk: full") == queue.read(runs)
    assert queue.hold(runs, False, "disk: full") == Queue(("a",)) == queue.read(runs)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"runs": "abc", "held": false}', '{"runs": 5, "held": true}', "\udcff"])
def test_damaged_file_is_an_empty_queue_that_can_be_filled_again(runs, text):
    (runs / "queue.json").write_bytes(text.encode(errors="surrogateescape"))
    assert queue.read(runs).runs == ()
    assert queue.append(runs, "a").runs == ("a",) == queue.read(runs).runs


def test_what_is_no_run_here_does_not_wait(runs):
    outside = create(runs.parent / "outside", RunConfig())
    (runs / "queue.json").write_text(json.dumps({"runs": ["a", "gone", "../outside", str(outside.path), "", 7, None, "a", "b"], "held": False}))
    assert queue.read(runs).runs == ("a", "b")


def test_renamed_run_keeps_its_place(runs):
    waited = filled(runs, "abc")
    (runs / "b").rename(runs / "z")
    assert queue.rename(runs, "b", "z", waited).runs == ("a", "z", "c")


def test_changes_at_once_are_all_kept(runs):
    threads = [threading.Thread(target=queue.append, args=(runs, name)) for name in "abcd" * 5]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(queue.read(runs).runs) == list("abcd")
    assert [p.name for p in runs.iterdir() if p.is_file()] == ["queue.json"]  # no draft is left
