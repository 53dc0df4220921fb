"""How many pictures an iteration makes, and how many of them go through the model at once. No torch."""

from __future__ import annotations

import math

from .config import RunConfig


def pictures(config: RunConfig) -> int:
    """Pictures of one iteration: P G, times the anchors of HRF."""
    anchors = config.hrf_anchors_per_prompt if config.window.startswith("hrf") else 1
    return config.prompts_per_iteration * config.group_size * anchors


def in_flight(config: RunConfig, processes: int = 1) -> int:
    """Most pictures that go through the model at once in an iteration: a process's share of an update's pictures, at most micro_batch."""
    updates = min(config.updates_per_iteration, config.group_size)
    share = math.ceil(config.group_size / updates) * pictures(config) // config.group_size
    return min(config.micro_batch, math.ceil(share / processes))
