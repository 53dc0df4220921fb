"""Measures at equal reward, the held-out space, and the trajectory of a run."""

import math

import pytest
import torch

from core.evaluation import Evaluator, Measure, at_reward, pixel_features


def track(*pairs) -> list[Measure]:
    return [Measure(i, reward, clip, 2 * clip) for i, (reward, clip) in enumerate(pairs)]


def test_variety_at_a_reward_lies_on_the_line_between_two_checkpoints():
    measures = track((0.0, 8.0), (1.0, 6.0), (3.0, 5.0))
    assert at_reward(measures, 0.25, "clip") == pytest.approx(8 - 0.25 * 2)
    assert at_reward(measures, 2.0, "clip") == pytest.approx(5.5) and at_reward(measures, 2.0, "pixels") == pytest.approx(11)
    for m in measures:
        assert at_reward(measures, m.reward, "clip") == pytest.approx(m.clip)


def test_first_time_that_a_reward_is_reached_counts():
    assert at_reward(track((0, 8), (2, 6), (1, 5), (3, 4)), 1.5, "clip") == pytest.approx(6.5)
    assert at_reward(track((0, 8), (1, 6), (1, 2)), 1.0, "clip") == pytest.approx(6)


def test_reward_that_is_never_reached_has_no_variety():
    assert math.isnan(at_reward(track((0, 8), (1, 6)), 1.01, "clip"))
    assert math.isnan(at_reward(track((0, 8)), 0.0, "clip"))


def test_pixel_features_are_small_pictures_less_the_base_s_mean_at_unit_length():
    images = torch.rand(5, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    features, centre = pixel_features(images)
    small = images.view(5, 3, 16, 4, 16, 4).mean((3, 5)).flatten(1)  # 4 x 4 blocks
    torch.testing.assert_close(centre, small.mean(0))
    torch.testing.assert_close(features, (small - centre) / (small - centre).norm(dim=1, keepdim=True))
    again, same = pixel_features(images[:2], centre)
    assert torch.equal(same, centre) and torch.equal(again, features[:2])


def test_base_and_tuned_share_seeds_and_prompts(make_trainer):
    trainer = make_trainer(prompts=["cat", "dog", "owl"], base_prompts=2)
    evaluator = Evaluator(trainer, pictures=6)
    assert evaluator.prompts == [0, 2]
    fresh = [evaluator.measure(0), evaluator.measure(1)]
    # a LoRA that has learned nothing is the base, to the last digit
    assert (fresh[0].reward, fresh[0].clip, fresh[0].pixels) == (fresh[1].reward, fresh[1].clip, fresh[1].pixels)
    assert 1 < fresh[0].pixels <= 6 and evaluator.centres.keys() == {0, 2}
