"""Where and in which arithmetic a model computes."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable

import torch

from ..errors import UserError


def choose_device(wanted: str) -> torch.device:
    """auto takes cuda, then mps, then cpu. Raises UserError if the wanted one is not there."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted != "auto" and not there[wanted]:
        raise UserError(f"device: {wanted} is not available on this computer. Use auto or cpu.", "device")
    return torch.device(wanted if wanted != "auto" else next(name for name, here in there.items() if here))


def free_memory() -> None:
    """Give back what nobody names any more, also where it names itself in a circle."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def fastest(run: Callable[[str], object], kinds: tuple[str, ...] = ("float32", "bfloat16")) -> str:
    """The arithmetic with which `run` is done first: the best of five turns each, taken alternately after one to warm up.

    The best and not the mean, because another program may have had the processor for a while.
    """
    best = dict.fromkeys(kinds, float("inf"))
    for turn in range(6):
        for kind in kinds:
            start = time.perf_counter()
            run(kind)
            if turn:
                best[kind] = min(best[kind], time.perf_counter() - start)
    return min(kinds, key=best.__getitem__)
