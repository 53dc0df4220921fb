"""checkpoints/000020/: LoRA and optimizer in safetensors, the rest in JSON; written whole or not at all."""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from ..errors import UserError
from .folder import Run

ASIDE = re.compile(r"\.(\d+)\.old")  # the former checkpoint of an iteration that is being saved again


def _complete(run: Run) -> dict[int, Path]:
    """Folder of every complete checkpoint. One that was set aside counts until the new one is in its place."""
    if not run.checkpoints.is_dir():
        return {}
    whole = [p for p in run.checkpoints.iterdir() if (p / "state.json").exists()]
    aside = {int(m[1]): p for p in whole if (m := ASIDE.fullmatch(p.name))}
    return aside | {int(p.name): p for p in whole if p.name.isdigit()}


def all_of(run: Run) -> list[int]:
    """Iterations with a complete checkpoint, oldest first."""
    return sorted(_complete(run))


def path(run: Run, iteration: int) -> Path:
    """Folder of a complete checkpoint, or where it would be."""
    return _complete(run).get(iteration, run.checkpoints / f"{iteration:06d}")


def save(run: Run, iteration: int, tensors: dict[str, np.ndarray], state: dict, *, keep: int, spare: int | None = None) -> None:
    """Write a checkpoint beside the old ones, move it into place, then drop the oldest beyond `keep`, but never `spare`."""
    target, draft, aside = (run.checkpoints / name.format(iteration) for name in ("{:06d}", ".{:06d}.tmp", ".{:06d}.old"))
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    save_file({k: np.asarray(v, order="C") for k, v in tensors.items()}, draft / "tensors.safetensors")
    (draft / "config.yaml").write_bytes(run.config_file.read_bytes())
    (draft / "state.json").write_text(json.dumps({"iteration": iteration, **state}))
    if target.exists():
        shutil.rmtree(aside, ignore_errors=True)
        os.replace(target, aside)
    os.replace(draft, target)
    shutil.rmtree(aside, ignore_errors=True)
    for _, old in [(n, folder) for n, folder in sorted(_complete(run).items())[:-keep] if n != spare]:
        (old / "state.json").unlink()  # first: what is half removed must not count as complete
        shutil.rmtree(old, ignore_errors=True)


def load(run: Run, iteration: int, *, prefix: str = "") -> tuple[dict[str, np.ndarray], dict]:
    """(tensors whose name starts with `prefix`, state) of one checkpoint. Raises UserError if it is not there or not whole."""
    folder = _complete(run).get(iteration, run.checkpoints / f"{iteration:06d}")
    try:
        with safe_open(folder / "tensors.safetensors", "numpy") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys() if name.startswith(prefix)}
        return tensors, json.loads((folder / "state.json").read_text())
    except (OSError, ValueError, KeyError) as error:
        there = ", ".join(map(str, all_of(run))) or "none"
        raise UserError(f"checkpoint {iteration} of {run.name} cannot be read ({error}). There are: {there}.") from None
    except SafetensorError:
        raise UserError(f"checkpoint {iteration} of {run.name} is damaged. Remove the folder {folder}, so that an older one is taken.") from None
