"""The plan: what the trainer executes and the studio draws, against tables written by hand."""

import subprocess
import sys

import pytest

from core.config import ROOT, build, window_at
from core.errors import UserError
from core.plan import plan


def trained(count: int, **settings) -> list[tuple[int, ...]]:
    config = build({"steps": 8, **settings})
    return [plan(config, n).trained for n in range(1, count + 1)]


def test_plain_run_trains_all_but_the_last_step():
    planned = plan(build({"steps": 5}), 1)
    assert (planned.start, planned.stochastic, planned.trained, planned.chosen) == (0, (0, 1, 2, 3), (0, 1, 2, 3), False)
    assert planned.leash == (0.0,) * 5 and planned.prompt_noise is None and planned.trained_fraction == 1


def test_progressive_window_moves_by_the_table():
    steps = trained(9, window="mix_progressive", window_size=3, window_interval=2, window_stride=2)
    assert steps == [(0, 1, 2)] * 2 + [(2, 3, 4)] * 2 + [(4, 5)] * 2 + [(0, 1, 2)] * 2 + [(2, 3, 4)]


def test_late_start_trains_the_rest_and_shrinks_the_clips():
    planned = plan(build({"steps": 8, "window": "hrf_latter", "seed": 3}), 1)
    assert planned.start in (4, 5, 6) and planned.trained == planned.stochastic == tuple(range(planned.start, 7))
    assert planned.trained_fraction == (8 - planned.start) / 8
    whole = plan(build({"steps": 8, "window": "hrf_latter", "hrf_start": "full_rollout", "seed": 3}), 1)
    assert whole.start == 0 and whole.stochastic == tuple(range(7)) and whole.trained == planned.trained
    assert whole.trained_fraction == planned.trained_fraction


def test_dynamic_start_is_what_was_chosen():
    config = build({"steps": 8, "window": "hrf_dynamic"})
    assert plan(config, 1).chosen and plan(config, 1).start == 0
    assert plan(config, 1, start=4).trained == (4, 5, 6)


def test_leash_holds_the_first_steps_that_are_trained():
    planned = plan(build({"steps": 8, "window": "mix_frozen", "window_size": 2, "sa_reg_steps": 3, "sa_reg_weight": 0.5}), 1)
    assert planned.leash == (0.5, 0.5, 0, 0, 0, 0, 0, 0)


def test_prompt_noise_fades_over_the_steps_and_over_the_run():
    config = build({"steps": 10, "iterations": 10, "prompt_noise_scale": 0.2, "prompt_noise_iter_decay": "linear"})
    first, sixth = plan(config, 1).prompt_noise, plan(config, 6).prompt_noise
    # u = 1, 0.9, 0.8, 0.7, 0.6: gamma 0, 0, 1/3, 2/3, 1 between tau2 0.9 and tau1 0.6
    assert [s.gamma for s in first[:5]] == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])
    assert [1 - s.gamma for s in sixth] == pytest.approx([0.5 * (1 - s.gamma) for s in first])


@pytest.mark.parametrize("settings, words", [
    ({"window": "mix_frozen", "window_size": 9}, "window size is 9"),
    ({"window": "hrf_latter", "creative_beta": 0.5}, "all alike"),
    ({"objective": "guard", "dynamics": "cps"}, "guard is derived for"),
    ({"shaping_alpha": 1, "creative_combine": "raw_sum"}, "z-scored"),
    ({"shaping_alpha": 1, "shaping_terminal_zero": True}, "shaping_dense"),
    ({"subset_mode": "trim", "subset_low": 12, "subset_high": 12}, "fewer than 2"),
    ({"prompt_noise_scale": 0.1, "prompt_noise_tau1": 0.9}, "not below"),
    ({"window": "hrf_dynamic", "steps": 10, "hrfd_stride": 9}, "hrfd_stride: 9 of 10 steps leaves one start only"),
    ({"dynamics": "ddim", "noise_level": 1.1}, "with ddim"),
])
def test_senseless_combinations_are_refused_with_the_reason(settings, words):
    with pytest.raises(UserError, match=words) as refused:
        build({"steps": 8, **settings})
    assert refused.value.field in settings


def test_window_of_equal_seed_and_iteration_is_equal_and_others_differ():
    config = build({"steps": 20, "window": "fast_random", "window_size": 2})
    starts = [window_at(config, n).train_steps for n in range(40)]
    assert starts == [window_at(config, n).train_steps for n in range(40)] and len(set(starts)) > 4


def test_a_plan_needs_no_torch():
    code = "import sys; from core.plan import plan; from core.config import build; plan(build({'prompt_noise_scale': 0.1}), 1); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip() == "False"


KINDS = ("full", "fast_random", "random_fraction", "mix_progressive", "mix_random", "mix_decay", "mix_exp_decay", "mix_frozen", "hrf_early", "hrf_latter", "hrf_scheduled", "hrf_dynamic")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", [6, 10, 24])
def test_any_window_trains_stochastic_steps_after_its_start_and_never_the_last(kind, steps):
    config = build({"steps": steps, "window": kind, "window_size": 3, "window_interval": 3, "window_stride": 2, "sa_reg_steps": 4})
    for number in range(1, 40):
        p = plan(config, number, start=2 if kind == "hrf_dynamic" else None)
        assert p.trained and set(p.trained) <= set(p.stochastic) <= set(range(p.start, steps - 1))
        assert {i for i, weight in enumerate(p.leash) if weight} == set(p.trained) & set(range(4))
        assert p == plan(config, number, start=p.start if kind == "hrf_dynamic" else None)  # pure: the same again


@pytest.mark.parametrize("steps, low, high", [(10, 1, 4), (7, 0, 1), (50, 49, 50), (12, 5, 11)])
def test_fade_between_two_steps_is_full_up_to_the_first_and_gone_from_the_second(steps, low, high):
    """The studio's two thumbs: tau2 = (T - a) / T and tau1 = (T - b) / T, with no rounding on the way."""
    config = build({"steps": steps, "prompt_noise_scale": 0.2, "prompt_noise_tau2": (steps - low) / steps, "prompt_noise_tau1": (steps - high) / steps})
    noise = [s.noise for s in plan(config, 1).prompt_noise]
    assert noise[: low + 1] == [0.2] * (low + 1) and noise[high:] == [0] * (steps - high)
    assert all(0 < v < 0.2 for v in noise[low + 1 : high])
    assert noise[low + 1 : high] == pytest.approx([0.2 * ((high - i) / (high - low)) ** 0.5 for i in range(low + 1, high)])
