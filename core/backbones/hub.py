"""Models of the Hugging Face hub: where one that was fetched lies, and why one could not be. Asks nothing of the network."""

from __future__ import annotations

import os
from pathlib import Path

from huggingface_hub.errors import EntryNotFoundError, GatedRepoError, LocalEntryNotFoundError, OfflineModeIsEnabled, RepositoryNotFoundError

from ..errors import UserError


def cache() -> Path:
    """Where huggingface_hub keeps what it fetched, as its environment variables say now."""
    home = os.environ.get("HF_HOME")
    return Path(os.environ.get("HF_HUB_CACHE") or (Path(home) / "hub" if home else Path.home() / ".cache" / "huggingface" / "hub"))


def snapshot(name: str) -> Path | None:
    """The folder of the fetched model owner/name, or None; it may lack files if fetching was broken off."""
    place = cache() / f"models--{name.replace('/', '--')}"
    try:
        folder = place / "snapshots" / (place / "refs" / "main").read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return None
    return folder if folder.is_dir() else None


def unreachable(field: str, name: str, error: BaseException | None) -> UserError | None:
    """The sentence for a model owner/name that could not be had, from the errors behind `error`; None if the hub is not the reason."""
    if os.path.isdir(name):
        return None
    behind = []
    while error is not None and error not in behind:
        behind.append(error)
        error = error.__cause__ or error.__context__
    is_one = lambda *kinds: any(isinstance(e, kinds) for e in behind)
    if is_one(GatedRepoError):
        said = f"{name} asks you to accept its licence first. Open huggingface.co/{name}, accept it there, then log in here with `hf auth login`."
    elif is_one(RepositoryNotFoundError):
        said = f"there is no model {name} on the hub, or it is private. Check the name; a private one needs `hf auth login`."
    elif is_one(LocalEntryNotFoundError, OfflineModeIsEnabled, ConnectionError):
        said = f"{name} is not on this computer, or only in part, and the hub cannot be reached. Check the network, or name a folder."
    elif is_one(EntryNotFoundError):
        said = f"{name} is on the hub, but not in a form that is read here: a model_index.json with safetensors weights. Name another."
    else:
        return None
    return UserError(f"{field}: {said}", field)
