"""A worker that fails says why, what is safe and what to do."""

import math
import sqlite3

import pytest
import torch
from working import events, metrics, status, work

from core import training
from core.runs import checkpoints
from core.runs.database import Database


def raising(error):
    def act():
        raise error

    return act


def test_own_reward_that_breaks_is_told_with_its_line(new_run, tmp_path, capsys):
    (tmp_path / "own.py").write_text(
        "calls = []\ndef score(images, prompts):\n    calls.append(1)\n    return [1 / (4 - len(calls))] * len(images)\n"
    )
    run = new_run(rewards={"own": 1.0}, reward_file=str(tmp_path / "own.py"))
    assert work(run) == 2  # two calls for the base, then the second iteration's
    told = status(run)
    said = "reward_file: own.py, line 4: ZeroDivisionError: division by zero. Correct the file and start again."
    assert (told["state"], told["message"], told["pid"], told["iteration"]) == ("failed", said, None, 1)
    assert "UserError" in told["details"] and capsys.readouterr().err == said + "\n"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
        MemoryError(),
        RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"),
        None,
    ],
    ids=["cuda", "python", "mps", "cpu"],
)
def test_out_of_memory_names_what_to_do(new_run, at_iteration, error, capsys):
    run = new_run(micro_batch=8)
    at_iteration(3, raising(error) if error is not None else lambda: torch.empty(1 << 55))  # what torch itself says on a CPU
    assert work(run) == 2
    told = status(run)
    assert (told["state"], told["message"]) == ("failed", "Ran out of memory, iteration 3. Saved at 2.")
    assert told["remedy"] == "Continue with 4 pictures in flight (micro_batch=4)."
    assert capsys.readouterr().err == f"{told['message']} {told['remedy']}\n"


def test_out_of_memory_while_learning_halves_what_was_in_flight_and_says_what_that_saves(new_run, at_iteration, monkeypatch):
    """micro_batch allows 24, but two updates of 8 pictures put 4 in flight: 12 would change nothing."""
    plain, held = training.clipped_objective, 300_000_000

    def broken(*args, **options):
        graph = torch.ones(held // 4)  # what the backward pass would need, still held as the error goes up
        raise MemoryError(plain(*args, **options), graph.sum())

    run = new_run(group_size=8, updates_per_iteration=2, micro_batch=24)
    at_iteration(3, lambda: monkeypatch.setattr(training, "clipped_objective", broken))
    assert work(run) == 2
    assert status(run)["remedy"] == "Continue with 2 pictures in flight (micro_batch=2)."
    (failure,) = events(run, "failure")
    assert (failure["reason"], failure["fewer"]) == ("memory", 2)
    assert 0.5 * held < failure["saving"] < 0.8 * held, failure


@pytest.mark.parametrize(("part", "doing"), [("Trainer.sample", "making pictures"), ("Trainer.decode", "decoding pictures"), ("clipped_objective", "learning")])
def test_out_of_memory_says_during_what(new_run, at_iteration, monkeypatch, part, doing):
    def broken(*_, **__):
        raise MemoryError

    run = new_run()
    at_iteration(3, lambda: monkeypatch.setattr(f"core.training.{part}", broken))
    assert work(run) == 2
    assert status(run)["message"] == f"Ran out of memory while {doing}, iteration 3. Saved at 2."


def test_numbers_that_are_none_say_when_and_what_is_safe(new_run, at_iteration, monkeypatch, capsys):
    plain = training.clipped_objective

    def broken(*args, **options):
        objective = plain(*args, **options)
        objective.loss = objective.loss * math.nan
        return objective

    run = new_run(learning_rate=2e-4)
    at_iteration(3, lambda: monkeypatch.setattr(training, "clipped_objective", broken))
    assert work(run) == 2
    told = status(run)
    assert told["message"] == "A loss was not a number, iteration 3. Saved at 2."
    assert told["remedy"] == "Continue from the last checkpoint with half the learning rate."
    assert events(run, "failure") == [{"iteration": 3, "reason": "number", "rate": 1e-4}]
    assert capsys.readouterr().err == f"{told['message']} {told['remedy']}\n"


def test_out_of_memory_with_one_picture_in_flight_does_not_advise_none(new_run, at_iteration):
    for thrifty, remedy in ((False, "Turn on checkpointing (gradient_checkpointing=true)."), (True, "Start again with smaller pictures or a smaller model.")):
        run = new_run(f"thrifty-{thrifty}", micro_batch=1, group_size=4, gradient_checkpointing=thrifty)
        at_iteration(1, raising(MemoryError()))
        assert work(run) == 2 and status(run)["remedy"] == remedy
        with run.database(readonly=True) as db:
            (failure,) = [e for e in db.events() if e["kind"] == "failure"]
        assert (failure["fewer"], failure["thrifty"]) == (0, thrifty)


def test_fault_of_the_program_keeps_the_traceback(new_run, at_iteration, capsys):
    run = new_run()
    at_iteration(3, lambda: {}["missing"])
    assert work(run) == 1
    told = status(run)
    assert (
        told["message"] == "The trainer stopped on a fault of its own (KeyError), iteration 3. Saved at 2."
        and "KeyError: 'missing'" in told["details"]
    )
    assert "Traceback" in capsys.readouterr().err


def test_full_disk_at_the_very_end_has_last_words_too(new_run, monkeypatch):
    run = new_run(iterations=1)
    monkeypatch.setattr(checkpoints, "save_file", lambda *_: raising(OSError(28, "No space left on device"))())
    assert work(run) == 2
    assert status(run)["message"] == "The run folder cannot be written (No space left on device), iteration 2."


def test_database_that_takes_no_last_words_leaves_them_in_the_log(new_run, at_iteration, monkeypatch, capsys):
    run, plain = new_run(), Database.set_status

    def full(self, **values):
        if values.get("state") == "failed":
            raise sqlite3.OperationalError("database or disk is full")
        plain(self, **values)

    monkeypatch.setattr(Database, "set_status", full)
    at_iteration(1, raising(sqlite3.OperationalError("database or disk is full")))
    assert work(run) == 2
    said = capsys.readouterr().err
    assert (
        said.startswith("The run folder cannot be written (database or disk is full), iteration 1.")
        and "did not take the last words" in said
    )


def test_damaged_checkpoint_is_told_and_left(new_run):
    run = new_run(iterations=2)
    assert work(run) == 0
    file = run.checkpoints / "000002" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    assert work(run, resume=True) == 2
    assert "checkpoint 2 of run is damaged" in status(run)["message"].replace("demo", "run") and len(metrics(run)) == 3


def test_a_reward_that_scores_nothing_ends_the_run_before_it_begins(new_run, tmp_path, capsys):
    (tmp_path / "own.py").write_text("def score(images, prompts):\n    return [None] * len(images)\n")
    run = new_run(rewards={"brightness": 1.0, "own": 1.0}, reward_file=str(tmp_path / "own.py"))
    assert work(run) == 2
    assert "rewards: own scored none of the " in capsys.readouterr().err and status(run)["state"] == "failed"
