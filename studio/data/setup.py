"""Everything the Setup form needs to know, and what it is told while a person types."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from core import places, prompt_files
from core.backbones import hub, missing
from core.backbones.names import PIPELINES, check_folder, check_model, model_path
from core.clip_names import EMBEDDED, check_clip, check_likeness, whole
from core.config import FIELDS, MODEL_TITLES, MODELS, NAME, RunConfig, build, problems
from core.errors import UserError
from core.presets import PRESET_GROUPS, preset_names, preset_words
from core.rewards.names import REGISTRY, check_names
from core.runs import folder

from . import own_presets, presets
from .lists import ready
from .settings import settings


def form(runs: Path) -> dict[str, Any]:
    """Presets, fields with words and bounds, rewards, prompt lists, a free name."""
    return {
        "presets": presets.cards(runs),
        "own": presets.own_cards(runs),
        "models": models(),
        "fields": fields(),
        "rewards": rewards(),
        "lists": ready(),
        "method": list(presets.METHOD),
        "name": folder.next_name(runs, "run"),
    }


def fields() -> dict[str, dict[str, Any]]:
    """Per field: label, symbol, help, group, live, default, whether it is our choice where papers are silent, and its JSON schema."""
    schema = RunConfig.model_json_schema()["properties"]
    return {
        name: {**field.json_schema_extra, "help": field.description, "ours": "our choice" in field.description, "default": schema[name].get("default"), "schema": schema[name]}
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
    sound = not wrong
    taken = name_problem(name, runs)
    if taken:
        wrong = {**wrong, "name": taken}
    place, clip = model_place(values.get("model", "")), clip_place(values)
    for field, one in (("model", place), ("clip_model", clip)):
        if not one["here"]:
            wrong.setdefault(field, _remedy(one))
    for error in surroundings(values):
        wrong.setdefault(error.field or "", str(error))
    kept = place_problem(runs)
    if kept:
        wrong["runs"] = kept
    answer: dict[str, Any] = {"problems": {k: words(k, v) for k, v in wrong.items()}, "measured": None, "preset": None}
    answer |= {"model": {**place, "name": values.get("model")}, "clip": {**clip, "name": values.get("clip_model")}}
    if sound:
        config, past = build(values).placed(), presets.Past(runs)
        answer |= {
            "measured": past.of(config),
            "trial": past.trial_took(config.model),
            "preset": presets.describe(config),
            "schedule": presets.schedule(config),
        }
    return answer


def surroundings(values: dict[str, Any]) -> list[UserError]:
    """What is wrong with names, files and the model's kind, of which the settings alone know nothing. `values` may be anything."""
    weights, clip, file = values.get("rewards"), values.get("clip_model"), values.get("reward_file")
    checks = [
        lambda: check_names(weights if isinstance(weights, dict) else ()),
        lambda: check_likeness(str(values.get("perceptual", "clip"))),
        lambda: check_clip(clip) if isinstance(clip, str) and clip else None,
        lambda: _reward_file(file) if isinstance(file, str) and "own" in (weights or ()) else None,
        *(lambda name=name: _suits(name, values) for name in ("dynamics", "guidance", "prompt_noise_scale")),
    ]
    found = []
    for one in checks:
        try:
            one()
        except UserError as error:
            found.append(error)
    return found


def _reward_file(name: str) -> None:
    if not os.path.isfile(name):
        raise UserError(f"reward_file: {places.quoted(name)} is not a file. Name a Python file with a function score(images, prompts).", "reward_file")


