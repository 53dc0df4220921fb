"""checkpoints/000020/: LoRA and optimizer in safetensors, the rest in JSON; written whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from ..errors import UserError
from .folder import Run


def all_of(run: Run) -> list[int]:
    """Iterations with a complete checkpoint, oldest first."""
    if not run.checkpoints.is_dir():
        return []
    return sorted(int(p.name) for p in run.checkpoints.iterdir() if p.name.isdigit() and (p / "state.json").exists())


def path_of(run: Run, iteration: int) -> Path:
    return run.checkpoints / f"{iteration:06d}"


def save(run: Run, iteration: int, tensors: dict[str, np.ndarray], state: dict, *, keep: int) -> None:
    """Write a checkpoint beside the old ones, move it into place, then drop the oldest beyond `keep`."""
    target, draft = path_of(run, iteration), run.checkpoints / f".{iteration:06d}.tmp"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, draft / "tensors.safetensors")
    (draft / "config.yaml").write_bytes(run.config_file.read_bytes())
    (draft / "state.json").write_text(json.dumps({"iteration": iteration, **state}))
    if target.exists():
        shutil.rmtree(target)
    os.replace(draft, target)
    for old in all_of(run)[:-keep]:
        shutil.rmtree(path_of(run, old), ignore_errors=True)


def load(run: Run, iteration: int) -> tuple[dict[str, np.ndarray], dict]:
    """(tensors, state) of one checkpoint. Raises UserError if it is not there or not whole."""
    folder = path_of(run, iteration)
    try:
        return load_file(folder / "tensors.safetensors"), json.loads((folder / "state.json").read_text())
    except (OSError, ValueError, KeyError) as error:
        there = ", ".join(map(str, all_of(run))) or "none"
        raise UserError(f"checkpoint {iteration} of {run.name} cannot be read ({error}). There are: {there}.") from None
    except Exception as error:  # safetensors raises its own type for a damaged file
        if type(error).__name__ != "SafetensorError":
            raise
        raise UserError(f"checkpoint {iteration} of {run.name} is damaged. Resume from an older one.") from None
