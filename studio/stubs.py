"""Gradio without its stub writer.

At every import Gradio 6.31 parses and rewrites an editor stub (.pyi) for each of its 80 component classes, and for
each subclass beside its source file. That is half of its import time, and of no use to a person who runs the studio.
The writer skips a class whose file is unknown, so while this holds, no component class has a file.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def no_stubs() -> Iterator[None]:
    real = inspect.getfile

    def getfile(thing: Any) -> str:
        if type(thing).__name__ == "ComponentMeta":
            raise OSError("no stub for this class")
        return real(thing)

    inspect.getfile = getfile
    try:
        yield
    finally:
        inspect.getfile = real
