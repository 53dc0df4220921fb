"""Presets as Setup shows them: words, schedule, and what they cost here, measured in past runs."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from statistics import median
from typing import Any

from core.config import FIELDS, RunConfig, load_preset, preset_names, preset_path, preset_words
from core.errors import UserError
from core.plan import plan
from core.runs import folder

from .settings import settings

# Fields that say what to work on, not by which method: they never make a run "another preset".
_SETUP = {
    "model",
    "prompts",
    "prompts_per_iteration",
    "group_size",
    "rewards",
    "reward_style",
    "reward_file",
    "clip_model",
    "iterations",
    "seed",
    "device",
    "dtype",
    "base_pictures",
    "base_prompts",
    "checkpoint_every",
    "keep_checkpoints",
}
METHOD = tuple(name for name in FIELDS if name not in _SETUP)
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
_ENOUGH = 3  # iterations that make a measurement


@functools.lru_cache(maxsize=64)
def _loaded(name: str, modified: int) -> RunConfig:
    return load_preset(name)


def load(name: str) -> RunConfig:
    """A preset, read again only when its file changes."""
    return _loaded(name, preset_path(name).stat().st_mtime_ns)


def describe(config: RunConfig) -> dict[str, Any]:
    """The preset that `config` is or is nearest to, and in how many fields of the method it differs."""
    found = []
    for name in (*preset_names(), *preset_names("rivals")):
        preset = load(name)
        changed = sum(getattr(preset, field) != getattr(config, field) for field in METHOD)
        other = sum(getattr(preset, field) != getattr(config, field) for field in ("rewards", "prompts", "model"))
        found.append((changed, other, name))
    if not found:
        return {"name": "", "title": "Own settings", "changes": 0}
    changed, _, name = min(found, key=lambda f: f[:2])
    return {"name": name, "title": preset_words(name)[0], "changes": changed}


def schedule(config: RunConfig) -> dict[str, Any]:
    """What the small picture on a card draws: the plan of the first iteration."""
    return {
        "steps": config.steps,
        "trained": list(plan(config, 1).trained),
        "leash": config.sa_reg_steps,
        "bonus": config.creative_beta > 0 or config.shaping_alpha > 0 or config.advantage == "novelty",
        "pull": config.pull > 0,
    }


def cards(runs: Path) -> list[dict[str, Any]]:
    """Every shipped preset; one that cannot be read is left out and named."""
    past = measurements(runs)
    made = []
    for name in preset_names():
        try:
            config = load(name)
        except UserError as error:
            made.append({"name": name, "broken": str(error)})
            continue
        title, line = preset_words(name)
        made.append(
            {
                "name": name,
                "title": title,
                "line": line,
                "values": config.model_dump(mode="json"),
                "schedule": schedule(config),
                "measured": measured(config, past),
            }
        )
    return made


def measurements(runs: Path) -> list[dict[str, Any]]:
    """Seconds per iteration and memory of past runs on this computer, newest first."""
    found = []
    for run in folder.find(runs)[:100]:
        try:
            found.append(_measurement(str(run.path.absolute()), os.stat(run.path / "run.db").st_mtime_ns, _wal(run)))
        except UserError:
            continue  # a folder whose settings cannot be read measured nothing
    return [m for m in found if m is not None]


def _wal(run: folder.Run) -> int:
    try:
        return os.stat(run.path / "run.db-wal").st_mtime_ns
    except OSError:
        return 0


@functools.lru_cache(maxsize=256)
def _measurement(path: str, modified: int, wal: int) -> dict[str, Any] | None:
    """`modified` and `wal` only tell when to read anew."""
    run = folder.Run(Path(path))
    with run.database(readonly=True) as db:
        rows = db.rows("SELECT seconds, metrics FROM iterations WHERE iteration > 0 ORDER BY iteration DESC LIMIT 50")
        status = db.status()
    if len(rows) < _ENOUGH:
        return None
    config = settings(run)
    return {
        "cost": _cost(config),
        "leash": config.sa_reg_steps > 0,
        "pace": median(r["seconds"] for r in rows),
        "run": run.name,
        "device": status.get("device", ""),
        "memory": json.loads(rows[0]["metrics"]).get("memory") or status.get("memory_used", 0),
        "memory_total": status.get("memory_total", 0),
        "iterations": len(rows),
    }


def _cost(config: RunConfig) -> tuple[str, ...]:
    return tuple(repr(sorted(config.rewards) if name == "rewards" else getattr(config, name)) for name in COST)


def measured(config: RunConfig, past: list[dict[str, Any]]) -> dict[str, Any] | None:
    """What the newest past run that costs the same took here, or None: never a guess."""
    key = _cost(config), config.sa_reg_steps > 0
    m = next((m for m in past if (m["cost"], m["leash"]) == key), None)
    if m is None:
        return None
    return {
        "pace": m["pace"],
        "seconds": m["pace"] * config.iterations,
        "memory": m["memory"],
        "memory_total": m["memory_total"],
        "run": m["run"],
        "device": m["device"],
    }
