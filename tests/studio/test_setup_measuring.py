"""What a setup costs: arithmetic of parts and remedies, trials that end well and badly, and pictures that are tried."""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from pathlib import Path

import psutil
import pytest
from sample_run import write_run
from saved_run import saved_run

from core.batch import in_flight
from core.config import RunConfig
from core.errors import UserError
from core.runs import folder
from studio.data import cost, measuring, presets, trying

HERE = Path(__file__).parent
GB = 10**9
PARTS = {"model": 2 * GB, "pictures": 3 * GB, "gradients": GB, "looks": GB // 2}


@pytest.fixture(autouse=True)
def fakes(monkeypatch):
    monkeypatch.setattr(measuring, "TRIAL", [sys.executable, str(HERE / "fake_trial.py")])
    monkeypatch.setattr(trying, "SCORING", [sys.executable, str(HERE / "fake_scoring.py")])


def finished(runs: Path) -> dict:
    end = time.time() + 20
    while measuring.state(runs)["running"] and time.time() < end:
        time.sleep(0.02)
    told = measuring.state(runs)
    assert not told["running"]
    return told


# --- arithmetic -----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "changes, expected",
    [
        ({"group_size": 24, "updates_per_iteration": 2, "micro_batch": 24}, 12),
        ({"group_size": 24, "updates_per_iteration": 2, "micro_batch": 8}, 8),
        ({"group_size": 24, "updates_per_iteration": 1, "prompts": ("a", "b"), "prompts_per_iteration": 2, "micro_batch": 256}, 48),
        ({"group_size": 5, "updates_per_iteration": 2, "micro_batch": 256}, 3),  # 3 and 2
        ({"group_size": 4, "updates_per_iteration": 8, "micro_batch": 256}, 1),
        ({"window": "hrf_early", "hrf_anchors_per_prompt": 3, "group_size": 8, "updates_per_iteration": 2, "micro_batch": 256}, 12),
    ],
)
def test_pictures_in_flight(changes, expected):
    assert in_flight(RunConfig(**changes)) == expected


def test_disk_in_closed_form():
    config = RunConfig(iterations=45, checkpoint_every=20, keep_checkpoints=2, base_pictures=30, base_prompts=8, prompts=("a", "b", "c"), group_size=10)
    sizes = {"checkpoint": 7, "export": 11, "picture": 3, "iteration": 5}
    # 3 x 30 base pictures, 450 of the run, 45 notes, the last 2 of checkpoints 20, 40, 45
    assert cost.disk(config, sizes) == (90 + 450) * 3 + 45 * 5 + 2 * 7 + 11
    assert cost.disk(config.with_changes(keep_checkpoints=9), sizes) == (90 + 450) * 3 + 45 * 5 + 3 * 7 + 11


def test_remedies_say_what_each_saves():
    config = RunConfig(group_size=24, updates_per_iteration=2, micro_batch=24, lora_rank=32)
    found = {r["field"]: r for r in cost.remedies(config, PARTS)}
    assert {name: (r["from"], r["to"], r["saving"]) for name, r in found.items()} == {
        "micro_batch": (12, 6, 1.5 * GB),  # 12 in flight: half the group
        "group_size": (24, 12, 1.5 * GB),
        "lora_rank": (32, 16, 0.5 * GB),
    }
    assert found["micro_batch"]["label"] == "12 → 6 pictures in flight"
    for name, r in found.items():  # each one, taken, does what it says
        changed = config.with_changes(**{name: r["to"]})
        if name != "lora_rank":
            assert 3 * GB * (1 - in_flight(changed) / in_flight(config)) == r["saving"]
    # with few in flight a smaller group saves nothing, and one picture cannot be halved
    assert [r["field"] for r in cost.remedies(config.with_changes(micro_batch=1), PARTS)] == ["lora_rank"]
    assert cost.remedies(config.with_changes(micro_batch=1), {**PARTS, "gradients": 99 * 10**6}) == []  # 49 MB are not worth a button


