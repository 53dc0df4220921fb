"""The worker on a tiny model: what it writes, answers, saves and says, and that a killed run goes on bit by bit."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
import torch
from safetensors.numpy import load_file

from core import control, training
from core.config import ROOT
from core.errors import UserError
from core.runs import checkpoints, folder
from core.runs.database import Database, unpack
from core.training import Trainer
from core.worker import Worker

TIMES = ("time", "duration", "seconds", "memory")


@pytest.fixture(autouse=True)
def prompt_answers(monkeypatch):
    monkeypatch.setattr(control, "POLL_EVERY", 0.0)
    monkeypatch.setattr(control, "PAUSED_POLL", 0.01)


@pytest.fixture
def new_run(settings, tmp_path):
    def new(name: str = "demo", **changes) -> folder.Run:
        return folder.create(tmp_path / name, settings(**changes))

    return new


@pytest.fixture
def at_iteration(monkeypatch):
    """at_iteration(number, act): call act() when that iteration begins."""
    plain, acts = Trainer.iterate, {}

    def iterate(self, iteration):
        acts.pop(iteration, lambda: None)()
        return plain(self, iteration)

    monkeypatch.setattr(Trainer, "iterate", iterate)
    return lambda number, act: acts.update({number: act})


@pytest.fixture
def at_micro_step(monkeypatch):
    """at_micro_step(number, act): call act() after that many losses, counted from now."""
    plain = training.clipped_objective
    acts, calls = {}, [0]

    def watched(*args, **options):
        calls[0] += 1
        acts.pop(calls[0], lambda: None)()
        return plain(*args, **options)

    monkeypatch.setattr(training, "clipped_objective", watched)
    return lambda number, act: acts.update({calls[0] + number: act})


def work(run, *, resume: bool = False) -> int:
    return Worker(run, resume=resume, follow=False).carry_out()


def reading(run) -> Database:
    return run.database(readonly=True)


def status(run) -> dict:
    with reading(run) as db:
        return db.status()


def answers(run) -> list[str]:
    with reading(run) as db:
        return [r["answer"] for r in db.rows("SELECT answer FROM commands ORDER BY id")]


def send(run, kind: str, **body) -> int:
    with run.database() as db:
        return db.send(kind, **body)


def metrics(run) -> list[dict]:
    with reading(run) as db:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in db.iterations()]


def pictures(run) -> list[tuple]:
    with reading(run) as db:
        return [tuple(r) for r in db.rows(
            "SELECT kind, iteration, prompt, position, seed, reward, scores, bonus, cluster, look, pca_x, pca_y, embedding, thumb FROM pictures "
            "ORDER BY iteration, prompt, position",
        )]  # fmt: skip


def events(run, kind: str) -> list[dict]:
    with reading(run) as db:
        return [{k: v for k, v in e.items() if k not in ("id", "time", "kind")} for e in db.events() if e["kind"] == kind]


def same_weights(a, b, iteration: int) -> bool:
    mine, theirs = (checkpoints.load(run, iteration)[0] for run in (a, b))
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[n], theirs[n]) for n in mine)


# --- what it writes ----------------------------------------------------------------------------------------------
def test_run_is_written_whole(new_run):
    run = new_run(prompts=["cat", "dog", "owl"], base_prompts=2, creative_beta=0.5, iterations=3)
    assert work(run) == 0
    told = status(run)
    assert (told["state"], told["message"], told["iteration"], told["iterations"], told["saved_at"], told["pid"]) == ("finished", "Finished 3 iterations.", 3, 3, 3, None)
    assert told["device"] == "cpu, float32" and checkpoints.all_of(run) == [2, 3]
    rows = metrics(run)
    assert [r["iteration"] for r in rows] == [0, 1, 2, 3] and rows[0]["reward"] == 0
    assert set(rows[0]["vendi_by_prompt"]) == {"0", "2"} and rows[0]["vendi"] == pytest.approx(np.mean(list(rows[0]["vendi_by_prompt"].values())))
    with reading(run) as db:
        assert [tuple(r) for r in db.rows("SELECT prompt, text, mapped FROM prompts ORDER BY prompt")] == [(0, "cat", 1), (1, "dog", 0), (2, "owl", 1)]
        for prompt in (0, 2):
            base = db.rows("SELECT * FROM pictures WHERE kind = 'base' AND prompt = ? ORDER BY position", prompt)
            looks = db.rows("SELECT * FROM looks WHERE prompt = ? ORDER BY look", prompt)
            assert len(base) == 24 and len({r["seed"] for r in base}) == 24
            assert sum(r["share"] for r in looks) <= 1 + 1e-6 and {r["picture"] for r in looks} <= {r["id"] for r in base}
            assert rows[0]["look_shares"][str(prompt)] == pytest.approx([sum(b["look"] == k for b in base) / 24 for k in [*range(len(looks)), -1]])
            np.testing.assert_allclose(np.linalg.norm(unpack(r["embedding"] for r in base), axis=1), 1, atol=2e-3)
        # 0 is the base's mean and 1 its spread
        rewards = np.array([r["reward"] for r in db.rows("SELECT reward FROM pictures WHERE kind = 'base'")])
        assert rewards.mean() == pytest.approx(0, abs=1e-3) and rewards.std() == pytest.approx(1, abs=1e-3)
        trained = db.rows("SELECT * FROM pictures WHERE kind = 'train'")
        assert len(trained) == 3 * 8 and all(r["bonus"] >= 1 and r["cluster"] >= 0 and r["thumb"][:4] == b"RIFF" for r in trained)
        for row in rows[1:]:
            mine = [r for r in trained if r["iteration"] == row["iteration"]]
            assert row["reward"] == pytest.approx(np.mean([r["reward"] for r in mine]), abs=1e-5)
            assert row["reward_raw"]["brightness"] == pytest.approx(np.mean([json.loads(r["scores"])["brightness"] for r in mine]), abs=1e-6)
    assert [e["iteration"] for e in events(run, "checkpoint")] == [2, 3]


def test_equal_seeds_give_equal_runs_and_others_do_not(new_run):
    runs = [new_run(name, iterations=1, seed=seed) for name, seed in (("a", 3), ("b", 3), ("c", 4))]
    assert [work(run) for run in runs] == [0, 0, 0]
    assert metrics(runs[0]) == metrics(runs[1]) and pictures(runs[0]) == pictures(runs[1]) and same_weights(runs[0], runs[1], 1)
    assert not {p[4] for p in pictures(runs[0])} & {p[4] for p in pictures(runs[2])}


# --- killed, stopped, resumed ------------------------------------------------------------------------------------
KILLED = """
import os, sys
from pathlib import Path
from core import loading, training
loading.CLIP_FOLDER = Path(sys.argv[2])
plain, calls = training.clipped_objective, 0
def dies(*args, **options):
    global calls
    calls += 1
    if calls == int(sys.argv[3]):
        os.kill(os.getpid(), 9)
    return plain(*args, **options)
