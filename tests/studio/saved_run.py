"""A written run from which one could go on: with checkpoints and the yardstick of its base."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sample_run import write_run

from core.runs import checkpoints
from core.runs.folder import Run


def saved_run(path: Path, saved: tuple[int, ...] = (10, 20, 40), **options) -> Run:
    """write_run with a checkpoint at each of `saved`."""
    run = write_run(path, **options)
    for file in ("base.npz", "rewards.json"):
        (run.path / file).write_text("{}")
    for n in saved:
        checkpoints.save(run, n, {"lora/a": np.zeros(2)}, {"dials": {"creative_beta": 0.0}}, keep=9)
    return run
