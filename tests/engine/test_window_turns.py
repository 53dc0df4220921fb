"""A window that is turned while the run goes on: every iteration executes the plan of the settings then in force."""

import pytest
import torch
from working import events, metrics, send, work

from core import sampler
from core.diversity.metrics import variety
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


def test_hrf_that_is_turned_to_is_measured_by_the_policy_as_it_is(make_trainer, monkeypatch):
    """The finished pictures that stand in until there are enough of its own must be of the policy, not of the base."""
    trainer = make_trainer(prompts=["cat"], hrf_anchors_per_prompt=2)
    drawn, plain = [], trainer.pictures
    monkeypatch.setattr(trainer, "pictures", lambda *a, base, **k: drawn.append(base) or plain(*a, base=base, **k))
    remembered = []
    for number, window in enumerate(["hrf_early", "hrf_early", "full", "hrf_early"], 1):
        trainer.adopt(trainer.config.with_changes(window=window))
        trainer.iterate(number)
        known = trainer.finished.of(0)
        remembered.append(0 if known is None else len(known))
    assert drawn == [True, False]  # at first the policy is the base
    assert remembered[0] > 2 and remembered[2] == 0 and remembered[3] == remembered[0]


def test_a_prompt_without_a_base_measure_is_measured_like_the_others(make_trainer):
    trainer = make_trainer(prompts=["cat", "dog"], prompts_per_iteration=2)
    trainer.scales = {0: 0.05}
    made = trainer.iterate(1)
    expected = {str(p): variety(d[None], 0.05).item() for p, d in zip(made.group.prompts, made.group.distances)}
    assert made.metrics["vendi_by_prompt"] == pytest.approx(expected)


@pytest.mark.parametrize("changes", [{}, {"shaping_alpha": 1.0}, {"advantage": "history", "adv_history_min": 2}, {"subset_mode": "band"}])
def test_nothing_is_learned_from_a_picture_that_no_reward_could_score(make_trainer, monkeypatch, changes):
    """It may be the rarest of all: the bonus must not teach the model to draw what cannot be judged."""
    trainer = make_trainer(prompts=["cat"], creative_beta=1.0, cluster_min_spread=0.0, **changes)
    combine, taken, learn = trainer.rewards.combine, [], trainer._learn

    def blind(raw):
        quality = combine(raw).clone()
        quality[3] = float("nan")
        return quality

    monkeypatch.setattr(trainer.rewards, "combine", blind)
    monkeypatch.setattr(trainer, "_learn", lambda paths, conditions, seeds, weights, *a: taken.append(weights) or learn(paths, conditions, seeds, weights, *a))
    made = trainer.iterate(1)
    others = [i for i in range(8) if i != 3]
    assert not made.group.scored[0, 3] and (taken[0][3] == 0).all() and (taken[0][others] != 0).any()
    if not changes:
        assert taken[0].sum().item() == pytest.approx(0, abs=1e-4)  # relative to those that were scored
