"""Which model a name means. Imports nothing heavy, so that the studio can ask as one types."""

from __future__ import annotations

import json
import os
from pathlib import Path

from .. import places
from ..config import MODELS
from ..errors import UserError
from . import hub, missing

# Which classes are supported, and what people call them.
PIPELINES = {
    "StableDiffusion3Pipeline": "SD 3, SD 3.5",
    "StableDiffusionPipeline": "SD 1, SD 2",
    "DDPMPipeline": "pixels without a prompt",
    "DDIMPipeline": "pixels without a prompt",
    "LDMPipeline": "latents without a prompt",
}
UNUSED = ("safety_checker", "feature_extractor", "image_encoder")  # parts that are never loaded
AT_ROOT = {"unet": "config.json", "scheduler": "scheduler_config.json"}  # old DDPM folders hold these parts without a folder each


def model_path(name: str) -> str:
    """The embedded model's folder, a folder as given, or a hub name. Raises UserError that says what is missing."""
    embedded = MODELS / name
    if "/" not in name and "\\" not in name and os.path.exists(embedded / "model_index.json"):
        return str(embedded)
    folder = places.folder(name)
    if folder:
        return str(folder)
    if places.is_hub_name(name):
        return name
    raise missing.no_such_place(name)


def check_model(name: str) -> None:
    """Raises UserError if the model is a folder that cannot be used; a hub name is looked up only when it is loaded."""
    folder = Path(model_path(name))
    if folder.is_dir():
        check_folder(name, folder)


def load_path(name: str) -> str:
    """What to load for `name`: a folder, also of a hub model that lies whole on this computer, so that nothing is asked of the network; else its hub name."""
    place = model_path(name)
    fetched = None if os.path.isdir(place) else hub.snapshot(place)
    if fetched is None:
        return place
    try:
        check_folder(name, fetched)
    except UserError:  # fetching was broken off
        return place
    return str(fetched)


def loaded_parts(index: dict) -> list[str]:
    """The parts that a model_index.json names and that are loaded here."""
    return [part for part, value in index.items() if isinstance(value, list) and value and value[0] and part not in UNUSED]


def check_folder(name: str, folder: Path) -> None:
    """Raises UserError, which calls the model `name`, if `folder` holds none that can be tuned."""
    index = folder / "model_index.json"
    try:
        parts = json.loads(index.read_text(encoding="utf-8"))
        kind = parts.get("_class_name")
    except FileNotFoundError:
        raise missing.no_index(name, folder) from None
    except (OSError, ValueError, AttributeError):
        raise UserError(f"model: {index} cannot be read. Copy the model again.", "model") from None
    check_kind(name, kind)
    # An absent tokenizer is no error to transformers: it makes one that knows no word.
    for part in loaded_parts(parts):
        at_root = part in AT_ROOT and not (folder / part).is_dir() and (folder / AT_ROOT[part]).is_file()
        if not at_root and not (folder / part).is_dir():
            raise UserError(f"model: {name} lacks its part {part}. Copy the model again.", "model")
        problem = missing.weights_problem(name, part, folder if at_root else folder / part)
        if problem:
            raise problem


def check_kind(name: str, kind: object) -> None:
    """Raises UserError unless `kind`, the class that model_index.json names, is one that can be tuned."""
    if not isinstance(kind, str) or kind not in PIPELINES:
        raise missing.other_kind(name, kind)
