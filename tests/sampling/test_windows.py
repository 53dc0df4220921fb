"""Windows: MixGRPO's positions against tables written by hand and against its state machine, and what holds for every kind."""

import itertools
import math
import random
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.sampling.windows import Window, WindowKind, full, hrfd_start, mix_decay, mix_exp_decay, mix_progressive, window

KINDS = get_args(WindowKind)
RANDOM = ("fast_random", "random_fraction", "mix_random", "hrf_early", "hrf_latter", "hrf_scheduled")


def sixty(kind, **more):
    return [window(kind, n, **more).train_steps for n in range(60)]


def spelled(*parts):
    """(how many iterations, window) in turn, as one list."""
    return [steps for count, steps in parts for _ in range(count)]


# --- all kinds --------------------------------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    kind=st.sampled_from(KINDS), iteration=st.integers(0, 500), steps=st.integers(6, 50), seed=st.integers(0, 2**31 - 1),
    size=st.integers(1, 3), stride=st.integers(1, 4), interval=st.integers(1, 30), roll_back=st.booleans(),
    fraction=st.floats(0.01, 1), start=st.integers(0, 4), hrf_start=st.sampled_from(["anchor_renoise", "full_rollout"]),
)
def test_a_window_is_never_empty_and_never_has_the_last_step(kind, iteration, steps, start, **more):
    got = window(kind, iteration, steps, start=start, **more)
    assert got == window(kind, iteration, steps, start=start, **more)
    assert got.train_steps and set(got.train_steps) <= set(got.sde_steps) <= set(range(got.start, steps - 1))
    assert list(got.train_steps) == sorted(set(got.train_steps)) and list(got.sde_steps) == sorted(set(got.sde_steps))
    assert all(type(i) is int for i in (got.start, *got.sde_steps, *got.train_steps))
    if got.start > 0:
        assert kind.startswith("hrf") and got.sde_steps == tuple(range(got.start, steps - 1))


@pytest.mark.parametrize("kind", RANDOM)
def test_every_process_draws_the_same_and_every_iteration_anew(kind):
    def draws(seed):
        return [window(kind, n, 20, seed=seed, interval=200) for n in range(30)]

    here = draws(7)
    for state in (1, 2):  # as another rank would have it
        random.seed(state)
        np.random.seed(state)
        assert draws(7) == here
    assert len(set(here)) > 3
    assert draws(8) != here
    assert [window(kind, n, 20, seed=7, interval=200) for n in reversed(range(30))] == here[::-1]


def test_draws_are_stable():
    """A changed number here means that old runs cannot be repeated."""
    assert [window("fast_random", n, 20, seed=7, size=3).train_steps[0] for n in range(8)] == [6, 3, 4, 7, 3, 7, 6, 6]
    assert window("random_fraction", 3, 10, seed=7).train_steps == (0, 2, 4, 5, 8)


def test_draws_are_not_those_of_the_prompts():
    """A trainer draws its prompts from a generator keyed by (seed, iteration) alone."""
    prompts = [int(np.random.default_rng([7, n]).integers(0, 16)) for n in range(50)]
    assert [window("mix_random", n, 20, seed=7, size=3).train_steps[0] for n in range(50)] != prompts


# --- Flow-GRPO, DanceGRPO ---------------------------------------------------------------------------------------------


def test_full_is_all_but_the_last():
    assert full(10) == window("full", 3, 10) == Window(0, tuple(range(9)), tuple(range(9)))
    with pytest.raises(ValueError, match="steps is 1"):
        full(1)


def test_fast_random_starts_evenly_in_its_range():
    starts = []
    for n in range(3000):
        got = window("fast_random", n, 10, seed=1, size=3)
        assert got.start == 0 and got.sde_steps == got.train_steps == tuple(range(got.train_steps[0], got.train_steps[0] + 3))
        starts.append(got.train_steps[0])
    assert {s: starts.count(s) / 3000 for s in set(starts)} == pytest.approx({0: 1 / 3, 1: 1 / 3, 2: 1 / 3}, abs=0.04)
    assert {window("fast_random", n, 10, size=2, low=3, high=9).train_steps[0] for n in range(200)} == {3, 4, 5, 6, 7}
    assert {window("fast_random", n, 10, size=3, low=4, high=7).train_steps for n in range(20)} == {(4, 5, 6)}


