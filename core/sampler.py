"""The policy as a sampler: conditions (blurred or not), rollouts from noise or from finished pictures, decoding.

Everything random follows from the run's seed and from what the picture is. A rollout and its replay ask for the same
velocity at the same rows, so that the ratio is 1 before the first update (methods.md 9.2).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace

import torch
import torch.nn.functional as F

from .backbones.base import Backbone, Conditions
from .config import RunConfig
from .errors import UserError
from .plan import Plan, plan
from .sampling.noise import check_trainable, derive_seed, picture_generators
from .sampling.prompt_noise import CONTEXT, NEGATIVE_CONTEXT, NEGATIVE_POOLED, POOLED, perturb
from .sampling.rollout import Trajectories, renoise, rollout
from .sampling.windows import hrfd_start

TRAIN, BASE, SAMPLE, ANCHOR, CANDIDATE = 1, 2, 3, 4, 5  # what a seed is for, so that no two uses share one


class Sampler:
    """Holds the backbone, the schedule of noise levels and the settings in force."""

    def __init__(self, config: RunConfig, backbone: Backbone):
        self.backbone = backbone
        self.schedule = backbone.schedule(config.steps)
        self.levels = [self.schedule.sigma(i) for i in range(self.schedule.steps + 1)]
        self.between: Callable[[], None] = lambda: None  # answers commands; may raise to stop
        self.adopt(config)

    def adopt(self, config: RunConfig) -> None:
        """Make `config` the one in force. Raises UserError if this model cannot be trained with it."""
        try:
            check_trainable(self.schedule, config.trainable_steps, config.dynamics, config.noise_level)
        except ValueError as error:
            field = "dynamics" if str(error).startswith("dynamics") else "noise_level"
            raise UserError(f"{field}: {error}", field) from None
        if config.prompt_noise_scale > 0 and self.backbone.encode([""], guidance=1.0).context.numel() == 0:
            raise UserError(f"prompt_noise_scale: {config.model} takes no prompt, so there is nothing to blur. Set it to 0.", "prompt_noise_scale")
        self.config = config

    def plan(self, iteration: int, start: int | None = None) -> Plan:
        return plan(self.config, iteration, sigmas=self.levels, start=start)

    def seeds(self, purpose: int, iteration: int, prompt: int, count: int, anchor: int = 0) -> list[int]:
        parts = (self.config.seed, purpose, iteration, prompt)
        return [derive_seed(*parts, *([anchor] if anchor else []), g) for g in range(count)]

    # --- velocity -----------------------------------------------------------------------------------------------
    def conditions(self, prompts: list[int], repeats: int) -> Conditions:
        texts = [self.config.prompts[p] for p in prompts for _ in range(repeats)]
        return self.backbone.encode(texts, guidance=self.config.guidance)

    def velocity(self, x: torch.Tensor, i: int, conditions: Conditions, seeds: list[int], planned: Plan | None) -> torch.Tensor:
        """v at step i for rows with these conditions, blurred by their own seeds where the plan says so."""
        if planned is not None and planned.prompt_noise is not None:
            conditions = self._blurred(conditions, seeds, i, planned)
        return self.backbone.velocity(x, i, self.schedule, conditions, guidance=self.config.guidance)

    def _blurred(self, conditions: Conditions, seeds: list[int], i: int, planned: Plan) -> Conditions:
        """DRIFT-style prompt noise (2601.12401, by CADS 2310.17347); the same seeds give the same noise, bit by bit."""
        c, blur = self.config, planned.prompt_noise[i]
        if blur.gamma == 1:
            return conditions
        conditions = conditions.unfolded()  # one noise for 256 equal tokens would be the loudest word of all

        def noisy(embedding: torch.Tensor | None, stream: int) -> torch.Tensor | None:
            if embedding is None:
                return None
            return perturb(
                embedding, seeds, i, gamma=blur.gamma, scale=c.prompt_noise_scale, psi=c.prompt_noise_psi, stream=stream,
                resample=c.prompt_noise_resample, counted=(conditions.present, conditions.copies / conditions.present) if embedding.ndim == 3 else (0, 1.0),
            )

        changed = {}
        if c.prompt_noise_targets != "pooled":
            changed["context"] = noisy(conditions.context, CONTEXT)
            if c.prompt_noise_uncond:
                changed["negative_context"] = noisy(conditions.negative_context, NEGATIVE_CONTEXT)
        if c.prompt_noise_targets != "sequence":
            changed["pooled"] = noisy(conditions.pooled, POOLED)
            if c.prompt_noise_uncond:
                changed["negative_pooled"] = noisy(conditions.negative_pooled, NEGATIVE_POOLED)
        return replace(conditions, **changed)

    # --- rollouts -----------------------------------------------------------------------------------------------
    def sample(
        self, conditions: Conditions, seeds: list[int], *, stochastic: tuple[int, ...], chunks: list[torch.Tensor] | None = None,
        planned: Plan | None = None, anchors: torch.Tensor | None = None, start: int = 0,
    ) -> Trajectories:
        """Rollouts in `chunks` of rows, each at most micro_batch; the replay must use the same ones (methods.md 9.2).

        anchors: clean latents (B, C, H, W), a row for each picture, from which the rollout goes on at `start`.
        """
        config = self.config
        chunks = chunks or list(torch.arange(len(seeds)).split(config.micro_batch))
        done = []
        for rows in chunks:
            own, own_seeds = conditions[rows], [seeds[r] for r in rows.tolist()]
            initial = None
            if anchors is not None:
                initial = renoise(anchors[rows.to(anchors.device)], self.schedule.renoise_coefficients(start), picture_generators(own_seeds))
            done.append(rollout(
                lambda x, i: self.velocity(x, i, own, own_seeds, planned), self.schedule, own_seeds, self.backbone.latent_shape,
                dynamics=config.dynamics, level=config.noise_level, stochastic=stochastic, record=planned.trained if planned else None,
                start=start, initial=initial, between=self.between, device=self.backbone.device,
            ))
        order = torch.cat(chunks).argsort().to(self.backbone.device)
        return Trajectories.cat(done)[order]

    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        parts = []
        for rows in latents.split(self.config.micro_batch):
            self.between()
            parts.append(self.backbone.decode(rows))
        return torch.cat(parts)

    def pictures(self, prompt: int, seeds: list[int], *, purpose: int, base: bool, noised: tuple[int, ...] | None = None) -> torch.Tensor:
        """Pictures of one prompt, (N, 3, H, W): by the ODE for SAMPLE; for BASE with noise at the steps `noised`, or at all but the last. Never blurred."""
        stochastic = (noised or self.config.trainable_steps) if purpose == BASE else ()
        with self.backbone.reference() if base else nullcontext():
            return self.decode(self.sample(self.conditions([prompt], len(seeds)), seeds, stochastic=stochastic).final)

    # --- HRF ----------------------------------------------------------------------------------------------------
    def anchors(self, iteration: int, prompts: list[int]) -> torch.Tensor:
        """Clean latents of finished pictures of the current policy, (P M, C, H, W), M for each prompt (HRF, 2410.08315)."""
        M = self.config.hrf_anchors_per_prompt
        seeds = [s for p in prompts for s in self.seeds(ANCHOR, iteration, p, M)]
        return self.sample(self.conditions(prompts, M), seeds, stochastic=self.config.trainable_steps).final

    def dynamic_start(self, iteration: int, prompts: list[int], anchors: torch.Tensor, reward: Callable[[torch.Tensor, list[int]], float],
                      embed: Callable[[torch.Tensor], torch.Tensor]) -> int:
        """HRF-D's choice for this iteration: one start for all anchors (our choice; the public code has one for each).

        Every candidate start is judged by hrfd_num_eval pictures of each anchor, taken back to it and denoised without
        noise. reward(images, prompt of each) is their mean reward, `embed` gives features of pictures.
        """
        c = self.config
        candidates = list(range(0, c.steps - 1, c.hrfd_stride))
        M, n = c.hrf_anchors_per_prompt, c.hrfd_num_eval
        owners = [p for p in prompts for _ in range(M * n)]
        repeated = anchors.repeat_interleave(n, 0)
        # candidates share their seeds, so that their rewards are compared in pairs
        seeds = [s for p in prompts for m in range(M) for s in self.seeds(CANDIDATE, iteration, p, n, anchor=m + 1)]
        conditions = self.conditions(prompts, M * n)
        view = (lambda images: images.flatten(1)) if c.hrfd_distance == "pixel_cosine" else embed
        home = view(self.decode(anchors)).repeat_interleave(n, 0)
        rewards, distances = [], []
        for start in candidates:
            images = self.decode(self.sample(conditions, seeds, stochastic=(), anchors=repeated, start=start).final)
            rewards.append(reward(images, owners))
            distances.append(1 - F.cosine_similarity(view(images), home, dim=1).mean().item())
        return hrfd_start(rewards, distances, candidates, c.hrfd_beta)
