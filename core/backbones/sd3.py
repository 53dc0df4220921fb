"""Stable Diffusion 3 and 3.5 in any size, from a folder, the hub or the embedded default."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import StableDiffusion3Pipeline
from peft import LoraConfig
from torch import nn

from ..config import RunConfig
from ..errors import UserError
from ..sampling.schedule import Schedule, from_scheduler
from . import checkpointing, hub
from .base import Conditions
from .device import choose_device, fastest
from .folding import FoldedJointAttention
from .names import check_model, load_path

# methods.md 2.10, as in the public Flow-GRPO code
LORA_TARGETS = ["attn.to_q", "attn.to_k", "attn.to_v", "attn.to_out.0", "attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj", "attn.to_add_out"]
ZERO_TOKENS = 256  # what the stock pipeline appends when there is no T5 encoder


class SD3:
    """See backbones.base.Backbone."""

    referring = False

    def __init__(self, config: RunConfig, *, arithmetic: str | None = None):
        check_model(config.model)
        path = load_path(config.model)
        self.device = choose_device(config.device)
        wanted = arithmetic or config.dtype
        if wanted == "auto" and self.device.type == "cuda":
            wanted = "bfloat16"
        elif wanted == "auto" and self.device.type == "mps":
            wanted = "float32"
        # On a CPU the weights stay float32 and autocast decides; on a GPU the frozen weights are stored small.
        stored = torch.bfloat16 if wanted == "bfloat16" and self.device.type != "cpu" else torch.float32
        self.pipeline = self._load(path, stored)
        self.denoiser = self.transformer = self.pipeline.transformer.requires_grad_(False).eval().to(self.device)
        checkpointing.switch(self.transformer, config.gradient_checkpointing)
        self.vae = self.pipeline.vae.requires_grad_(False).eval().to(self.device)
        if self.device.type == "cpu":
            self.vae = self.vae.to(memory_format=torch.channels_last)
        self._folds = self.pipeline.text_encoder_3 is None
        if self._folds:
            self.transformer.set_attn_processor(FoldedJointAttention(ZERO_TOKENS, words=self.pipeline.tokenizer_max_length))
        torch.manual_seed(config.seed)  # the LoRA's start is part of the run's seed
        self.transformer.add_adapter(LoraConfig(
            r=config.lora_rank, lora_alpha=config.lora_alpha, init_lora_weights="gaussian", target_modules=LORA_TARGETS,
        ))
        for parameter in self.transformer.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.float()
        factor = self.pipeline.vae_scale_factor
        side = (config.resolution or self.pipeline.default_sample_size * factor) // factor
        if side % self.transformer.config.patch_size or side // self.transformer.config.patch_size > self.transformer.config.pos_embed_max_size:
            raise UserError(f"resolution: {config.resolution} does not fit this model. Use a multiple of {factor * self.transformer.config.patch_size} "
                            f"up to {self.transformer.config.pos_embed_max_size * self.transformer.config.patch_size * factor}.", "resolution")
        self.latent_shape = (self.transformer.config.in_channels, side, side)
        self._known: dict[str, tuple[torch.Tensor, torch.Tensor]] = {}
        self.arithmetic = wanted if wanted != "auto" else self._faster_on_cpu()

    @staticmethod
    def _load(path: str, stored: torch.dtype) -> StableDiffusion3Pipeline:
        parts = {}
        index = Path(path) / "model_index.json"
        if index.exists() and not (json.loads(index.read_text(encoding="utf-8")).get("text_encoder_3") or [None])[0]:
            parts = {"text_encoder_3": None, "tokenizer_3": None}  # diffusers 0.42 wants the absence spelled out
        try:
            return StableDiffusion3Pipeline.from_pretrained(path, dtype=stored, use_safetensors=True, **parts)
        except (MemoryError, torch.OutOfMemoryError):
            raise
        except Exception as error:  # a damaged folder fails in as many ways as it has parsers
            known = hub.unreachable("model", path, error)
            if known:
                raise known from None
            reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
            raise UserError(f"model: {path} cannot be loaded ({reason}). Check the folder or the name; only safetensors weights are read.", "model") from None

    @torch.no_grad()
    def _faster_on_cpu(self) -> str:
        """float32 or bfloat16 autocast, whichever measures faster on one small batch."""
        schedule, conditions = self.schedule(10), self.encode([""] * 8, guidance=1.0)
        x = torch.zeros(8, *self.latent_shape)

        def run(kind: str) -> None:
            self.arithmetic = kind
            self.velocity(x, 0, schedule, conditions, guidance=1.0)

        return fastest(run)

    def _autocast(self):
        enabled = self.arithmetic == "bfloat16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def schedule(self, steps: int) -> Schedule:
        try:
            return from_scheduler(self.pipeline.scheduler, steps)
        except ValueError as error:
            raise UserError(f"model: its scheduler cannot be used ({error}) Use a model with a plain flow-matching scheduler.", "model") from None

    @torch.no_grad()
    def encode(self, prompts: list[str], *, guidance: float) -> Conditions:
        new = [p for p in dict.fromkeys([*prompts, *([""] if guidance > 1 else [])]) if p not in self._known]
        for prompt in new:  # one at a time: a prompt's embedding must not depend on its neighbours
            # the encoders stay on the CPU; without the device diffusers would send the words where the transformer is
            context, _, pooled, _ = self.pipeline.encode_prompt(
                prompt, prompt, prompt, device="cpu", do_classifier_free_guidance=False, max_sequence_length=ZERO_TOKENS,
            )
            if self._folds:
                context = context[:, : context.shape[1] - ZERO_TOKENS + 1]  # the first zero token stands for all
            self._known[prompt] = (context[0].to(self.device), pooled[0].to(self.device))

        def stack(texts: list[str]) -> tuple[torch.Tensor, torch.Tensor]:
            contexts, pooled = zip(*(self._known[t] for t in texts))
            return torch.stack(contexts), torch.stack(pooled)

        negative = stack([""] * len(prompts)) if guidance > 1 else (None, None)
        return Conditions(*stack(prompts), *negative, copies=ZERO_TOKENS if self._folds else 1)

    def _forward(self, x: torch.Tensor, timestep: torch.Tensor, context: torch.Tensor, pooled: torch.Tensor) -> torch.Tensor:
        with self._autocast():
            return self.transformer(
                hidden_states=x.to(self.transformer.dtype), timestep=timestep, encoder_hidden_states=context, pooled_projections=pooled, return_dict=False,
            )[0].float()

    def velocity(self, x: torch.Tensor, i: int, schedule: Schedule, conditions: Conditions, *, guidance: float) -> torch.Tensor:
        timestep = schedule.timesteps[i].to(device=self.device, dtype=torch.float32).expand(len(x))
        led = self._forward(x, timestep, conditions.context, conditions.pooled)
        if guidance <= 1:
            return led
        free = self._forward(x, timestep, conditions.negative_context, conditions.negative_pooled)
        return free + guidance * (led - free)

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        z = latents / self.vae.config.scaling_factor + self.vae.config.shift_factor
        if self.device.type == "cpu":
            z = z.contiguous(memory_format=torch.channels_last)
        with self._autocast():
            pictures = self.vae.decode(z.to(self.vae.dtype), return_dict=False)[0]
        return (pictures.float() / 2 + 0.5).clamp(0, 1)

    def adapter(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.transformer.named_parameters() if p.requires_grad}

    @contextmanager
    def reference(self):
        if self.referring:  # a pause within it may serve Compare, which asks for the base too
            yield
            return
        self.transformer.disable_adapters()
        self.referring = True
        try:
            yield
        finally:
            self.referring = False
            self.transformer.enable_adapters()

    def set_strength(self, strength: float) -> None:
        """Scale of the adapter in later sampling; 1 is as trained."""
        self.transformer.set_adapters("default", weights=strength)