def _suits(field: str, values: dict[str, Any]) -> None:
    """Raises UserError if `field` asks of the model what its kind cannot do. A model that is not here is not judged."""
    kind, value = model_kind(values.get("model")), values.get(field)
    if kind is None:
        return
    if field == "dynamics" and value in _NOISES and value not in kind["noises"]:
        what = "a flow model; its noise kinds are Flow-SDE, CPS and Dance-SDE" if kind["flow"] else "a diffusion model; its noise kind is DDIM"
        raise UserError(f"This model is {what}.", field)
    if not kind["prompts"] and isinstance(value, (int, float)):
        if field == "guidance" and value > 1:
            raise UserError("This model takes no prompt, so there is nothing to follow. Use 1.", field)
        if field == "prompt_noise_scale" and value > 0:
            raise UserError("This model takes no prompt, so there is nothing to shake. Use 0.", field)


def words(field: str, text: str) -> str:
    """The config's sentence without the technical name in front: the form shows it at the field."""
    prefix = f"{field}: "
    return text[len(prefix) :] if text.startswith(prefix) else text


def place_problem(runs: Path) -> str | None:
    """Why no run can be kept in `runs`: it can only be read, or its disk is nearly full."""
    for look in (folder.check_writable, folder.check_disk):
        try:
            look(runs)
        except UserError as error:
            return words("disk", str(error))
    return None


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
    if os.path.isdir(model_path(model)):
        return {"here": True, "hub": False, "words": "Ready"}
    return _hub_place(model, model.partition("/")[2])


def clip_place(values: dict[str, Any]) -> dict[str, Any]:
    """As `model_place`, of the CLIP that compares the pictures; the words say, too, where it knows emoji only. A wrong name counts as here."""
    clip, model = values.get("clip_model"), values.get("model")
    if clip == EMBEDDED:
        return {"here": True, "hub": False, "words": "" if model in _SHIPPED else f"It knows emoji only. For photos and paintings use {LARGE_CLIP}."}
    if not isinstance(clip, str) or places.folder(clip) or not places.is_hub_name(clip):
        return {"here": True, "hub": False, "words": ""}
    repo, fetched = clip.partition("/")[2], hub.snapshot(clip)
    if whole(clip):
        return {"here": True, "hub": True, "words": f"{repo} is here: CLIP, {_size(fetched)}."}
    return {"here": False, "hub": True, "words": f"{repo} is on this computer only in part." if fetched else f"{repo} is not on this computer."}


def _hub_place(model: str, repo: str) -> dict[str, Any]:
    fetched, doubt = hub.snapshot(model), missing.sounds_like(model)
    if fetched is None:
        said = f"{repo} is not on this computer."
        if doubt:
            said = f"{repo} is not on this computer, and sounds like {doubt}, which cannot be tuned here. Use {missing.TUNED}."
        return {"here": False, "hub": True, "words": said}
    kind = model_kind(str(fetched))
    try:
        check_folder(model, fetched)
    except UserError as error:
        if kind is None or kind["name"] in PIPELINES:  # fetching was broken off
            return {"here": False, "hub": True, "words": f"{repo} is on this computer only in part."}
        return {"here": False, "hub": False, "words": words("model", str(error))}
    return {"here": True, "hub": True, "words": f"{repo} is here: {PIPELINES[kind['name']]}, {_size(fetched)}."}


def _size(folder: Path) -> str:
    size = sum(p.stat().st_size for p in folder.rglob("*") if p.is_file())
    return f"{size / 1e9:.1f} GB" if size >= 9.5e7 else f"{size / 1e6:.0f} MB"


def _remedy(place: dict[str, Any]) -> str:
    """The sentence of a model that is not here, for the field."""
    return f"{place['words']} Download it, or name a folder." if place["hub"] and "cannot be tuned" not in place["words"] else place["words"]


LARGE_CLIP = "openai/clip-vit-large-patch14"
MOST_PROMPTS = 5000  # as RunConfig.prompts allows
LARGEST_PROMPTS = 8 * 2**20  # letters of a file
_NOISES = ("flow_sde", "cps", "dance_sde", "ddim")


