"""Three trial iterations: arithmetic of times and parts, and a real trial on the tiny model."""

from __future__ import annotations

import json

import pytest
import torch

from core import trial
from core.batch import in_flight, pictures
from core.config import RunConfig, build
from core.ranks import Ranks
from core.training import Trainer


def row(iteration: int, **seconds: float) -> dict:
    phases = {"rollout": 1.0, "decode": 0.5, "reward": 0.25, "diversity": 0.125, "update": 2.0, "write": 0.1, **seconds}
    return {"iteration": iteration, "duration": sum(phases.values()), "seconds": phases}


def test_times_are_medians_and_add_up():
    told = trial.times([row(1, rollout=9.0), row(2), row(3)])  # the first one warms up
    assert told["seconds"] == pytest.approx({"make": 1.5, "score": 0.25, "looks": 0.125, "learn": 2.1})
    assert told["pace"] == pytest.approx(sum(told["seconds"].values())) == pytest.approx(3.975)


@pytest.mark.parametrize(
    "refresh, rollout",
    [
        (1, (7 + 3 + 2) / 3),  # every iteration chooses a start
        (2, ((7 + 2) / 2 + 3) / 2),  # the first and third choose
        (5, (7 + 4 * (3 + 2) / 2) / 5),  # only the first
    ],
)
def test_iterations_that_choose_a_start_count_as_often_as_they_come(refresh, rollout):
    told = trial.times([row(1, rollout=7.0), row(2, rollout=3.0), row(3, rollout=2.0)], refresh=refresh)
    assert told["seconds"]["make"] == pytest.approx(rollout + 0.5)
    assert told["pace"] == pytest.approx(rollout + 0.5 + 0.25 + 0.125 + 2.1)


@pytest.mark.parametrize(
    "highest, expected",
    [
        ({"loading": 90, "rollout": 150, "update": 200}, {"model": 70, "pictures": 66, "gradients": 54, "looks": 10}),
        ({"loading": 90, "rollout": 200, "update": 150}, {"model": 70, "pictures": 102, "gradients": 18, "looks": 10}),
        ({"loading": 90, "diversity": 200, "update": 150}, {"model": 70, "pictures": 0, "gradients": 18, "looks": 112}),
        ({"loading": 200, "update": 150}, {"model": 172, "pictures": 0, "gradients": 18, "looks": 10}),
    ],
)
def test_memory_parts_add_up_to_the_peak(highest, expected):
    told = trial.memory_parts(200, {"model": 70, "judges": 80}, highest, parameters=9, moments=18)
    assert told == expected and sum(told.values()) == 200


def test_a_trial_measures_the_real_loop_and_leaves_nothing(settings, tmp_path):
    said = []
    config = settings(iterations=50, prompts_per_iteration=2, micro_batch=3, lora_rank=4)
    told = trial.measure(config, tmp_path, said.append)["measured"]
    assert said == [
        "Loading the model", *(f"Loading the model ({part} of 7 parts)" for part in range(1, 8)), "Making 24 base pictures", "Trial iteration 1 of 3", "Trial iteration 2 of 3", "Trial iteration 3 of 3"
    ]  # fmt: skip
    assert told["iterations"] == 3 and told["device"] == "cpu, float32"
    assert sum(told["seconds"].values()) == pytest.approx(told["pace"]) and min(told["seconds"].values()) > 0
    assert sum(told["memory_parts"].values()) == told["memory"] <= told["memory_total"]
    assert min(told["memory_parts"].values()) >= 0 and min(told["disk"].values()) > 0
    assert told["kept"] is None or 0 < told["kept"] < 1
    # three tensors of the LoRA's size in a checkpoint, one in the export
    assert 2.5 < told["disk"]["checkpoint"] / told["disk"]["export"] < 5


