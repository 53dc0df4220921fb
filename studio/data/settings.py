"""A run's settings, parsed once: reading YAML takes longer than everything else in an answer."""

from __future__ import annotations

import functools

from core.config import RunConfig
from core.runs.folder import Run


@functools.lru_cache(maxsize=1024)  # more runs than any list shows: each look would parse all of them anew
def _parsed(run: Run, modified: int) -> RunConfig:
    return run.config()


def settings(run: Run) -> RunConfig:
    """The settings in config.yaml, read again only when the file changes. Raises UserError if they cannot be read."""
    return _parsed(run, run.config_file.stat().st_mtime_ns)
