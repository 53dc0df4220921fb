"""Everything the Setup form needs to know, and what it is told while a person types."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from core.backbones.names import check_model
from core.config import FIELDS, MODELS, NAME, RunConfig, build, problems
from core.errors import UserError
from core.rewards.names import REGISTRY, check_names
from core.runs import folder

from . import presets
from .lists import READY


def form(runs: Path) -> dict[str, Any]:
    """Presets, fields with words and bounds, rewards, prompt lists, a free name."""
    cards = presets.cards(runs)
    return {
        "presets": cards,
        "fields": fields(),
        "rewards": rewards(),
        "lists": READY,
        "method": list(presets.METHOD),
        "name": folder.next_name(runs, "run"),
    }


def fields() -> dict[str, dict[str, Any]]:
    """Per field: label, symbol, help, group, live, default, and its JSON schema for bounds and choices."""
    schema = RunConfig.model_json_schema()["properties"]
    return {
        name: {**field.json_schema_extra, "help": field.description, "default": schema[name].get("default"), "schema": schema[name]}
        for name, field in FIELDS.items()
    }


def rewards() -> list[dict[str, str]]:
    """Every reward with its words."""
    return [
        {"name": r.name, "label": r.label, "help": f"Higher is {r.meaning}." if r.name != "own" else r.meaning} for r in REGISTRY.values()
    ]


def check(values: dict[str, Any], name: str, runs: Path) -> dict[str, Any]:
    """Wrong fields with their sentences, where the model is, and what such a run took here."""
    wrong = problems(values)
    taken = name_problem(name, runs)
    if taken:
        wrong = {**wrong, "name": taken}
    wrong |= reward_problem(values.get("rewards"))
    place = model_place(values.get("model", ""))
    if not place["here"] and not place["hub"]:
        wrong.setdefault("model", place["words"])
    answer: dict[str, Any] = {"problems": {k: words(k, v) for k, v in wrong.items()}, "model": place, "measured": None, "preset": None}
    if not problems(values):
        config = build(values)
        answer |= {
            "measured": presets.measured(config, presets.measurements(runs)),
            "preset": presets.describe(config),
            "schedule": presets.schedule(config),
        }
    return answer


def reward_problem(weights: Any) -> dict[str, str]:
    try:
        check_names(weights if isinstance(weights, dict) else ())
        return {}
    except UserError as error:
        return {"rewards": str(error)}


def words(field: str, text: str) -> str:
    """The config's sentence without the technical name in front: the form shows it at the field."""
    prefix = f"{field}: "
    return text[len(prefix) :] if text.startswith(prefix) else text


def name_problem(name: str, runs: Path) -> str | None:
    if not NAME.fullmatch(name):
        return "Name has a sign that a folder cannot carry. Use 1 to 60 letters, digits, - and _."
    if (runs / name).exists():
        return f"A run is called {name} already. {folder.next_name(runs, name.rstrip('-0123456789') or name)} is free."
    return None


def model_place(model: str) -> dict[str, Any]:
    """Whether a model is on this computer, in words. `hub`: it is a hub name that could be fetched."""
    if not isinstance(model, str) or not model.strip():
        return {"here": False, "hub": False, "words": "Name a folder or a model on the hub."}
    if model == "emoji-sd3" and not (MODELS / model / "model_index.json").exists():
        return {
            "here": False,
            "hub": False,
            "words": "Emoji SD3 is not in this copy of the studio: assets/models/emoji-sd3 has no model_index.json.",
        }
    try:
        check_model(model)
    except UserError as error:
        return {"here": False, "hub": False, "words": words("model", str(error))}
    if (MODELS / model).is_dir() or Path(model).expanduser().is_dir():
        return {"here": True, "hub": False, "words": "Ready"}
    owner, _, repo = model.partition("/")
    if (_hub_cache() / f"models--{owner}--{repo}").is_dir():
        return {"here": True, "hub": True, "words": "Ready"}
    return {
        "here": False,
        "hub": True,
        "words": f"{repo} is not on this computer. Starting fetches it from the hub, if the network and its licence allow.",
    }


def _hub_cache() -> Path:
    home = os.environ.get("HF_HOME")
    return Path(os.environ.get("HF_HUB_CACHE") or (Path(home) / "hub" if home else Path.home() / ".cache" / "huggingface" / "hub"))


def make(values: dict[str, Any], name: str, runs: Path) -> folder.Run:
    """The run folder of a new run. Raises UserError that names the wrong field."""
    config = build(values)
    check_names(config.rewards)
    taken = name_problem(name, runs)
    if taken:
        raise UserError(taken, "name")
    place = model_place(config.model)
    if not place["here"] and not place["hub"]:
        raise UserError(place["words"], "model")
    return folder.create(runs / name, config)
