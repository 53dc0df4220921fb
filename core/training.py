"""The loop: one iteration of group-relative policy optimisation with a diversity bonus and a leash.

    prompts --encode once--> conditions
    conditions --rollout--> x_0, log-probabilities on the trained steps --decode--> pictures
    pictures --rewards--> Q (P, G);  --perceptual embed--> features --spectral clusters--> bonus E (P, G)
    Q + beta E --per prompt--> advantages
    advantages, log-probabilities --clipped objective + pull + leash on the first K steps--> gradient --> LoRA

Flow-GRPO (2505.05470), DiverseGRPO (2512.21514). Every method is a setting of the same dials.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import numpy as np
import torch

from .backbones.base import Backbone, Conditions
from .config import RunConfig
from .diversity.bonus import RunningScale, combine, creative_bonus
from .diversity.clusters import spectral_labels
from .diversity.distance import mean_pairwise, pairwise
from .diversity.metrics import correlation, variety
from .diversity.perceptual import Perceptual
from .errors import UserError
from .learning.advantage import RunningStd, group_advantages
from .learning.objective import clipped_objective
from .learning.regularisers import equal_budget_weight, kl_latent, v_mse, w2_latent
from .rewards.registry import RewardSet
from .sampling.dynamics import step
from .sampling.noise import check_trainable, derive_seed
from .sampling.rollout import Trajectories, rollout

TRAIN, BASE, SAMPLE = 1, 2, 3  # what a seed is for, so that no two uses share one


@dataclass
class Group:
    """P prompts with G pictures each, flat in the order (prompt, position); B = P G."""

    prompts: list[int]
    seeds: list[int]
    images: torch.Tensor  # (B, 3, H, W) in [0, 1]
    features: torch.Tensor  # (B, F)
    raw: dict[str, torch.Tensor]  # reward name -> (B,)
    quality: torch.Tensor  # (P, G)
    distances: torch.Tensor  # (P, G, G)
    labels: torch.Tensor  # (P, G) cluster of each picture
    bonus: torch.Tensor  # (P, G)


@dataclass
class Iteration:
    group: Group
    metrics: dict
    warning: str | None = None  # a sentence for a person
    seconds: dict[str, float] = field(default_factory=dict)


class Diverged(UserError):
    """A picture, a loss or a gradient was not a number."""

    def __init__(self, what: str):
        super().__init__(f"{what} was not a number any more. Continue from the last checkpoint with half the learning rate.", "learning_rate")


class Trainer:
    """Holds the policy's optimizer and the running scales; everything random follows from (seed, iteration)."""

    def __init__(self, config: RunConfig, backbone: Backbone, rewards: RewardSet, perceptual: Perceptual):
        self.backbone, self.rewards, self.perceptual = backbone, rewards, perceptual
        self.schedule = backbone.schedule(config.steps)
        self.adopt(config)
        self.adapter = backbone.adapter()
        self.optimizer = torch.optim.AdamW(self.adapter.values(), lr=config.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=config.weight_decay)
        self.reward_std, self.bonus_scale = RunningStd(), RunningScale()
        self.scales: dict[int, float] = {}  # per mapped prompt, from the base measure: what variety is measured by
        self.between: Callable[[], None] = lambda: None  # answers commands; may raise to stop
        self.seconds: dict[str, float] = {}

    def adopt(self, config: RunConfig) -> None:
        """Make `config` the one in force. Raises UserError if its noise cannot be trained on."""
        try:
            check_trainable(self.schedule, config.trained_steps, config.dynamics, config.noise_level)
        except ValueError as error:
            raise UserError(f"noise_level: {error}", "noise_level") from None
        self.config = config

    # --- sampling -----------------------------------------------------------------------------------------------
    def conditions(self, prompts: list[int], repeats: int) -> Conditions:
        texts = [self.config.prompts[p] for p in prompts for _ in range(repeats)]
        return self.backbone.encode(texts, guidance=self.config.guidance)

    def sample(self, conditions: Conditions, seeds: list[int], *, stochastic: tuple[int, ...], chunks: list[torch.Tensor] | None = None) -> Trajectories:
        """Rollouts in `chunks` of rows, each at most micro_batch; the replay must use the same ones (methods.md 9.2)."""
        config, backbone = self.config, self.backbone
        chunks = chunks or list(torch.arange(len(seeds)).split(config.micro_batch))
        done = []
        for rows in chunks:
            own = conditions[rows]
            done.append(rollout(
                lambda x, i: backbone.velocity(x, i, self.schedule, own, guidance=config.guidance),
                self.schedule, [seeds[r] for r in rows.tolist()], backbone.latent_shape, dynamics=config.dynamics, level=config.noise_level,
                stochastic=stochastic, between=self.between, device=backbone.device,
            ))
        order = torch.cat(chunks).argsort().to(backbone.device)
        join = lambda name: torch.cat([getattr(t, name) for t in done])[order]
        return Trajectories(join("final"), join("latents"), join("next_latents"), join("log_probs"))

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        parts = []
        for rows in latents.split(self.config.micro_batch):
            self.between()
            parts.append(self.backbone.decode(rows))
        return torch.cat(parts)

    def pictures(self, prompt: int, seeds: list[int], *, purpose: int, base: bool) -> torch.Tensor:
        """Pictures of one prompt, (N, 3, H, W): sampled as in training for BASE, by the ODE for SAMPLE."""
        stochastic = self.config.trained_steps if purpose == BASE else ()
        with self.backbone.reference() if base else nullcontext():
            return self.decode(self.sample(self.conditions([prompt], len(seeds)), seeds, stochastic=stochastic).final)

    def seeds(self, purpose: int, iteration: int, prompt: int, count: int) -> list[int]:
        return [derive_seed(self.config.seed, purpose, iteration, prompt, g) for g in range(count)]

    # --- judging ------------------------------------------------------------------------------------------------
    def judge(self, prompts: list[int], seeds: list[int], images: torch.Tensor) -> Group:
        """Rewards, features, clusters and bonus of P groups."""
        config, P = self.config, len(prompts)
        texts = [config.prompts[p] for p in prompts for _ in range(len(seeds) // P)]
        with self._phase("reward"):
            raw = self.rewards(images, texts).raw
            quality = self.rewards.combine(raw).view(P, -1)  # (P, G)
            quality = torch.where(quality.isnan(), quality.nanmean(1, keepdim=True).nan_to_num(), quality)  # unscored: no say
        with self._phase("diversity"):
            features = self.perceptual.embed(images)
            distances = pairwise(features.view(P, -1, features.shape[-1]))  # (P, G, G)
            labels = torch.stack([
                spectral_labels(d, k=config.cluster_k, sigma=config.cluster_sigma, min_spread=config.cluster_min_spread) for d in distances.cpu()
            ])
            bonus = creative_bonus(labels, config.creative_max).to(quality)
        return Group(prompts, seeds, images, features, raw, quality, distances, labels, bonus)

    # --- one iteration ------------------------------------------------------------------------------------------
    def iterate(self, iteration: int) -> Iteration:
        """One update of the policy. Raises whatever `between` raises, with the policy as it was before."""
        config, self.seconds = self.config, {}
        P, G = config.prompts_per_iteration, config.group_size
        prompts = np.random.default_rng([config.seed, iteration]).choice(len(config.prompts), P, replace=False).tolist()
        seeds = [s for p in prompts for s in self.seeds(TRAIN, iteration, p, G)]
        conditions = self.conditions(prompts, G)
        updates = self._updates(P, G)

        with self._phase("rollout"):
            chunks = [rows for update in updates for rows in update]
            paths = self.sample(conditions, seeds, stochastic=config.trained_steps, chunks=chunks)
        with self._phase("decode"):
            images = self.decode(paths.final)
        if not images.isfinite().all():
            raise Diverged("A picture")
        group = self.judge(prompts, seeds, images)

        with self._all_or_nothing():
            combined = combine(group.quality, group.bonus, beta=config.creative_beta, mode=config.creative_combine, gate=config.creative_gate, running=self.bonus_scale)
            spread = self.reward_std.update(combined.values)
            advantages = group_advantages(combined.values, scope=config.adv_std_scope, floor=config.adv_std_floor * spread)
            with self._phase("update"):
                learned = self._learn(paths, conditions, advantages.values.flatten(), updates)

        vendi = torch.cat([variety(d[None], self.scales.get(p)) for p, d in zip(prompts, group.distances)])
        sizes = [torch.bincount(labels) for labels in group.labels]
        metrics = {
            "reward": group.quality.mean().item(),
            "reward_raw": {name: values.nanmean().item() for name, values in group.raw.items()},  # NaN: not scored
            "vendi": vendi.mean().item(),
            "vendi_by_prompt": {str(p): v for p, v in zip(prompts, vendi.tolist())},
            "distance": mean_pairwise(group.distances).mean().item(),
            "clusters": float(np.mean([len(s) for s in sizes])),
            "largest_share": float(np.mean([s.max().item() / G for s in sizes])),
            "zero_std": advantages.zero_std,
            "corr_reward": correlation(advantages.values, group.quality),
            "corr_bonus": correlation(advantages.values, group.bonus),
            **learned,
        }
        return Iteration(group, metrics, combined.warning or self._replay_warning(learned["first_ratio"]), self.seconds)

    def _replay_warning(self, drift: float) -> str | None:
        """Rollout and replay must agree before the first update (methods.md 9.2); a drift beyond the clip makes noise of the gradient."""
        if drift <= self.config.clip_epsilon:
            return None
        return f"Before any update the ratio is off 1 by {drift:.1g}, more than the clip of {self.config.clip_epsilon:g}: sampling and replay disagree. Use dtype float32."

    def _updates(self, P: int, G: int) -> list[list[torch.Tensor]]:
        """Rows of the flat batch for each optimizer step, in micro-batches; every update holds part of every group."""
        position = torch.arange(P * G) % G
        U = min(self.config.updates_per_iteration, G)
        return [list(torch.nonzero(position % U == u).flatten().split(self.config.micro_batch)) for u in range(U)]

    def _learn(self, paths: Trajectories, conditions: Conditions, advantages: torch.Tensor, updates: list[list[torch.Tensor]]) -> dict:
        """Replay the stored transitions under the current weights; one optimizer step per update."""
        config, schedule, steps = self.config, self.schedule, self.config.trained_steps
        leash = self.leash_weights()
        ratios, clipped, approx_kl, losses, pulls, norms = [], [], [], [], [], []
        leashed = np.zeros(schedule.steps)
        for number, update in enumerate(updates):
            size = sum(len(rows) for rows in update)
            for group in self.optimizer.param_groups:
                group["lr"] = config.learning_rate
            self.optimizer.zero_grad(set_to_none=True)
            for rows in update:
                own = conditions[rows]
                for s, i in enumerate(steps):
                    self.between()
                    x, follower = paths.latents[rows, s], paths.next_latents[rows, s]
                    v = self.backbone.velocity(x, i, schedule, own, guidance=config.guidance)
                    now = step(v, x, i, schedule, dynamics=config.dynamics, level=config.noise_level, x_next=follower)
                    objective = clipped_objective(
                        now.log_prob, paths.log_probs[rows, s], advantages[rows].to(v.device), epsilon=config.clip_epsilon, advantage_clip=config.advantage_clip,
                    )
                    loss = objective.loss
                    if config.pull > 0 or leash[i] > 0:
                        with torch.no_grad(), self.backbone.reference():
                            v_base = self.backbone.velocity(x, i, schedule, own, guidance=config.guidance)
                            base = step(v_base, x, i, schedule, dynamics=config.dynamics, level=config.noise_level, x_next=follower)
                        if config.pull > 0:
                            pull = kl_latent(now.mean, base.mean, i, schedule, level=config.noise_level, dynamics=config.dynamics, include_dt=config.kl_include_dt).mean()
                            loss = loss + config.pull * pull
                            pulls.append(pull.item())
                        if leash[i] > 0:
                            held = (v_mse(v, v_base) if config.sa_reg_space == "v_mse" else w2_latent(now.mean, base.mean)).mean()
                            loss = loss + leash[i] * held
                            leashed[i] += held.item() * len(rows) / (config.prompts_per_iteration * config.group_size)
                    (loss * len(rows) / (size * len(steps))).backward()
                    losses.append(loss.item())
                    ratios.append((number, objective.ratio))
                    clipped.append(objective.clip_fraction)
                    approx_kl.append(objective.approx_kl)
            norm = torch.nn.utils.clip_grad_norm_(list(self.adapter.values()), config.max_grad_norm).item()
            if not np.isfinite([norm, *losses]).all():
                raise Diverged("A loss")
            self.optimizer.step()
            norms.append(norm)
        self.optimizer.zero_grad(set_to_none=True)
        every = torch.cat([r for _, r in ratios])
        first = torch.cat([r for number, r in ratios if number == 0])
        return {
            "loss": float(np.mean(losses)), "kl": float(np.mean(approx_kl)), "pull": float(np.mean(pulls)) if pulls else 0.0, "leash": leashed.tolist(),
            "ratio_mean": every.mean().item(), "ratio_max": every.max().item(), "ratio_min": every.min().item(),
            "first_ratio": (first - 1).abs().max().item(), "clip_fraction": float(np.mean(clipped)), "grad_norm": float(np.mean(norms)),
        }

    def leash_weights(self) -> list[float]:
        """Weight of the leash at every step: the equal-budget weight times sa_reg_weight on the first K, 0 after."""
        config = self.config
        K = config.sa_reg_steps
        if K == 0 or config.sa_reg_weight == 0:
            return [0.0] * self.schedule.steps
        weight = equal_budget_weight(
            self.schedule, leash_steps=K, trained_steps=config.trained_steps, level=config.noise_level, dynamics=config.dynamics, beta=config.sa_reg_budget,
            space=config.sa_reg_space,
        )
        weight *= 1.0 if config.sa_reg_weight == "auto" else config.sa_reg_weight
        return [weight if i < K else 0.0 for i in range(self.schedule.steps)]

    # --- state --------------------------------------------------------------------------------------------------
    @contextmanager
    def _all_or_nothing(self):
        """Whatever is raised inside leaves weights, optimizer and running scales as they were, bit by bit."""
        weights = {name: p.detach().clone() for name, p in self.adapter.items()}
        optimizer, scalars = copy.deepcopy(self.optimizer.state_dict()), self.scalars()
        try:
            yield
        except BaseException:
            self.optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():
                for name, value in weights.items():
                    self.adapter[name].copy_(value)
            self.optimizer.load_state_dict(optimizer)
            self._load_scalars(scalars)
            raise

    def tensors(self) -> dict[str, np.ndarray]:
        """LoRA and optimizer moments by name, for a checkpoint."""
        out = {}
        for name, parameter in self.adapter.items():
            out[f"lora/{name}"] = parameter.detach().cpu().numpy()
            for key, value in self.optimizer.state.get(parameter, {}).items():
                out[f"optimizer/{key}/{name}"] = value.detach().cpu().numpy()
        return out

    def scalars(self) -> dict:
        return {"reward_std": self.reward_std.state_dict(), "bonus_scale": self.bonus_scale.state_dict()}

    def load(self, tensors: dict[str, np.ndarray], scalars: dict) -> None:
        """The inverse of `tensors` and `scalars`, bit by bit."""
        with torch.no_grad():
            for name, parameter in self.adapter.items():
                parameter.copy_(torch.from_numpy(tensors[f"lora/{name}"]))
        prefix = "optimizer/"
        for key in tensors:
            if key.startswith(prefix):
                kind, name = key.removeprefix(prefix).split("/", 1)
                parameter = self.adapter[name]
                value = torch.from_numpy(tensors[key].copy())
                self.optimizer.state[parameter][kind] = value if kind == "step" else value.to(parameter.device)
        self._load_scalars(scalars)

    def _load_scalars(self, scalars: dict) -> None:
        self.reward_std.load_state_dict(scalars["reward_std"])
        self.bonus_scale.load_state_dict(scalars["bonus_scale"])

    @contextmanager
    def _phase(self, name: str):
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
