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


class Adapter(torch.nn.Module):
    """A small network of (x, sigma) that adds nothing before it is trained."""

    def __init__(self, dimensions: int, width: int = 32):
        super().__init__()
        generator = torch.Generator().manual_seed(1)
        self.inner, self.outer = torch.nn.Linear(dimensions + 1, width), torch.nn.Linear(width, dimensions)
        with torch.no_grad():
            for parameter in self.inner.parameters():
                parameter.copy_(torch.randn(parameter.shape, generator=generator))
            for parameter in self.outer.parameters():
                parameter.zero_()

    def forward(self, x, sigma):
        known = torch.cat([x.flatten(1), torch.full((len(x), 1), sigma)], dim=1)
        return self.outer(torch.tanh(self.inner(known))).view_as(x)


def mixture_velocity(centres: torch.Tensor, std: float):
    """base(x, sigma) of the even mixture of Gaussians N(c_k, std^2 I), exactly: (x - E[x0 | x]) / sigma. centres: (K, D)."""

    def velocity(x, sigma):
        points, signal = x.flatten(1), 1 - sigma
        variance = (signal * std) ** 2 + sigma**2
        apart = points[:, None] - signal * centres  # (B, K, D)
        posterior = torch.softmax(-apart.square().sum(-1) / (2 * variance), dim=1)  # (B, K)
        clean = (posterior[..., None] * (centres + signal * std**2 / variance * apart)).sum(1)
        return ((points - clean) / sigma).view_as(x)

    return velocity
