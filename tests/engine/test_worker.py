"""What a worker writes, and that a killed or stopped run goes on bit by bit."""

import io
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from PIL import Image
from safetensors import safe_open
from safetensors.numpy import load_file
from working import answers, events, metrics, pictures, reading, same_weights, send, status, work

from core.backbones.sd3 import SD3
from core.config import ROOT
from core.errors import UserError
from core.runs import checkpoints, folder
from core.runs.database import Database, unpack
from core.runs.lora_header import model_title

pytestmark = pytest.mark.usefixtures("prompt_answers")


def test_run_is_written_whole(new_run):
    run = new_run(prompts=["cat", "dog", "owl"], base_prompts=2, creative_beta=0.5, iterations=3)
    assert work(run) == 0
    told = status(run)
    assert (told["state"], told["message"], told["iteration"], told["iterations"], told["saved_at"], told["pid"]) == (
        "finished",
        "Finished 3 iterations.",
        3,
        3,
        3,
        None,
    )
    assert told["device"] == "cpu, float32" and checkpoints.all_of(run) == [2, 3]
    rows = metrics(run)
    assert [r["iteration"] for r in rows] == [0, 1, 2, 3] and rows[0]["reward"] == 0
    assert set(rows[0]["vendi_by_prompt"]) == {"0", "2"} and rows[0]["vendi"] == pytest.approx(
        np.mean(list(rows[0]["vendi_by_prompt"].values()))
    )
    with reading(run) as db:
        assert [tuple(r) for r in db.rows("SELECT prompt, text, mapped FROM prompts ORDER BY prompt")] == [
            (0, "cat", 1),
            (1, "dog", 0),
            (2, "owl", 1),
        ]
        for prompt in (0, 2):
            base = db.rows("SELECT * FROM pictures WHERE kind = 'base' AND prompt = ? ORDER BY position", prompt)
            looks = db.rows("SELECT * FROM looks WHERE prompt = ? ORDER BY look", prompt)
            assert len(base) == 24 and len({r["seed"] for r in base}) == 24
            assert sum(r["share"] for r in looks) <= 1 + 1e-6 and {r["picture"] for r in looks} <= {r["id"] for r in base}
            assert rows[0]["look_shares"][str(prompt)] == pytest.approx(
                [sum(b["look"] == k for b in base) / 24 for k in [*range(len(looks)), -1]]
            )
            np.testing.assert_allclose(np.linalg.norm(unpack(r["embedding"] for r in base), axis=1), 1, atol=2e-3)
        # the film ends with the first base picture, and begins with something else
        bright = lambda image: np.array(image.convert("L"), dtype=float)  # noqa: E731 (WebP keeps less of colours)
        first, other = (bright(Image.open(io.BytesIO(r["thumb"]))) for r in db.rows("SELECT thumb FROM pictures WHERE kind = 'base' AND prompt = 0 AND position < 2 ORDER BY position"))
        with Image.open(run.film) as film:
            T, side = run.config().steps, film.height
            assert film.width == T * side
            frames = [film.convert("RGB").crop((n * side, 0, (n + 1) * side, side)).resize(first.shape[1::-1], Image.Resampling.BOX) for n in range(T)]
        off = [np.abs(bright(frame) - first).mean() for frame in frames]
        assert off[-1] < 6 and off[0] > 2 * off[-1] and np.abs(bright(frames[-1]) - other).mean() > 2 * off[-1]
        # 0 is the base's mean and 1 its spread
        rewards = np.array([r["reward"] for r in db.rows("SELECT reward FROM pictures WHERE kind = 'base'")])
        assert rewards.mean() == pytest.approx(0, abs=1e-3) and rewards.std() == pytest.approx(1, abs=1e-3)
        trained = db.rows("SELECT * FROM pictures WHERE kind = 'train'")
        assert len(trained) == 3 * 8 and all(r["bonus"] >= 1 and r["cluster"] >= 0 and r["thumb"][:4] == b"RIFF" for r in trained)
        for row in rows[1:]:
            mine = [r for r in trained if r["iteration"] == row["iteration"]]
            assert row["reward"] == pytest.approx(np.mean([r["reward"] for r in mine]), abs=1e-5)
            assert row["reward_raw"]["brightness"] == pytest.approx(
                np.mean([json.loads(r["scores"])["brightness"] for r in mine]), abs=1e-6
            )
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
    options = {
        "iterations": 6,
        "checkpoint_every": 3,
        "creative_beta": 0.5,
        "sa_reg_steps": 2,
        "prompts_per_iteration": 2,
        "cluster_min_spread": 0.0,
    }
    straight, killed = new_run("straight", **options), new_run("killed", **options)
    for run in (straight, killed):
        send(run, "set", changes={"learning_rate": 2e-3})  # is in the checkpoint, not in config.yaml
    assert work(straight) == 0
    # six losses an iteration; the 22nd is in the fourth, after its first optimizer step
    command = [sys.executable, "-c", KILLED, str(killed.path), str(tiny_clip), "22"]
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, capture_output=True, text=True
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    told = status(killed)
    assert (told["iteration"], told["saved_at"], told["state"]) == (3, 3, "running") and folder.state(told) == "died"
    assert work(killed, resume=True) == 0
    assert same_weights(straight, killed, 6) and same_weights(straight, killed, 3)
    assert metrics(straight) == metrics(killed)
    assert pictures(straight) == pictures(killed)
    assert checkpoints.load(straight, 6)[1] == checkpoints.load(killed, 6)[1]
    assert [e["state"] for e in events(killed, "state")] == ["resumed", "finished"] and len(events(killed, "dial")) == len(events(killed, "started")) == 1
    exported = [load_file(run.export / "pytorch_lora_weights.safetensors") for run in (straight, killed)]
    assert all(np.array_equal(exported[0][n], exported[1][n]) for n in exported[0])
    with safe_open(straight.export / "pytorch_lora_weights.safetensors", "np") as file:  # which says where it comes from
        assert file.metadata()["manymodes.iteration"] == "6" and file.metadata()["manymodes.run"] == straight.name


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
    assert (
        checkpoints.all_of(stopped) == [2] and (stopped.export / "pytorch_lora_weights.safetensors").exists() and answers(stopped) == ["ok"]
    )
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


