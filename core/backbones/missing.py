"""What is missing of a model that a person named, in a sentence that says what to do. Reads names, folders and headers; loads nothing.

Pickled weights (.bin, .ckpt, .pt) are never opened: a pickle may run code.
"""

from __future__ import annotations

import difflib
import functools
import json
import os
import re
from pathlib import Path

from .. import places
from ..config import MODELS
from ..errors import UserError

FORMAT = "Name a folder in the diffusers format: it holds model_index.json"
_ONE_FILE = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf", ".sft")
_PICKLES = (".bin", ".ckpt", ".pt", ".pth")
_VARIANT = re.compile(r"\.(fp16|bf16|fp32|non_ema|ema_only)(?=[.-])")  # diffusers reads such files only when asked for
_ON_THE_HUB = re.compile(r"(?:https?://)?(?:www\.)?(?:huggingface\.co|hf\.co)/([^/\s]+/[^/\s?#]+).*")
# What people call a class of pipelines that is not supported, by the beginning of its name.
_FAMILIES = {
    "Flux": "FLUX", "StableDiffusionXL": "SDXL", "StableCascade": "Stable Cascade", "QwenImage": "Qwen-Image", "PixArt": "PixArt", "Sana": "Sana", "ZImage": "Z-Image",
    "HunyuanDiT": "Hunyuan-DiT", "HunyuanImage": "HunyuanImage", "HunyuanVideo": "a video model", "Wan": "a video model", "LTX": "a video model", "CogVideo": "a video model",
    "Lumina": "Lumina", "Kandinsky": "Kandinsky", "AuraFlow": "AuraFlow", "Chroma": "Chroma", "HiDream": "HiDream", "Cosmos": "Cosmos", "OmniGen": "OmniGen",
}  # fmt: skip
TUNED = "SD 3 and 3.5, SD 1 and 2, and models without a prompt (DDPM, DDIM, LDM)"


def _refused(sentence: str) -> UserError:
    return UserError(f"model: {sentence}", "model")


def no_such_place(name: str) -> UserError:
    """Why `name` is neither an embedded model nor a folder nor a hub name."""
    plain, said = name.strip(), places.quoted(name)
    on_the_hub = _ON_THE_HUB.fullmatch(plain)
    if on_the_hub and places.is_hub_name(on_the_hub[1]):
        return _refused(f"{said} is an address. Write {on_the_hub[1]}.")
    if re.match(r"[a-z]+://", plain):
        return _refused(f"{said} is an address, and only the hub's are fetched. Download the model and name its folder.")
    bare = plain.strip("\"'").rstrip("/\\") or plain
    if bare != name and (places.folder(bare) or places.is_hub_name(bare)):
        return _refused(f"{said} has signs too many. Write {bare}.")
    if os.path.isfile(os.path.expanduser(plain)):
        return _one_file(Path(os.path.expanduser(plain)))
    if plain.startswith(("/", "~", ".")) or "\\" in plain or re.match(r"[A-Za-z]:", plain):
        return _refused(f"there is no folder {said} on this computer.{_nearest(plain)}")
    near = difflib.get_close_matches(plain, [p.parent.name for p in MODELS.glob("*/model_index.json")], n=1)
    hint = f" Did you mean {near[0]}?" if near else " Use emoji-sd3, a folder, or owner/name."
    return _refused(f"{said} is neither an embedded model nor a folder here nor a hub name.{hint}")


def _nearest(name: str) -> str:
    """The part of a wrong path that is there, for a person who mistyped the rest."""
    path = Path(os.path.expanduser(name))
    there = next((p for p in path.parents if os.path.isdir(p)), None)
    if not path.is_absolute() or there is None or there == Path(path.anchor):
        return " Name a folder that holds model_index.json, or owner/name."
    near = difflib.get_close_matches(path.relative_to(there).parts[0], _folders(there), n=1)
    return f" {there} is there{f'; did you mean {there / near[0]}?' if near else '.'}"


def _folders(place: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in os.scandir(place) if entry.is_dir())
    except OSError:
        return []


def _one_file(path: Path) -> UserError:
    """Why a file is no model to tune."""
    if path.name == "model_index.json":
        return _refused(f"{path.name} is part of a model. Name its folder: {path.parent}.")
    if path.suffix in _PICKLES:
        return _refused(f"{path.name} holds pickled weights, which could run code and are never opened. {FORMAT}.")
    if path.suffix in _ONE_FILE:
        return _refused(f"{path.name} is a whole model, or a LoRA, in one file. {FORMAT}, and a folder for each part.")
    return _refused(f"{path.name} is a file. {FORMAT}.")


