"""Regularisers against torch.distributions, the coefficients of SD3.5 and the equal-budget rule."""

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch.distributions import Normal, kl_divergence

from core.learning.regularisers import equal_budget_weight, kl_latent, v_mse, velocity_coefficients, w2_latent
from core.sampling.dynamics import step
from core.sampling.schedule import from_scheduler

SHAPE = (3, 4, 5, 6)
SDE = {"level": 0.7, "dynamics": "flow_sde"}
# what multiplies |v - v_ref|^2: half squared W2, KL as coded, KL as published; SD3.5, T = 10, level 0.7
COEFFICIENTS = [
    (0.00079, 0.00006, 0.00162),
    (0.00170, 0.00014, 0.00307),
    (0.00240, 0.00046, 0.00835),
    (0.00351, 0.00119, 0.01767),
    (0.00535, 0.00290, 0.03486),
    (0.00857, 0.00723, 0.06882),
    (0.01460, 0.01969, 0.14346),
    (0.02705, 0.06355, 0.34015),
    (0.05613, 0.29744, 1.10521),
    (0.00006, 0.01400, 1.56754),
]


@pytest.fixture(scope="module")
def sd35():
    return from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0), 10)


def normal(seed):
    return torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("dynamics", "level"), [("flow_sde", 0.7), ("cps", 0.8)])
@pytest.mark.parametrize("i", range(9))
def test_kl_with_dt_is_the_gaussian_kl(sd35, i, dynamics, level):
    mean, reference = normal(1), normal(2)
    s = sd35.std(i, dynamics, level)
    expected = kl_divergence(Normal(mean.double(), s), Normal(reference.double(), s)).mean((1, 2, 3))
    got = kl_latent(mean, reference, i, sd35, level=level, dynamics=dynamics, include_dt=True)
    torch.testing.assert_close(got.double(), expected, atol=0, rtol=1e-5)


def test_kl_as_coded_is_smaller_by_dt_for_flow_sde_and_equal_for_cps(sd35):
    mean, reference = normal(1), normal(2)
    for i in range(9):
        both = {
            dynamics: [kl_latent(mean, reference, i, sd35, level=0.7, dynamics=dynamics, include_dt=dt) for dt in (False, True)]
            for dynamics in ("flow_sde", "cps")
        }
        coded, published = both["flow_sde"]
        torch.testing.assert_close(coded, published * -sd35.dt(i), atol=0, rtol=1e-5)
        assert torch.equal(*both["cps"])


def test_kl_on_a_deterministic_step_is_refused(sd35):
    with pytest.raises(ValueError, match="deterministic"):
        kl_latent(normal(1), normal(2), 9, sd35, level=0.8, dynamics="cps", include_dt=True)


def test_w2_and_v_mse_by_hand():
    a = torch.zeros(2, 1, 2, 2)
    b = torch.tensor([[1.0, 2.0, 3.0, 4.0], [0.0, 0.0, 0.0, 2.0]]).view(2, 1, 2, 2)
    torch.testing.assert_close(w2_latent(a, b), torch.tensor([3.75, 0.5]))
    torch.testing.assert_close(v_mse(a, b), torch.tensor([7.5, 1.0]))


def test_zero_at_the_start_and_a_gradient_after_one_perturbation(sd35):
    """The reference gets no gradient; the policy gets one as soon as it differs."""
    penalties = {
        "kl": lambda a, b: kl_latent(a, b, 4, sd35, include_dt=True, **SDE),
        "w2": w2_latent,
        "v": v_mse,
    }
    for name, penalty in penalties.items():
        reference = normal(1).requires_grad_()
        policy = normal(1).requires_grad_()
        start = penalty(policy, reference)
        assert torch.equal(start, torch.zeros(3)), name
        start.sum().backward()
        assert policy.grad.abs().max() == 0
        moved = (normal(1) + 0.1).requires_grad_()
        penalty(moved, reference).sum().backward()
        assert moved.grad.min() > 0 and reference.grad is None, name


def test_half_precision_is_lifted_first():
    """A difference of 0.001 between bfloat16 numbers survives squaring in float32."""
    a = torch.full((1, 8), 0.001, dtype=torch.bfloat16)
    got = v_mse(a, torch.zeros_like(a))
    assert got.dtype == torch.float32
    assert got.item() == pytest.approx(a[0, 0].item() ** 2, rel=1e-6)


def test_shapes_that_only_broadcast_are_refused():
    with pytest.raises(ValueError, match="must be equal"):
        w2_latent(torch.zeros(2, 3), torch.zeros(1, 3))


