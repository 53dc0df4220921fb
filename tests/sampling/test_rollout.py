"""The rollout against a loop written out, its late start from re-noised anchors, and what it stores."""

import pytest
import torch

from core.sampling.dynamics import step
from core.sampling.noise import picture_generators
from core.sampling.rollout import renoise, rollout
from core.sampling.schedule import Schedule

SHAPE = (2, 3, 3)
SEEDS = [5, 11, 7]
FIELDS = ("final", "latents", "next_latents", "log_probs")


def even(steps):
    """sigma falls evenly from 1 to 0."""
    sigmas = torch.linspace(1, 0, steps + 1, dtype=torch.float64)
    return Schedule(sigmas, sigmas[:-1].float() * 1000)


def pull(x, i):
    """A velocity that differs from step to step."""
    return 0.3 * x + 0.1 * i


def run(velocity=pull, steps=6, stochastic=(0, 1, 2, 3, 4), seeds=SEEDS, **more):
    return rollout(velocity, even(steps), seeds, SHAPE, dynamics="flow_sde", level=0.7, stochastic=stochastic, **more)


def same(a, b):
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in FIELDS)


def anchors(seed=0):
    return torch.randn((1, *SHAPE), generator=torch.Generator().manual_seed(seed)).repeat(len(SEEDS), 1, 1, 1)


def test_a_plain_rollout_is_the_loop_written_out():
    """Noise in the order of one generator per picture: the first latent, then each stochastic step. Old runs rely on it."""
    schedule, stochastic, rows = even(6), (1, 2, 4), []
    for seed in SEEDS:
        generator = torch.Generator().manual_seed(seed)
        x = torch.randn(SHAPE, generator=generator)[None]
        points, log_probs = [], []
        for i in range(6):
            if i in stochastic:
                made = step(pull(x, i), x, i, schedule, dynamics="flow_sde", level=0.7, noise=torch.randn(SHAPE, generator=generator)[None])
                points.append((x[0], made.x_next[0]))
                log_probs.append(made.log_prob[0])
                x = made.x_next
            else:
                x = x + schedule.dt(i) * pull(x, i)
        rows.append((x[0], torch.stack([a for a, _ in points]), torch.stack([b for _, b in points]), torch.stack(log_probs)))
    got = run(stochastic=stochastic)
    for name, column in zip(FIELDS, zip(*rows)):
        torch.testing.assert_close(getattr(got, name), torch.stack(column), atol=1e-6, rtol=1e-6)
    # the numbers themselves, as they were before a rollout could start late
    assert got.final[:, 0, 0, 0].tolist() == pytest.approx([1.33836, -1.39655, -1.00187], abs=1e-4)


def test_start_0_is_the_plain_rollout_bit_by_bit():
    """From sigma 1 nothing of the anchor is left, and the generators of the same seeds give the plain rollout's noise."""
    initial = renoise(anchors(), (0.0, 1.0), picture_generators(SEEDS))
    assert same(run(), run(initial=initial))
    assert same(run(), run(start=0))


def test_a_late_start_makes_no_step_before_it():
    visited, asked = [], []
    initial = renoise(anchors(), even(6).renoise_coefficients(3), picture_generators(SEEDS))
    got = run(lambda x, i: visited.append((i, x.clone())) or pull(x, i), stochastic=(3, 4), start=3, initial=initial, between=lambda: asked.append(None))
    assert [i for i, _ in visited] == [3, 4, 5] and len(asked) == 3
    assert torch.equal(visited[0][1], initial)
    assert torch.equal(got.latents[:, 0], initial) and got.latents.shape == (3, 2, *SHAPE)


def test_no_gradient_reaches_a_step_before_the_start():
    weights = torch.full((6,), 0.3, requires_grad=True)
    initial = renoise(anchors(), even(6).renoise_coefficients(3), picture_generators(SEEDS))
    got = run(lambda x, i: weights[i] * x, stochastic=(3, 4), start=3, initial=initial)
    for s, i in enumerate((3, 4)):
        x = got.latents[:, s]
        step(weights[i] * x, x, i, even(6), dynamics="flow_sde", level=0.7, x_next=got.next_latents[:, s]).log_prob.sum().backward()
    assert torch.equal(weights.grad[:3], torch.zeros(3)) and weights.grad[5] == 0
    assert (weights.grad[3:5] != 0).all()