def test_what_cannot_be_tried_is_told_and_memory_is_told_apart(settings, tmp_path, monkeypatch):
    wrong = trial.measure(settings(dynamics="ddim", noise_level=0.5), tmp_path)
    assert wrong["field"] == "dynamics" and not wrong["memory"] and "dynamics" in wrong["error"]

    def full(*_, **__):
        raise torch.OutOfMemoryError("no more")

    monkeypatch.setattr(Trainer, "iterate", full)
    (tmp_path / "second").mkdir()
    told = trial.measure(settings(), tmp_path / "second")
    assert told["memory"] and told["error"].startswith("Ran out of memory")


def test_the_command_prints_lines_of_json_and_removes_its_folder(settings, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trial, "measure", lambda config, place, tell: tell("Working") or {"measured": {"seed": config.seed, "there": place.is_dir()}})
    file = tmp_path / "setup.yaml"
    file.write_text(settings(seed=7).to_yaml())
    assert trial.main([str(file), "--folder", str(tmp_path)]) == 0
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == [{"doing": "Working"}, {"measured": {"seed": 7, "there": True}}]
    assert list(tmp_path.iterdir()) == [file]
    assert trial.main(["no-such-preset"]) == 2
    assert "does not exist" in json.loads(capsys.readouterr().out)["error"]


@pytest.mark.parametrize("changes", [{}, {"group_size": 5}, {"micro_batch": 2}, {"prompts_per_iteration": 2}, {"window": "hrf_early", "hrf_anchors_per_prompt": 3}])
def test_the_studio_counts_pictures_in_flight_as_the_trainer_does(settings, changes):
    config = build({**settings().model_dump(), **changes})
    trainer = Trainer.__new__(Trainer)
    trainer.config, trainer.ranks = config, Ranks()
    updates = trainer._updates(pictures(config) // config.group_size, config.group_size)
    assert max(len(rows) for update in updates for rows in update) == in_flight(config)


def test_memory_that_others_had_given_back_is_no_less_than_nothing():
    parts = trial.memory_parts(100, {"model": 98, "judges": 98}, {"rollout": 100, "update": 90}, parameters=3, moments=6)
    assert sum(parts.values()) == 100 and parts == {"model": 94, "pictures": 0, "gradients": 6, "looks": 0}


@pytest.mark.parametrize("highest, told", [({"rollout": 1, "update": 2}, True), ({"rollout": 2, "update": 1}, False)])
def test_checkpointing_is_weighed_only_where_learning_needs_the_most(make_trainer, highest, told):
    trainer = make_trainer(gradient_checkpointing=True)
    weigher = trial.Trial.__new__(trial.Trial)
    weigher.trainer, weigher.meter = trainer, trial.Meter("cpu")
    weigher.meter.close()
    weigher.meter.highest, weigher.meter.before = highest, {"update": 0}
    share = weigher._kept(trainer.config, pictures=2)
    assert (share is not None) == told
    if told:
        assert 0 < share < 1 and trainer.backbone.denoiser.is_gradient_checkpointing  # left as the run has it


@pytest.mark.parametrize("resting, learning, share", [(700, 1100, 0.3), (0, 1000, 0.25), (500, 0, 0.5)])
def test_what_checkpointing_leaves_is_the_same_seen_from_either_side(resting, learning, share):
    plain, thrifty = resting + learning, resting + share * learning
    told = [trial.left(share, learning / plain, on=False), trial.left(share, share * learning / thrifty, on=True)]
    assert told == pytest.approx([thrifty / plain] * 2)


def test_a_phase_is_weighed_from_where_it_began():
    meter, used = trial.Meter("cpu"), iter((10, 10, 30, 30, 20, 20))
    meter._over.set()
    meter._watch.join()
    meter.now = lambda: next(used)
    meter.enter("rollout")
    meter.enter("update")
    meter.enter("rollout")
    assert meter.before == {"rollout": 10, "update": 30}


def test_a_large_group_has_base_pictures_to_be_compared_with():
    for size, expected in ((8, 24), (24, 24), (64, 64)):
        assert trial.short(RunConfig(group_size=size)).base_pictures == expected
