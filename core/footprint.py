"""Bytes of memory: of the GPU if there is one, else of this process. torch is imported only for a GPU."""

from __future__ import annotations

import sys

import psutil


def memory(device_type: str) -> tuple[int, int]:
    """(used, total) bytes: of the GPU if there is one, otherwise resident memory of this process and the computer's RAM."""
    if device_type == "cuda":
        import torch

        free, total = torch.cuda.mem_get_info()
        return total - free, total
    return psutil.Process().memory_info().rss, psutil.virtual_memory().total


def in_use(device_type: str) -> int:
    """Bytes in use now: allocated on the GPU, or resident."""
    if device_type == "cuda":
        import torch

        return torch.cuda.memory_allocated()
    return psutil.Process().memory_info().rss


def peak_memory(device_type: str) -> int:
    """Bytes at the peak since the process began; of a GPU what its allocator had reserved."""
    if device_type == "cuda":
        import torch

        return torch.cuda.max_memory_reserved()
    if sys.platform == "win32":
        return psutil.Process().memory_info().peak_wset
    import resource  # there is none on Windows

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
