"""The loop: one iteration of group-relative policy optimisation, with every method of the field as a setting of its dials.

    plan          window, leash and prompt noise of this iteration
    prompts --encode once--> conditions;  HRF: finished pictures as anchors, taken back to the window's start
    conditions --rollout--> x_0, log-probabilities on the trained steps --decode--> pictures
    pictures --rewards--> Q (P, G);  --perceptual embed--> features --spectral clusters--> bonus E (P, G)
    Q + beta E (+ alpha potential) --subset--> advantages, per prompt
    advantages, log-probabilities --objective + pull + leash on the first K steps--> gradient --> LoRA

Flow-GRPO (2505.05470), DiverseGRPO (2512.21514), DRIFT (2601.12401), HRF (2410.08315), DDPO (2305.13301), GARDO
(2512.24138), GRPO-Guard (2510.22319). Here P counts groups: a prompt with M anchors is M groups.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch

from .backbones.base import Backbone, Conditions
from .config import RunConfig
from .diversity.bonus import RunningScale, combine, creative_bonus
from .diversity.clusters import spectral_labels
from .diversity.distance import mean_pairwise, pairwise
from .diversity.metrics import correlation, variety
from .diversity.novelty import Memory, nearest_distance
from .diversity.perceptual import Perceptual
from .diversity.shaping import potential, step_advantages, terminal_bonus
from .errors import UserError
from .learning.advantage import Advantages, PromptStatistics, RunningStd, group_advantages, novelty_advantages
from .learning.objective import Objective, clipped_objective, guard_objective
from .learning.regularisers import equal_budget_weight, kl_latent, v_mse, w2_latent
from .learning.selection import select, summarise
from .plan import Plan
from .ranks import Ranks
from .rewards.registry import RewardSet
from .sampler import BASE, SAMPLE, TRAIN, Sampler
from .sampling.dynamics import Transition, step
from .sampling.rollout import Trajectories

__all__ = ["BASE", "SAMPLE", "TRAIN", "Diverged", "Group", "Iteration", "Trainer"]

REMEMBERED = ("memory", "finished")  # features of pictures that a checkpoint holds


@dataclass
class Group:
    """P groups of G pictures each, flat in the order (group, position); B = P G. `prompts` has the prompt of each group."""

    prompts: list[int]
    seeds: list[int]
    images: torch.Tensor  # (B, 3, H, W) in [0, 1]
    features: torch.Tensor  # (B, F)
    raw: dict[str, torch.Tensor]  # reward name -> (B,)
    quality: torch.Tensor  # (P, G)
    scored: torch.Tensor  # (P, G) bool: False where no reward could judge, whose quality is the group's mean
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

    REMEDY = "Continue from the last checkpoint with half the learning rate."

    def __init__(self, what: str):
        self.what = what
        super().__init__(f"{what} was not a number any more. {self.REMEDY}", "learning_rate")


def _unscored_warning(group: Group) -> str | None:
    many = int(group.scored.numel() - group.scored.sum())
    return f"{many} of {group.scored.numel()} pictures could not be scored, and nothing was learned from them. Look at the reward." if many * 2 > group.scored.numel() else None


class Trainer(Sampler):
    """Holds the policy's optimizer and the running scales; everything random follows from (seed, iteration)."""

    def __init__(self, config: RunConfig, backbone: Backbone, rewards: RewardSet, perceptual: Perceptual):
        super().__init__(config, backbone)
        self.rewards, self.perceptual = rewards, perceptual
        self.adapter = backbone.adapter()
        self.optimizer = torch.optim.AdamW(self.adapter.values(), lr=config.learning_rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=config.weight_decay)
        self.reward_std, self.bonus_scale = RunningStd(), RunningScale()
        self.history = PromptStatistics(config.adv_history_size, min(config.adv_history_min, config.adv_history_size))
        self.memory, self.finished = Memory(), Memory(config.group_size)
        self.start: int | None = None  # HRF-D's choice, kept for hrfd_refresh_every iterations
        self.scales: dict[int, float] = {}  # per mapped prompt, from the base measure: what variety is measured by
        self.seconds: dict[str, float] = {}
        self.settled: dict[str, torch.Tensor] | None = None  # the LoRA before the update under way
        self.phase = ""  # of the iteration under way; the one that failed keeps its name
        self.entering: Callable[[str], None] = lambda phase: None  # hears of every phase, for a meter of memory
        self.ranks = Ranks()  # the processes that share an iteration; alone, this one

    # --- judging ------------------------------------------------------------------------------------------------
    def judge(self, prompts: list[int], seeds: list[int], images: torch.Tensor) -> Group:
        """Rewards, features, clusters and bonus of P groups."""
        texts = [self.config.prompts[p] for p in prompts for _ in range(len(seeds) // len(prompts))]
        return self._grouped(prompts, seeds, images, self._measured(images, texts))

    def _measured(self, images: torch.Tensor, texts: list[str]) -> dict[str, torch.Tensor]:
        """What each picture is by itself: "features" (n, F), and under the name of every reward its raw value (n,)."""
        with self._phase("reward"):
            raw = self.rewards(images, texts).raw
        with self._phase("diversity"):
            return {"features": self.perceptual.embed(images), **raw}

    def _grouped(self, prompts: list[int], seeds: list[int], images: torch.Tensor, measured: dict[str, torch.Tensor]) -> Group:
        """What the pictures of P groups are beside each other."""
        config, P = self.config, len(prompts)
        features, raw = measured["features"], {name: values for name, values in measured.items() if name != "features"}
        with self._phase("reward"):
            quality = self.rewards.combine(raw).view(P, -1)  # (P, G)
            scored = ~quality.isnan()
            quality = torch.where(scored, quality, quality.nanmean(1, keepdim=True).nan_to_num())
        with self._phase("diversity"):
            distances = pairwise(features.view(P, -1, features.shape[-1]))  # (P, G, G)
            labels = torch.stack([
                spectral_labels(d, k=config.cluster_k, sigma=config.cluster_sigma, min_spread=config.cluster_min_spread) for d in distances.cpu()
            ])
            bonus = creative_bonus(labels, config.creative_max).to(quality)
        return Group(prompts, seeds, images, features, raw, quality, scored, distances, labels, bonus)

    # --- one iteration ------------------------------------------------------------------------------------------
    def iterate(self, iteration: int) -> Iteration:
        """One update of the policy. Raises whatever `between` raises, with the policy as it was before."""
        config, self.seconds = self.config, {}
        M, G = config.hrf_anchors_per_prompt if config.window.startswith("hrf") else 1, config.group_size
        chosen = np.random.default_rng([config.seed, iteration]).choice(len(config.prompts), config.prompts_per_iteration, replace=False).tolist()
        prompts = [p for p in chosen for _ in range(M)]
        seeds = [s for p in chosen for m in range(M) for s in self.seeds(TRAIN, iteration, p, G, anchor=m)]
        P = len(prompts)
        conditions, updates = self.conditions(prompts, G), self._updates(P, G)

        with self._phase("rollout"):
            planned, anchors = self._planned(iteration, chosen)
            chunks = [rows for update in updates for rows in update]
            paths = self.sample(
                conditions, seeds, stochastic=planned.stochastic, chunks=chunks, planned=planned, start=planned.start,
                anchors=None if anchors is None else anchors.repeat_interleave(G, 0),
            )
            rows = torch.cat(chunks).sort().values  # of this process; from here on every one knows all
            paths = Trajectories(**self.ranks.gather(rows, vars(paths)))
        with self._phase("decode"):
            images = self.ranks.gather(rows, {"images": self.decode(paths[rows].final)})["images"]
        if not images.isfinite().all():
            raise Diverged("A picture")
        measured = self._measured(images[rows], [config.prompts[prompts[r // G]] for r in rows.tolist()])
        group = self._grouped(prompts, seeds, images, self.ranks.gather(rows, measured))
        with self._phase("diversity"):
            finished = self._finished(iteration, chosen, anchors)

        with self._all_or_nothing():
            combined = combine(
                group.quality, group.bonus, beta=config.creative_beta, mode=config.creative_combine, gate=config.creative_gate, running=self.bonus_scale,
                floor=config.adv_std_floor, within_group=config.advantage == "group" and config.adv_std_scope == "group",
            )
            mask = self._subset(group)
            values, per_step = self._shaped(combined.values, combined.unit, group, mask, paths, planned)
            advantages = self._advantages(values, group, mask, combined.least)
            weights, mask = self.ranks.first((advantages.values.flatten()[:, None] + per_step, mask))  # (B, S)
            with self._phase("update"):
                learned = self._learn(paths, conditions, seeds, weights, updates, planned, mask)

        vendi = self._variety(group, chosen, finished)
        sizes = [torch.bincount(labels) for labels in group.labels]
        metrics = {
            "reward": group.quality.mean().item(),
            "reward_raw": {name: values.nanmean().item() for name, values in group.raw.items()},  # NaN: not scored
            "vendi": float(np.mean(list(vendi.values()))),
            "vendi_by_prompt": {str(p): value for p, value in vendi.items()},
            "distance": mean_pairwise(group.distances).mean().item(),
            "clusters": float(np.mean([len(s) for s in sizes])),
            "largest_share": float(np.mean([s.max().item() / G for s in sizes])),
            "zero_std": advantages.zero_std,
            "corr_reward": correlation(advantages.values, group.quality),
            "corr_bonus": correlation(advantages.values, group.bonus),
            "window": [planned.start, list(planned.trained)],
            **({} if mask is None else {"kept": vars(summarise(group.quality, mask))}),
            **learned,
        }
        return Iteration(group, metrics, combined.warning or _unscored_warning(group) or self._replay_warning(learned["first_ratio"]), self.seconds)

    def _planned(self, iteration: int, prompts: list[int]) -> tuple[Plan, torch.Tensor | None]:
        """The plan, and for a late start the anchors (P, C, H, W) from which the rollout goes on."""
        config = self.config
        planned = self.plan(iteration, self.start)
        if not planned.chosen:
            self.start = None  # a window that was turned away from HRF-D and back chooses anew
        if not config.window.startswith("hrf") or (config.hrf_start == "full_rollout" and not planned.chosen):
            return planned, None
        anchors = self.anchors(iteration, prompts)
        if planned.chosen and (self.start is None or (iteration - 1) % config.hrfd_refresh_every == 0):
            score = lambda images, owners: self.rewards.combine(self.rewards(images, [config.prompts[p] for p in owners]).raw).nanmean().item()
            self.start = self.ranks.first(self.dynamic_start(iteration, prompts, anchors, score, self.perceptual.embed))
            planned = self.plan(iteration, self.start)
        return planned, anchors if config.hrf_start == "anchor_renoise" else None

    def _finished(self, iteration: int, prompts: list[int], anchors: torch.Tensor | None) -> dict[int, torch.Tensor]:
        """Features (n, F) of the finished pictures that each prompt adds to those known: its anchors, and before the first as many as are measured."""
        if anchors is None:
            self.finished.clear()  # of the policy as it was when the window was turned away
            return {}
        found = {}
        for prompt, latents in zip(prompts, anchors.split(self.config.hrf_anchors_per_prompt)):
            images = self.decode(latents)
            if self.finished.of(prompt) is None:
                untrained = iteration == 1
                former = self.pictures(prompt, self.seeds(BASE, 0, prompt, self.config.group_size), purpose=BASE, base=untrained)
                images = torch.cat([former, images])
            found[prompt] = self.perceptual.embed(images)
        return found

    def _variety(self, group: Group, chosen: list[int], finished: dict[int, torch.Tensor]) -> dict[int, float]:
        """Effective number of looks of G pictures of each prompt.

        Pictures that go on from one anchor are alike by construction, so there the last G finished pictures are taken.
        A prompt whose base was not measured has the median scale of those that were: without one it would be another measure.
        """
        typical = float(np.median(list(self.scales.values()))) if self.scales else None
        for prompt, features in finished.items():
            self.finished.remember(features[None], [prompt])
        distances = {p: pairwise(self.finished.of(p)[None]) if p in finished else group.distances[[q == p for q in group.prompts]] for p in chosen}
        return {p: variety(d, self.scales.get(p, typical)).mean().item() for p, d in distances.items()}

    def _subset(self, group: Group) -> torch.Tensor | None:
        """(P, G) pictures to learn from, None for all: nothing is learned from one that was not scored, whatever else would pay it."""
        c = self.config
        if c.subset_mode == "off":
            return None if group.scored.all() else group.scored
        kept = group.scored.clone()
        for row, there in enumerate(group.scored):  # chosen among those that have a reward
            rewards = group.quality[row, there][None]
            few = 2 + (c.subset_low + c.subset_high if c.subset_mode == "trim" else 0)
            if rewards.shape[1] >= few:
                keep = min(c.subset_k, rewards.shape[1])
                kept[row, there] = select(rewards, c.subset_mode, keep=keep, band=c.subset_band, low=c.subset_low, high=c.subset_high, fallback=c.subset_fallback)[0]
        return kept

    def _shaped(
        self, values: torch.Tensor, unit: float, group: Group, mask: torch.Tensor | None, paths: Trajectories, planned: Plan,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Values (P, G), a spread of which is `unit`, with the potential of the finished pictures added, and what each step gets on its own, (B, S)."""
        c, nothing = self.config, torch.zeros(values.numel(), len(planned.trained), device=values.device)
        if c.shaping_alpha == 0:
            return values, nothing

        def phi(distances: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
            known = self.memory.nearest(features.view(*values.shape, -1), group.prompts).to(values.device) if c.shaping_potential == "nn_memory" else None
            return potential(distances, group.quality, kind=c.shaping_potential, gate=c.shaping_gate, delta=c.shaping_delta, mask=mask, memory_distances=known)

        last = phi(group.distances, group.features)  # (P, G)
        if c.shaping_dense:
            nothing = step_advantages(
                torch.stack([*self._foreseen(paths, planned, values.shape, phi), last], dim=-1), alpha=c.shaping_alpha, gamma=c.shaping_gamma,
                terminal_zero=c.shaping_terminal_zero, mask=mask,
            ).flatten(0, 1).to(values.device)
        else:
            values = values + terminal_bonus(last, alpha=c.shaping_alpha * unit, gamma=c.shaping_gamma, steps=len(planned.trained)).to(values)
        if c.shaping_potential == "nn_memory":
            self.memory.remember(group.features.view(*values.shape, -1), group.prompts)
        return values, nothing

    def _foreseen(self, paths: Trajectories, planned: Plan, shape: torch.Size, phi) -> list[torch.Tensor]:
        """Potentials (P, G) of the pictures as foreseen before each trained step; before the first, 0 (methods.md 3.5)."""
        found = [torch.zeros(shape, dtype=torch.float64, device=paths.final.device)]
        for s, i in list(enumerate(planned.trained))[1:]:
            c_x, c_v = self.schedule.clean_coefficients(i)
            features = self.perceptual.embed(self.decode(c_x * paths.latents[:, s] + c_v * paths.velocities[:, s]))
            found.append(phi(pairwise(features.view(*shape, -1)), features))
        return found

    def _advantages(self, values: torch.Tensor, group: Group, mask: torch.Tensor | None, least: torch.Tensor | None) -> Advantages:
        config = self.config
        over = {"mask": mask, "stats_scope": config.subset_stats_scope}
        floor = config.adv_std_floor * (self.reward_std.update(values[group.scored]) if group.scored.any() else self.reward_std.value)
        if config.advantage == "history":
            return self.history.update(values, group.prompts, floor=floor, **over)
        if config.advantage == "novelty":
            return novelty_advantages(values, nearest_distance(group.distances, mask), **over)
        if least is not None:
            floor = least.cpu().clamp_min(floor)[:, None]
        return group_advantages(values, scope=config.adv_std_scope, floor=floor, **over)

    def _replay_warning(self, drift: float) -> str | None:
        """Rollout and replay must agree before the first update (methods.md 9.2); a drift beyond the clip makes noise of the gradient."""
        if drift <= self.config.clip_epsilon:
            return None
        return f"Before any update the ratio is off 1 by {drift:.1g}, more than the clip of {self.config.clip_epsilon:g}: sampling and replay disagree. Use dtype float32."

    def _updates(self, P: int, G: int) -> list[list[torch.Tensor]]:
        """Rows of the flat batch for each optimizer step, this process's share of them in micro-batches; every update holds part of every group."""
        position = torch.arange(P * G) % G
        U = min(self.config.updates_per_iteration, G)
        return [list(self.ranks.own(torch.nonzero(position % U == u).flatten()).split(self.config.micro_batch)) for u in range(U)]

    def _learn(
        self, paths: Trajectories, conditions: Conditions, seeds: list[int], advantages: torch.Tensor, updates: list[list[torch.Tensor]], planned: Plan,
        mask: torch.Tensor | None,
    ) -> dict:
        """Replay the stored transitions under the current weights; one optimizer step per update. advantages: (B, S)."""
        config, schedule, steps = self.config, self.schedule, planned.trained
        leash = self.leash_weights(planned)
        # pictures outside the subset have advantage 0: the mean is over those that are learned from
        kept = 1.0 if mask is None else max(mask.float().mean().item(), 1 / mask.numel())
        micro, norms = [], []  # of every micro-step: pictures, update, loss, pull, clip fraction, KL, ratios
        leashed = np.zeros(schedule.steps)
        for number, update in enumerate(updates):
            size = len(range(number, config.group_size, len(updates))) * (len(seeds) // config.group_size)  # pictures of all processes
            for group in self.optimizer.param_groups:
                group["lr"] = config.learning_rate
            self.optimizer.zero_grad(set_to_none=True)
            for rows in update:
                own, own_seeds, path = conditions[rows], [seeds[r] for r in rows.tolist()], paths[rows]
                for s, i in enumerate(steps):
                    self.between()
                    x, follower = path.latents[:, s], path.next_latents[:, s]
                    v = self.velocity(x, i, own, own_seeds, planned)
                    now = step(v, x, i, schedule, dynamics=config.dynamics, level=config.noise_level, x_next=follower)
                    objective = self._objective(now, path, s, i, advantages[rows, s].to(v.device), planned)
                    loss = objective.loss / kept
                    pull = torch.zeros(())
                    if config.pull > 0 or leash[i] > 0:
                        with torch.no_grad(), self.backbone.reference():
                            v_base = self.velocity(x, i, own, own_seeds, planned)
                            base = step(v_base, x, i, schedule, dynamics=config.dynamics, level=config.noise_level, x_next=follower)
                        if config.pull > 0:
                            pull = kl_latent(now.mean, base.mean, i, schedule, level=config.noise_level, dynamics=config.dynamics, include_dt=config.kl_include_dt).mean()
                            loss = loss + config.pull * pull
                        if leash[i] > 0:
                            held = (v_mse(v, v_base) if config.sa_reg_space == "v_mse" else w2_latent(now.mean, base.mean)).mean()
                            loss = loss + leash[i] * held
                            leashed[i] += held.item() * len(rows) / len(seeds)
                    (loss * len(rows) / (size * len(steps))).backward()
                    micro.append((len(rows), number, loss.item(), pull.item(), objective.clip_fraction, objective.approx_kl, objective.ratio.cpu()))
            self.ranks.add_up(self.adapter.values())
            norm = torch.nn.utils.clip_grad_norm_(list(self.adapter.values()), config.max_grad_norm).item()
            if not np.isfinite([norm, *(m[2] for m in micro)]).all():
                raise Diverged("A loss")
            self.optimizer.step()
            norms.append(norm)
        self.optimizer.zero_grad(set_to_none=True)
        told = self.ranks.meet((micro, leashed))
        pictures, numbers, losses, pulls, clipped, kls, ratios = zip(*(m for theirs, _ in told for m in theirs))
        mean = lambda values: float(np.average(values, weights=pictures))
        every = torch.cat(ratios)
        first = torch.cat([r for number, r in zip(numbers, ratios) if number == 0])
        return {
            "loss": mean(losses), "kl": mean(kls), "pull": mean(pulls), "leash": sum(held for _, held in told).tolist(),
            "ratio_mean": every.mean().item(), "ratio_max": every.max().item(), "ratio_min": every.min().item(),
            "first_ratio": (first - 1).abs().max().item(), "clip_fraction": mean(clipped), "grad_norm": float(np.mean(norms)),
        }

    def _objective(self, now: Transition, path: Trajectories, s: int, i: int, advantage: torch.Tensor, planned: Plan) -> Objective:
        """The policy's loss on recorded step s, which is step i; HRF shrinks both clips by the trained share of the chain."""
        config, rho = self.config, planned.trained_fraction
        clips = {"epsilon": config.clip_epsilon * rho, "advantage_clip": config.advantage_clip * rho}
        if config.objective == "clipped":
            return clipped_objective(now.log_prob, path.log_probs[:, s], advantage, **clips)
        c_x, c_v = self.schedule.mean_coefficients(i, config.dynamics, config.noise_level)
        old_mean = c_x * path.latents[:, s] + c_v * path.velocities[:, s]
        return guard_objective(
            now.log_prob, path.log_probs[:, s], advantage, now.mean, old_mean, std=now.std, dt=self.schedule.dt(i), reweight=config.guard_step_reweight, **clips,
        )

    def leash_weights(self, planned: Plan) -> list[float]:
        """Weight of the leash at every step: the plan's multiples of the equal-budget weight over the trained steps."""
        config = self.config
        if not any(planned.leash):
            return [0.0] * self.schedule.steps
        automatic = equal_budget_weight(
            self.schedule, leash_steps=config.sa_reg_steps, trained_steps=planned.trained, level=config.noise_level, dynamics=config.dynamics,
            beta=config.sa_reg_budget, space=config.sa_reg_space,
        )
        return [multiple * automatic for multiple in planned.leash]

    # --- state --------------------------------------------------------------------------------------------------
    @contextmanager
    def _all_or_nothing(self):
        """Whatever is raised inside leaves weights, optimizer and running scales as they were, bit by bit."""
        weights = {name: p.detach().clone() for name, p in self.adapter.items()}
        optimizer, scalars, memory = copy.deepcopy(self.optimizer.state_dict()), self.scalars(), self.memory.state_dict()
        self.settled = weights
        try:
            yield
        except BaseException:
            self.optimizer.zero_grad(set_to_none=True)
            with torch.no_grad():
                for name, value in weights.items():
                    self.adapter[name].copy_(value)
            self.optimizer.load_state_dict(optimizer)
            self._load_scalars(scalars)
            self.memory.load_state_dict(memory)
            raise
        finally:
            self.settled = None

    def tensors(self) -> dict[str, np.ndarray]:
        """LoRA, optimizer moments and remembered features (REMEMBERED) by name, for a checkpoint."""
        out = {f"{kind}/{prompt}": known.numpy() for kind in REMEMBERED for prompt, known in getattr(self, kind).state_dict().items()}
        for name, parameter in self.adapter.items():
            out[f"lora/{name}"] = parameter.detach().cpu().numpy()
            for key, value in self.optimizer.state.get(parameter, {}).items():
                out[f"optimizer/{key}/{name}"] = value.detach().cpu().numpy()
        return out

    def scalars(self) -> dict:
        return {
            "reward_std": self.reward_std.state_dict(), "bonus_scale": self.bonus_scale.state_dict(), "history": self.history.state_dict(), "start": self.start,
        }

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
        for kind in REMEMBERED:
            named = {key.removeprefix(f"{kind}/"): torch.from_numpy(tensors[key].copy()) for key in tensors if key.startswith(f"{kind}/")}
            getattr(self, kind).load_state_dict(named)
        self._load_scalars(scalars)

    def _load_scalars(self, scalars: dict) -> None:
        self.reward_std.load_state_dict(scalars["reward_std"])
        self.bonus_scale.load_state_dict(scalars["bonus_scale"])
        self.history.load_state_dict(scalars["history"])
        self.start = scalars["start"]

    @contextmanager
    def _phase(self, name: str):
        self.entering(name)
        self.phase, start = name, time.perf_counter()
        try:
            yield
            self.phase = ""
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