def model_kind(model: Any) -> dict[str, Any] | None:
    """{"name" of its class, "flow", "prompts", "noises"} of a model on this computer, from its model_index.json; None if that cannot be read."""
    if not isinstance(model, str) or not model.strip():
        return None
    try:
        place = model_path(model)
        folder = Path(place) if os.path.isdir(place) else hub.snapshot(place)
        name = str(json.loads((folder / "model_index.json").read_text(encoding="utf-8"))["_class_name"])
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return None
    flow = name == "StableDiffusion3Pipeline"
    return {"name": name, "flow": flow, "prompts": "without a prompt" not in PIPELINES.get(name, ""), "noises": list(_NOISES[:3] if flow else _NOISES[3:])}


_SHIPPED = {"emoji-sd3": "64 px, built in", "emoji-ddpm": "64 px, built in, no prompts"}


def models() -> list[dict[str, Any]]:
    """The models that ship with this copy; the default one also where it is missing, so that its words can say so."""
    there = [name for name in _SHIPPED if name == "emoji-sd3" or (MODELS / name / "model_index.json").exists()]
    return [{"name": name, "title": MODEL_TITLES[name], "line": _SHIPPED[name], "kind": model_kind(name)} for name in there]


def setups(runs: Path) -> list[dict[str, str]]:
    """What a setup can be loaded from: runs, presets of one's own, and the shipped groups that are no cards."""
    found = [{"kind": "run", "name": run.name, "title": run.name, "line": _line(run)} for run in folder.find(runs)[:100] if NAME.fullmatch(run.name)]
    found += [{"kind": "own", "name": p.stem, "title": p.title, "line": p.line} for p in own_presets.every(runs)]
    for group in PRESET_GROUPS:
        for name in preset_names(group) if group else ():
            title, line = preset_words(name)
            found.append({"kind": group, "name": name, "title": title, "line": line})
    return found


def _line(run: folder.Run) -> str:
    try:
        nearest = presets.describe(settings(run))
    except UserError:
        return "Its settings cannot be read."
    changes = nearest["changes"]
    return nearest["title"] + (f", {changes} {'change' if changes == 1 else 'changes'}" if changes else "")


def read(kind: str, name: str, text: str, runs: Path) -> dict[str, Any]:
    """{"title", "values"} of a preset, shipped or one's own, or (kind `file`) of the dropped YAML `text`. Raises UserError."""
    if kind == "file":
        return _read(name or "A file", own_presets.from_text(text, name or "the file"))
    if kind == "own":
        preset = own_presets.find(runs, name)
        return _read(preset.title, preset.config())
    return _read(preset_words(name)[0], presets.load(name))


def prompts_of(name: str, text: str) -> dict[str, Any]:
    """{"prompts", "left": how many more the file has than a run takes} of a file that was dropped or chosen. Raises UserError."""
    if len(text) > LARGEST_PROMPTS:
        raise UserError(f"prompts: {name} is larger than {LARGEST_PROMPTS // 2**20} MB. Take some of its lines.", "prompts")
    found = prompt_files.read(text, name or "the file")
    return {"prompts": found[:MOST_PROMPTS], "left": max(0, len(found) - MOST_PROMPTS)}


def of_run(run: folder.Run) -> dict[str, Any]:
    """{"title", "values"} with which `run` began. Raises UserError."""
    return _read(run.name, run.config())


def _read(title: str, config: RunConfig) -> dict[str, Any]:
    return {"title": title, "values": config.model_dump(mode="json")}


def make(values: dict[str, Any], name: str, runs: Path) -> folder.Run:
    """The run folder of a new run. Raises UserError that names the wrong field."""
    config = build(values)
    for error in surroundings(values):
        raise error
    for field, problem in (("name", name_problem(name, runs)), ("runs", place_problem(runs))):
        if problem:
            raise UserError(problem, field)
    for field, one in (("model", model_place(config.model)), ("clip_model", clip_place(values))):
        if not one["here"]:
            raise UserError(_remedy(one), field)
    return folder.create(runs / name, config)
