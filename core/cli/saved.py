"""Finding what a run has saved, for the commands that only read it."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..runs import checkpoints, folder


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
