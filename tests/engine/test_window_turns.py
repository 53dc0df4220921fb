"""A window that is turned while the run goes on: every iteration executes the plan of the settings then in force."""

import pytest
from working import events, metrics, send, work

from core import sampler
from core.plan import plan

pytestmark = pytest.mark.usefixtures("prompt_answers")


def in_force(run) -> list:
    """The settings of iterations 1, 2, ...: those of the file with every recorded turn up to then."""
    config, found = run.config(), []
    for number in range(1, run.config().iterations + 1):
        turned = {e["name"]: e["new"] for e in events(run, "dial") if e["iteration"] == number}
        config = config.with_changes(**turned)
        found.append(config)
    return found


def test_every_iteration_executes_the_plan_of_its_own_settings(new_run, at_iteration):
    run = new_run(iterations=7, steps=6, updates_per_iteration=1)
    at_iteration(1, lambda: send(run, "set", changes={"window": "mix_progressive", "window_size": 2, "window_interval": 1}))
    at_iteration(2, lambda: send(run, "set", changes={"window_stride": 2}))
    at_iteration(3, lambda: send(run, "set", changes={"window": "hrf_latter"}))
    at_iteration(4, lambda: send(run, "set", changes={"window": "mix_random", "sa_reg_steps": 3, "prompt_noise_scale": 0.2}))
    at_iteration(5, lambda: send(run, "set", changes={"prompt_noise_tau2": 0.6, "prompt_noise_tau1": 0.3, "window": "random_fraction"}))
    at_iteration(6, lambda: send(run, "set", changes={"window": "full"}))
    assert work(run) == 0
    planned = [plan(config, number) for number, config in enumerate(in_force(run), 1)]
    done = [tuple(map(str, m["window"])) for m in metrics(run)[1:]]
    assert done == [(str(p.start), str(list(p.trained))) for p in planned]
    assert [list(p.trained) for p in planned][:3] == [[0, 1, 2, 3, 4], [1, 2], [0, 1]] and planned[3].start >= 3
    assert len({c.window for c in in_force(run)}) == 5
    # the leash was measured on the steps that it shares with the window, and nowhere else
    for row, p in zip(metrics(run)[1:], planned):
        assert [value > 0 for value in row["leash"]] == [weight > 0 for weight in p.leash]


def test_start_is_chosen_anew_when_hrf_d_is_turned_to_again(make_trainer, monkeypatch):
    """hrfd_refresh_every counts from the run's first iteration; a start of long ago must not come back with the window."""
    trainer = make_trainer(steps=6, window="hrf_dynamic", hrfd_num_eval=1, hrfd_refresh_every=100)
    choices = iter([2, 3])
    monkeypatch.setattr(sampler, "hrfd_start", lambda *a: next(choices))
    windows = []
    for number, window in enumerate(["hrf_dynamic", "full", "hrf_dynamic", "hrf_dynamic"], 1):
        trainer.adopt(trainer.config.with_changes(window=window))
        windows.append(trainer.iterate(number).metrics["window"][0])
    assert windows == [2, 0, 3, 3]


def test_prompt_noise_that_is_turned_blurs_by_its_new_fade(make_trainer):
    """The strengths that the rollout and its replay see are those of the settings in force."""
    trainer = make_trainer(steps=6, prompt_noise_scale=0.3)
    for tau1, tau2 in ((0.6, 0.9), (0.2, 0.4)):
        trainer.adopt(trainer.config.with_changes(prompt_noise_tau1=tau1, prompt_noise_tau2=tau2))
        noise = trainer.plan(1).prompt_noise
        # u = 1, 5/6, 4/6, 3/6, 2/6, 1/6; the clock counts steps, whatever the noise levels of the model
        expected = [1 - min(1, max(0, ((6 - i) / 6 - tau1) / (tau2 - tau1))) for i in range(6)]
        assert [s.gamma for s in noise] == pytest.approx(expected)
        assert trainer.iterate(1).metrics["first_ratio"] == 0
