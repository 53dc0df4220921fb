"""Which files of a hub repository are needed: of all that lies there, the parts that are loaded, in safetensors and once each.

A repository often holds the same weights several times: as pickles, in half precision, for other libraries, and the whole
model in one file beside the parts.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from .. import clip_names
from ..errors import UserError
from .names import AT_ROOT, UNUSED, check_kind, loaded_parts

CARDS = ("README.md", "LICENSE", "LICENSE.md", "LICENSE.txt")  # small; an exported LoRA names the licence of the card
_STEMS = ("diffusion_pytorch_model", "model")  # how diffusers and transformers call their weights
_TEXTS = (".json", ".txt", ".model")  # configs, vocabularies, merges, SentencePiece
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")


def model_files(name: str, there: Collection[str], index: dict[str, Any] | None) -> list[str]:
    """Of the paths `there`, those that loading the diffusers model `name` reads, sorted. Raises UserError if it cannot be tuned.

    index: its model_index.json; None if that may not be read before the licence is accepted, and then every folder with a config counts.
    """
    if index is None:
        folders = {path.partition("/")[0] for path in there if path.count("/") == 1 and path.endswith(".json")}
        parts = sorted(folders - set(UNUSED))
    else:
        check_kind(name, index.get("_class_name"))
        parts = loaded_parts(index)
    found = {"model_index.json", *(card for card in CARDS if card in there)}
    for part in parts:
        inside = _directly(there, f"{part}/")
        if inside:
            found |= {f"{part}/{file}" for file in _of_part("model", name, part, inside)}
        elif part in AT_ROOT and AT_ROOT[part] in there:
            found.add(AT_ROOT[part])
            if AT_ROOT[part] == "config.json":
                found |= _weights("model", name, part, _directly(there, ""))
        else:
            raise UserError(f"model: {name} lacks its part {part} on the hub. Name another.", "model")
    return sorted(found)


def clip_files(name: str, there: Collection[str], config: dict[str, Any] | None) -> list[str]:
    """Of the paths `there`, those that loading the CLIP `name` reads, sorted; config: its config.json, None if it may not be read yet. Raises UserError."""
    if config is not None:
        clip_names.check_kind(name, config.get("model_type"))
    inside = _directly(there, "")
    for what, files in clip_names.NEEDED.items():
        if not inside & set(files) and "weights" not in what:
            raise UserError(f"clip_model: {name} lacks {what} on the hub ({' or '.join(files)}). Name another.", "clip_model")
    return sorted({*_of_part("clip_model", name, "model", inside), *(card for card in CARDS if card in there)} - {"model_index.json"})


def _directly(there: Collection[str], folder: str) -> set[str]:
    """Names of the files in `folder` ('' or 'part/') itself."""
    return {path[len(folder) :] for path in there if path.startswith(folder) and "/" not in path[len(folder) :]}


def _of_part(field: str, name: str, part: str, inside: set[str]) -> set[str]:
    texts = {file for file in inside if file.endswith(_TEXTS) and ".index." not in file and not file.endswith(".md")}
    return texts | (_weights(field, name, part, inside) if "config.json" in inside else set())


def _weights(field: str, name: str, part: str, inside: set[str]) -> set[str]:
    """The safetensors of one part: a file, or an index and the files that it names. Raises UserError if there are none to read."""
    for stem in _STEMS:
        if f"{stem}.safetensors" in inside:
            return {f"{stem}.safetensors"}
        shards = {file for file in inside if re.fullmatch(rf"{stem}-\d+-of-\d+\.safetensors", file)}
        if shards and f"{stem}.safetensors.index.json" in inside:
            return {f"{stem}.safetensors.index.json", *shards}
    other = next((file for file in sorted(inside) if file.endswith(".safetensors") and file.startswith(_STEMS)), None)
    pickled = next((file for file in sorted(inside) if file.endswith(_PICKLES)), None)
    if other:
        why = f"has the weights of its part {part} only as {other}, which is not read here"
    elif pickled:
        why = f"has pickled weights only in its part {part} ({pickled}), which could run code and are never opened"
    else:
        why = f"has no weights of its part {part}"
    raise UserError(f"{field}: {name} {why}. Name another, with safetensors.", field)
