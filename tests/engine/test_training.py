"""The loop on a tiny model: exact ratios, regularisers, groups, interruption, accumulation, divergence, and that it learns."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from core import training
from core.training import BASE, SAMPLE, TRAIN, Diverged


class Interrupt(Exception):
    pass


def state(trainer) -> dict:
    """Everything that an iteration changes."""
    return {**{n: v.copy() for n, v in trainer.tensors().items()}, "scalars": trainer.scalars()}


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and a["scalars"] == b["scalars"] and all(np.array_equal(a[n], b[n]) for n in a if n != "scalars")


def perturb(trainer, size: float = 0.3) -> None:
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for parameter in trainer.adapter.values():
            parameter.add_(size * torch.randn(parameter.shape, generator=generator))


# --- ratio -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("guidance", [1.0, 2.0])
def test_ratio_is_exactly_one_before_the_first_update_and_not_after(make_trainer, dtype, guidance):
    trainer = make_trainer(dtype=dtype, guidance=guidance, updates_per_iteration=2, micro_batch=3, prompts_per_iteration=2)
    perturb(trainer)
    for number in (1, 2):
        metrics = trainer.iterate(number).metrics
        assert metrics["first_ratio"] == 0.0
        assert metrics["ratio_max"] != 1.0 or metrics["ratio_min"] != 1.0
        assert metrics["kl"] > 0 and metrics["grad_norm"] > 0


def test_replay_that_disagrees_with_the_rollout_is_told(make_trainer, monkeypatch):
    trainer = make_trainer(clip_epsilon=1e-4)
    assert trainer.iterate(1).warning is None
    plain = training.Trainer.sample

    def drifted(self, *args, **options):
        paths = plain(self, *args, **options)
        paths.log_probs += 1e-3
        return paths

    monkeypatch.setattr(training.Trainer, "sample", drifted)
    assert "off 1 by 0.001" in trainer.iterate(2).warning and "float32" in trainer.iterate(3).warning


def test_every_update_holds_its_share_of_every_group(make_trainer):
    trainer = make_trainer(updates_per_iteration=3, micro_batch=2, prompts_per_iteration=2)
    updates = trainer._updates(2, 8)
    assert sorted(r for update in updates for rows in update for r in rows.tolist()) == list(range(16))
    assert all(len(rows) <= 2 for update in updates for rows in update)
    for update in updates:
        rows = torch.cat(update)
        assert (rows < 8).sum() == (rows >= 8).sum() >= 2


# --- regularisers ------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("space", ["w2_latent", "v_mse"])
def test_regularisers_are_nothing_at_the_start_and_bite_where_they_should(make_trainer, space):
    trainer = make_trainer(pull=0.1, sa_reg_steps=2, sa_reg_space=space, updates_per_iteration=1)
    metrics = trainer.iterate(1).metrics
    assert metrics["pull"] == 0 and metrics["leash"] == [0.0] * 4
    perturb(trainer)
    metrics = trainer.iterate(2).metrics
    assert metrics["pull"] > 0 and min(metrics["leash"][:2]) > 0 and metrics["leash"][2:] == [0.0, 0.0]


def test_leash_is_the_weighted_gap_of_the_velocities(make_trainer):
    """W2 of two equal covariances is half the squared gap of the means, and these differ by c_v times the velocities."""
    trainer = make_trainer(sa_reg_steps=2, updates_per_iteration=1, micro_batch=5)
    perturb(trainer)
    prompt = int(np.random.default_rng([0, 1]).choice(2, 1)[0])
    conditions = trainer.conditions([prompt], 8)
    paths = trainer.sample(conditions, trainer.seeds(TRAIN, 1, prompt, 8), stochastic=trainer.config.trainable_steps)
    expected = []
    for i in range(2):

        def v(x=paths.latents[:, i], i=i):
            with torch.no_grad():
                return trainer.backbone.velocity(x, i, trainer.schedule, conditions, guidance=1.0)

        mine = v()
        with trainer.backbone.reference():
            base = v()
        c_v = trainer.schedule.mean_coefficients(i, "flow_sde", 0.7)[1]
        expected.append(0.5 * c_v**2 * (mine - base).square().mean().item())
    leash = trainer.iterate(1).metrics["leash"]
    assert leash == pytest.approx([*expected, 0, 0], rel=1e-4)


@pytest.mark.parametrize(
    "name, options", [("leash", {"sa_reg_steps": 3, "sa_reg_weight": 100, "sa_reg_budget": 10}), ("pull", {"pull": 10})]
)
def test_regularisers_bring_the_policy_back_to_the_base(make_trainer, name, options):
    """With equal pictures the reward has no say; what moves the weights is the regulariser alone."""
    trainer = make_trainer(**options, learning_rate=1e-2, weight_decay=0, updates_per_iteration=1)
    perturb(trainer)
    trainer.backbone.decode = lambda latents: torch.full((len(latents), 3, 16, 16), 0.5)
    gaps = [np.sum(trainer.iterate(number).metrics[name]) for number in range(1, 7)]
    assert gaps[-1] < 0.5 * gaps[0]


# --- groups ------------------------------------------------------------------------------------------------------
def test_prompts_of_equal_text_are_groups_of_their_own(make_trainer, monkeypatch):
    seen = []
    plain = training.group_advantages

    def watched(values, **options):
        seen.append(plain(values, **options))
        return seen[-1]

    monkeypatch.setattr(training, "group_advantages", watched)
    trainer = make_trainer(prompts=["cat", "cat", "cat"], prompts_per_iteration=3)
    iteration = trainer.iterate(1)
    group = iteration.group
    assert sorted(group.prompts) == [0, 1, 2] and set(iteration.metrics["vendi_by_prompt"]) == {"0", "1", "2"}
    assert len(set(group.seeds)) == 24 and group.quality.shape == (3, 8)
    advantages = seen[0].values
    assert advantages.shape == (3, 8) and advantages.sum(1).abs().max() < 1e-5 and advantages.std(1).min() > 0.5
    # each picture's reward stands in its own row
    torch.testing.assert_close(group.quality.flatten(), trainer.rewards.combine(group.raw))


def test_each_use_of_a_seed_has_its_own(make_trainer):
    trainer = make_trainer()
    parts = [trainer.seeds(purpose, iteration, prompt, 8) for purpose in (TRAIN, BASE, SAMPLE) for iteration in (0, 1) for prompt in (0, 1)]
    flat = [s for part in parts for s in part]
    assert len(set(flat)) == len(flat) and parts[0] == trainer.seeds(TRAIN, 0, 0, 8)


def test_a_picture_depends_on_its_own_seed_and_not_on_its_batch(make_trainer):
    together = make_trainer(micro_batch=8).pictures(0, [5, 6, 7, 8, 9], purpose=BASE, base=False)
    apart = make_trainer(micro_batch=2).pictures(0, [9, 5], purpose=BASE, base=False)
    torch.testing.assert_close(together[[4, 0]], apart, atol=1e-5, rtol=0)
    assert (together[0] - together[1]).abs().max() > 0.05


def test_identical_pictures_are_one_cluster_without_advantage_and_teach_nothing(make_trainer):
    trainer = make_trainer(creative_beta=1.0, adv_std_scope="global", weight_decay=0.0, prompts_per_iteration=2)
    trainer.backbone.decode = lambda latents: torch.full((len(latents), 3, 16, 16), 0.25)
    before = trainer.tensors()
    metrics = trainer.iterate(1).metrics
    assert metrics["clusters"] == 1 and metrics["largest_share"] == 1 and metrics["distance"] == pytest.approx(0, abs=1e-6)
    assert metrics["vendi"] == pytest.approx(1, abs=1e-4) and metrics["zero_std"] == 1 and metrics["loss"] == 0 and metrics["grad_norm"] == 0
    assert metrics["corr_reward"] == metrics["corr_bonus"] == 0
    numbers = [v for v in metrics.values() if isinstance(v, float)]
    assert all(map(math.isfinite, numbers))
    after = trainer.tensors()
    assert all(np.array_equal(before[n], after[n]) for n in before)


def test_bonus_turns_the_advantages_to_the_rare(make_trainer):
    plain, paid = (make_trainer(creative_beta=beta, cluster_k=3, cluster_min_spread=0).iterate(1) for beta in (0.0, 3.0))
    assert torch.equal(plain.group.images, paid.group.images) and plain.group.labels.unique().tolist() == [0, 1, 2]
    assert plain.metrics["corr_reward"] == pytest.approx(1, abs=1e-4)
    assert paid.metrics["corr_bonus"] > max(0.85, plain.metrics["corr_bonus"]) and paid.metrics["corr_reward"] < 0.7


def test_pictures_without_a_score_have_no_say(make_trainer, tmp_path):
    (tmp_path / "own.py").write_text("def score(images, prompts):\n    return [None if i % 2 else float(i) for i in range(len(images))]\n")
    trainer = make_trainer(rewards={"own": 1.0}, reward_file=str(tmp_path / "own.py"))
    iteration = trainer.iterate(1)
    assert iteration.metrics["reward_raw"] == {"own": 3.0}  # of 0, 2, 4 and 6
    mean = iteration.group.quality[0, ::2].mean()
    torch.testing.assert_close(iteration.group.quality[0, 1::2], mean.expand(4))


# --- it learns ---------------------------------------------------------------------------------------------------
def test_pictures_get_brighter_when_brightness_is_rewarded(make_trainer):
    trainer = make_trainer(prompts=["cat"], learning_rate=1e-2, group_size=12, lora_rank=8, lora_alpha=16)
    seeds = list(range(16))

    def luma() -> float:
        images = trainer.pictures(0, seeds, purpose=SAMPLE, base=False)
        return trainer.rewards(images, ["cat"] * 16).raw["brightness"].mean().item()

    with trainer.backbone.reference():
        before = luma()
    for number in range(1, 13):
        trainer.iterate(number)
    spread = trainer.rewards(trainer.pictures(0, seeds, purpose=SAMPLE, base=True), ["cat"] * 16).raw["brightness"].std().item()
    assert luma() > before + spread


# --- all or nothing ----------------------------------------------------------------------------------------------
def calls_of_an_iteration(trainer) -> int:
    """How often `between` is called in one iteration, without carrying it out."""
    config = trainer.config
    chunks = sum(len(update) for update in trainer._updates(config.prompts_per_iteration, config.group_size))
    decodes = math.ceil(config.prompts_per_iteration * config.group_size / config.micro_batch)
    return chunks * config.steps + decodes + chunks * len(config.trainable_steps)


@pytest.mark.parametrize("warm", [0, 1])
def test_interruption_anywhere_leaves_everything_as_it_was(make_trainer, warm):
    trainer = make_trainer(updates_per_iteration=2, micro_batch=4)
    for number in range(warm):
        trainer.iterate(number + 1)
    before = state(trainer)
    total = calls_of_an_iteration(trainer)
    for place in (1, 9, 10, total - 4, total):  # rollout, decode, first update, second update, its last micro-step
        left = [place]

        def between():
            left[0] -= 1
            if left[0] == 0:
                raise Interrupt

        trainer.between = between
        with pytest.raises(Interrupt):
            trainer.iterate(warm + 1)
        assert same(state(trainer), before), place
        assert all(p.grad is None for p in trainer.adapter.values())
    trainer.between = lambda: None
    again = make_trainer(updates_per_iteration=2, micro_batch=4)
    for number in range(warm + 1):
        straight = again.iterate(number + 1)
    resumed = trainer.iterate(warm + 1)
    assert same(state(trainer), state(again)) and not same(state(trainer), before)
    assert {n: v for n, v in resumed.metrics.items()} == straight.metrics


def test_loss_that_is_no_number_stops_before_it_reaches_the_weights(make_trainer, monkeypatch):
    trainer = make_trainer(updates_per_iteration=2)
    trainer.iterate(1)
    before, plain, calls = state(trainer), training.clipped_objective, []

    def broken(*args, **options):
        objective = plain(*args, **options)
        calls.append(1)
        if len(calls) == 5:  # in the second update, when the first is made
            objective.loss = objective.loss * math.nan
        return objective

    monkeypatch.setattr(training, "clipped_objective", broken)
    with pytest.raises(Diverged, match="A loss was not a number any more. Continue from the last checkpoint with half the learning rate."):
        trainer.iterate(2)
    assert len(calls) == 6 and same(state(trainer), before)


def test_pictures_that_are_no_numbers_are_a_divergence(make_trainer):
    trainer = make_trainer()
    with torch.no_grad():
        next(iter(trainer.adapter.values())).fill_(math.nan)
    with pytest.raises(Diverged, match="A picture was not a number"):
        trainer.iterate(1)


def test_accumulated_micro_batches_give_the_gradient_of_the_whole(make_trainer):
    gradients = []
    for micro_batch in (8, 1):
        trainer = make_trainer(updates_per_iteration=1, micro_batch=micro_batch, sa_reg_steps=2, pull=0.1, max_grad_norm=100)
        perturb(trainer, 0.1)
        kept = {}
        trainer.optimizer.step = lambda t=trainer, kept=kept: kept.update(
            {n: p.grad.clone() for n, p in t.adapter.items() if p.grad is not None}
        )
        trainer.iterate(1)
        gradients.append(kept)
    whole, parts = gradients
    assert whole.keys() == parts.keys() and len(whole) > 20
    largest = max(g.abs().max() for g in whole.values())
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-4 * largest.item(), rtol=1e-3)


def test_noise_level_that_cannot_be_trained_on_is_refused(make_trainer):
    from core.errors import UserError

    trainer = make_trainer()
    with pytest.raises(UserError, match="noise_level: step 0 .* too small to be trained"):
        trainer.adopt(trainer.config.with_changes(noise_level=1e-4))
    assert trainer.config.noise_level == 0.7


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_checkpointing_changes_no_number_of_a_run(make_trainer, dtype):
    plain, thrifty = (make_trainer(dtype=dtype, updates_per_iteration=2, sa_reg_steps=2, pull=0.1, gradient_checkpointing=on) for on in (False, True))
    for number in (1, 2):
        metrics = [trainer.iterate(number).metrics for trainer in (plain, thrifty)]
        assert metrics[0] == metrics[1] and metrics[1]["first_ratio"] == 0.0
    assert same(state(plain), state(thrifty))


@pytest.mark.parametrize(("mode", "scored", "kept"), [("min_variance", 16, 8), ("min_variance", 5, 5), ("min_variance", 1, 1), ("trim", 8, 4), ("trim", 5, 5), ("off", 9, 9)])
def test_subset_is_chosen_among_scored_pictures(make_trainer, mode, scored, kept):
    """A picture without a reward stands at its group's mean, where a choice by small variance would find it."""
    trainer = make_trainer(group_size=16, subset_mode=mode, subset_k=8, subset_low=2, subset_high=2)
    generator = torch.Generator().manual_seed(1)
    there = torch.rand(1, 16, generator=generator).argsort() < scored
    rewards = torch.randn(1, 16, generator=generator)
    quality = torch.where(there, rewards, rewards[there].mean())
    found = trainer._subset(SimpleNamespace(scored=there, quality=quality))
    assert int(found.sum()) == kept and not (found & ~there).any()
    if mode == "min_variance" and scored == 16:
        ordered = rewards.sort().values[0].unfold(0, 8, 1)
        assert rewards[found].var() == pytest.approx(ordered.var(1).min().item())


def test_pictures_that_cannot_be_scored_are_told(make_trainer, monkeypatch):
    trainer = make_trainer(group_size=8)
    plain, missing = trainer.rewards.combine, 5
    monkeypatch.setattr(trainer.rewards, "combine", lambda raw: plain(raw).index_fill(0, torch.arange(missing), math.nan))
    group = 8 * trainer.config.prompts_per_iteration
    missing = group // 2
    assert trainer.iterate(1).warning is None
    missing = group // 2 + 1
    assert trainer.iterate(2).warning.startswith(f"{missing} of {group} pictures could not be scored")
