"""Finding what a run has saved, for the commands that only read it."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..runs import checkpoints, folder

KINDS = (".jpeg", ".jpg", ".png", ".webp")


def run_with_checkpoint(path: Path, iteration: int | None = None) -> folder.Run:
    """The run at `path`. Raises UserError if there is none, if it has no checkpoint, or not the one of `iteration`."""
    run = folder.Run(path)
    if not run.exists():
        raise UserError(f"{path}: there is no run here. Name a folder that holds config.yaml.")
    saved = checkpoints.all_of(run)
    if not saved:
        raise UserError(f"{path}: nothing is saved yet. Train it first.")
    if iteration is not None and iteration not in saved:
        raise UserError(f"iteration: {iteration} is not saved. There are: {', '.join(map(str, saved))}.")
    return run


def pictures_in(folder: Path) -> dict[str, list[Path]]:
    """Pictures of a folder by prompt: its sub-folders, or itself as one prompt called ''. In the order of their names. Raises UserError."""
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no folder here. Name a run, or a folder of pictures.")
    own = _pictures(folder)
    below = {sub.name: found for sub in sorted(folder.iterdir()) if sub.is_dir() and not sub.name.startswith(".") and (found := _pictures(sub))}
    if own and below:
        raise UserError(f"{folder}: there are pictures both here and in {next(iter(below))}. Put all into folders, one for each prompt, or all here.")
    if not own and not below:
        raise UserError(f"{folder}: there is no run and no picture here. Name a run, or a folder with {', '.join(KINDS)} files or folders of them.")
    return below or {"": own}


def _pictures(folder: Path) -> list[Path]:
    return sorted(p for p in folder.iterdir() if p.suffix.lower() in KINDS and not p.name.startswith("."))