training.clipped_objective = dies
from core.cli import main
sys.exit(main(["train", sys.argv[1], "--worker", "--no-map"]))
"""


def test_three_iterations_a_kill_and_three_more_equal_six(new_run, tiny_clip):
    options = {"iterations": 6, "checkpoint_every": 3, "creative_beta": 0.5, "sa_reg_steps": 2, "prompts_per_iteration": 2, "cluster_min_spread": 0.0}
    straight, killed = new_run("straight", **options), new_run("killed", **options)
    for run in (straight, killed):
        send(run, "set", changes={"learning_rate": 2e-3})  # is in the checkpoint, not in config.yaml
    assert work(straight) == 0
    # six losses an iteration; the 22nd is in the fourth, after its first optimizer step
    command = [sys.executable, "-c", KILLED, str(killed.path), str(tiny_clip), "22"]
    ended = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    told = status(killed)
    assert (told["iteration"], told["saved_at"], told["state"]) == (3, 3, "running") and folder.state(told) == "died"
    assert work(killed, resume=True) == 0
    assert same_weights(straight, killed, 6) and same_weights(straight, killed, 3)
    assert metrics(straight) == metrics(killed)
    assert pictures(straight) == pictures(killed)
    assert checkpoints.load(straight, 6)[1] == checkpoints.load(killed, 6)[1]
    assert [e["state"] for e in events(killed, "state")] == ["resumed", "finished"] and len(events(killed, "dial")) == 1
    exported = [load_file(run.export / "pytorch_lora_weights.safetensors") for run in (straight, killed)]
    assert all(np.array_equal(exported[0][n], exported[1][n]) for n in exported[0])


def test_stop_in_the_middle_of_an_update_loses_only_that_iteration(new_run, at_micro_step):
    straight, stopped = new_run("straight", checkpoint_every=100), new_run("stopped", checkpoint_every=100)
    assert work(straight) == 0
    clock = []
    # six losses an iteration: after the first optimizer step of the third
    at_micro_step(2 * 6 + 4, lambda: (send(stopped, "stop"), clock.append(time.process_time())))
    assert work(stopped) == 0
    assert time.process_time() - clock[0] < 2
    told = status(stopped)
    assert (told["state"], told["message"], told["iteration"], told["pid"]) == ("stopped", "Stopped at 2.", 2, None)
    assert checkpoints.all_of(stopped) == [2] and (stopped.export / "pytorch_lora_weights.safetensors").exists() and answers(stopped) == ["ok"]
    assert work(stopped, resume=True) == 0
    assert same_weights(straight, stopped, 4) and metrics(straight) == metrics(stopped) and pictures(straight) == pictures(stopped)


def test_stop_while_base_pictures_are_made_and_start_again(new_run):
    run = new_run(iterations=1)
    send(run, "stop")  # while torch is loading: meant for this process
    assert work(run) == 0
    assert (status(run)["state"], checkpoints.all_of(run), (run.path / "base.npz").exists()) == ("stopped", [], False)
    assert work(run, resume=True) == 0 and status(run)["state"] == "finished"


def test_stop_while_resuming_keeps_the_place(new_run):
    run = new_run(iterations=2)
    assert work(run) == 0
    send(run, "stop")
    assert work(run, resume=True) == 0
    assert status(run)["message"] == "Stopped at 2." and len(metrics(run)) == 3


def test_what_was_asked_of_a_process_that_is_gone_is_not_done(new_run):
    run = new_run(iterations=1)
    with run.database() as db:
        for kind, body in (("stop", {}), ("pause", {}), ("sample", {}), ("set", {"changes": {"creative_beta": 1.5}})):
            db.send(kind, **body)
        db.write("UPDATE commands SET time = ?", psutil.Process().create_time() - 60)
    assert work(run) == 0
    assert answers(run) == ["the trainer was not running"] * 3 + ["ok"]
    assert status(run)["state"] == "finished" and metrics(run)[1]["dials"]["creative_beta"] == 1.5


def test_more_iterations_can_be_added(new_run):
    run, straight = new_run("run", iterations=2), new_run("straight", iterations=4)
    assert [work(run), work(straight)] == [0, 0]
    folder.write_atomically(run.config_file, run.config().with_changes(iterations=4).to_yaml())
    assert work(run, resume=True) == 0
    assert metrics(run) == metrics(straight) and same_weights(run, straight, 4) and status(run)["iterations"] == 4


def test_run_without_a_checkpoint_starts_over(new_run, at_iteration):
    run, straight = new_run("run", checkpoint_every=100), new_run("straight", checkpoint_every=100)
    at_iteration(3, lambda: 1 / 0)
    assert work(run) == 1 and len(metrics(run)) == 3
    assert [work(run, resume=True), work(straight)] == [0, 0]
    assert metrics(run) == metrics(straight) and pictures(run) == pictures(straight)


def test_run_that_another_process_has_is_left_alone(new_run):
    run = new_run()
    parent = psutil.Process(os.getppid())
    with run.database() as db:
        db.set_status(state="running", pid=parent.pid, process_started=parent.create_time())
    with pytest.raises(UserError, match=f"another trainer .process {parent.pid}. has this run. Stop it first."):
        work(run)
    assert status(run)["state"] == "running"


# --- commands ----------------------------------------------------------------------------------------------------
def test_dials_change_between_iterations_and_wrong_ones_are_answered_in_a_sentence(new_run, at_iteration):
    run = new_run(iterations=3)
    at_iteration(2, lambda: [
        send(run, "set", changes={"creative_beta": 1.5, "sa_reg_steps": 2}), send(run, "set", name="noise_level", value=0.5), send(run, "set", changes={"seed": 3}),
        send(run, "set", changes={"creative_beta": 9}), send(run, "set", changes={"noise_level": 1e-5}), send(run, "set", changes={"no_such": 1}),
        send(run, "set", changes={"sa_reg_steps": 5}), send(run, "set", changes=["creative_beta"]), send(run, "set", name=["x"]), send(run, "set"),
        send(run, "set", changes={"pull": 0.0}),
    ])  # fmt: skip
    assert work(run) == 0
    said = answers(run)
    live = "These can change: creative_beta, sa_reg_steps, sa_reg_weight, noise_level, learning_rate, pull."
    assert said[:3] == ["ok", "ok", f"seed: Seed is fixed when the run starts. {live}"]
    assert said[3] == "creative_beta: Diversity bonus is 9. Use 0 to 3." and "too small to be trained" in said[4]
    assert said[5] == f"no_such: no_such is fixed when the run starts. {live}" and said[6] == "sa_reg_steps: Leash length is 5, the run has 4 steps. Use 0 to 4."
    assert "is no change. Send the names of settings with their values." in said[7]
    assert all("is fixed when the run starts" in s for s in said[8:10]) and said[10] == "ok"
    assert [(e["iteration"], e["name"], e["old"], e["new"]) for e in events(run, "dial")] == [
        (3, "creative_beta", 0.0, 1.5), (3, "sa_reg_steps", 0, 2), (3, "noise_level", 0.7, 0.5),
    ]  # fmt: skip
    rows = metrics(run)
    assert [r["dials"]["creative_beta"] for r in rows] == [0, 0, 0, 1.5] and [r["dials"]["noise_level"] for r in rows[2:]] == [0.7, 0.5]
    assert rows[3]["leash"][0] > 0 and rows[2]["leash"] == [0.0] * 4
    assert {p[7] is None for p in pictures(run) if p[1] == 3} == {False}  # the bonus of each picture, now that it is paid


def test_dial_that_is_undone_in_time_never_turns(new_run, at_iteration):
    run = new_run(iterations=2)

    def turn():
        with run.database() as db:
            db.undo(db.send("set", changes={"creative_beta": 1.5}))

    at_iteration(1, turn)
    assert work(run) == 0
    assert answers(run) == ["undone"] and events(run, "dial") == [] and metrics(run)[2]["dials"]["creative_beta"] == 0


def test_dial_that_is_undone_at_the_same_moment_never_turns(new_run, monkeypatch):
    run = new_run(iterations=1)
    command = send(run, "set", changes={"creative_beta": 1.5})
    plain = Trainer.adopt

    def adopt(self, config):
        plain(self, config)
        if config.creative_beta == 1.5:
            with run.database() as db:
                assert db.undo(command)

    monkeypatch.setattr(Trainer, "adopt", adopt)
    assert work(run) == 0
    assert answers(run) == ["undone"] and events(run, "dial") == [] and metrics(run)[1]["dials"]["creative_beta"] == 0


def test_dial_turned_after_the_last_checkpoint_survives_a_crash(new_run, at_iteration):
    run = new_run(iterations=5, checkpoint_every=3)
    at_iteration(4, lambda: send(run, "set", changes={"creative_beta": 1.5, "learning_rate": 2e-3}))
    at_iteration(5, lambda: 1 / 0)
    assert work(run) == 1
    assert {e["iteration"] for e in events(run, "dial")} == {5}
    assert work(run, resume=True) == 0
    assert [(e["iteration"], e["name"], e["new"]) for e in events(run, "dial")] == [(4, "creative_beta", 1.5), (4, "learning_rate", 2e-3)]
    assert [r["dials"]["creative_beta"] for r in metrics(run)] == [0, 0, 0, 0, 1.5, 1.5] and metrics(run)[4]["dials"]["learning_rate"] == 2e-3


def test_pause_holds_between_micro_steps_until_resumed(new_run, at_micro_step):
    run, straight = new_run("run", iterations=2), new_run("straight", iterations=2)
    seen = []

    def person():
        deadline = time.monotonic() + 60
        while status(run)["state"] != "paused" and time.monotonic() < deadline:
            time.sleep(0.01)
        before = status(run)
        send(run, "pause")  # twice is as good as once
        time.sleep(0.2)
        after = status(run)
        seen.append((before["state"], after["state"], before["iteration"], after["iteration"]))
        send(run, "resume")

    helper = threading.Thread(target=person)
    at_micro_step(6 + 2, lambda: (send(run, "pause"), helper.start()))
    assert work(run) == 0
    helper.join()
    assert seen == [("paused", "paused", 1, 1)] and answers(run) == ["ok", "ok", "ok"]
    assert [(e["iteration"], e["state"]) for e in events(run, "state")] == [(2, "paused"), (2, "running"), (3, "finished")]
    assert work(straight) == 0 and metrics(run) == metrics(straight)


def test_stop_ends_a_pause(new_run, at_iteration):
    run = new_run()
    at_iteration(2, lambda: (send(run, "pause"), threading.Timer(0.2, send, (run, "stop")).start()))
    assert work(run) == 0
    assert (status(run)["state"], status(run)["iteration"], answers(run)) == ("stopped", 1, ["ok", "ok"])


def test_pictures_on_request(new_run, at_iteration):
    run = new_run(iterations=2)
    at_iteration(1, lambda: [send(run, "sample", prompt=1), send(run, "sample", prompt=7), send(run, "sample", prompt="cat")])
    assert work(run) == 0
    assert answers(run) == ["ok", "prompt: 7 is not in the list. Use 0 to 1.", "prompt: 'cat' is not in the list. Use 0 to 1."]
    mine = [p for p in pictures(run) if p[0] == "sample"]
    assert len(mine) == 8 and {(p[1], p[2]) for p in mine} == {(1, 1)} and all(p[9] is not None and p[10] is not None for p in mine)
    assert events(run, "sample")[0]["seeds"] == [p[4] for p in mine] and status(run)["state"] == "finished"


def test_bonus_that_drowns_the_reward_is_told_once(new_run):
    run = new_run(iterations=2, creative_combine="raw_sum", creative_beta=3.0, cluster_k=3, cluster_min_spread=0.0, rewards={"brightness": 0.01})
    assert work(run) == 0
    (warning,) = events(run, "warning")
    assert warning["iteration"] == 1 and "outweighs the reward" in warning["message"]


def test_heart_beats_on_after_one_beat_was_refused(tmp_path, monkeypatch):
    import sqlite3

    class Impatient(threading.Event):
        def wait(self, timeout=None):
            return super().wait(0.01)

    monkeypatch.setattr(control.threading, "Event", Impatient)
    beats = []

    class Full:
        def set_status(self, **values):
            beats.append(values)
            if len(beats) == 1:
                raise sqlite3.OperationalError("database or disk is full")

    heart = control.Control(Full())
    deadline = time.monotonic() + 20
    while len(beats) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    heart.close()
    assert len(beats) >= 3 and 0 < beats[0]["memory_used"] < beats[0]["memory_total"]


# --- last words --------------------------------------------------------------------------------------------------
def raising(error):
    def act():
        raise error

    return act


def test_own_reward_that_breaks_is_told_with_its_line(new_run, tmp_path, capsys):
    (tmp_path / "own.py").write_text("calls = []\ndef score(images, prompts):\n    calls.append(1)\n    return [1 / (4 - len(calls))] * len(images)\n")
    run = new_run(rewards={"own": 1.0}, reward_file=str(tmp_path / "own.py"))
    assert work(run) == 2  # two calls for the base, then the second iteration's
    told = status(run)
    said = "reward_file: own.py, line 4: ZeroDivisionError: division by zero. Correct the file and start again."
    assert (told["state"], told["message"], told["pid"], told["iteration"]) == ("failed", said, None, 1)
    assert "UserError" in told["details"] and capsys.readouterr().err == said + "\n"


@pytest.mark.parametrize("error", [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), MemoryError(), RuntimeError("MPS backend out of memory (MPS allocated: 17 GB)"), None,
], ids=["cuda", "python", "mps", "cpu"])  # fmt: skip
def test_out_of_memory_names_what_to_do(new_run, at_iteration, error, capsys):
    run = new_run(micro_batch=8)
    at_iteration(3, raising(error) if error is not None else lambda: torch.empty(1 << 55))  # what torch itself says on a CPU
    assert work(run) == 2
    told = status(run)
    assert (told["state"], told["message"]) == ("failed", "Ran out of memory, iteration 3. Saved at 2.")
    assert told["remedy"] == "Continue with 4 pictures in flight (micro_batch=4)."
    assert capsys.readouterr().err == f"{told['message']} {told['remedy']}\n"


def test_out_of_memory_with_one_picture_in_flight_does_not_advise_none(new_run, at_iteration):
    run = new_run(micro_batch=1, group_size=4)
    at_iteration(1, raising(MemoryError()))
    assert work(run) == 2 and status(run)["remedy"] == "Start again with smaller pictures or a smaller model."


def test_fault_of_the_program_keeps_the_traceback(new_run, at_iteration, capsys):
    run = new_run()
    at_iteration(3, lambda: {}["missing"])
    assert work(run) == 1
    told = status(run)
    assert told["message"] == "The trainer stopped on a fault of its own (KeyError), iteration 3. Saved at 2." and "KeyError: 'missing'" in told["details"]
    assert "Traceback" in capsys.readouterr().err


def test_full_disk_at_the_very_end_has_last_words_too(new_run, monkeypatch):
    run = new_run(iterations=1)
    monkeypatch.setattr(checkpoints, "save_file", lambda *_: raising(OSError(28, "No space left on device"))())
    assert work(run) == 2
    assert status(run)["message"] == "The run folder cannot be written (No space left on device), iteration 2."


def test_database_that_takes_no_last_words_leaves_them_in_the_log(new_run, at_iteration, monkeypatch, capsys):
    import sqlite3

    run, plain = new_run(), Database.set_status

    def full(self, **values):
        if values.get("state") == "failed":
            raise sqlite3.OperationalError("database or disk is full")
        plain(self, **values)

    monkeypatch.setattr(Database, "set_status", full)
    at_iteration(1, raising(sqlite3.OperationalError("database or disk is full")))
    assert work(run) == 2
    said = capsys.readouterr().err
    assert said.startswith("The run folder cannot be written (database or disk is full), iteration 1.") and "did not take the last words" in said


def test_damaged_checkpoint_is_told_and_left(new_run):
    run = new_run(iterations=2)
    assert work(run) == 0
    file = run.checkpoints / "000002" / "tensors.safetensors"
    file.write_bytes(file.read_bytes()[:100])
    assert work(run, resume=True) == 2
    assert "checkpoint 2 of run is damaged" in status(run)["message"].replace("demo", "run") and len(metrics(run)) == 3