def no_index(name: str, folder: Path) -> UserError:
    """Why a folder without model_index.json is none that could be tuned."""
    inside = {p.name for p in folder.iterdir()} if os.access(folder, os.R_OK) else set()
    if not os.access(folder, os.R_OK):
        return _refused(f"{name} may not be read. Change its permissions, or copy the model elsewhere.")
    if "config.json" in inside and (folder.parent / "model_index.json").is_file():
        return _refused(f"{name} is one part of a model. Name the folder above it: {folder.parent}.")
    if any("lora" in file.lower() for file in inside if file.endswith(_ONE_FILE)) or "adapter_config.json" in inside:
        return _refused(f"{name} holds a LoRA, not a model. Name the model that it was made for.")
    snapshots = sorted(folder.glob("snapshots/*/model_index.json"))
    if folder.name.startswith("models--") and snapshots:
        owner, _, repo = folder.name.removeprefix("models--").partition("--")
        return _refused(f"{name} is the hub's cache of a model. Write {owner}/{repo}.")
    models = [part for part in _folders(folder) if (folder / part / "model_index.json").is_file()]
    if len(models) == 1:
        return _refused(f"{name} holds a model in the folder {models[0]}. Name that: {folder / models[0]}.")
    if models:
        more = f" and {len(models) - 3} more" if len(models) > 3 else ""
        return _refused(f"{name} holds several models: {', '.join(models[:3])}{more}. Name one of them, such as {folder / models[0]}.")
    single = sorted(file for file in inside if file.endswith(_ONE_FILE))
    if single:
        return _refused(f"{name} holds a model in one file ({single[0]}), without model_index.json. {FORMAT}, and a folder for each part.")
    return _refused(f"{name} holds no model_index.json, so it is not a diffusers folder. Name the folder that holds it.")


def other_kind(name: str, kind: object) -> UserError:
    """That a model of the class `kind` cannot be tuned, and which can."""
    if not isinstance(kind, str):
        return _refused(f"{name} does not say what it is: its model_index.json names no class. Copy the model again.")
    called = next((words for begin, words in _FAMILIES.items() if kind.startswith(begin)), None)
    what = f"{called} ({kind})" if called else f"a {kind}"
    return _refused(f"{name} is {what}, which cannot be tuned here. Use {TUNED}.")


def sounds_like(name: str) -> str | None:
    """What a hub name sounds like of what cannot be tuned here, 'FLUX'; only its files tell for sure."""
    plain = re.sub(r"[^a-z0-9]", "", name.partition("/")[2].lower())
    found = next((words for begin, words in _FAMILIES.items() if begin.lower() in plain), None)
    return found or ("SDXL" if "sdxl" in plain else None)


# --- weights --------------------------------------------------------------------------------------------------------
def weights_problem(name: str, part: str, folder: Path) -> UserError | None:
    """What is wrong with the weights of one part in `folder`; None if they are whole, or none are needed (no config.json)."""
    if not (folder / "config.json").is_file():
        return None
    try:
        files = {p.name for p in folder.iterdir()}
    except OSError:
        return _refused(f"the part {part} of {name} may not be read. Change its permissions.")
    weights = sorted(file for file in files if file.endswith(".safetensors"))
    variants = [file for file in weights if _VARIANT.search(file)]
    if weights and weights == variants:
        return _refused(f"the part {part} of {name} has its weights under another name. Rename {weights[0]} to {_VARIANT.sub('', weights[0])}.")
    if not weights:
        pickled = next((file for file in sorted(files) if file.endswith(_PICKLES)), None)
        if pickled:
            remedy = "Get the model's .safetensors, or save it anew with diffusers: only safetensors weights are read"
            return _refused(f"the part {part} of {name} has pickled weights only ({pickled}), which could run code and are never opened. {remedy}.")
        return _refused(f"{name} lacks the weights of its part {part} (a .safetensors file). Copy the model again.")
    absent = sorted(_shards(folder, files) - files)
    if absent:
        return _refused(f"{name} lacks {len(absent)} of the files of its part {part}, such as {absent[0]}. Copy the model again.")
    for file in weights:
        try:
            status = (folder / file).stat()
            problem = _damage(str(folder / file), status.st_size, status.st_mtime_ns)
        except OSError:  # a broken link of the hub's cache, or a lack of permission
            problem = "cannot be opened. Check its permissions, or copy the model again."
        if problem:
            return _refused(f"{file} in the part {part} of {name} {problem}")
    return None


def _shards(folder: Path, files: set[str]) -> set[str]:
    """Files that an index of weights in several files names."""
    named: set[str] = set()
    for file in files:
        if file.endswith(".safetensors.index.json"):
            try:
                named |= set(json.loads((folder / file).read_text(encoding="utf-8"))["weight_map"].values())
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue  # diffusers tells what is wrong with it
    return named


@functools.lru_cache(maxsize=256)
def _damage(file: str, size: int, modified: int) -> str | None:
    """What the header of a safetensors file tells: its length in eight bytes, then JSON with the place of every tensor."""
    with open(file, "rb") as f:
        begin = f.read(8)
        if begin == b"version ":
            return "is only a pointer of git-lfs. Run git lfs pull in its folder."
        length = int.from_bytes(begin, "little")
        if len(begin) < 8 or length > size - 8 or length > 100 * 2**20:
            return "is cut short or damaged. Copy the model again."
        try:
            ends = [entry["data_offsets"][1] for name, entry in json.loads(f.read(length)).items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            return "is damaged. Copy the model again."
    expected = 8 + length + max(ends, default=0)
    return None if size >= expected else f"is cut short: it has {size / 1e6:,.0f} of {expected / 1e6:,.0f} MB. Copy the model again."
