"""The forecast against closed forms, the trainer's own arithmetic, and runs that are replicator dynamics."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sample_run import write_run

from core.diversity.bonus import RunningScale, combine
from studio.data.forecast import FASTEST, FEWEST, HORIZON, Groups, forecast, limited, project, speed, values
from studio.data.history import history

FITNESS = np.array([0.9, 0.4, 0.1, 0.0])
START = np.array([0.25, 0.35, 0.3, 0.1])


def test_odds_of_two_looks_grow_by_the_same_factor_every_iteration():
    path = project(START, FITNESS, 0.05, 40)
    assert path.shape == (41, 4) and path.sum(axis=1) == pytest.approx(np.ones(41))
    odds = np.log(path[:, 0] / path[:, 1])
    np.testing.assert_allclose(np.diff(odds), 0.05 * 0.5, rtol=1e-9)


def test_a_look_that_is_gone_stays_gone_and_equal_looks_stay_equal():
    assert project(np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.0, 9.0]), 1.0, 40)[-1].tolist() == [0.5, 0.5, 0.0]


def test_speed_is_found_again():
    for eta in (0.0, 0.02, 0.1):
        path = project(START, FITNESS, eta, 24)
        assert speed(np.arange(25), path, FITNESS) == pytest.approx(eta, rel=0.02, abs=1e-12)
    thinned = project(START, FITNESS, 0.02, 24)[::3]  # a prompt that is drawn every third iteration
    assert speed(np.arange(0, 25, 3), thinned, FITNESS) == pytest.approx(0.02, rel=0.1)


def test_speed_is_never_negative_and_zero_without_a_reason_to_move():
    path = project(START, FITNESS, 0.05, 24)
    assert speed(np.arange(25), path[::-1], FITNESS) == 0.0
    assert speed(np.arange(25), path, np.full(4, 0.3)) == 0.0


def test_a_leap_is_not_carried_on_for_forty_iterations():
    path = project(START, FITNESS, 0.2, 24)  # five times as fast as the limit
    odds = lambda shares: np.log(shares[..., 0] / shares[..., 3])  # the fittest against the least fit
    made = told(path, FITNESS).forecast(24)
    np.testing.assert_allclose(np.diff(odds(made)), FASTEST, rtol=1e-9)
    assert limited(0.03, FITNESS) == 0.03 and limited(9.0, np.full(4, 0.3)) == 9.0
    assert limited(9.0, 100 * FITNESS) == pytest.approx(limited(9.0, FITNESS) / 100)  # whatever the unit of the reward


@pytest.mark.parametrize("mode", ["zscore_sum", "raw_sum", "scaled_sum"])
@pytest.mark.parametrize("gate", ["none", "above_mean"])
@pytest.mark.parametrize("beta", [0.0, 0.6])
def test_worth_of_a_picture_is_the_trainers(mode, gate, beta):
    rng = np.random.default_rng(3)
    reward, bonus = rng.normal(size=24), np.sqrt(24 / rng.integers(1, 12, 24))
    theirs = combine(torch.tensor(reward)[None], torch.tensor(bonus)[None], beta=beta, mode=mode, gate=gate, running=RunningScale())
    # only differences within a group move anything
    mine = values(reward, bonus, beta, mode, gate)
    np.testing.assert_allclose(mine - mine.mean(), (theirs.values[0] - theirs.values[0].mean()).numpy(), atol=1e-5)


def test_a_constant_reward_is_worth_nothing():
    assert values(np.full(8, 0.3), None, 0.0, "zscore_sum", "none").tolist() == [0.0] * 8


def told(path, fitness, every=1):
    """Groups of a run whose shares are `path`; each look's pictures are worth its fitness."""
    groups = Groups(path.shape[1])
    for t, shares in enumerate(path, 1):
        looks = np.repeat(np.arange(path.shape[1]), 6)
        groups.add(t * every, shares.tolist(), looks, fitness[looks])
    return groups


def test_a_replicator_run_is_foreseen_and_its_error_is_small():
    path = project(START, FITNESS, 0.03, 120)
    groups = told(path[:81], FITNESS)
    np.testing.assert_allclose(groups.forecast(80)[-1], path[120], atol=0.01)
    assert len(groups.misses) == 81 - HORIZON - (FEWEST - 1)
    miss, still = np.mean(groups.misses, axis=0)
    assert miss < 0.01 < 0.05 < still


def test_no_forecast_from_fewer_than_ten_iterations():
    groups = told(project(START, FITNESS, 0.03, 9), FITNESS)
    assert groups.forecast(FEWEST - 2) is None and groups.forecast(FEWEST - 1) is not None and groups.misses == []
    # and only those of the last 25 iterations count
    assert told(project(START, FITNESS, 0.03, 30), FITNESS, every=3).forecast(30) is None


def test_an_error_is_what_happened_less_what_was_foreseen():
    path = project(START, FITNESS, 0.03, 49)
    groups = told(np.array([*path[:49], [0.0, 0.0, 0.0, 1.0]]), FITNESS)  # the fiftieth is a surprise
    first = groups.forecast(FEWEST - 1)[-1]
    assert groups.misses == [(pytest.approx(np.abs(first - [0, 0, 0, 1]).mean()), pytest.approx(np.abs(path[9] - [0, 0, 0, 1]).mean()))]


def test_new_pictures_are_a_look_of_their_own():
    groups = Groups(3)
    groups.add(1, [0.5, 0.25, 0.25], np.array([0, 0, 1, -1]), np.array([1.0, 3.0, 5.0, 7.0]))
    assert groups.sums[0].tolist() == [4.0, 5.0, 7.0] and groups.counts[0].tolist() == [2, 1, 1]


def test_forecast_of_a_run(tmp_path):
    run = write_run(tmp_path / "cats", iterations=70, turn_at=40)
    with run.database(readonly=True) as db:
        made = forecast(run, db, 0)
        shares = history(run, db).rows[-1]["shares"]["0"]
        assert forecast(run, db, 5) == {"iteration": 0, "shares": None, "error": None, "still": None, "checked": 0}
    assert (made["iteration"], made["checked"]) == (70, 70 - HORIZON - (FEWEST - 1))
    np.testing.assert_allclose(made["shares"][0], shares, atol=1e-4)
    assert np.array(made["shares"]).shape == (HORIZON + 1, 7) and 0 < made["error"] < 0.3 and made["still"] > 0


def test_forecast_goes_on_where_it_was_and_starts_over_after_a_rewrite(tmp_path):
    run, whole = (write_run(tmp_path / name, iterations=30) for name in ("grows", "whole"))
    with run.database() as db, whole.database(readonly=True) as other:
        db.write("DELETE FROM iterations WHERE iteration > 20")
        assert forecast(run, db, 0)["iteration"] == 20
        for row in other.iterations(20):
            db.add_iteration(row["iteration"], row["duration"], {k: v for k, v in row.items() if k not in ("iteration", "time", "duration")})
        assert forecast(run, db, 0) == forecast(whole, other, 0)
        db.forget_after(15)
        assert forecast(run, db, 0)["iteration"] == 15
