"""Measures at equal reward, the held-out space, and the trajectory of a run."""

import math

import pytest
import torch

from core import proof
from core.diversity.metrics import base_scale, variety
from core.evaluation import Evaluator, Measure, pixel_distances
from core.errors import UserError
from core.proof import at_equal_reward, gain_at_equal_variety, reward_at_variety, variety_at_reward


def track(*pairs) -> list[Measure]:
    return [Measure(i, reward, clip, 2 * clip) for i, (reward, clip) in enumerate(pairs)]


def test_variety_at_a_reward_lies_on_the_line_between_two_checkpoints():
    measures = track((0.0, 8.0), (1.0, 6.0), (3.0, 5.0))
    assert variety_at_reward(measures, 0.25, "clip") == pytest.approx(8 - 0.25 * 2)
    assert variety_at_reward(measures, 2.0, "clip") == pytest.approx(5.5) and variety_at_reward(measures, 2.0, "pixels") == pytest.approx(11)
    for m in measures:
        assert variety_at_reward(measures, m.reward, "clip") == pytest.approx(m.clip)


def test_first_time_that_a_reward_is_reached_counts():
    assert variety_at_reward(track((0, 8), (2, 6), (1, 5), (3, 4)), 1.5, "clip") == pytest.approx(6.5)
    assert variety_at_reward(track((0, 8), (1, 6), (1, 2)), 1.0, "clip") == pytest.approx(6)


def test_reward_that_is_never_reached_has_no_variety():
    assert math.isnan(variety_at_reward(track((0, 8), (1, 6)), 1.01, "clip"))
    assert math.isnan(variety_at_reward(track((0, 8)), 0.0, "clip"))


def test_reward_at_a_variety_lies_on_the_line_too():
    measures = track((0.0, 8.0), (1.0, 6.0), (3.0, 5.0))
    assert reward_at_variety(measures, 7.0, "clip") == pytest.approx(0.5) and reward_at_variety(measures, 5.5, "clip") == pytest.approx(2.0)
    assert reward_at_variety(measures, 1.0, "clip") == 3.0  # it never fell so far: what it reached in all


def test_methods_are_compared_at_what_both_reach():
    plain, diverse = track((0, 8), (2, 4), (4, 2)), track((0, 8), (2, 7), (3, 6))
    assert at_equal_reward(diverse, plain, "clip") == pytest.approx(6 / 3 - 1)  # at reward 3
    assert gain_at_equal_variety(diverse, plain, "clip") == pytest.approx(3 / 1 - 1)  # at variety 6
    assert math.isnan(gain_at_equal_variety(diverse, track((0, 8), (-1, 6), (2, 4)), "clip"))  # at variety 6 the other had only lost
    assert at_equal_reward(plain, plain, "pixels") == 0 and gain_at_equal_variety(plain, plain, "pixels") == 0


def test_track_is_trained_and_measured_once(new_run, tmp_path, monkeypatch):
    config = new_run("first", iterations=2, checkpoint_every=1).config()
    run = proof.folder.Run(tmp_path / "track")
    first = proof.measured(proof.trained(run, config))
    assert [m.iteration for m in first] == [0, 1, 2]
    monkeypatch.setattr(proof, "carry_out", lambda *a, **k: 1 / 0)
    monkeypatch.setattr(proof, "trajectory", lambda *a: 1 / 0)
    assert proof.measured(proof.trained(run, config)) == first


def test_track_goes_on_for_longer_and_is_never_that_of_other_settings(new_run, tmp_path):
    config = new_run("first", iterations=1, checkpoint_every=1).config()
    run = proof.folder.Run(tmp_path / "track")
    proof.trained(run, config)
    longer = proof.trained(run, config.with_changes(iterations=2))
    assert [m.iteration for m in proof.measured(longer)] == [0, 1, 2]
    with pytest.raises(UserError, match="creative_beta=0.0, not 0.5"):
        proof.trained(run, config.with_changes(iterations=2, creative_beta=0.5))
    assert [m.iteration for m in proof.measured(proof.trained(run, config), until=1)] == [0, 1]
    assert run.config().iterations == 2


def test_training_that_fails_ends_the_comparison_with_its_code(new_run, tmp_path, monkeypatch):
    config = new_run("first").config()
    monkeypatch.setattr(proof, "carry_out", lambda *a, **k: 2)
    with pytest.raises(proof.Interrupted) as ended:
        proof.trained(proof.folder.Run(tmp_path / "track"), config)
    assert ended.value.code == 2


def test_pixel_distances_are_mean_squared_differences_of_small_pictures():
    images = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    small = images.view(5, 3, 16, 4, 16, 4).mean((3, 5))  # 4 x 4 blocks
    expected = (small[:, None] - small[None]).square().mean((2, 3, 4))
    torch.testing.assert_close(pixel_distances(images), expected)


def test_pictures_that_have_all_become_the_mean_picture_are_not_varied():
    """What a cosine to the mean cannot see."""
    base = torch.rand(24, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    collapsed = base.mean(0) + 0.01 * (base - base.mean(0))
    scale = base_scale(pixel_distances(base))
    assert variety(pixel_distances(base)[None], scale) > 8
    assert variety(pixel_distances(collapsed)[None], scale) < 1.01


def test_base_and_tuned_share_seeds_and_prompts(make_trainer):
    trainer = make_trainer(prompts=["cat", "dog", "owl"], base_prompts=2)
    evaluator = Evaluator(trainer, pictures=6)
    assert evaluator.prompts == [0, 2]
    fresh = [evaluator.measure(0), evaluator.measure(1)]
    # a LoRA that has learned nothing is the base, to the last digit
    assert (fresh[0].reward, fresh[0].clip, fresh[0].pixels) == (fresh[1].reward, fresh[1].clip, fresh[1].pixels)
    assert 1 < fresh[0].pixels <= 6 and evaluator.scales.keys() == {(p, space) for p in (0, 2) for space in ("clip", "pixels")}
