"""Settings that a comparison chooses itself, so that its runs differ in nothing else and can all be measured."""

from __future__ import annotations

from collections.abc import Iterable

from ..errors import UserError

OWN = {"checkpoint_every": 5, "keep_checkpoints": 10_000}


def refuse_own(changes: Iterable[str], command: str, *more: str) -> None:
    """Raises UserError if one of `changes` is the seed, in OWN or among `more`."""
    for name in changes:
        if name in ("seed", *OWN, *more):
            raise UserError(f"{name}: {command} chooses this itself. Leave it out of --set.", name)
