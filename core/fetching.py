"""Fetch a model from the Hugging Face hub: first what it would take, then the files that are needed and no others.

    python -m core.fetching ask model owner/name       # one line of JSON: size, licence, free disk
    python -m core.fetching get clip_model owner/name  # a line of JSON twice a second, the last one {"done": ...} or {"error": ...}

The studio starts it as a process of its own, which it can end at any time: what came so far is kept, and goes on from there.
Only this process touches the network. A login is huggingface_hub's own (`hf auth login`) and is passed on by it alone.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, hf_hub_download, hf_hub_url
from huggingface_hub.errors import GatedRepoError
from huggingface_hub.file_download import are_symlinks_supported, http_get
from huggingface_hub.hf_api import ModelInfo
from huggingface_hub.utils import WeakFileLock, build_hf_headers, disable_progress_bars

from . import places
from .backbones import hub, wanted
from .backbones.names import PIPELINES, check_kind
from .errors import UserError

SPARE = 512 * 2**20  # bytes that a download leaves free
CHUNK = 2**20  # bytes after which what came is on the disk, so that a slow line loses little
_EVERY = 0.5  # seconds between lines about the progress
_PATIENCE = 10  # seconds for the hub's first answer
_PLAIN = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")  # of a repository only such files are looked at: no path leads out of the cache
_SHA256, _COMMIT = re.compile(r"[0-9a-f]{64}"), re.compile(r"[0-9a-f]{40}")
_INDEX = {"model": "model_index.json", "clip_model": "config.json"}  # what says of which parts a model consists


@dataclass(frozen=True)
class File:
    """A file to be had: its path in the repository, its bytes, and the SHA-256 by which the hub keeps a large one."""

    path: str
    size: int
    sha256: str | None


@dataclass(frozen=True)
class Offer:
    """What the hub has: `commit` pins the files; `refused` says why they cannot be had now, or is None."""

    name: str
    kind: str
    commit: str
    files: tuple[File, ...]
    licence: str
    link: str
    gated: bool
    free: int
    refused: str | None

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files)

    def here(self) -> int:
        """Bytes of the files that are on this computer already, also of one that came in part."""
        return sum(_came(self.name, self.commit, f) for f in self.files)

    def facts(self) -> dict[str, Any]:
        """For people: everything but the files themselves."""
        left_out = ("files", "commit")
        return {**{k: v for k, v in asdict(self).items() if k not in left_out}, "count": len(self.files), "bytes": self.size, "here": self.here()}


# --- what is there ---------------------------------------------------------------------------------------------------
def ask(field: str, name: str) -> Offer:
    """Ask the hub about `name`, for the setting `field`: "model" or "clip_model". Keeps nothing. Raises UserError."""
    if places.folder(name) or not places.is_hub_name(name):
        raise UserError(f"{field}: {places.quoted(name)} is not a name on the hub. Write owner/name.", field)
    try:
        info = HfApi().model_info(name, files_metadata=True, timeout=_PATIENCE)
        files = _files(info)
        if not _COMMIT.fullmatch(str(info.sha)):
            raise UserError(f"{field}: the hub does not say which version of {name} it has. Try again later.", field)
        try:
            index, closed = _index(field, name, info.sha), None
        except GatedRepoError as error:
            index, closed = None, str(hub.unreachable(field, name, error)).removeprefix(f"{field}: ")
    except (UserError, MemoryError):
        raise
    except Exception as error:  # an endpoint may answer anything
        raise _said(field, name, error) from None
    known = (index or (info.config or {}).get("diffusers") or {}).get("_class_name")
    if field == "model" and known:
        check_kind(name, known)
    choose = wanted.model_files if field == "model" else wanted.clip_files
    chosen = tuple(files[path] for path in choose(name, files, index) if path in files)
    kind = "CLIP" if field == "clip_model" else PIPELINES.get(known, "")
    offer = Offer(name, kind, info.sha, chosen, *_licence(info), bool(info.gated), _free(), closed)
    return offer if closed else replace(offer, refused=_too_large(offer))


def _files(info: ModelInfo) -> dict[str, File]:
    """Path -> file, of all that may be looked at."""
    found = {}
    for one in info.siblings or []:
        if _PLAIN.fullmatch(one.rfilename):
            large = one.lfs is not None and _SHA256.fullmatch(str(one.lfs.sha256))
            found[one.rfilename] = File(one.rfilename, int((one.lfs.size if one.lfs else one.size) or 0), one.lfs.sha256 if large else None)
    return found


def _index(field: str, name: str, commit: str | None) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="manymodes-") as place:  # asking leaves no model in part behind
        file = hf_hub_download(name, _INDEX[field], revision=commit, cache_dir=place)
        try:
            index = json.loads(Path(file).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            index = None
    if not isinstance(index, dict):
        raise UserError(f"{field}: {_INDEX[field]} of {name} on the hub cannot be read. Name another.", field)
    return index


def _licence(info: ModelInfo) -> tuple[str, str]:
    """The licence's name and where it is written, as the model's card says; '' for no name."""
    card = info.card_data or {}
    name, link = (card.get(key) for key in ("license_name", "license_link"))
    plain = card.get("license")
    name = name or (", ".join(map(str, plain)) if isinstance(plain, list) else plain)
    shown = link if isinstance(link, str) and link.startswith("https://") else f"{constants.ENDPOINT}/{info.id}"
    return str(name or "")[:100], shown[:200]


def _free() -> int:
    place = hub.cache().absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    return shutil.disk_usage(place).free


def _too_large(offer: Offer) -> str | None:
    missing = offer.size - offer.here() + SPARE
    if offer.free >= missing:
        return None
    needed = f"{offer.name} needs {size_words(missing)} of free disk, but {hub.cache()} has {size_words(offer.free)}."
    return f"{needed} Free some space, or set HF_HUB_CACHE to a folder on another disk and start again."


def size_words(size: int) -> str:
    """5.1 GB, or 40 MB below a tenth of that."""
    return f"{size / 1e6:.0f} MB" if size < 9.5e7 else f"{size / 1e9:.1f} GB"


def _said(field: str, name: str, error: Exception) -> UserError:
    known = hub.unreachable(field, name, error)
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    return known or UserError(f"{field}: {name} could not be fetched ({reason}). Try once more; what came so far is kept.", field)


# --- where it comes to -----------------------------------------------------------------------------------------------
def _part(name: str, file: File) -> Path:
    """Where a large file grows."""
    return hub.store(name) / "blobs" / f"{file.sha256}.incomplete"


def _pointer(name: str, commit: str, file: File) -> Path:
    return hub.store(name) / "snapshots" / commit / file.path


def _came(name: str, commit: str, file: File) -> int:
    """Bytes of `file` that are here; a large one may have come with another commit."""
    if _pointer(name, commit, file).is_file():
        return file.size
    if file.sha256 is None:
        return 0
    if (hub.store(name) / "blobs" / file.sha256).is_file():
        return file.size
    try:
        return min(file.size, _part(name, file).stat().st_size)
    except OSError:
        return 0


# --- fetching --------------------------------------------------------------------------------------------------------
def get(field: str, name: str, tell: Callable[[dict[str, Any]], None] = lambda line: None) -> Offer:
    """Fetch what `name` needs into huggingface_hub's own cache; `tell` hears {"doing", "bytes", "total"} twice a second. Raises UserError.

    Whole files are kept if it is broken off, and a large one goes on where it stopped: huggingface_hub 2.4 alone would begin it anew.
    """
    offer = ask(field, name)
    if offer.refused:
        raise UserError(f"{field}: {offer.refused}", field)
    watch = _Watch(offer, tell)
    try:
        # through main, so that the cache knows which commit that is; the others through the commit, so that all are of one
        hf_hub_download(name, _INDEX[field], cache_dir=hub.cache())
        if getattr(hub.snapshot(name), "name", None) != offer.commit:
            raise UserError(f"{field}: {name} was changed on the hub this moment. Begin again.", field)
        for file in sorted(offer.files, key=lambda f: f.size):
            if file.sha256 is not None:
                _large(field, offer, file, watch)
            hf_hub_download(name, file.path, revision=offer.commit, cache_dir=hub.cache())
    except (UserError, MemoryError):
        raise
    except Exception as error:  # network, disk, a hub that answers anything
        raise _said(field, name, error) from None
    finally:
        watch.close()
    return offer


def _large(field: str, offer: Offer, file: File, watch: "_Watch") -> None:
    """Bring a large file to where hf_hub_download looks for it before it asks the hub, from where an earlier try stopped. Raises UserError."""
    place, part = hub.store(offer.name), _part(offer.name, file)
    pointer, blob = _pointer(offer.name, offer.commit, file), place / "blobs" / file.sha256
    lock = hub.cache() / ".locks" / place.name / f"{file.sha256}.lock"  # the one that huggingface_hub takes
    for folder in (part.parent, lock.parent, pointer.parent):
        folder.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if pointer.is_file() or blob.is_file():
            return
        with open(part, "ab") as growing:
            if growing.tell() > file.size:
                growing.truncate(0)
            url, headers = hf_hub_url(offer.name, file.path, revision=offer.commit), build_hf_headers()
            http_get(url, growing, resume_size=growing.tell(), headers=headers, expected_size=file.size, displayed_filename=file.path)
        watch.doing = "Checking what came"
        with open(part, "rb") as come:
            if hashlib.file_digest(come, "sha256").hexdigest() != file.sha256:
                part.unlink()
                raise UserError(f"{field}: {file.path} of {offer.name} came damaged and was thrown away. Download once more.", field)
        watch.doing = ""
        os.replace(part, blob if are_symlinks_supported(hub.cache()) else pointer)


class _Watch:
    """Looks at what has come so far and tells it."""

    def __init__(self, offer: Offer, tell: Callable[[dict[str, Any]], None]):
        self.offer, self.tell, self.doing = offer, tell, ""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while True:
            self.tell({"doing": self.doing, "bytes": self.offer.here(), "total": self.offer.size})
            if self._over.wait(_EVERY):
                return

    def close(self) -> None:
        self._over.set()
        self._thread.join()


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m core.fetching", description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("ask", "get"))
    parser.add_argument("field", choices=tuple(_INDEX))
    parser.add_argument("name", metavar="OWNER/NAME")
    args = parser.parse_args(arguments)
    quiet()
    out, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not look like an answer
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def say(line: dict[str, Any]) -> None:
        try:
            print(json.dumps(line), file=out, flush=True)
        except OSError:  # who asked is gone
            os._exit(1)

    try:
        if args.what == "ask":
            answer = {"offer": ask(args.field, args.name).facts()}
        else:
            answer = {"done": get(args.field, args.name, say).facts()}
    except UserError as error:
        answer = {"error": str(error), "field": error.field}
    say(answer)
    return 2 if "error" in answer else 0


def quiet() -> None:
    """Small steps on the disk, no bars of the library's own, and the hub is asked for the model and nothing else."""
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    constants.HF_HUB_DISABLE_TELEMETRY = True  # which would also ask the hub for a list of programs to tell this one by
    disable_progress_bars()


if __name__ == "__main__":
    sys.exit(main())
