"""Every method on the one loop, on a tiny model: exact replay, exact resume, and the mark that tells a method from the base."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from diffusers.models.attention_processor import JointAttnProcessor2_0

from core import sampler, training
from core.diversity.bonus import RunningScale, combine
from core.learning.selection import select
from core.sampling.prompt_noise import perturb

METHODS = {
    "fast": {"window": "fast_random", "window_size": 1, "dynamics": "cps", "noise_level": 0.8},
    "dance": {"window": "random_fraction", "dynamics": "dance_sde", "noise_level": 0.3},
    "mix": {"window": "mix_progressive", "window_size": 1, "window_interval": 1},
    "guard": {"objective": "guard"},
    "gardo": {"advantage": "novelty"},
    "ddpo statistics": {"advantage": "history", "adv_history_size": 16, "adv_history_min": 8},
    "subset": {"subset_mode": "min_variance", "subset_k": 4},
    "prompt noise": {"prompt_noise_scale": 0.3, "prompt_noise_tau1": 0.2},
    "prompt noise on both": {"prompt_noise_scale": 0.3, "prompt_noise_tau1": 0.2, "guidance": 2.0, "prompt_noise_uncond": True, "prompt_noise_resample": "per_trajectory"},
    "shaping": {"shaping_alpha": 0.5},
    "shaping by memory": {"shaping_alpha": 0.5, "shaping_potential": "nn_memory"},
    "dense shaping": {"shaping_alpha": 0.5, "shaping_dense": True},
    "drift": {"subset_mode": "min_variance", "subset_k": 4, "prompt_noise_scale": 0.1, "shaping_alpha": 0.5},
    "hrf early": {"window": "hrf_early", "hrf_anchors_per_prompt": 2},
    "hrf latter": {"window": "hrf_latter"},
    "hrf full rollout": {"window": "hrf_latter", "hrf_start": "full_rollout"},
    "hrf dynamic": {"window": "hrf_dynamic", "hrfd_num_eval": 2, "hrfd_stride": 1, "hrfd_refresh_every": 2},
    "together": {"window": "mix_frozen", "window_size": 2, "creative_beta": 0.5, "sa_reg_steps": 2, "prompt_noise_scale": 0.1, "subset_mode": "trim", "subset_low": 1, "subset_high": 1},
}


def state(trainer) -> dict:
    return {**{n: v.copy() for n, v in trainer.tensors().items()}, "scalars": trainer.scalars()}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and a["scalars"] == b["scalars"] and all(np.array_equal(a[n], b[n]) for n in a if n != "scalars")


@pytest.mark.parametrize("name", METHODS)
def test_replay_is_exact_and_a_run_resumes_bit_by_bit(make_trainer, name):
    options = {"steps": 6, "updates_per_iteration": 2, "cluster_min_spread": 0.0, **METHODS[name]}
    straight = make_trainer(**options)
    for number in (1, 2, 3):
        metrics = straight.iterate(number).metrics
        assert metrics["first_ratio"] == 0.0 and np.isfinite(metrics["grad_norm"]) and metrics["grad_norm"] > 0
        if number == 2:
            kept, scalars = {n: v.copy() for n, v in straight.tensors().items()}, straight.scalars()
    resumed = make_trainer(**options)
    resumed.load(kept, scalars)
    resumed.iterate(3)
    assert same(state(straight), state(resumed))


def test_trainer_executes_the_plan(make_trainer, monkeypatch):
    """Steps whose transition is replayed are those of the plan, and no other step is recorded."""
    trainer = make_trainer(steps=8, window="mix_progressive", window_size=2, window_interval=1, updates_per_iteration=1, micro_batch=64)
    seen, plain = [], training.step
    monkeypatch.setattr(training, "step", lambda v, x, i, *a, **k: (seen.append(i), plain(v, x, i, *a, **k))[1])
    for number in (1, 2, 3):
        seen.clear()
        trainer.iterate(number)
        assert tuple(seen) == trainer.plan(number).trained == (number - 1, number)


def test_late_start_goes_on_from_the_anchor(make_trainer):
    """Nothing is drawn before the start, every member of a group shares its anchor, and pictures stay near it at a late start."""
    trainer = make_trainer(steps=6, window="hrf_latter", hrf_anchors_per_prompt=2, prompts_per_iteration=1, prompts=["cat"])
    called = []
    plain = trainer.backbone.velocity
    trainer.backbone.velocity = lambda x, i, *a, **k: (called.append(i), plain(x, i, *a, **k))[1]
    trainer.iterate(1)
    called.clear()
    made = trainer.iterate(2)
    start = trainer.plan(2).start
    assert called.count(0) == 1  # the anchors' own rollout
    assert start >= 3 and made.metrics["window"] == [start, list(range(start, 5))]
    assert len(made.group.prompts) == 2 and len(set(made.group.seeds)) == len(made.group.seeds)
    anchors = trainer.anchors(2, [made.group.prompts[0]])
    assert anchors.shape[0] == 2 and not torch.equal(anchors[0], anchors[1])


def test_late_start_from_the_beginning_is_the_plain_rollout(make_trainer):
    trainer = make_trainer(steps=6)
    conditions, seeds = trainer.conditions([0], 4), trainer.seeds(training.TRAIN, 1, 0, 4)
    plain = trainer.sample(conditions, seeds, stochastic=(0, 1, 2))
    late = trainer.sample(conditions, seeds, stochastic=(0, 1, 2), anchors=torch.randn(4, *trainer.backbone.latent_shape), start=0)
    torch.testing.assert_close(plain.final, late.final)


def test_dynamic_start_is_kept_until_it_is_chosen_anew(make_trainer, monkeypatch):
    trainer = make_trainer(steps=6, window="hrf_dynamic", hrfd_num_eval=1, hrfd_refresh_every=3)
    choices = iter([2, 3])
    monkeypatch.setattr(sampler, "hrfd_start", lambda *a: next(choices))
    assert [trainer.iterate(n).metrics["window"][0] for n in (1, 2, 3, 4)] == [2, 2, 2, 3]


def test_dropped_pictures_teach_nothing(make_trainer, monkeypatch):
    trainer = make_trainer(subset_mode="min_variance", subset_k=4, group_size=8, prompts_per_iteration=1)
    taken = []
    plain = trainer._learn
    monkeypatch.setattr(trainer, "_learn", lambda paths, conditions, seeds, advantages, *a: (taken.append(advantages), plain(paths, conditions, seeds, advantages, *a))[1])
    made = trainer.iterate(1)
    kept = select(made.group.quality, "min_variance", keep=4).flatten()
    assert kept.sum() == 4 and (taken[0][~kept] == 0).all() and (taken[0][kept] != 0).any()
    assert made.metrics["kept"]["share"] == 0.5


def test_prompt_noise_changes_training_pictures_and_never_those_that_are_shown(make_trainer):
    clean, noisy = make_trainer(), make_trainer(prompt_noise_scale=0.5, prompt_noise_tau1=0.2)
    seeds = clean.seeds(training.SAMPLE, 0, 0, 2)
    pair = [t.pictures(0, seeds, purpose=training.SAMPLE, base=False) for t in (clean, noisy)]
    assert torch.equal(*pair)
    groups = [t.iterate(1).group.images for t in (clean, noisy)]
    assert not torch.equal(*groups)


def test_folded_tokens_say_the_same_however_many_stand_for_them(make_trainer):
    trainer = make_trainer(dtype="float32")
    conditions, x = trainer.conditions([0], 3), torch.randn(3, *trainer.backbone.latent_shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        said = [trainer.velocity(x, 0, c, [1, 2, 3], None) for c in (conditions, conditions.unfolded(), conditions.unfolded(5), conditions.unfolded(256))]
    for one in said[1:]:
        torch.testing.assert_close(one, said[0], atol=1e-5, rtol=0)


@pytest.mark.parametrize("step", [0, -1])
def test_prompt_noise_on_folded_tokens_is_that_of_stock_attention_on_all(make_trainer, step):
    """SD3 without T5 has 256 equal tokens. Under noise 32 stand for them, each for eight: one noise for all would be the loudest word."""
    trainer = make_trainer(steps=6, prompt_noise_scale=0.5, prompt_noise_tau1=0.2, prompt_noise_targets="sequence", dtype="float32")
    planned, conditions, seeds = trainer.plan(1), trainer.conditions([0], 3), [1, 2, 3]
    i = range(len(planned.prompt_noise))[step]
    x = torch.randn(3, *trainer.backbone.latent_shape, generator=torch.Generator().manual_seed(0))
    apart = conditions.unfolded()
    words = apart.context.shape[1] - 32
    all_of = lambda context: torch.cat([context[:, :words], context[:, words:].repeat_interleave(8, dim=1)], dim=1)
    with torch.no_grad():
        ours = trainer.velocity(x, i, conditions, seeds, planned)
        blurred = all_of(perturb(apart.context, seeds, i, gamma=planned.prompt_noise[i].gamma, scale=0.5, counted=(32, 8.0)))
        trainer.backbone.transformer.set_attn_processor(JointAttnProcessor2_0())
        stock = trainer.backbone.velocity(x, i, trainer.schedule, replace(conditions, context=blurred), guidance=1.0)
    torch.testing.assert_close(ours, stock, atol=1e-5, rtol=0)
    clean = all_of(apart.context)
    assert torch.equal(blurred, clean) == (step == -1)  # the last step is clean
    for moment in (torch.mean, torch.std):  # psi 1: those of the prompt with all its tokens
        torch.testing.assert_close(moment(blurred, dim=(1, 2)), moment(clean, dim=(1, 2)), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("spread, left", [(3.0, 1.0), (0.5, 1.0), (0.1, 1.0), (0.05, 0.5), (0.01, 0.1), (0.001, 0.01)])
def test_near_ties_stay_small_through_both_divisions(make_trainer, spread, left):
    """Rewards whose spread is below a tenth of the running one have advantages as much smaller: the second z-score must not undo it."""
    trainer = make_trainer(group_size=8)
    quality = torch.linspace(-1, 1, 8)[None]
    quality *= spread / quality.std(correction=0)
    trainer.bonus_scale.quality = 1.0
    group = SimpleNamespace(scored=torch.ones(1, 8, dtype=torch.bool))
    combined = combine(quality, torch.zeros_like(quality), beta=0.0, mode="zscore_sum", gate="none", running=trainer.bonus_scale, floor=trainer.config.adv_std_floor)
    for _ in range(50):
        trainer.reward_std.update(torch.tensor([-1.0, 1.0]))
    found = trainer._advantages(combined.values, group, None, combined.least).values
    assert found.std(correction=0).item() == pytest.approx(left if left < 1 else (7 / 8) ** 0.5, rel=1e-4)
    trainer.adopt(trainer.config.with_changes(adv_std_floor=1.0))
    again = combine(quality, torch.zeros_like(quality), beta=0.0, mode="zscore_sum", gate="none", running=RunningScale(quality=1.0), floor=1.0)
    assert trainer._advantages(again.values, group, None, again.least).values.std(correction=0).item() == pytest.approx(min(spread, (7 / 8) ** 0.5), rel=0.02)


def test_dense_form_that_adds_nothing_in_total_moves_credit_only(make_trainer, monkeypatch):
    trainer = make_trainer(steps=6, shaping_alpha=1.0, shaping_dense=True, shaping_terminal_zero=True, shaping_gate="none", rewards={"brightness": 1.0})
    taken, plain = [], trainer._shaped
    monkeypatch.setattr(trainer, "_shaped", lambda *a: taken.append(plain(*a)) or taken[-1])
    trainer.iterate(1)
    values, per_step = taken[0]
    assert torch.allclose(per_step[:, 0], torch.zeros(len(per_step)), atol=1e-6)  # from the start on, nothing is added
    assert per_step[:, 1:].abs().max() > 1e-3


def test_past_rewards_are_rewards_and_not_ranks_within_their_group(make_trainer):
    """DDPO compares with what the prompt got before; z-scores of a group would always have mean 0, and no past."""
    trainer = make_trainer(steps=6, advantage="history", adv_history_size=64, adv_history_min=4, prompts_per_iteration=1)
    qualities = {}
    for number in (1, 2):
        group = trainer.iterate(number).group
        for prompt, row in zip(group.prompts, group.quality):
            qualities.setdefault(prompt, []).extend(row.tolist())
    past = trainer.history.state_dict()
    for prompt, rewards in zip(past["prompts"], past["rewards"]):
        assert rewards == pytest.approx(qualities[prompt])
        assert abs(np.mean(rewards)) > 1e-3


def test_late_starts_are_judged_by_finished_pictures(make_trainer):
    """Pictures of one anchor are alike by construction: their variety says nothing of the policy's."""
    trainer = make_trainer(steps=6, window="hrf_latter", hrf_anchors_per_prompt=2, prompts_per_iteration=1, group_size=4, updates_per_iteration=1, prompts=["cat"])
    anchors = {}
    plain = trainer.anchors
    trainer.anchors = lambda number, prompts: anchors.setdefault(number, plain(number, prompts))
    prompt = None
    for number in (1, 2):
        made = trainer.iterate(number)
        assert prompt in (None, made.group.prompts[0])
        prompt = made.group.prompts[0]
        latest = trainer.perceptual.embed(trainer.decode(anchors[number]))
        if number == 1:  # two of the base, then the two anchors
            base = trainer.perceptual.embed(trainer.pictures(prompt, trainer.seeds(sampler.BASE, 0, prompt, 4), purpose=sampler.BASE, base=True))
            expected = torch.cat([base[2:], latest])
            first = latest
        else:
            expected = torch.cat([first, latest])
        kernel = (expected.double() @ expected.double().T).cpu()
        levels = torch.linalg.eigvalsh(kernel / len(kernel)).clamp(min=1e-300)
        assert made.metrics["vendi"] == pytest.approx(torch.exp(-(levels * levels.log()).sum()).item(), rel=1e-4)
