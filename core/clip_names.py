"""Which likeness measure and which CLIP a name means. Imports nothing heavy, so that both are checked before anything is loaded."""

from __future__ import annotations

import json
from pathlib import Path

from . import places
from .backbones import hub, missing
from .config import MODELS
from .errors import UserError

EMBEDDED = "emoji-clip"
# any one of each kind; an absent tokenizer is no error to transformers: it makes one that knows no word
NEEDED = {
    "weights in safetensors": ("model.safetensors", "model.safetensors.index.json"),
    "a tokenizer": ("tokenizer.json", "vocab.json"),
    "the preparation of pictures": ("preprocessor_config.json", "processor_config.json"),
}


def check_likeness(name: str) -> None:
    """Raises UserError unless the likeness measure `name` can be used.

    DreamSim is refused, for two reasons found in its package (0.2.1). All its published weights are pickles (.pth, .pth.tar),
    and a pickle is never opened here: torch.load(weights_only=True) narrows what one may do, but was broken once already
    (CVE-2025-32434). And its ensemble, which the papers report, and its DINO variants are built by Python code that
    torch.hub.load fetches from the head of a GitHub repository, which no local folder of weights replaces.
    """
    if name == "dreamsim":
        why = "its weights come as pickle only, which could run code, and are never opened"
        raise UserError(f"perceptual: DreamSim is not available: {why}. Use clip, with a large CLIP as clip_model.", "perceptual")
    if name != "clip":
        raise UserError(f"perceptual: {places.quoted(name)} is no likeness measure. Use clip.", "perceptual")


def clip_source(name: str) -> str:
    """The embedded CLIP's folder, a folder as given, or a hub name. Raises UserError if it is none of them."""
    if name == EMBEDDED:
        return str(MODELS / EMBEDDED)
    folder = places.folder(name)
    if folder:
        return str(folder)
    if places.is_hub_name(name):
        return name
    raise UserError(f"clip_model: {places.quoted(name)} is neither {EMBEDDED} nor a folder here nor a hub name. Use {EMBEDDED}, a folder, or owner/name.", "clip_model")


def check_clip(name: str) -> None:
    """Raises UserError if the CLIP is a folder that cannot be used; a hub name is looked up only when it is loaded."""
    folder = Path(clip_source(name))
    if not folder.is_dir():
        return
    try:
        kind = json.loads((folder / "config.json").read_text(encoding="utf-8")).get("model_type")
    except FileNotFoundError:
        raise UserError(f"clip_model: {name} holds no config.json, so it is no model folder. Name the folder that holds it.", "clip_model") from None
    except (OSError, ValueError, AttributeError):
        raise UserError(f"clip_model: {folder / 'config.json'} cannot be read. Copy the model again.", "clip_model") from None
    check_kind(name, kind)
    for what, files in NEEDED.items():
        if not any((folder / file).is_file() for file in files):
            remedy = "Save it with CLIPModel and CLIPProcessor; pickled weights are never read."
            raise UserError(f"clip_model: {name} lacks {what} ({' or '.join(files)}). {remedy}", "clip_model")


def whole(name: str) -> bool:
    """Whether the hub's CLIP `name` lies on this computer with all that is needed of it, so that nothing is asked of the network."""
    fetched = hub.snapshot(name)
    if fetched is None:
        return False
    try:
        check_clip(str(fetched))
    except UserError:
        return False
    return missing.weights_problem(name, "model", fetched) is None


def check_kind(name: str, kind: object) -> None:
    """Raises UserError unless `kind`, the model_type of config.json, is a CLIP with both halves."""
    if kind != "clip":
        raise UserError(f"clip_model: {name} is a {kind}, not a clip. Use a CLIPModel of transformers, such as openai/clip-vit-large-patch14.", "clip_model")
