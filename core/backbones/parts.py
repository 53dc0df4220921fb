"""Hears of the parts of a pipeline while diffusers loads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from diffusers.utils import logging

BAR = "Loading pipeline components..."  # what diffusers calls the bar that it draws over the parts


@contextmanager
def heard(tell: Callable[[int, int], object]) -> Iterator[None]:
    """Within the block `tell(part, of)` is called before each part (1, 2, ...) of a pipeline is loaded.

    diffusers offers no such callback, but it goes through the parts by a bar that may be exchanged. Should a later
    version do it otherwise, nothing is told and all is loaded as before.
    """
    plain = logging.tqdm

    def told(parts, *args, **options):
        if options.get("desc") != BAR:
            return plain(parts, *args, **options)
        return _each(list(parts), tell)

    logging.tqdm = told
    try:
        yield
    finally:
        logging.tqdm = plain


def _each(parts: list, tell: Callable[[int, int], object]) -> Iterator:
    for number, part in enumerate(parts, 1):
        tell(number, len(parts))
        yield part
