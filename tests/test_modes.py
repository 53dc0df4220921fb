"""Mode collapse in miniature: six modes on a circle, three of them with equal reward, on the real loop.

Reward alone ends in one of the three; every option that is made to keep variety must, at the reward that both reach, have kept
more of them. Not here: prompt noise, since the toy has no prompt, and late starts (HRF), since two numbers have no detail that
could be trained apart from the mode.
"""

import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import toy

from core.config import build
from core.training import SAMPLE, Trainer

ANGLES = torch.arange(6) * (2 * math.pi / 6)
CENTRES = torch.stack([ANGLES.cos(), ANGLES.sin()], dim=1)
LIKED = CENTRES[::2]
ITERATIONS, EVERY, PICTURES = 48, 4, 200

OPTIONS = {
    "bonus": {"creative_beta": 0.5, "cluster_min_spread": 0.0},
    "leash": {"sa_reg_steps": 3, "sa_reg_weight": 10},
    "bonus and leash": {"creative_beta": 0.3, "cluster_min_spread": 0.0, "sa_reg_steps": 3, "sa_reg_weight": 5},
    "shaping": {"shaping_alpha": 0.7, "shaping_gate": "none"},
    "subset and shaping": {"shaping_alpha": 0.7, "shaping_gate": "none", "subset_mode": "min_variance", "subset_k": 16},
    "novelty": {"advantage": "novelty"},
    "pull": {"pull": 0.3},
}


class Rewards:
    """Nearness to any of the liked modes, alike for all three: 0 to 1."""

    def __call__(self, points, prompts):
        near = torch.exp(-torch.cdist(points.flatten(1), LIKED).square() / (2 * 0.4**2))
        return SimpleNamespace(raw={"near": near.sum(dim=1)})

    def combine(self, raw):
        return raw["near"]


def kept(points) -> float:
    """Effective number of liked modes among points (N, 2, 1, 1): exp of the entropy of their shares, 1 to 3."""
    nearest = torch.cdist(points.flatten(1), CENTRES).argmin(dim=1)
    shares = torch.bincount(nearest, minlength=6)[::2].double()
    return torch.special.entr(shares / shares.sum()).sum().exp().item()


def track(**options) -> list[tuple[float, float]]:
    """(mean reward, liked modes kept) before the training and at every fourth iteration, by the deterministic sampler."""
    config = build({
        "prompts": ["point"], "steps": 8, "group_size": 24, "noise_level": 0.7, "learning_rate": 0.01, "clip_epsilon": 0.1, "updates_per_iteration": 1,
        "weight_decay": 0.0, "micro_batch": 256, **options,
    })
    backbone = toy.ToyBackbone((2, 1, 1), toy.mixture_velocity(CENTRES, 0.15), toy.Adapter(2))
    likeness = SimpleNamespace(name="direction", embed=lambda points: F.normalize(points.flatten(1), dim=1))
    trainer = Trainer(config, backbone, Rewards(), likeness)
    found = []
    for iteration in range(ITERATIONS + 1):
        if iteration:
            trainer.iterate(iteration)
        if iteration % EVERY == 0:
            points = trainer.pictures(0, trainer.seeds(SAMPLE, 0, 0, PICTURES), purpose=SAMPLE, base=False)
            found.append((Rewards()(points, None).raw["near"].mean().item(), kept(points)))
    return found


@pytest.fixture(scope="module")
def plain():
    return track()


def modes_at(found, reward) -> float:
    """Modes kept where the reward first rises through `reward`, interpolated."""
    for (before, there), (after, then) in zip(found, found[1:]):
        if before <= reward <= after:
            share = (reward - before) / max(after - before, 1e-9)
            return (1 - share) * there + share * then
    raise AssertionError(f"reward {reward} is not reached: {found}")


def test_the_exact_velocity_draws_the_mixture():
    """By many steps, each mode gets its share, with its spread."""
    backbone = toy.ToyBackbone((2, 1, 1), toy.mixture_velocity(CENTRES, 0.15))
    x = torch.randn(1500, 2, 1, 1, generator=torch.Generator().manual_seed(0))
    schedule = backbone.schedule(200)
    for i in range(200):
        x = x + schedule.dt(i) * backbone.velocity(x, i, schedule, None, guidance=1.0)
    apart = torch.cdist(x.flatten(1), CENTRES)
    shares = torch.bincount(apart.argmin(dim=1), minlength=6) / 1500
    torch.testing.assert_close(shares, torch.full((6,), 1 / 6), atol=0.03, rtol=0)
    assert apart.amin(dim=1).square().mean().item() == pytest.approx(2 * 0.15**2, rel=0.12)


def test_reward_alone_ends_in_one_mode(plain):
    assert plain[0][1] > 2.9 and plain[-1][1] < 1.5
    assert plain[-1][0] > plain[0][0] + 0.3


@pytest.mark.parametrize("option", OPTIONS)
def test_an_option_keeps_more_modes_at_equal_reward(plain, option):
    found = track(**OPTIONS[option])
    reward = min(max(r for r, _ in found), max(r for r, _ in plain))
    assert reward > plain[0][0] + 0.05  # it has learnt something
    assert modes_at(found, reward) > 1.08 * modes_at(plain, reward)
