"""Several processes on one run: the same training as one alone, and one end for all. Ranks as threads, and once as real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import psutil
import pytest
from test_methods import METHODS
from working import metrics, send, status, work

from core import ranks as module
from core.config import ROOT
from core.errors import UserError
from core.ranks import Elsewhere, Lost, Ranks
from core.runs import checkpoints
from core.runs.folder import Run
from core.training import Diverged

SHARED = [("fast", 3), ("guard", 2), ("ddpo statistics", 2), ("dense shaping", 2), ("hrf dynamic", 2), ("together", 2)]


class Table:
    """Where threads meet: what accelerate does among processes."""

    def __init__(self, count: int):
        self.barrier = threading.Barrier(count, timeout=60)
        self.brought: dict[int, object] = {}
        self.here = threading.local()

    def gather(self, value: list) -> list:
        self.brought[self.here.rank] = value[0]
        self.barrier.wait()
        found = [self.brought[rank] for rank in sorted(self.brought)]
        self.barrier.wait()  # before anybody brings the next
        return found

    def reduce(self, tensor, reduction):
        assert reduction == "sum"
        return sum(self.gather([tensor.clone()]))


@pytest.fixture
def together(monkeypatch):
    """together(count, act): act(ranks) on so many threads; what each returned, or the error that it ended with."""

    def run(count, act):
        table, ends = Table(count), {}
        monkeypatch.setattr("accelerate.utils.gather_object", table.gather)
        monkeypatch.setattr("accelerate.utils.reduce", table.reduce)

        def one(rank):
            table.here.rank = rank
            try:
                ends[rank] = act(Ranks(rank, count))
            except Exception as error:
                ends[rank] = error

        threads = [threading.Thread(target=one, args=(rank,)) for rank in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [ends[rank] for rank in range(count)]

    return run


def close(mine: dict, theirs: dict) -> None:
    """Weights and moments as they come out in another order of adding up."""
    assert mine.keys() == theirs.keys()
    for name in mine:
        np.testing.assert_allclose(mine[name], theirs[name], atol=2e-4 * max(1e-6, np.abs(mine[name]).max()), rtol=0, err_msg=name)


@pytest.mark.parametrize(("name", "count"), SHARED)
def test_pictures_are_shared_and_the_step_is_the_same(make_trainer, together, name, count):
    options = {"steps": 6, "updates_per_iteration": 2, "micro_batch": 3, "cluster_min_spread": 0.0, "sa_reg_steps": 2, **METHODS[name]}
    alone = make_trainer(**options)
    trainers = [make_trainer(**options) for _ in range(count)]
    for trainer in (alone, *trainers):
        for group in trainer.optimizer.param_groups:
            group["eps"] = 1e-3  # Adam divides a gradient that is nearly zero by itself, and makes much of its last bits
    drawn = [[] for _ in trainers]
    for seen, trainer in zip(drawn, trainers):
        plain = trainer.backbone.decode
        trainer.backbone.decode = lambda rows, plain=plain, seen=seen: (seen.append(len(rows)), plain(rows))[1]
    kept = [alone.iterate(number).metrics for number in (1, 2)]

    def two(ranks):
        trainer = trainers[ranks.rank]
        trainer.ranks = ranks
        return [trainer.iterate(number) for number in (1, 2)]

    for made, trainer in zip(together(count, two), trainers):
        assert not isinstance(made, Exception), made
        close(alone.tensors(), trainer.tensors())
        for one, other in zip(kept, made):
            assert other.metrics["window"] == one["window"] and other.metrics["first_ratio"] == 0.0
            for measured in ("reward", "vendi", "loss", "kl", "grad_norm", "ratio_max", "ratio_mean", "clip_fraction", "leash"):
                np.testing.assert_allclose(other.metrics[measured], one[measured], atol=1e-5, rtol=1e-3, err_msg=measured)
    if name == "fast":  # nobody makes the pictures of another
        assert sum(map(sum, drawn)) == 2 * len(made[0].group.seeds)


def test_rows_come_back_in_order(together):
    import torch

    batch = torch.arange(7) * 10

    def act(ranks):
        rows = ranks.own(torch.randperm(7, generator=torch.Generator().manual_seed(1))).sort().values
        return ranks.gather(rows, {"x": batch[rows]})["x"].tolist(), ranks.first(f"said by {ranks.rank}")

    assert together(3, act) == [(batch.tolist(), "said by 0")] * 3
    assert act(Ranks())[1] == "said by 0"


@pytest.mark.parametrize("fails", [0, 1, 2])
@pytest.mark.parametrize(
    ("error", "elsewhere"),
    [(UserError("seed: 3. Use 4.", "seed"), UserError), (MemoryError("32 GB"), MemoryError), (KeyError("x"), Elsewhere), (Diverged("A loss"), UserError)],
)
def test_who_fails_between_two_meetings_ends_the_iteration_everywhere(together, fails, error, elsewhere):
    def act(ranks):
        told = []
        for number in range(3):
            try:
                with ranks.united():
                    ranks.meet()
                    if ranks.rank == fails and number == 1:
                        raise error
                    ranks.meet()
            except Exception as met:
                told.append((number, met))
        return told

    for rank, told in enumerate(together(3, act)):
        assert [number for number, _ in told] == [1]
        if rank == fails:
            assert told[0][1] is error
        else:
            assert type(told[0][1]) is elsewhere and getattr(told[0][1], "field", None) == getattr(error, "field", None)
            assert str(error) in str(told[0][1])


def test_weights_stay_as_they_were_on_every_rank(make_trainer, together, monkeypatch):
    trainers = [make_trainer(updates_per_iteration=2) for _ in range(2)]
    before = [{n: v.copy() for n, v in t.tensors().items()} for t in trainers]
    steps = []
    plain = type(trainers[1].optimizer).step
    monkeypatch.setattr(type(trainers[1].optimizer), "step", lambda self, *a: (plain(self, *a), steps.append(self))[0])

    def act(ranks):
        trainer = trainers[ranks.rank]
        trainer.ranks = ranks
        if ranks.rank == 1:

            def stop():
                if steps.count(trainer.optimizer) == 1:
                    raise MemoryError("in the second update")

            trainer.between = stop
        with ranks.united():
            trainer.iterate(1)

    ends = together(2, act)
    assert [type(end) for end in ends] == [MemoryError, MemoryError] and steps
    for was, trainer in zip(before, trainers):
        assert all(np.array_equal(was[n], trainer.tensors()[n]) for n in was) and not trainer.optimizer.state_dict()["state"]


def test_one_that_is_gone_is_told(monkeypatch):
    def broken(value):
        raise RuntimeError("Connection closed by peer")

    monkeypatch.setattr("accelerate.utils.gather_object", broken)
    with pytest.raises(Lost, match="Resume from the last checkpoint"):
        Ranks(0, 2).meet()
    Ranks(0, 2).end()  # and does not wait


def test_more_processes_than_pictures_are_refused(new_run):
    run = new_run(group_size=4, updates_per_iteration=2)
    from core.worker import Worker

    assert Worker(run, resume=False, follow=False, ranks=Ranks(0, 99)).carry_out() == 2
    assert "processes: 99 cannot share the" in status(run)["message"]


def test_alone_nothing_is_asked_of_anybody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks = module.join()
    assert (ranks.rank, ranks.count) == (0, 1) and ranks.meet("x") == ["x"]
    ranks.end()


# --- real processes -------------------------------------------------------------------------------------------------
OWN = """
import os, sys
def score(images, prompts):
    if os.path.exists({flag!r}) and os.environ["RANK"] == "1":
        raise ValueError("no score from this one")
    return [float(image[..., 0].mean()) for image in images]
