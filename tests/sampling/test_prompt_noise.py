"""Prompt noise: the annealing against CADS's numbers, the corruption against its formula, and the replay bit by bit."""

import math
import subprocess
import sys

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from core.sampling.noise import derive_seed
from core.sampling.prompt_noise import CONTEXT, POOLED, gamma, iteration_decay, perturb, strengths
from core.sampling.schedule import from_scheduler

TEN = [1 - i / 10 for i in range(11)]
SEEDS = [3, 14, 15]


def embedding(shape=(3, 5, 8), seed=0, dtype=torch.float32):
    return (1.5 + 2 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))).to(dtype)


# --- annealing --------------------------------------------------------------------------------------------------------


def test_gamma_of_cads():
    assert [gamma(u, 0.6, 0.9) for u in (0.0, 0.6, 0.9, 1.0)] == [1, 1, 0, 0]
    assert gamma(0.7, 0.6, 0.9) == pytest.approx(2 / 3) and gamma(0.85, 0.6, 0.9) == pytest.approx(1 / 6)
    assert gamma(0.5, 0.5, 0.5) == 1 and gamma(0.51, 0.5, 0.5) == 0


@settings(max_examples=50, deadline=None)
@given(u=st.floats(0, 1), v=st.floats(0, 1), taus=st.tuples(st.floats(0, 1), st.floats(0, 1)).map(sorted))
def test_gamma_falls_with_noise_and_stays_in_its_range(u, v, taus):
    assert 0 <= gamma(max(u, v), *taus) <= gamma(min(u, v), *taus) <= 1


def test_strengths_by_steps():
    """Ten steps: u = 1, .9, .8, .7, .6 ...; steps past the end of the annealing are exactly clean."""
    got = strengths(TEN, tau1=0.6, tau2=0.9, scale=0.1)
    assert [s.gamma for s in got] == pytest.approx([0, 0, 1 / 3, 2 / 3, 1, 1, 1, 1, 1, 1])
    assert [s.noise for s in got] == pytest.approx([0.1, 0.1, 0.1 * math.sqrt(2 / 3), 0.1 * math.sqrt(1 / 3), 0, 0, 0, 0, 0, 0])
    assert all(s == (1, 0) for s in got[4:])


@pytest.mark.parametrize("steps", [10, 20, 30, 40, 50])
@pytest.mark.parametrize("tenths", [3, 6])
def test_the_end_of_the_annealing_is_clean_by_any_number_of_steps(steps, tenths):
    """u = tau1 must not be missed by a rounding (1 - 7 / 10 is above 0.3): a gamma just below 1 would cost a clean prompt."""
    got = strengths([1 - i / steps for i in range(steps + 1)], tau1=tenths / 10, tau2=0.9)
    assert [s == (1, 0) for s in got] == [10 * (steps - i) <= tenths * steps for i in range(steps)]


def test_the_sigma_clock_keeps_the_noise_longer():
    """Shift 3 keeps sigma above 0.6 for 7 of 10 steps."""
    sigmas = from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0), 10).sigmas.tolist()
    by_sigma = strengths(sigmas, tau1=0.6, tau2=0.9, clock="sigma")
    assert sum(s.gamma < 1 for s in by_sigma) == 7
    assert by_sigma[3].gamma == pytest.approx((0.9 - 0.8577) / 0.3, abs=1e-3)
    assert sum(s.gamma < 1 for s in strengths(sigmas, tau1=0.6, tau2=0.9, clock="step")) == 4


def test_the_decay_leads_back_to_the_clean_prompt():
    assert [iteration_decay(n, 4, "linear") for n in (0, 1, 2, 3, 4, 9)] == [1, 0.75, 0.5, 0.25, 0, 0]
    assert iteration_decay(9, 4, "none") == 1
    half = strengths(TEN, decay=0.5)
    assert half[0] == pytest.approx((0.5, 0.1 * math.sqrt(0.5))) and half[2].gamma == pytest.approx(2 / 3)
    assert all(s == (1, 0) for s in strengths(TEN, decay=0.0))


# --- corruption -------------------------------------------------------------------------------------------------------


def noise_of(seed, i, stream, shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(derive_seed(seed, i, stream)))


