"""Models of the Hugging Face hub: where one that was fetched lies, and why one could not be. Asks nothing of the network."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from huggingface_hub.errors import (
    DisabledRepoError, GatedRepoError, HfHubHTTPError, HTTPError, LocalEntryNotFoundError, OfflineModeIsEnabled,
    RemoteEntryNotFoundError, RepositoryNotFoundError,
)  # fmt: skip

from ..errors import UserError

_FORMS = {"model": "a model_index.json", "clip_model": "a CLIPModel of transformers"}


def cache() -> Path:
    """Where huggingface_hub keeps what it fetched, as its environment variables say now."""
    above = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or os.path.join(above, "huggingface")
    place = os.environ.get("HF_HUB_CACHE") or os.environ.get("HUGGINGFACE_HUB_CACHE") or os.path.join(home, "hub")
    return Path(os.path.expandvars(os.path.expanduser(place)))


def store(name: str) -> Path:
    """The folder of the cache that holds, or would hold, the model owner/name."""
    return cache() / f"models--{name.replace('/', '--')}"


def snapshot(name: str) -> Path | None:
    """The folder of the fetched model owner/name, or None; it may lack files if fetching was broken off."""
    place = store(name)
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
    answered = next((e.response.status_code for e in behind if isinstance(e, HfHubHTTPError) and e.response is not None), None)
    if is_one(GatedRepoError):
        said = f"{name} asks you to accept its licence first. Open huggingface.co/{name}, accept it there, then log in here with `hf auth login`."
    elif is_one(RepositoryNotFoundError):
        said = f"there is no model {name} on the hub, or it is private. Check the name; a private one needs `hf auth login`."
    elif is_one(DisabledRepoError):
        said = f"{name} was disabled on the hub. Name another."
    elif any(isinstance(e, OSError) and e.errno == errno.ENOSPC for e in behind):
        said = f"the disk of {cache()} is full. Free some space, or set HF_HUB_CACHE to a folder on another disk; what came so far is kept."
    elif is_one(PermissionError):
        said = f"{cache()} may not be written to. Change its permissions, or set HF_HUB_CACHE to a folder of your own."
    elif is_one(OfflineModeIsEnabled):
        way = f"Unset it, or fetch the model where there is a network: python -m core fetch {name}{' --clip' if field == 'clip_model' else ''}."
        said = f"{name} is not on this computer, or only in part, and the hub cannot be reached: HF_HUB_OFFLINE forbids it. {way}"
    elif is_one(RemoteEntryNotFoundError):
        said = f"{name} is on the hub, but not in a form that is read here: {_FORMS[field]} with safetensors weights. Name another."
    elif answered == 401:
        said = f"the hub does not know the login of this computer. Log in anew with `hf auth login`, or out with `hf auth logout`; {name} may need none."
    elif answered is not None:
        said = f"the hub does not give {name} now (it answered {answered}). Try again later."
    elif is_one(LocalEntryNotFoundError, ConnectionError, HTTPError):
        said = f"{name} is not on this computer, or only in part, and the hub cannot be reached. Check the network, or name a folder."
    else:
        return None
    return UserError(f"{field}: {said}", field)