def test_noise_of_the_anchor_does_not_come_back_in_a_step():
    """The same seeds serve for both: the first step's noise must not be the one that is in the latents."""
    sigma, generators = even(6).sigma(3), picture_generators(SEEDS)
    initial = renoise(torch.zeros(3, *SHAPE), (1 - sigma, sigma), generators)
    got = run(stochastic=(3,), start=3, initial=initial)
    made = step(pull(initial, 3), initial, 3, even(6), dynamics="flow_sde", level=0.7, x_next=got.next_latents[:, 0])
    first = (got.next_latents[:, 0] - made.mean) / made.std
    assert (first - initial / sigma).abs().amax() > 0.5
    torch.testing.assert_close(first, torch.stack([torch.randn(SHAPE, generator=g) for g in generators]), atol=1e-5, rtol=1e-5)


def test_members_share_the_anchor_and_nothing_else():
    x0, sigma = anchors(), 0.4
    first, second = (renoise(x0, (1 - sigma, sigma), picture_generators(seeds)) for seeds in (SEEDS, [1, 2, 3]))
    noise = (first - (1 - sigma) * x0) / sigma
    for b, seed in enumerate(SEEDS):
        torch.testing.assert_close(noise[b], torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed)), atol=1e-5, rtol=1e-5)
    assert not torch.equal(first, second)
    assert torch.equal(renoise(x0, (1.0, 0.0), picture_generators(SEEDS)), x0)


@pytest.mark.parametrize("start", [0, 10, 30])
def test_continuing_a_sample_keeps_the_distribution(start):
    """A sample of a Gaussian, re-noised to any level and denoised with the exact velocity, is a sample again."""
    mean, std, schedule, shape = 0.6, 0.5, even(40), (20000,)

    def velocity(x, i):
        sigma = schedule.sigma(i)
        variance = (1 - sigma) ** 2 * std**2 + sigma**2
        return (x - (1 - sigma) * mean) * (sigma - (1 - sigma) * std**2) / variance - mean

    x0 = mean + std * torch.randn((1, *shape), generator=torch.Generator().manual_seed(3))
    initial = renoise(x0, schedule.renoise_coefficients(start), picture_generators([4]))
    got = rollout(velocity, schedule, [4], shape, dynamics="dance_sde", level=0.3, stochastic=tuple(range(start, 39)), start=start, initial=initial)
    assert got.final.mean().item() == pytest.approx(mean, abs=0.02)
    assert got.final.std().item() == pytest.approx(std, rel=0.05)


def test_recording_fewer_steps_changes_nothing_else():
    whole, part = run(), run(record=(1, 3))
    assert torch.equal(whole.final, part.final)
    for name in FIELDS[1:]:
        assert torch.equal(getattr(whole, name)[:, [1, 3]], getattr(part, name))


def test_nothing_recorded_and_nothing_stochastic():
    for got in (run(record=()), run(stochastic=())):
        assert got.log_probs.shape == (3, 0) and got.latents.shape == (3, 0)


def test_a_picture_depends_on_its_own_seed_and_anchor():
    x0 = torch.stack([anchors(k)[0] for k in range(3)])
    initial = renoise(x0, even(6).renoise_coefficients(2), picture_generators(SEEDS))
    whole = run(stochastic=(2, 3, 4), start=2, initial=initial)
    alone = run(stochastic=(2, 3, 4), start=2, initial=initial[1:2], seeds=SEEDS[1:2])
    torch.testing.assert_close(alone.final[0], whole.final[1], atol=1e-6, rtol=1e-6)


def test_senseless_requests_are_refused():
    for more, words in (
        ({"start": 3, "stochastic": (3, 4)}, "without initial"),
        ({"start": 6, "stochastic": ()}, "start is 6"),
        ({"start": 3, "initial": anchors()}, "starts at 3 has steps 3 to 5"),
        ({"stochastic": (6,)}, "has steps 0 to 5"),
        ({"stochastic": (1, 2), "record": (2, 3)}, r"steps \[3\]"),
        ({"initial": anchors()[:1]}, "initial has shape"),
    ):
        with pytest.raises(ValueError, match=words):
            run(**more)
    with pytest.raises(ValueError, match="2 generators for 3"):
        renoise(anchors(), (0.5, 0.5), picture_generators([1, 2]))
