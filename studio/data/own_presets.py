"""Presets of one's own: YAML files in the folder `presets` of the runs folder, read by the config's own loader."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from core.config import RunConfig, build, read
from core.errors import UserError
from core.runs.folder import write_atomically

_TITLE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]{1,60}")
_LARGEST = 2**20  # bytes of a file that is read


@dataclass(frozen=True)
class OwnPreset:
    """`stem` names the file; the file's first lines are its title and a sentence, as in the shipped ones."""

    stem: str
    title: str
    line: str
    path: Path

    def config(self) -> RunConfig:
        """Raises UserError."""
        return read(_text(self.path), self.path.name)


def folder(runs: Path) -> Path:
    return runs / "presets"


def every(runs: Path) -> list[OwnPreset]:
    """Newest first. Files that are not plain ones, or too large, are left out."""
    found = []
    for path in folder(runs).glob("*.yaml"):
        try:
            if path.is_symlink() or not path.is_file():
                continue
            words = [line[1:].strip() for line in _text(path).splitlines()[:2] if line.startswith("#")]
            found.append((path.stat().st_mtime_ns, OwnPreset(path.stem, *(*words, path.stem, "")[:2] if words else (path.stem, ""), path)))
        except (OSError, UserError):
            continue
    return [preset for _, preset in sorted(found, key=lambda f: (-f[0], f[1].stem))]


def find(runs: Path, stem: str) -> OwnPreset:
    """Raises UserError if there is none called so."""
    for preset in every(runs):
        if preset.stem == stem:
            return preset
    raise UserError(f"There is no preset {stem!r} of your own here.", "preset")


def stem_of(title: str) -> str:
    """What a title's file is called: lower letters, digits and dashes; titles in other letters stay apart by a hash."""
    plain = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")[:40].strip("-") or "preset"
    return plain if title.isascii() else f"{plain}-{hashlib.sha256(title.encode()).hexdigest()[:8]}"


def save(runs: Path, title: str, line: str, values: dict, *, overwrite: bool = False) -> OwnPreset:
    """Write `values` as the preset `title`. Raises UserError: a wrong setting, an odd title, or (field `overwrite`) one called so already."""
    title = title.strip()
    if not _TITLE.fullmatch(title):
        raise UserError("A preset's name has 1 to 60 letters on one line.", "title")
    config, path = build(values), folder(runs) / f"{stem_of(title)}.yaml"
    if path.exists() and not overwrite:
        raise UserError(f"A preset called {title} is kept already.", "overwrite")
    words = " ".join(line.split())[:200]
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, f"# {title}\n# {words}\n{config.to_yaml()}")
    except OSError as error:
        raise UserError(f"{path.parent}: the preset cannot be written ({error.strerror}). Check the folder's permissions and free space.", "title") from None
    return find(runs, path.stem)


def rename(runs: Path, stem: str, title: str) -> OwnPreset:
    """Call a preset `title`; its settings and its line stay. Raises UserError."""
    old = find(runs, stem)
    if stem_of(title.strip()) == stem:
        return save(runs, title, old.line, old.config().model_dump(), overwrite=True)
    new = save(runs, title, old.line, old.config().model_dump())
    old.path.unlink()
    return new


def delete(runs: Path, stem: str) -> None:
    """Raises UserError."""
    find(runs, stem).path.unlink()


def from_text(text: str, name: str) -> RunConfig:
    """Settings of a YAML file that was dropped on the page. Raises UserError."""
    if len(text) > _LARGEST:
        raise UserError(f"{name}: the file is larger than {_LARGEST // 2**20} MB, so it holds no setup.", "text")
    return read(text, name)


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _LARGEST:
            raise UserError(f"{path.name}: the file is larger than {_LARGEST // 2**20} MB, so it holds no setup.")
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise UserError(f"{path.name}: the preset cannot be read. Save it again.") from None