def test_random_fraction_trains_a_part_of_all():
    counts = np.zeros(10)
    for n in range(2000):
        got = window("random_fraction", n, 10, seed=1)
        assert got.start == 0 and got.sde_steps == tuple(range(9)) and len(got.train_steps) == 5  # int(0.6 * 9)
        counts[list(got.train_steps)] += 1
    assert counts[:9] / 2000 == pytest.approx(5 / 9, abs=0.05) and counts[9] == 0
    assert len(window("random_fraction", 0, 101, fraction=0.29).train_steps) == 29  # 0.29 * 100 is 28.999999999999996
    assert len(window("random_fraction", 0, 10, fraction=0.01).train_steps) == 1
    assert window("random_fraction", 0, 10, fraction=1.0) == full(10)


# --- MixGRPO ----------------------------------------------------------------------------------------------------------

EIGHT = {0: (0, 1, 2), 1: (1, 2, 3), 2: (2, 3, 4), 3: (3, 4, 5), 4: (4, 5), 5: (5,)}  # 8 steps, size 3: nothing from step 6 on


def test_progressive_positions():
    settings = {"steps": 8, "size": 3, "interval": 7}
    up = [(7, EIGHT[l]) for l in range(6)]
    assert sixty("mix_progressive", **settings) == spelled(*up, (7, EIGHT[0]), (7, EIGHT[1]), (4, EIGHT[2]))
    assert sixty("mix_progressive", roll_back=False, **settings) == spelled(*up, (18, EIGHT[5]))
    two = [(7, EIGHT[0]), (7, EIGHT[2]), (7, EIGHT[4])]
    assert sixty("mix_progressive", stride=2, **settings) == spelled(*two, *two, *two)[:60]
    assert sixty("mix_progressive", stride=2, roll_back=False, **settings) == spelled(*two, (39, EIGHT[5]))


def test_defaults_are_those_of_the_paper():
    """T = 25, w = 4, tau = 25, s = 1: the last position is 22, the window there one step, and step 23 is never trained."""
    assert [window("mix_progressive", n, 25).train_steps for n in (0, 24, 25, 22 * 25, 23 * 25 - 1, 23 * 25)] == [
        (0, 1, 2, 3), (0, 1, 2, 3), (1, 2, 3, 4), (22,), (22,), (0, 1, 2, 3),
    ]


def test_decay_positions():
    """Intervals 10, (10 5 + 1 1) / 6 = 8.5, 7, 5.5, 4, 2.5, cut to whole numbers."""
    up = [(10, EIGHT[0]), (8, EIGHT[1]), (7, EIGHT[2]), (5, EIGHT[3]), (4, EIGHT[4]), (2, EIGHT[5])]
    settings = {"steps": 8, "size": 3, "interval": 10, "shortest": 1}
    assert sixty("mix_decay", **settings) == spelled(*up, (10, EIGHT[0]), (8, EIGHT[1]), (6, EIGHT[2]))
    assert sixty("mix_decay", roll_back=False, **settings) == spelled(*up, (24, EIGHT[5]))


def test_exp_decay_positions():
    """Intervals 10, 10, then 10 exp(-0.3 n) = 7.4, 5.5, 4.1, 3.0 rounded up."""
    up = [(10, EIGHT[0]), (10, EIGHT[1]), (8, EIGHT[2]), (6, EIGHT[3]), (5, EIGHT[4]), (4, EIGHT[5])]
    settings = {"steps": 8, "size": 3, "interval": 10, "decay_rate": 0.3, "decay_from": 1}
    assert sixty("mix_exp_decay", **settings) == spelled(*up, (10, EIGHT[0]), (7, EIGHT[1]))
    assert sixty("mix_exp_decay", roll_back=False, **settings) == spelled(*up, (17, EIGHT[5]))


def test_frozen_stays_and_random_goes_everywhere():
    assert sixty("mix_frozen", steps=8, size=3) == spelled((60, EIGHT[0]))
    starts = [window("mix_random", n, 8, seed=2, size=3).train_steps for n in range(2000)]
    assert set(starts) == {EIGHT[0], EIGHT[1], EIGHT[2], EIGHT[3]}
    assert [starts.count(EIGHT[l]) / 2000 for l in range(4)] == pytest.approx([0.25] * 4, abs=0.04)