def test_arithmetic_of_the_base_measure_is_kept_before_the_first_checkpoint(new_run, at_iteration, monkeypatch):
    run = new_run("run", checkpoint_every=100, dtype="auto")
    monkeypatch.setattr(SD3, "_faster_on_cpu", lambda self: "bfloat16")
    at_iteration(2, lambda: 1 / 0)
    assert work(run) == 1 and status(run)["device"] == "cpu, bfloat16"
    monkeypatch.setattr(SD3, "_faster_on_cpu", lambda self: "float32")
    assert work(run, resume=True) == 0 and status(run)["device"] == "cpu, bfloat16"


def test_run_that_another_process_has_is_left_alone(new_run):
    run = new_run()
    parent = psutil.Process(os.getppid())
    with run.database() as db:
        db.set_status(state="running", pid=parent.pid, process_started=parent.create_time())
    with pytest.raises(UserError, match=f"another trainer .process {parent.pid}. has this run. Stop it first."):
        work(run)
    assert status(run)["state"] == "running"


def test_an_interrupt_while_an_iteration_is_written_comes_after_it(new_run, monkeypatch):
    """The policy has taken that step; without its row the checkpoint would be one iteration ahead of the history."""
    run, write = new_run(checkpoint_every=100), Database.add_iteration

    def pressed(self, iteration, *args):
        if iteration == 2:
            signal.raise_signal(signal.SIGINT)
        return write(self, iteration, *args)

    monkeypatch.setattr(Database, "add_iteration", pressed)
    former = signal.signal(signal.SIGINT, signal.default_int_handler)  # a suite in the background is born deaf to it
    try:
        assert work(run) == 0
    finally:
        signal.signal(signal.SIGINT, former)
    told = status(run)
    assert told["state"] == "stopped" and told["message"] == "Stopped at 2 from the keyboard."
    assert checkpoints.all_of(run) == [2] and [row["iteration"] for row in metrics(run)] == [0, 1, 2]


def test_while_it_loads_it_says_which_part_of_what(new_run, monkeypatch):
    said, plain = [], Database.set_status

    def heard(self, **values):
        said.append(values.get("message"))
        plain(self, **values)

    monkeypatch.setattr(Database, "set_status", heard)
    run = new_run(iterations=1)
    assert work(run) == 0
    title = model_title(run.config())
    first = [words for words in said if words and words != "Starting the trainer"][:9]
    assert first == [f"Loading {title}", *(f"Loading {title} ({part} of 7 parts)" for part in range(1, 8)), "Loading the rewards and the likeness measure"]