"""


def started(run, *more) -> subprocess.Popen:
    command = [sys.executable, "-m", "core", "train", str(run.path), "--worker", "--no-map", "--processes", "2", *more]
    return subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )


def wait_for(process: subprocess.Popen, run: Run, iteration: int) -> None:
    end = time.time() + 120
    while status(run)["iteration"] < iteration and process.poll() is None and time.time() < end:
        time.sleep(0.05)
    assert status(run)["iteration"] >= iteration, process.stdout.read() if process.poll() is not None else "too slow"


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_two_processes_fail_are_interrupted_and_killed_as_one(new_run, tiny_clip, tmp_path):
    flag, reward = tmp_path / "fail", tmp_path / "red.py"
    reward.write_text(OWN.format(flag=str(flag)))
    run = new_run(iterations=100_000, checkpoint_every=2, clip_model=str(tiny_clip), perceptual="clip", rewards={"own": 1.0}, reward_file=str(reward))

    # a fault on the second one is told by the first
    process = started(run)
    wait_for(process, run, 2)
    flag.touch()
    out = process.communicate(timeout=120)[0]
    told = status(run)
    assert process.returncode != 0 and told["state"] == "failed", out
    assert "no score from this one" in told["message"] + told["details"], told
    flag.unlink()

    # from the keyboard: all end, nothing is lost
    process = started(run, "--resume")
    wait_for(process, run, told["iteration"] + 2)
    process.send_signal(signal.SIGINT)
    out = process.communicate(timeout=120)[0]
    told = status(run)
    assert told["state"] == "stopped" and told["message"].endswith("from the keyboard."), (told, out)
    assert checkpoints.all_of(run)[-1] == told["iteration"] == len(metrics(run)) - 1

    # the second one is killed: the first does not wait for it, and one alone goes on
    process = started(run, "--resume")
    wait_for(process, run, told["iteration"] + 1)
    ours = [p for p in psutil.Process(process.pid).children(recursive=True) if p.pid != status(run)["pid"] and p.environ().get("RANK") == "1"]
    ours[0].kill()
    out = process.communicate(timeout=120)[0]
    told = status(run)
    assert told["state"] == "failed" and "ended without a word" in told["message"], (told, out)
    saved = checkpoints.all_of(run)[-1]
    send(run, "set", changes={"learning_rate": 1e-4})
    from core.config import build

    config = build({**run.config().model_dump(), "iterations": saved + 1})
    run.config_file.write_text(config.to_yaml())
    assert work(run, resume=True) == 0 and status(run)["iteration"] == saved + 1
