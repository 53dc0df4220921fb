"""A tiny run that watches itself: what its alarms write down and do, and that a branch goes on bit by bit."""

import threading
import time
import weakref

import pytest
from working import events, metrics, pictures, same_weights, send, status, work

from core import lookout, worker
from core.cli import main
from core.runs import checkpoints, folder
from core.runs.branch import branch
from core.training import Trainer

pytestmark = pytest.mark.usefixtures("prompt_answers")

# 16 pictures an iteration: six iterations until a reading counts
WATCHED = {"group_size": 16, "iterations": 8, "checkpoint_every": 2, "prompts": ["cat"], "base_prompts": 1, "cluster_min_spread": 0.0}


@pytest.fixture
def narrow(monkeypatch):
    """narrow({iteration: share of the base's variety}): what every later iteration measures while the bonus is below 0.5; else 1."""
    plain, shares, level = Trainer.iterate, {}, []

    def iterate(self, iteration):
        made = plain(self, iteration)
        share = next((s for n, s in sorted(shares.items(), reverse=True) if n <= iteration and self.config.creative_beta < 0.5), 1.0)
        made.metrics["vendi"] = share * level[0]
        made.metrics["vendi_by_prompt"] = dict.fromkeys(made.metrics["vendi_by_prompt"], share * level[0])
        return made

    def base_level(*_):
        level[:] = [4.0]
        return 4.0

    monkeypatch.setattr(Trainer, "iterate", iterate)
    monkeypatch.setattr(worker.base, "variety_at", base_level)
    level.append(4.0)
    return shares.update


def meanwhile(run, when, act):
    """act() on a thread of its own as soon as when(status) holds."""

    def wait():
        end = time.time() + 60
        while time.time() < end:
            if when(status(run)):
                return act()
            time.sleep(0.02)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_run_warns_once_and_goes_on(new_run, narrow, capsys):
    narrow({1: 0.4})
    run = new_run(**WATCHED)
    assert work(run) == 0 and status(run)["state"] == "finished"
    said = "Variety is at 40 % of the base model's, below 45 %."
    assert events(run, "alarm") == [{"iteration": 6, "alarm": "low", "message": said}]
    assert capsys.readouterr().err.count(said) == 1


def test_a_run_pauses_by_itself_and_a_person_resumes_it(new_run, narrow, capsys):
    narrow({3: 0.2})
    run = new_run(**WATCHED, alarm_pause=34)
    seen = []
    helper = meanwhile(run, lambda s: s["state"] == "paused", lambda: (seen.append(status(run)), send(run, "resume")))
    assert work(run) == 0
    helper.join()
    assert status(run)["state"] == "finished" and seen[0]["iteration"] == 7
    assert seen[0]["message"] == "Paused by an alarm at 7. Variety is at 33 % of the base model's, below 34 %."
    assert [e["alarm"] for e in events(run, "alarm")] == ["low", "deep"]
    assert "Resume it in the studio, or press Ctrl+C and go on with --resume." in capsys.readouterr().err


def test_an_alarm_raises_beta_by_a_step_and_waits_for_it_to_show(new_run, narrow):
    narrow({1: 0.4})
    run = new_run(**WATCHED, alarm_action="raise_beta", alarm_beta_step=0.3, creative_beta=0.1)
    assert work(run) == 0
    assert [(e["iteration"], e["old"], e["new"]) for e in events(run, "dial")] == [(7, 0.1, 0.4)]
    assert [r["dials"]["creative_beta"] for r in metrics(run)[1:]] == [0.1] * 6 + [0.4] * 2


def test_a_bonus_that_the_window_refuses_is_said_once(new_run, narrow):
    narrow({1: 0.4})
    run = new_run(**WATCHED, alarm_action="raise_beta", window="hrf_latter")
    assert work(run) == 0
    assert [e["message"] for e in events(run, "warning")] == [
        "The alarm could not raise the bonus: creative_beta: pictures that go on late from one anchor are all alike, so there is no rare look to pay. "
        "Set it to 0, or use an earlier window."
    ]
    assert events(run, "dial") == []