def walk(steps, size, stride, roll_back, stays):
    """The public code's state machine, its end one step earlier so that no window is empty."""
    end, position, spent = steps - 2, 0, 0
    while True:
        yield tuple(range(position, min(position + size, end)))
        spent += 1
        if spent >= stays(position, end):
            spent, position = 0, position + stride
            if position > end - 1:
                position = 0 if roll_back else end - 1


@settings(max_examples=60, deadline=None)
@given(
    steps=st.integers(4, 30), size=st.integers(1, 5), stride=st.integers(1, 5), interval=st.integers(1, 12), roll_back=st.booleans(),
    shortest=st.integers(1, 12), rate=st.floats(0, 1), threshold=st.integers(0, 20),
)
def test_positions_follow_the_state_machine(steps, size, stride, interval, roll_back, shortest, rate, threshold):
    size, shortest = min(size, steps - 2), min(shortest, interval)
    more = {"size": size, "stride": stride, "interval": interval, "roll_back": roll_back}
    for made, stays in (
        (lambda n: mix_progressive(n, steps, **more), lambda l, end: interval),
        (lambda n: mix_decay(n, steps, shortest=shortest, **more), lambda l, end: math.floor(interval - (interval - shortest) * l / end + 1e-9)),
        (lambda n: mix_exp_decay(n, steps, decay_rate=rate, decay_from=threshold, **more), lambda l, end: math.ceil(interval * math.exp(-rate * max(0, l - threshold)))),
    ):
        expected = list(itertools.islice(walk(steps, size, stride, roll_back, stays), 120))
        assert [made(n).train_steps for n in range(120)] == expected


def test_the_shortest_interval_is_a_quarter_if_not_given():
    assert [mix_decay(n, 10, size=2, interval=20) for n in range(100)] == [mix_decay(n, 10, size=2, interval=20, shortest=5) for n in range(100)]
    assert mix_decay(50, 10, size=2, interval=3).train_steps == mix_decay(50, 10, size=2, interval=3, shortest=1).train_steps


# --- HRF --------------------------------------------------------------------------------------------------------------


def suffixes(kind, iterations, **more):
    found = [window(kind, n, 10, seed=3, **more) for n in iterations]
    for got in found:
        assert got.sde_steps == got.train_steps == tuple(range(got.start, 9))
    return [got.start for got in found]


def test_early_and_latter_halves():
    early, latter = suffixes("hrf_early", range(2000)), suffixes("hrf_latter", range(2000))
    assert [early.count(s) / 2000 for s in range(5)] == pytest.approx([0.2] * 5, abs=0.04)
    assert [latter.count(s) / 2000 for s in range(5, 9)] == pytest.approx([0.25] * 4, abs=0.04)


def test_scheduled_phases_follow_each_other():
    phases = [(6, 10, 40), (0, 2, 30), (3, 5, 50)]
    assert set(suffixes("hrf_scheduled", range(40), phases=phases)) == {6, 7, 8}
    assert set(suffixes("hrf_scheduled", range(40, 70), phases=phases)) == {0, 1}
    assert set(suffixes("hrf_scheduled", range(70, 200), phases=phases)) == {3, 4}  # the last one stays
    assert set(suffixes("hrf_scheduled", range(35), interval=35)) == {0, 1, 2, 3, 4}
    assert set(suffixes("hrf_scheduled", range(35, 70), interval=35)) == {5, 6, 7, 8}


def test_a_full_rollout_trains_the_same_suffix():
    for kind in ("hrf_early", "hrf_latter", "hrf_scheduled"):
        anchored = window(kind, 4, 10, seed=3)
        plain = window(kind, 4, 10, seed=3, hrf_start="full_rollout")
        assert plain == Window(0, tuple(range(9)), anchored.train_steps)
    assert window("hrf_dynamic", 0, 10, start=0) == full(10)
    assert window("hrf_dynamic", 0, 10, start=8) == Window(8, (8,), (8,))


def test_hrfd_takes_the_step_before_the_largest_change_of_reward():
    """Changes of reward 1, 5, 2, hence minmax 0, 1, 0.25; distances after them 0.2, 0.8, 0.6, hence 0, 1, 2/3."""
    rewards, distances, candidates = [0, 1, 6, 8], [0.9, 0.2, 0.8, 0.6], [0, 2, 4, 6]
    assert hrfd_start(rewards, distances, candidates, beta=0.0) == 2
    assert hrfd_start(rewards, distances, candidates) == 2  # 0, 0.5, -0.08
    assert hrfd_start(rewards, distances, candidates, beta=2.0) == 0  # 0, -1, -1.08
    assert hrfd_start(rewards, [0.9, 0.8, 0.8, 0.2], candidates, beta=2.0) == 4  # -2, -1, 0.25
    assert hrfd_start([8, 6, 1, 0], distances, candidates, beta=0.0) == 4  # a fall of 1 is the largest change upwards