def test_checkpointing_is_a_remedy_where_it_helps_and_is_not_on_yet():
    config = RunConfig(lora_rank=4)
    first, *others = cost.remedies(config, PARTS, kept=0.25)
    assert first == {"field": "gradient_checkpointing", "from": False, "to": True, "label": "Turn on checkpointing", "saving": 3 * GB * 3 // 4}
    assert others == cost.remedies(config, PARTS)  # where the peak is not reached while learning, nothing is kept for it
    assert cost.remedies(config.with_changes(gradient_checkpointing=True), PARTS, kept=0.25) == others
    assert cost.remedies(config, PARTS, kept=0.99) == others  # 30 MB are not worth a button
    assert cost.key(config) != cost.key(config.with_changes(gradient_checkpointing=True))


def test_a_setup_that_does_not_fit_is_scaled_from_one_that_does():
    config = RunConfig(group_size=24, updates_per_iteration=1, micro_batch=24)
    told = cost.scaled(config, config.with_changes(micro_batch=6), {"memory": sum(PARTS.values()), "memory_parts": PARTS, "pace": 2.0})
    assert told["memory_parts"] == {**PARTS, "pictures": 12 * GB} and told["memory"] == 15.5 * GB and told["fits_with"] == 6 and not told["fits_thrifty"]
    thrifty = config.with_changes(micro_batch=1, gradient_checkpointing=True)
    told = cost.scaled(config, thrifty, {"memory": sum(PARTS.values()), "memory_parts": PARTS, "pace": 2.0, "kept": 0.25})
    assert told["memory_parts"]["pictures"] == 3 * GB * 24 * 4 and told["fits_thrifty"]


def test_the_key_knows_what_asks_the_base_model():
    base = RunConfig()
    same = [base.with_changes(iterations=7), base.with_changes(seed=3, prompts=("dog",)), base.with_changes(creative_beta=0.5)]
    other = [base.with_changes(pull=0.1), base.with_changes(sa_reg_steps=3), base.with_changes(sa_reg_steps=5), base.with_changes(micro_batch=6)]
    assert {cost.key(c) for c in same} == {cost.key(base)}
    assert len({cost.key(c) for c in [base, *other]}) == 5


# --- trials -----------------------------------------------------------------------------------------------------------
def test_a_trial_is_kept_and_shown_on_the_card(tmp_path):
    config = presets.load("diverse-grpo")
    measuring.start(tmp_path, config)
    assert finished(tmp_path)["error"] == ""
    m = {card["name"]: card["measured"] for card in presets.cards(tmp_path)}["diverse-grpo"]
    assert (m["pace"], m["seconds"], m["memory"], m["fits"]) == (8.6, 8.6 * config.iterations, 6_500_000_000, True)
    assert sum(m["parts"].values()) == pytest.approx(m["pace"]) and sum(m["memory_parts"].values()) == m["memory"]
    assert m["disk"] == cost.disk(config, {"checkpoint": 10_000_000, "export": 3_000_000, "picture": 2_000, "iteration": 1_000})
    assert m["base"] == pytest.approx(0.1 * config.base_pictures) and m["remedies"] == []
    # more iterations take longer, and need no new trial; a longer leash needs one
    past = presets.Past(tmp_path)
    assert past.of(config.with_changes(iterations=1000))["seconds"] == 8600
    assert past.of(config.with_changes(sa_reg_steps=5)) is None
    assert past.trial_took(config.model) > 0 and past.trial_took("other/model") is None


def test_without_memory_fewer_in_flight_are_tried_and_the_need_is_scaled(tmp_path):
    config = RunConfig(seed=1, updates_per_iteration=1, micro_batch=24, group_size=24)
    measuring.start(tmp_path, config)
    assert finished(tmp_path)["error"] == ""
    m = presets.Past(tmp_path).of(config)
    assert (m["fits"], m["fits_with"], m["memory"]) == (False, 6, 3_500_000_000 + 4 * 3_000_000_000)
    assert [(r["field"], r["to"], r["saving"]) for r in m["remedies"]] == [
        ("gradient_checkpointing", True, 9_000_000_000), ("micro_batch", 12, 6_000_000_000), ("group_size", 12, 6_000_000_000), ("lora_rank", 16, 500_000_000)
    ]  # fmt: skip
    assert presets.Past(tmp_path).of(config.with_changes(micro_batch=6))["fits"] is True


def test_with_one_picture_in_flight_checkpointing_is_tried_last(tmp_path):
    config = RunConfig(seed=5, updates_per_iteration=1, micro_batch=4, group_size=24)
    measuring.start(tmp_path, config)
    assert finished(tmp_path)["error"] == ""
    m = presets.Past(tmp_path).of(config)
    assert (m["fits"], m["fits_with"], m["fits_thrifty"], m["memory_parts"]["pictures"]) == (False, 1, True, 4 * 4 * 3 * GB)
    assert presets.Past(tmp_path).of(config.with_changes(micro_batch=1, gradient_checkpointing=True))["fits"] is True


@pytest.mark.parametrize("seed, said, field", [(2, "model: this one is broken.", "model"), (3, "more memory than there is", "model")])
def test_a_trial_that_fails_says_why_and_leaves_nothing(tmp_path, seed, said, field):
    measuring.start(tmp_path, RunConfig(seed=seed, micro_batch=2))
    told = finished(tmp_path)
    assert said in told["error"] and told["field"] == field
    assert list(tmp_path.iterdir()) == []


def test_one_trial_at_a_time_and_it_can_be_stopped(tmp_path):
    measuring.start(tmp_path, RunConfig(seed=4))
    end = time.time() + 20
    while measuring.state(tmp_path)["doing"] != "Trial iteration 1 of 3" and time.time() < end:
        time.sleep(0.02)
    with pytest.raises(UserError, match="under way already"):
        measuring.start(tmp_path, RunConfig())
    process = measuring._jobs[tmp_path.absolute()].process
    measuring.stop(tmp_path)
    assert process.poll() is not None and measuring.state(tmp_path) == {"running": False, "doing": "", "seconds": 0, "error": "", "field": None}
    assert measuring.kept(tmp_path) == []


def test_no_trial_beside_a_training(tmp_path):
    run = write_run(tmp_path / "busy", iterations=1)
    with run.database() as db:
        db.set_status(state="running", pid=os.getpid(), process_started=psutil.Process().create_time())
    assert measuring.training(tmp_path) == "busy"
    with pytest.raises(UserError, match="busy is training"):
        measuring.start(tmp_path, RunConfig())
    with run.database() as db:
        db.set_status(state="paused")
    assert measuring.training(tmp_path) == ""
    assert folder.find(tmp_path)[0].name == "busy"


def test_measurements_of_another_computer_and_damaged_ones_are_passed_over(tmp_path):
    measuring.start(tmp_path, RunConfig())
    finished(tmp_path)
    file = tmp_path / "measured.json"
    (one,) = json.loads(file.read_text())
    assert one["node"] == platform.node()
    file.write_text(json.dumps([{**one, "node": "elsewhere"}]))
    assert presets.Past(tmp_path).of(RunConfig()) is None
    for damaged in ("", "[", "3", "[3]", "{}"):
        file.write_text(damaged)
        assert measuring.kept(tmp_path) == []


# --- try the reward -----------------------------------------------------------------------------------------------------
def test_pictures_are_scored_best_first_and_the_process_ends():
    name = trying.begin(RunConfig(rewards={"brightness": 1.0}).model_dump(), "cat")
    process = trying._open[name].process
    assert [trying.add(name, b"x" * n) for n in (3, 100_000, 7)] == [1, 2, 3]
    told = trying.scores(name)
    assert [(p["index"], p["total"]) for p in told["pictures"]] == [(1, 100_000.0), (2, 7.0), (0, 3.0)] and told["prompt"] == "cat"
    assert process.poll() == 0
    for gone in (lambda: trying.add(name, b"x"), lambda: trying.scores(name)):
        with pytest.raises(UserError, match="Drop them again"):
            gone()


def test_what_cannot_be_scored_is_told_in_a_sentence():
    with pytest.raises(UserError) as caught:
        trying.begin({"group_size": 1}, "cat")
    assert caught.value.field == "group_size"
    name = trying.begin(RunConfig(seed=2).model_dump(), "cat")
    for data in (b"", b"x" * (trying.LARGEST + 1)):
        with pytest.raises(UserError, match="Use files of up to 10 MB"):
            trying.add(name, data)
    with pytest.raises(UserError, match="broken"):
        trying.scores(name)
    with pytest.raises(UserError, match="stopped by itself"):
        trying.scores(trying.begin(RunConfig(seed=3).model_dump(), "cat"))


def test_at_most_64_pictures_and_few_tries_at_once(monkeypatch):
    names = [trying.begin(RunConfig().model_dump(), "cat") for _ in range(3)]
    with pytest.raises(UserError, match="Wait"):
        trying.begin(RunConfig().model_dump(), "cat")
    for _ in range(64):
        trying.add(names[0], b"x")
    with pytest.raises(UserError, match="At most 64"):
        trying.add(names[0], b"x")
    # whoever left without asking for scores is forgotten
    processes = [trying._open[n].process for n in names]
    monkeypatch.setattr(trying, "_FORGOTTEN", -1)
    last = trying.begin(RunConfig().model_dump(), "cat")
    assert all(p.poll() is not None for p in processes) and list(trying._open) == [last]
    trying.scores(last)


def test_a_run_tells_the_disk_that_another_of_its_kind_will_need(tmp_path):
    run = saved_run(tmp_path / "cats", saved=(10, 20), iterations=20)
    config = run.config().with_changes(iterations=200, checkpoint_every=10, keep_checkpoints=3)
    with run.database() as db:
        made = db.row("SELECT count(*) AS n FROM pictures")["n"]
        db.row("PRAGMA wal_checkpoint(TRUNCATE)")
    notes, saved = (sum(f.stat().st_size for f in place) for place in (run.path.glob("run.db*"), run.checkpoints.rglob("*.*")))
    expected = notes / made * (120 + 200 * 24) + 3 * saved / 2
    assert presets.Past(tmp_path).of(config)["disk"] == pytest.approx(expected, rel=0.01)
