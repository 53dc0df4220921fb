"""Presets as Setup shows them: words, schedule, and what they cost here, measured in past runs."""

from __future__ import annotations

import functools
import json
import os
from pathlib import Path
from statistics import median
from typing import Any

from core.batch import pictures
from core.config import FIELDS, RunConfig
from core.errors import UserError
from core.plan import plan
from core.presets import load_preset, preset_names, preset_path, preset_words
from core.runs import checkpoints, folder

from . import cost, measuring, own_presets
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
METHOD = tuple(name for name, field in FIELDS.items() if name not in _SETUP and field.json_schema_extra["group"] != "alarms")
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
    """What the small picture on a card draws: the plan of the first iteration, and what is paid."""
    planned = plan(config, 1)
    return {
        "steps": config.steps,
        "trained": list(planned.trained),
        "leash": config.sa_reg_steps,
        "noise": [round(1 - strength.gamma, 3) for strength in planned.prompt_noise or ()],  # share of the prompt that is shaken
        "start": planned.trained[0] if config.window.startswith("hrf") else None,
        "chosen": planned.chosen,
        "bonus": config.creative_beta > 0 or config.shaping_alpha > 0 or config.advantage == "novelty",
        "past": config.advantage == "history",
        "pull": config.pull > 0,
    }


def cards(runs: Path) -> list[dict[str, Any]]:
    """Every shipped preset; one that cannot be read is left out and named."""
    past = Past(runs)
    made = []
    for name in preset_names():
        try:
            made.append(_card(name, *preset_words(name), load(name), past))
        except UserError as error:
            made.append({"name": name, "broken": str(error)})
    return made


def own_cards(runs: Path) -> list[dict[str, Any]]:
    """Presets of one's own, newest first; one that cannot be read is named with the reason."""
    past = Past(runs)
    made = []
    for preset in own_presets.every(runs):
        try:
            made.append(_card(preset.stem, preset.title, preset.line, preset.config(), past))
        except UserError as error:
            made.append({"name": preset.stem, "title": preset.title, "broken": str(error)})
    return made


def _card(name: str, title: str, line: str, config: RunConfig, past: Past) -> dict[str, Any]:
    values = config.model_dump(mode="json")
    return {"name": name, "title": title, "line": line, "values": values, "schedule": schedule(config), "measured": past.of(config)}


class Past:
    """Everything that was measured on this computer: trials, and runs of the same cost."""

    def __init__(self, runs: Path):
        self.trials = {tuple(m["cost"]): m for m in reversed(measuring.kept(runs))}
        self.runs = {m["cost"]: m for m in reversed(measurements(runs))}

    def of(self, config: RunConfig) -> dict[str, Any] | None:
        """What such a setup took here, or None: never a guess. A trial says more than a run, so it comes first."""
        key = cost.key(config)
        trial, run = self.trials.get(key), self.runs.get(key)
        if trial is None and run is None:
            return None
        m = trial or run
        told = {name: m.get(name) for name in ("pace", "memory", "memory_parts", "memory_total", "device", "at", "run", "iterations", "fits_with", "fits_thrifty")}
        fits = m["memory"] <= m["memory_total"] if m["memory"] and m["memory_total"] else None
        return {
            **told,
            "parts": m["seconds"],
            "seconds": m["pace"] * config.iterations,
            "base": m["base_picture"] * config.base_pictures * min(config.base_prompts, len(config.prompts)) if trial else None,
            "disk": cost.disk(config, m["disk"]) if m["disk"] else None,
            "pictures": pictures(config),
            "fits": fits,
            "remedies": cost.remedies(config, m["memory_parts"], m.get("kept")) if trial and fits is False else [],
        }

    def trial_took(self, model: str) -> float | None:
        """Seconds of the newest trial of this model."""
        newest = max((m for m in self.trials.values() if m["model"] == model), key=lambda m: m["at"], default=None)
        return newest and newest["took"]


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
        rows = db.rows("SELECT time, seconds, metrics FROM iterations WHERE iteration > 0 ORDER BY iteration DESC LIMIT 50")
        status, pictures = db.status(), db.row("SELECT count(*) AS n FROM pictures")["n"]
    if len(rows) < _ENOUGH:
        return None
    metrics = [json.loads(r["metrics"]) for r in rows]
    return {
        "cost": cost.key(settings(run)),
        "pace": median(r["seconds"] for r in rows),
        "seconds": _parts([m["seconds"] for m in metrics if m.get("seconds")]),
        "run": run.name,
        "device": status.get("device", ""),
        "memory": metrics[0].get("memory") or status.get("memory_used", 0),
        "memory_total": status.get("memory_total", 0),
        "iterations": len(rows),
        "at": rows[0]["time"],
        "disk": _disk(run, pictures),
    }


def _disk(run: folder.Run, pictures: int) -> dict[str, int] | None:
    """Bytes for each picture (with its share of the notes), checkpoint and the LoRA; None before the first checkpoint."""
    saved = checkpoints.all_of(run)
    if not saved or not pictures:
        return None
    notes = sum(os.path.getsize(file) for file in (run.path / "run.db", run.path / "run.db-wal") if file.exists())
    return {"picture": notes // pictures, "iteration": 0, "checkpoint": folder.size(run.checkpoints) // len(saved), "export": folder.size(run.export)}


def _parts(phases: list[dict[str, float]]) -> dict[str, float] | None:
    """Median seconds of making, scoring, finding looks and learning (with writing) over iterations; None if none recorded them."""
    if not phases:
        return None
    names = {"make": ("rollout", "decode"), "score": ("reward",), "looks": ("diversity",), "learn": ("update", "write")}
    return {part: median(sum(p.get(n) or 0.0 for n in of) for p in phases) for part, of in names.items()}