@settings(max_examples=50, deadline=None)
@given(rewards=st.lists(st.integers(-50, 50), min_size=3, max_size=8), scale=st.integers(1, 9), shift=st.integers(-9, 9))
def test_hrfd_does_not_depend_on_the_units(rewards, scale, shift):
    candidates = list(range(0, 2 * len(rewards), 2))
    distances = [((7 * k) % 5) / 8 for k in range(len(rewards))]
    changed = [scale * r + shift for r in rewards]
    assert hrfd_start(changed, [2 * d + 1 for d in distances], candidates, 0.25) == hrfd_start(rewards, distances, candidates, 0.25)


def test_hrfd_of_equal_numbers_takes_the_first():
    assert hrfd_start([1, 1, 1], [0.3, 0.3, 0.3], [4, 6, 8]) == 4
    assert hrfd_start([1, 2, 3], [0.5, 0.4, 0.1], [4, 6, 8]) == 6  # rewards rise evenly: distance alone decides


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "more", "words"), [
    ("sliding", {}, "window kind is 'sliding'; use full"),
    ("full", {"iteration": -1}, "iteration is -1"),
    ("fast_random", {"size": 6}, "window size is 6; there are 5 steps between steps 0 and 5"),
    ("fast_random", {"high": 10}, "has 0 to 9"),
    ("fast_random", {"low": 5, "high": 5}, "range is 5 to 5"),
    ("random_fraction", {"fraction": 0.0}, "fraction is 0.0"),
    ("random_fraction", {"fraction": 1.1}, "fraction is 1.1"),
    ("mix_progressive", {"size": 9}, "there are 8 steps before the last two"),
    ("mix_progressive", {"size": 0}, "window size is 0"),
    ("mix_progressive", {"stride": 0}, "stride is 0"),
    ("mix_progressive", {"interval": 0}, "interval is 0"),
    ("mix_decay", {"interval": 0}, "interval is 0"),
    ("mix_decay", {"interval": 0, "shortest": 3}, "interval is 0"),
    ("mix_decay", {"shortest": 30}, "shortest window interval is 30"),
    ("mix_decay", {"shortest": 0}, "shortest window interval is 0"),
    ("mix_exp_decay", {"decay_rate": -0.1}, "decay rate is -0.1"),
    ("mix_exp_decay", {"decay_from": -1}, "from step -1"),
    ("mix_random", {"size": 9}, "window size is 9"),
    ("mix_frozen", {"size": 9}, "window size is 9"),
    ("mix_frozen", {"steps": 1}, "there are 0 steps"),
    ("hrf_latter", {"steps": 2}, "from step 1 up to, not at, 2"),
    ("hrf_scheduled", {"phases": [(0, 5, 10), (4, 8, 10)]}, "two phases share step 4"),
    ("hrf_scheduled", {"phases": [(0, 11, 10)]}, "up to, not at, 11"),
    ("hrf_scheduled", {"phases": [(0, 5, 10), (9, 10, 10)]}, "from step 9"),
    ("hrf_scheduled", {"phases": [(5, 5, 10)]}, "from step 5 up to, not at, 5"),
    ("hrf_scheduled", {"phases": [(0, 5, 0)]}, "iterations of a phase is 0"),
    ("hrf_dynamic", {}, "start is None"),
    ("hrf_dynamic", {"start": 9}, "starts at 0 to 8"),
    ("hrf_early", {"hrf_start": "noise"}, "anchor_renoise or full_rollout"),
])
def test_settings_that_leave_nothing_to_train_are_refused(kind, more, words):
    with pytest.raises(ValueError, match=words):
        window(kind, **{"iteration": 0, "steps": 10, **more})


@pytest.mark.parametrize("arguments", [([1], [1], [1]), ([1, 2], [1], [0, 2]), ([1, float("nan")], [1, 1], [0, 2]), ([1, 2], [1, 1], [0, 2], float("inf"))])
def test_hrfd_refuses_what_it_cannot_compare(arguments):
    with pytest.raises(ValueError):
        hrfd_start(*arguments)
