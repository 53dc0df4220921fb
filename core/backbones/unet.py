"""What all models with a UNet share: device and arithmetic, the LoRA in the UNet, the schedule, decoding.

Unlike SD3's transformer a UNet predicts the noise (or what its scheduler says), so `velocity` gives that prediction
and `schedule` a DiffusionSchedule, whose transition is linear in it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager
from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from diffusers.utils import set_adapter_layers, set_weights_and_activate_adapters
from peft import LoraConfig, inject_adapter_in_model
from torch import nn

from ..config import RunConfig
from ..errors import UserError
from ..sampling.diffusion import DiffusionSchedule, from_scheduler
from . import checkpointing, hub
from .base import Conditions
from .device import choose_device, fastest
from .names import check_model, load_path

MEASURED = 2**15  # latent numbers in the batch by which the arithmetic is chosen


def load(kind: type[DiffusionPipeline], path: str, **settings) -> DiffusionPipeline:
    """The pipeline in a folder or on the hub, from safetensors only. Raises UserError."""
    try:
        return kind.from_pretrained(path, use_safetensors=True, **settings)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # a damaged folder fails in as many ways as it has parsers
        known = hub.unreachable("model", str(path), error)
        if known:
            raise known from None
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"model: {path} cannot be loaded ({reason}). Check the folder or the name; only safetensors weights are read.", "model") from None


class UNetBackbone(ABC):
    """See backbones.base.Backbone. A subclass says what it loads, what the UNet is given, and where the LoRA goes."""

    lora_targets: list[str]
    referring = False
    clamp_last: bool  # DDPO's clamp, see sampling.diffusion.from_scheduler

    def __init__(self, config: RunConfig, *, arithmetic: str | None = None):
        check_model(config.model)
        self.device = choose_device(config.device)
        wanted = arithmetic or config.dtype
        if wanted == "auto" and self.device.type != "cpu":
            wanted = "bfloat16" if self.device.type == "cuda" else "float32"
        # On a CPU the weights stay float32 and autocast decides; on a GPU the frozen weights are stored small.
        small = wanted == "bfloat16" and self.device.type != "cpu"
        self.pipeline, vae = self._load(load_path(config.model), torch.bfloat16 if small else torch.float32)
        self.denoiser = self.unet = self.pipeline.unet.requires_grad_(False).eval().to(self.device)
        checkpointing.switch(self.unet, config.gradient_checkpointing)
        self._layout = torch.channels_last if self.device.type == "cpu" else torch.contiguous_format
        self.vae = None if vae is None else vae.requires_grad_(False).eval().to(self.device, memory_format=self._layout)
        channels, given = self.unet.config.in_channels, self.unet.config.out_channels
        if channels != given:
            raise UserError(f"model: its UNet takes {channels} channels and gives {given}. Use one that gives as many (no inpainting, no learned variance).", "model")
        self.latent_shape = (channels, *self._sides(config.resolution))
        torch.manual_seed(config.seed)  # the LoRA's start is part of the run's seed
        inject_adapter_in_model(
            LoraConfig(r=config.lora_rank, lora_alpha=config.lora_alpha, init_lora_weights="gaussian", target_modules=self.lora_targets), self.unet,
        )
        for parameter in self.adapter().values():
            parameter.data = parameter.data.float()
        self.arithmetic = wanted if wanted != "auto" else self._fastest()

    @abstractmethod
    def _load(self, path: str, stored: torch.dtype) -> tuple[DiffusionPipeline, nn.Module | None]:
        """(pipeline with unet and scheduler, autoencoder or None for a model of pixels). Raises UserError."""

    @abstractmethod
    def _predict(self, x: torch.Tensor, timestep: torch.Tensor, conditions: Conditions, guidance: float) -> torch.Tensor:
        """What the UNet says of x (B, C, H, W) at timestep (B,), already led by the guidance."""

    def _sides(self, resolution: int | None) -> tuple[int, int]:
        """(H, W) of a latent. Raises UserError if the model says no size, or cannot draw the one that is asked for."""
        factor = 1 if self.vae is None else 2 ** (len(self.vae.config.block_out_channels) - 1)
        own = self.unet.config.sample_size
        if resolution is None:
            if own is None:
                raise UserError("resolution: this model does not say its picture size. Name one.", "resolution")
            return (own, own) if isinstance(own, int) else tuple(own)
        multiple = factor * 2 ** (len(self.unet.config.block_out_channels) - 1)  # every level but the last halves the side
        if resolution % multiple:
            raise UserError(f"resolution: {resolution} does not fit this model. Use a multiple of {multiple}.", "resolution")
        return resolution // factor, resolution // factor

    @torch.no_grad()
    def _fastest(self) -> str:
        """float32 or bfloat16 autocast, whichever measures faster on one small batch."""
        pictures = max(1, min(8, MEASURED // torch.Size(self.latent_shape).numel()))
        schedule, conditions = self.schedule(10), self.encode([""] * pictures, guidance=1.0)
        x = torch.zeros(pictures, *self.latent_shape)

        def run(kind: str) -> None:
            self.arithmetic = kind
            self.velocity(x, 0, schedule, conditions, guidance=1.0)

        return fastest(run)

    def _autocast(self):
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.arithmetic == "bfloat16")

    def schedule(self, steps: int) -> DiffusionSchedule:
        try:
            return from_scheduler(self.pipeline.scheduler, steps, clamp_last=self.clamp_last)
        except ValueError as error:
            raise UserError(f"model: its scheduler cannot be used ({error}) Use a model of the DDPM family, or other steps.", "model") from None

    @abstractmethod
    def encode(self, prompts: list[str], *, guidance: float) -> Conditions:
        """See backbones.base.Backbone."""

    def velocity(self, x: torch.Tensor, i: int, schedule: DiffusionSchedule, conditions: Conditions, *, guidance: float) -> torch.Tensor:
        """What the model predicts at step i, float32 (B, C, H, W): epsilon, v or x0, as `schedule.prediction` says."""
        timestep = schedule.timesteps[i].to(self.device).expand(len(x))
        with self._autocast():
            return self._predict(x.to(self.unet.dtype), timestep, conditions, guidance)

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> torch.Tensor:
        """Pictures float32 (B, 3, H', W') in [0, 1]; a model without an autoencoder has drawn them already."""
        pictures = latents if self.vae is None else self._from_latents(self.vae, latents)
        return (pictures.float() / 2 + 0.5).clamp(0, 1)

    def _from_latents(self, vae: nn.Module, latents: torch.Tensor) -> torch.Tensor:
        shift = vae.config.get("shift_factor") or 0.0  # a VQModel has none
        z = (latents / vae.config.scaling_factor + shift).to(vae.dtype)
        with self._autocast():
            return vae.decode(z.contiguous(memory_format=self._layout), return_dict=False)[0]

    def adapter(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.unet.named_parameters() if p.requires_grad}

    @contextmanager
    def reference(self):
        if self.referring:  # a pause within it may serve Compare, which asks for the base too
            yield
            return
        set_adapter_layers(self.unet, enabled=False)
        self.referring = True
        try:
            yield
        finally:
            self.referring = False
            set_adapter_layers(self.unet, enabled=True)

    def set_strength(self, strength: float) -> None:
        """Scale of the adapter in later sampling; 1 is as trained."""
        set_weights_and_activate_adapters(self.unet, ["default"], [strength])
