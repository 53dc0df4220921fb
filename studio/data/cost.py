"""What a setup costs, from what was measured: which settings matter, disk, whether it fits, and what would make it fit."""

from __future__ import annotations

import math
from typing import Any

from core.batch import in_flight, pictures
from core.config import RunConfig
from core.plan import plan

# Fields that change what an iteration costs.
COST = (
    "model",
    "prompts_per_iteration",
    "group_size",
    "steps",
    "guidance",
    "resolution",
    "lora_rank",
    "updates_per_iteration",
    "micro_batch",
    "gradient_checkpointing",
    "dynamics",
    "window",
    "window_size",
    "window_fraction",
    "hrf_start",
    "hrf_anchors_per_prompt",
    "hrfd_num_eval",
    "hrfd_stride",
    "hrfd_refresh_every",
    "shaping_dense",
    "perceptual",
    "clip_model",
    "device",
    "dtype",
    "rewards",
)


NOTEWORTHY = 50 * 10**6  # bytes of memory that a remedy must save


def key(config: RunConfig) -> tuple[str, ...]:
    """Setups with equal keys cost the same: the fields above, and on how many trained steps the base model is asked too."""
    planned = plan(config, 1)
    asked = len(planned.trained) if config.pull > 0 else sum(weight > 0 for weight in planned.leash)
    return (*(repr(sorted(config.rewards) if name == "rewards" else getattr(config, name)) for name in COST), repr(asked))


def disk(config: RunConfig, sizes: dict[str, int]) -> int:
    """Bytes that the run folder will hold at the end: pictures and notes of all iterations, the checkpoints that are kept, the LoRA."""
    base = config.base_pictures * min(config.base_prompts, len(config.prompts))
    saved = min(config.keep_checkpoints, math.ceil(config.iterations / config.checkpoint_every))
    made = base + config.iterations * pictures(config)
    return made * sizes["picture"] + config.iterations * sizes["iteration"] + saved * sizes["checkpoint"] + sizes["export"]


def remedies(config: RunConfig, parts: dict[str, int], kept: float | None = None) -> list[dict[str, Any]]:
    """What would need less memory by 50 MB or more, largest saving first: {"field", "from", "to", "label", "saving" in bytes}.

    Pictures in flight need memory in proportion to their number; gradients and Adam's moments to the LoRA's rank.
    kept: what gradient checkpointing leaves of the pictures' part, where a trial found that it would help.
    """
    found = []
    if kept is not None and not config.gradient_checkpointing and parts["pictures"] * (1 - kept) >= NOTEWORTHY:
        saving = round(parts["pictures"] * (1 - kept))
        found.append({"field": "gradient_checkpointing", "from": False, "to": True, "label": "Turn on checkpointing", "saving": saving})
    for name, words in (("micro_batch", "pictures in flight"), ("group_size", "pictures per prompt"), ("lora_rank", "as LoRA rank")):
        now = in_flight(config) if name == "micro_batch" else getattr(config, name)
        less = now // 2
        smallest = {"group_size": 8, "lora_rank": 4}.get(name, 1)
        if less < smallest:
            continue
        changed = config.model_copy(update={name: less})
        if name == "lora_rank":
            saving = parts["gradients"] * (1 - less / now)
        else:
            saving = parts["pictures"] * (1 - in_flight(changed) / in_flight(config))
        if saving >= NOTEWORTHY:
            found.append({"field": name, "from": now, "to": less, "label": f"{now} → {less} {words}", "saving": round(saving)})
    return sorted(found, key=lambda r: -r["saving"])


def scaled(config: RunConfig, fitting: RunConfig, measured: dict[str, Any]) -> dict[str, Any]:
    """What `config` would need, from a trial of `fitting`, which differs in micro_batch and checkpointing alone: the pictures' part is in proportion."""
    parts = dict(measured["memory_parts"])
    thrifty = fitting.gradient_checkpointing and not config.gradient_checkpointing
    left = measured.get("kept") or 1.0 if thrifty else 1.0
    parts["pictures"] = round(parts["pictures"] * in_flight(config) / in_flight(fitting) / left)
    return {**measured, "memory_parts": parts, "memory": sum(parts.values()), "fits_with": fitting.micro_batch, "fits_thrifty": thrifty}
