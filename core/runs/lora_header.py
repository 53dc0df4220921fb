"""What an exported LoRA says of itself in the header of its file, and under which licence its base model stands.

Beside this studio's own names stand those that other programs read: `modelspec.*` (Stability AI's ModelSpec 1.0.0, as
kohya's sd-scripts write it, shown by ComfyUI's model managers) and `ss_*` (kohya's, read by A1111 and Forge: without `ss_v2`
they take every LoRA with a header for one of Stable Diffusion 1; `ss_tag_frequency` is their list of trained words).
A file that is shared must not tell of its maker's disk, so models and reward files go in by their names, not their paths.
"""

from __future__ import annotations

import json
import os
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import ModelCard, try_to_load_from_cache

from .. import places
from ..config import MODEL_TITLES, MODELS, PLACES, RunConfig

FAMILIES = {  # family, width of its text features (0: any) -> what the others' headers call it
    ("sd3", 0): {"modelspec.architecture": "stable-diffusion-3/lora", "ss_base_model_version": "sd3"},
    ("unet", 768): {"modelspec.architecture": "stable-diffusion-v1/lora", "ss_base_model_version": "sd_v1", "ss_v2": "False"},
    ("unet", 1024): {"ss_base_model_version": "sd_v2", "ss_v2": "True"},
}
IMPLEMENTATIONS = {"comfy": "https://github.com/Stability-AI/generative-models", "diffusers": "diffusers"}  # whose names the layers have
_WORDS = 100  # prompts listed as trained words; all of them stand in manymodes.prompts


def metadata(name: str, config: RunConfig, iteration: int, *, form: str, made_of: tuple[str, int], strength: float, made: float, preset: str = "") -> dict[str, str]:
    """The header of the LoRA of run `name` after `iteration`. made_of: a key of FAMILIES; made: seconds since 1970."""
    words = {
        "format": "pt",
        "manymodes.run": name,
        "manymodes.preset": preset,
        "manymodes.iteration": str(iteration),
        "manymodes.strength": f"{strength:g}, already in the matrices",
        "manymodes.base_model": model_name(config),
        "manymodes.base_licence": licence(config),
        "manymodes.prompts": json.dumps(config.prompts, ensure_ascii=False),
        "manymodes.rewards": json.dumps(dict(config.rewards)),
        "manymodes.rank": str(config.lora_rank),
        "manymodes.alpha": f"{config.lora_alpha:g}, already in the matrices",
        "manymodes.recipe": json.dumps(recipe(config), ensure_ascii=False),
        "modelspec.sai_model_spec": "1.0.0",
        "modelspec.implementation": IMPLEMENTATIONS[form],
        "modelspec.title": f"{name} at {iteration}" + ("" if strength == 1 else f", strength {strength:g}"),
        "modelspec.description": f"{preset or 'Reinforcement fine-tuning'} of {model_name(config)} for {', '.join(config.rewards)}, after {iteration} iterations.",
        "modelspec.date": datetime.fromtimestamp(made, timezone.utc).isoformat(timespec="seconds"),
        "modelspec.resolution": f"{config.resolution}x{config.resolution}" if config.resolution else "",
        "modelspec.usage_hint": "Strength 1 is what was chosen at export. No trigger word: it acts on every prompt, most on those it was trained on.",
        "modelspec.license": licence(config),
        "ss_sd_model_name": model_name(config),
        "ss_tag_frequency": json.dumps({name: dict.fromkeys(config.prompts[:_WORDS], 1)}, ensure_ascii=False),
    }
    words |= FAMILIES.get(made_of, {})
    return {key: text for key, text in words.items() if text}


def recipe(config: RunConfig) -> dict[str, Any]:
    """Every setting that is not the default, but prompts and rewards, which have entries of their own."""
    plain, own = RunConfig().model_dump(mode="json"), config.model_dump(mode="json")
    changed = {key: value for key, value in own.items() if value != plain[key] and key not in ("prompts", "rewards")}
    return {key: _base(value) if key in PLACES and isinstance(value, str) else value for key, value in changed.items()}


def model_name(config: RunConfig) -> str:
    """The base model as anyone may know it: its name on the hub, or that of its folder without the way there."""
    return _base(config.model)


def model_title(config: RunConfig) -> str:
    """The base model as a person reads it."""
    name = model_name(config)
    return MODEL_TITLES.get(name, name)


def _base(text: str) -> str:
    """The last part of a path; a name on the hub, or one without a slash, as it is."""
    return text if places.is_hub_name(text) and places.folder(text) is None else re.split(r"[\\/]", text.rstrip("\\/"))[-1]


def licence(config: RunConfig) -> str:
    """The base model's licence as its model card names it; '' if there is no card on this computer that does."""
    if not os.path.dirname(config.model) and os.path.isdir(MODELS / config.model):
        return "Apache-2.0"  # see assets/README.md
    folder = places.folder(config.model)
    try:
        card = folder / "README.md" if folder else try_to_load_from_cache(config.model, "README.md")
        data = ModelCard.load(card).data if isinstance(card, (str, Path)) and Path(card).is_file() else {}
    except (ValueError, yaml.YAMLError):  # not a hub name, or a card whose head is not YAML
        return ""
    return data.get("license_name") or data.get("license") or ""
