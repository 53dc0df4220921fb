"""A backbone without a network: latents of any shape, a velocity in closed form, and a small adapter beside it."""

from __future__ import annotations

from contextlib import contextmanager

import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from core.backbones.base import Conditions
from core.sampling.schedule import from_scheduler


class ToyBackbone:
    """See backbones.base.Backbone. base(x, sigma) -> v of the base model; adapter(x, sigma) -> what is added to it."""

    def __init__(self, shape, base, adapter: torch.nn.Module | None = None, decode=lambda latents: latents):
        self.device, self.arithmetic, self.latent_shape = torch.device("cpu"), "float32", shape
        self._base, self._adapter, self.decode, self._on = base, adapter or torch.nn.Linear(1, 1), decode, adapter is not None

    def schedule(self, steps):
        return from_scheduler(FlowMatchEulerDiscreteScheduler(shift=3.0), steps)

    def encode(self, prompts, *, guidance):
        return Conditions(torch.zeros(len(prompts), 1, 1), torch.zeros(len(prompts), 0))

    def velocity(self, x, i, schedule, conditions, *, guidance):
        sigma = schedule.sigma(i)
        v = self._base(x, sigma)
        return v + self._adapter(x, sigma) if self._on else v

    def adapter(self):
        return dict(self._adapter.named_parameters())

    @contextmanager
    def reference(self):
        before, self._on = self._on, False
        try:
            yield
        finally:
            self._on = before