@pytest.mark.parametrize("psi", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("shape", [(3, 5, 8), (3, 16)])
def test_the_formula_of_cads(shape, psi):
    e = embedding(shape)
    got = perturb(e, SEEDS, 2, gamma=0.4, scale=0.25, psi=psi, stream=POOLED)
    for b, seed in enumerate(SEEDS):
        clean, xi = e[b].double(), noise_of(seed, 2, POOLED, shape[1:]).double()
        noisy = math.sqrt(0.4) * clean + 0.25 * math.sqrt(0.6) * xi
        rescaled = (noisy - noisy.mean()) / noisy.std() * clean.std() + clean.mean()
        torch.testing.assert_close(got[b].double(), psi * rescaled + (1 - psi) * noisy, atol=1e-5, rtol=1e-5)


def test_rescaling_keeps_mean_and_std_of_each_row():
    e = embedding() * torch.tensor([1.0, 10.0, 0.1]).view(3, 1, 1)
    got = perturb(e, SEEDS, 0, gamma=0.0)
    for b in range(3):
        assert got[b].mean().item() == pytest.approx(e[b].mean().item(), rel=1e-4)
        assert got[b].std().item() == pytest.approx(e[b].std().item(), rel=1e-4)
        assert abs(torch.corrcoef(torch.stack([e[b].flatten(), got[b].flatten()]))[0, 1]) < 0.5  # nothing of the prompt is left


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_replay_is_bit_identical(dtype):
    e = embedding(dtype=dtype)
    before = torch.get_rng_state()
    first = perturb(e, SEEDS, 1, gamma=0.3)
    torch.manual_seed(99)
    again = perturb(e.clone(), SEEDS, 1, gamma=0.3)
    assert torch.equal(first, again) and first.dtype == dtype and first.shape == e.shape
    torch.set_rng_state(before)
    perturb(e, SEEDS, 2, gamma=0.3)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("shape", [(3, 5, 8), (3, 205, 512)])
def test_a_row_does_not_depend_on_its_batch(shape):
    e = embedding(shape)
    whole = perturb(e, SEEDS, 1, gamma=0.3)
    for b in range(3):
        assert torch.equal(perturb(e[b : b + 1], SEEDS[b : b + 1], 1, gamma=0.3)[0], whole[b])
    order = [2, 0, 1]
    assert torch.equal(perturb(e[order], [SEEDS[k] for k in order], 1, gamma=0.3), whole[order])


def test_noise_differs_between_pictures_steps_and_streams():
    e = embedding((1, 5, 8)).repeat(2, 1, 1)
    base = perturb(e, [1, 2], 1, gamma=0.3)
    assert not torch.equal(base[0], base[1])
    assert not torch.equal(base, perturb(e, [1, 2], 2, gamma=0.3))
    assert not torch.equal(base, perturb(e, [1, 2], 1, gamma=0.3, stream=POOLED))
    assert torch.equal(base, perturb(e, [1, 2], 1, gamma=0.3, stream=CONTEXT))


def test_one_noise_for_the_whole_trajectory():
    e = embedding()
    once = [perturb(e, SEEDS, i, gamma=0.3, resample="per_trajectory") for i in range(3)]
    assert torch.equal(once[0], once[1]) and torch.equal(once[1], once[2])
    other = perturb(e, SEEDS, 0, gamma=0.3, resample="per_trajectory", stream=POOLED)
    assert not torch.equal(once[0], other)
    assert not torch.equal(once[0], perturb(e, SEEDS, 0, gamma=0.3))


def test_a_clean_step_returns_the_embedding_itself():
    e = embedding()
    assert perturb(e, SEEDS, 7, gamma=1.0) is e
    assert perturb(e, SEEDS, 0, gamma=0.0, scale=0.0) is e


@pytest.mark.parametrize("psi", [0.0, 1.0])
def test_no_spread_is_no_nan(psi):
    """An empty negative prompt may be all zeros; a pooled embedding may have one number."""
    zeros = perturb(torch.zeros(3, 5, 8), SEEDS, 0, gamma=0.3, psi=psi)
    assert zeros.isfinite().all() and (psi == 0 or torch.equal(zeros, torch.zeros(3, 5, 8)))
    one = perturb(torch.full((3, 1), 2.0), SEEDS, 0, gamma=0.3, psi=psi)
    assert one.isfinite().all() and (psi == 0 or torch.equal(one, torch.full((3, 1), 2.0)))


def test_wrong_input_is_refused():
    e = embedding()
    for words, call in (
        ("2 seeds for 3", lambda: perturb(e, [1, 2], 0, gamma=0.5)),
        ("gamma 1.5", lambda: perturb(e, SEEDS, 0, gamma=1.5)),
        ("psi -1", lambda: perturb(e, SEEDS, 0, gamma=0.5, psi=-1)),
        ("scale -0.1", lambda: perturb(e, SEEDS, 0, gamma=0.5, scale=-0.1)),
        ("per_step or per_trajectory", lambda: perturb(e, SEEDS, 0, gamma=0.5, resample="never")),
        ("tau1 0.9", lambda: gamma(0.5, 0.9, 0.6)),
        ("step or sigma", lambda: strengths(TEN, clock="wall")),
        ("decay 2", lambda: strengths(TEN, decay=2)),
        ("scale is -1", lambda: strengths(TEN, scale=-1)),
        ("none or linear", lambda: iteration_decay(0, 4, "cosine")),
        ("over 0 iterations", lambda: iteration_decay(0, 0, "linear")),
    ):
        with pytest.raises(ValueError, match=words):
            call()


def test_drawing_the_plan_loads_no_torch():
    code = (
        "import sys; from core.sampling.prompt_noise import strengths; from core.sampling.windows import window;"
        "strengths([1, 0.5, 0]); window('mix_random', 0, 10); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], timeout=60).returncode == 0