@pytest.mark.parametrize("i", range(10))
def test_coefficients_of_the_published_table(sd35, i):
    got = (
        velocity_coefficients(sd35, [i], "w2_latent", **SDE)[0],
        velocity_coefficients(sd35, [i], "kl_latent", **SDE)[0],
        velocity_coefficients(sd35, [i], "kl_latent", include_dt=True, **SDE)[0],
    )
    assert got == pytest.approx(COEFFICIENTS[i], abs=6e-6)


@pytest.mark.parametrize(("dynamics", "level"), [("flow_sde", 0.7), ("cps", 0.8)])
def test_coefficients_say_what_the_regularisers_do(sd35, dynamics, level):
    """Coefficient times velocity error equals the regulariser on the means that the two velocities give."""
    x, v, reference = normal(1), normal(2), normal(3)
    at = {"level": level, "dynamics": dynamics}
    error = v_mse(v, reference)
    for i in range(9):
        means = [step(u, x, i, sd35, x_next=x, **at).mean for u in (v, reference)]
        w2 = velocity_coefficients(sd35, [i], "w2_latent", **at)[0]
        torch.testing.assert_close(w2_latent(*means), w2 * error, atol=1e-7, rtol=2e-4)
        for include_dt in (False, True):
            kl = velocity_coefficients(sd35, [i], "kl_latent", include_dt=include_dt, **at)[0]
            torch.testing.assert_close(kl_latent(*means, i, sd35, include_dt=include_dt, **at), kl * error, atol=1e-7, rtol=2e-4)
    assert velocity_coefficients(sd35, range(9), "v_mse", **at) == [1.0] * 9


def test_the_kl_hardly_holds_the_first_three_steps(sd35):
    """0.17 % of the KL as coded and 0.76 % as published: why DiverseGRPO lays a leash there."""
    for include_dt, share in ((False, 0.0017), (True, 0.0076)):
        c = velocity_coefficients(sd35, range(9), "kl_latent", include_dt=include_dt, **SDE)
        assert sum(c[:3]) / sum(c) == pytest.approx(share, abs=5e-5)


@pytest.mark.parametrize(("beta", "include_dt", "weight"), [(0.01, False, 0.80), (0.04, False, 3.2), (0.01, True, 3.5), (0.04, True, 14.1)])
def test_equal_budget_weight_of_sd35(sd35, beta, include_dt, weight):
    got = equal_budget_weight(sd35, leash_steps=3, trained_steps=range(9), beta=beta, include_dt=include_dt, **SDE)
    assert got == pytest.approx(weight, rel=0.01)


def test_equal_budget_spends_equally(sd35):
    """By the means themselves: leash on its steps, KL on all, same velocity error."""
    x, v, reference = normal(1), normal(2), normal(3)
    trained, leash = [0, 2, 3, 5, 8], 4
    for space in ("w2_latent", "v_mse"):
        weight = equal_budget_weight(sd35, leash_steps=leash, trained_steps=trained, beta=0.04, include_dt=True, space=space, **SDE)
        spent_leash = spent_kl = 0.0
        for i in trained:
            means = [step(u, x, i, sd35, x_next=x, **SDE).mean for u in (v, reference)]
            spent_kl += 0.04 * kl_latent(*means, i, sd35, include_dt=True, **SDE).sum().item()
            if i < leash:
                spent_leash += weight * (w2_latent(*means) if space == "w2_latent" else v_mse(v, reference)).sum().item()
        assert spent_leash == pytest.approx(spent_kl, rel=1e-4)


def test_on_cps_the_budget_is_that_of_flow_sde(sd35):
    """The std of CPS is 0.004 on the last trained step; its own KL would make the leash a thousand times as tight."""
    at = {"level": 0.8, "dynamics": "cps"}
    budget = 0.04 * sum(velocity_coefficients(sd35, range(9), "kl_latent", **SDE))
    for space in ("w2_latent", "v_mse"):
        weight = equal_budget_weight(sd35, leash_steps=3, trained_steps=range(9), beta=0.04, space=space, **at)
        assert weight * sum(velocity_coefficients(sd35, range(3), space, **at)) == pytest.approx(budget)
    own = 0.04 * sum(velocity_coefficients(sd35, range(9), "kl_latent", **at))
    assert own > 500 * budget


def test_no_leash_has_no_weight(sd35):
    assert equal_budget_weight(sd35, leash_steps=0, trained_steps=range(9), beta=0.04, **SDE) == 0
    assert equal_budget_weight(sd35, leash_steps=2, trained_steps=[4, 5], beta=0.04, **SDE) == 0


def test_unknown_regulariser_is_refused(sd35):
    with pytest.raises(ValueError, match="kl_latent, w2_latent or v_mse"):
        velocity_coefficients(sd35, [0], "kl", **SDE)