def test_an_alarm_rolls_back_to_the_last_healthy_checkpoint(new_run, narrow, monkeypatch):
    built, build = [], worker.build_trainer

    def one_at_a_time(*args, **options):
        assert [model() for model in built] == [None] * len(built)  # two models may not fit
        made = build(*args, **options)
        built.append(weakref.ref(made))
        return made

    monkeypatch.setattr(worker, "build_trainer", one_at_a_time)
    narrow({4: 0.1})
    run = new_run(**WATCHED, alarm_action="branch", alarm_beta_step=0.5)
    # means over six iterations: (3 + 0.1) / 4 = 0.78 at 4, so the last healthy checkpoint is 2; (2 + 0.4) / 6 = 0.40 at 7
    assert worker.carry_out(run, resume=False, follow=False) == 0
    made = folder.Run(run.path.with_name("demo-from-2"))
    assert status(run)["state"] == "stopped" and status(run)["message"] == "Rolled back: demo-from-2 goes on."
    assert [(e["to"], e["at"]) for e in events(run, "rollback")] == [("demo-from-2", 2)]
    assert [(e["of"], e["at"]) for e in events(made, "branch")] == [("demo", 2)]
    assert [(e["iteration"], e["old"], e["new"]) for e in events(made, "dial")][0] == (3, 0.0, 0.5)
    assert metrics(made)[2] == metrics(run)[2] and len(metrics(run)) == 8  # nothing of the first run is lost
    assert status(made)["state"] == "finished" and len(list(run.path.parent.iterdir())) == 2
    assert len(built) == 2


def test_without_a_healthy_checkpoint_the_rollback_is_a_pause(new_run, narrow):
    narrow({1: 0.4})
    run = new_run(**WATCHED, alarm_action="branch")
    helper = meanwhile(run, lambda s: s["state"] == "paused", lambda: send(run, "stop"))
    assert work(run) == 0
    helper.join()
    assert status(run)["state"] == "stopped" and len(list(run.path.parent.iterdir())) == 1


def test_a_healthy_checkpoint_is_kept_beyond_the_newest(new_run, narrow):
    narrow({3: 0.5})  # two iterations hold 96 pictures: 0.75 at 3
    run = new_run(**{**WATCHED, "checkpoint_every": 1, "keep_checkpoints": 2, "group_size": 48, "base_pictures": 48, "iterations": 5})
    assert work(run) == 0
    assert checkpoints.all_of(run) == [2, 4, 5]


def test_a_resumed_run_does_not_raise_the_same_alarm_again(new_run, narrow):
    narrow({1: 0.4})
    run = new_run(**WATCHED)
    assert work(run) == 0
    folder.write_atomically(run.config_file, run.config().with_changes(iterations=9).to_yaml())
    assert work(run, resume=True) == 0
    assert [e["iteration"] for e in events(run, "alarm")] == [6]


def test_a_full_disk_pauses_before_anything_is_lost(new_run, at_iteration, monkeypatch):
    run = new_run(iterations=3)
    plain = lookout.shutil.disk_usage
    fills = lambda: monkeypatch.setattr(lookout.shutil, "disk_usage", lambda _: plain("/")._replace(free=150_000_000))
    at_iteration(2, fills)

    def empty():
        seen.append(status(run))
        monkeypatch.setattr(lookout.shutil, "disk_usage", plain)
        send(run, "resume")

    seen = []
    helper = meanwhile(run, lambda s: s["state"] == "paused", empty)
    assert work(run) == 0
    helper.join()
    assert seen[0]["message"] == "Only 0.1 GB left: paused at 2. Free some space, then resume." and status(run)["state"] == "finished"


def test_a_branch_with_equal_dials_goes_on_bit_by_bit(new_run, capsys):
    run = new_run(creative_beta=0.5, sa_reg_steps=2, cluster_min_spread=0.0)
    assert work(run) == 0
    assert main(["train", str(run.path), "--branch", "again", "--from", "2", "--no-map"]) == 0
    made = folder.Run(run.path.with_name("again"))
    assert "repeats demo bit by bit" in capsys.readouterr().out
    assert metrics(made) == metrics(run) and pictures(made) == pictures(run) and same_weights(run, made, 4)
    assert checkpoints.load(made, 4)[1] == checkpoints.load(run, 4)[1]


def test_a_branch_with_another_dial_goes_another_way(new_run):
    run = new_run()
    send(run, "set", changes={"learning_rate": 2e-3})  # in force from the first iteration: the branch has it from the checkpoint
    assert work(run) == 0
    made = branch(run, run.path.with_name("other"), 2, {"creative_beta": 1.0})
    assert work(made, resume=True) == 0
    mine, theirs = metrics(made), metrics(run)
    assert mine[:3] == theirs[:3] and not same_weights(run, made, 4)
    assert [r["dials"]["creative_beta"] for r in mine[1:]] == [0, 0, 1.0, 1.0] and {r["dials"]["learning_rate"] for r in mine[1:]} == {2e-3}
    assert [e["name"] for e in events(made, "dial")] == ["learning_rate", "creative_beta"]


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--from", "2"], "--from: 2 names the checkpoint of a branch. Name its folder with --branch."),
        (["--branch", "b"], "nothing was saved yet, so there is nothing to branch from."),
    ],
)
def test_wrong_branch_arguments_are_one_line(new_run, capsys, arguments, said):
    run = new_run()
    assert main(["train", str(run.path), *arguments]) == 2
    assert said in capsys.readouterr().err
