"""Readings and alarms against hand-made histories."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import linregress

from core.alarms import CLEAR, Reader, Watch, alarms, last_healthy, trend


def history(varieties, rewards=None, base=5.0):
    """Rows as the database gives them; the base measure first."""
    rewards = rewards if rewards is not None else [0.0] * len(varieties)
    rows = [{"iteration": 0, "vendi": base, "vendi_by_prompt": {"0": base}, "reward": 0.0}]
    return rows + [
        {"iteration": i, "vendi": v, "vendi_by_prompt": {"0": v}, "reward": r} for i, (v, r) in enumerate(zip(varieties, rewards, strict=True), 1)
    ]


def raised(varieties, rewards=None, per=96, **options):
    return [(a.kind, a.iteration) for a in alarms(history(varieties, rewards), per, **options)]


def readings(rows, per):
    reader = Reader(per)
    return [reader.next(r) for r in rows]


# --- readings ------------------------------------------------------------------------------------------------------
def test_readings_are_means_over_96_pictures_without_the_base_row():
    told = readings(history([1.0, 2.0, 3.0, 4.0, 5.0], [10, 20, 30, 40, 50]), per=40)  # three iterations hold 96
    assert [r.variety for r in told] == pytest.approx([5.0, 1.0, 1.5, 2.0, 3.0, 4.0])
    assert [r.reward for r in told] == pytest.approx([0, 10, 15, 20, 30, 40])
    assert [r.q for r in told] == pytest.approx([1.0, 0.2, 0.3, 0.4, 0.6, 0.8])
    assert [r.own_q for r in told] == pytest.approx([1.0, 0.2, 0.4, 0.6, 0.8, 1.0])
    assert [r.pictures for r in told] == [0, 40, 80, 120, 160, 200]


def test_prompts_are_judged_by_the_base_on_the_same_prompts():
    rows = [{"iteration": 0, "vendi": 5.0, "vendi_by_prompt": {"0": 2.0, "1": 8.0}, "reward": 0.0}]
    rows += [{"iteration": i, "vendi": v, "vendi_by_prompt": {p: v}, "reward": 0.0} for i, (p, v) in enumerate([("0", 2.0), ("1", 8.0), ("0", 1.0)], 1)]
    assert [(r.variety, r.base) for r in readings(rows, 96)[1:]] == [(5.0, 5.0), (5.0, 5.0), (2.5, 5.0)]


def test_a_prompt_that_was_not_measured_is_judged_by_the_mean():
    rows = [{"iteration": 0, "vendi": 4.0, "vendi_by_prompt": {"0": 4.0}, "reward": 0.0}, {"iteration": 1, "vendi": 2.0, "vendi_by_prompt": {"9": 2.0}, "reward": None}]
    assert readings(rows, 96)[1].q == 0.5 and readings(rows, 96)[1].reward == 0.0
    rows = [{"iteration": 0, "vendi": 5.0, "vendi_by_prompt": {"0": 2.0, "1": 8.0}, "reward": 0.0}]
    rows += [{"iteration": 1, "vendi": 3.5, "vendi_by_prompt": {"0": 2.0, "9": 5.0}, "reward": 0.0}]  # one known, one not
    assert readings(rows, 96)[1].q == 1.0


# --- lines -----------------------------------------------------------------------------------------------------------
def test_an_alarm_is_raised_once_below_its_line_and_again_only_after_the_margin():
    # 0.45 of 5 is 2.25: at the line is not below it; 2.39 is not yet over by 0.03, 2.4 is
    assert raised([3, 2.25, 2.24, 2.0, 2.3, 2.2, 2.39, 2.2, 2.4, 2.2]) == [("low", 3), ("low", 10)]
    assert raised([3, 2.0], warn=None) == []
    assert raised([3, 2.0, 1.4], pause=30) == [("low", 2), ("deep", 3)]
    assert raised([4.4], warn=90) == [("low", 1)]


def test_nothing_is_said_before_96_pictures():
    assert raised([1.0] * 6, per=24) == [("low", 4)]


def test_the_sentence_has_the_number_and_the_line():
    low = alarms(history([2.2]), 96)[0]
    assert low.message == "Variety is at 44 % of the base model's, below 45 %." and low.q == pytest.approx(0.44)
    # just below the line is never shown as the line
    assert alarms(history([0.4499 * 5]), 96)[0].message.startswith("Variety is at 44 %")


# --- reward up, variety down -----------------------------------------------------------------------------------------
UP, DOWN = [0.1 * i for i in range(30)], [4.0 - 0.05 * i for i in range(30)]


def test_parting_needs_both_trends():
    assert raised(DOWN, UP) == [("parting", 8)]
    assert raised(DOWN, UP, parting=False) == []
    assert raised(DOWN, [0.0] * 30) == [] and raised([3.0] * 30, UP) == []
    assert raised(DOWN, UP[::-1]) == [] and raised(DOWN[::-1], UP) == []


def test_parting_is_no_alarm_while_variety_is_healthy():
    slow = [5.0 - 0.02 * i for i in range(51)]  # ends at 4.0, which is 0.80
    assert raised(slow, [0.1 * i for i in range(51)]) == []
    assert raised([*slow, 3.98], [0.1 * i for i in range(52)]) == [("parting", 52)]


def test_parting_tells_the_rise_and_the_level():
    said = alarms(history(DOWN[:8], UP[:8]), 96)[0].message
    assert said == "Reward up, variety down: over 8 iterations reward rose by 0.7 while variety fell to 73 % of the base model's."


def test_parting_ends_when_the_fall_ends():
    watch, reader = Watch(warn=None), Reader(96)
    stood = []
    for row in history([*DOWN, *[2.55] * 30], [*UP, *[3.0] * 30]):
        watch.next(reader.next(row))
        stood.append("parting" in watch.standing)
    assert stood[8:31] == [True] * 23 and not stood[-1]
    assert stood == sorted(stood[:9]) + sorted(stood[9:], reverse=True)  # one stretch


def test_noise_around_a_level_raises_nothing():
    rng = np.random.default_rng(0)
    assert sum(len(raised(3 + 0.3 * rng.normal(size=200), rng.normal(size=200), warn=None)) for _ in range(20)) <= 1


def test_trend_agrees_with_scipy():
    rng = np.random.default_rng(1)
    for n in (3, 8, 25):
        values = rng.normal(size=n) + 0.2 * np.arange(n)
        fit = linregress(np.arange(n), values)
        assert trend(values.tolist()) == pytest.approx((fit.slope, fit.slope / fit.stderr), rel=1e-9)


def test_trend_of_a_line_and_of_a_constant():
    assert trend([0.0, 1.0, 2.0]) == (1.0, math.inf) and trend([2.0, 1.0, 0.0]) == (-1.0, -math.inf)
    assert trend([0.1 + 0.2] * 9) == (0.0, 0.0)


def test_the_edge_of_clear_is_clear():
    # r = t / sqrt(n - 2 + t^2) puts t on the threshold: residuals orthogonal to the line, of the size that this takes
    n = 8
    x = np.arange(n) - (n - 1) / 2
    noise = np.array([1.0, -1, -1, 1, 1, -1, -1, 1])
    noise -= x * (noise @ x) / (x @ x)
    for t, expected in ((CLEAR * 1.001, True), (CLEAR * 0.999, False)):
        size = math.sqrt((n - 2) * (x @ x) / (noise @ noise)) / t
        rewards = x + size * (noise - noise.mean())
        assert bool(raised(DOWN[:n], rewards.tolist())) is expected


# --- where to roll back to ---------------------------------------------------------------------------------------------
def test_last_healthy_is_the_newest_saved_at_or_above_080():
    q = {0: 1.0, 5: 0.95, 10: 0.80, 15: 0.79, 20: 0.3}
    assert last_healthy([5, 10, 15, 20], q) == 10
    assert last_healthy([15, 20, 25], q) is None and last_healthy([], q) is None
