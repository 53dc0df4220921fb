"""A sampler's manners without a model: a thread that draws flat pictures of what is wanted, each side in its own colour."""

from __future__ import annotations

import io
import threading
import time

import numpy as np
from PIL import Image

from core.runs.compare import MEASURED, Store
from core.runs.database import pack

LOOKS = 6


def colour(prompt: int, checkpoint: int, strength: int, seed: int) -> tuple[int, int, int]:
    """What every picture is filled with: no two alike."""
    return (40 * prompt + checkpoint) % 256, strength, seed % 256


def look(checkpoint: int, strength: int, seed: int) -> int:
    """More and more seeds become look A as the weights move away from the base."""
    return 0 if seed % 10 < checkpoint * strength / 1000 else seed % LOOKS


def drawn(prompt: int, where: tuple[int, int], seed: int) -> dict:
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), colour(prompt, *where, seed)).save(buffer, "WEBP", lossless=True)
    nothing = pack(np.zeros(4))
    reward = where[0] * where[1] / 10_000 + seed / 100
    return {"seed": seed, "reward": reward, "look": look(*where, seed), "embedding": nothing, "pixels": nothing, "picture": buffer.getvalue(), "thumb": None}


def measured(prompt: int, where: tuple[int, int]) -> dict:
    looks = [look(*where, s) for s in range(MEASURED)]
    shares = [looks.count(k) / MEASURED for k in range(LOOKS)]
    lost = where[0] * where[1] / 10_000 * (prompt + 1)
    return {
        "n": MEASURED, "reward": where[0] / 100, "looks": 6.0 - lost, "found": len(set(looks)), "shares": [*shares, 0.0],
        "spread": 0.4 - lost / 20, "held_out": 0.3 - lost / 40,
    }  # fmt: skip


class FakeSampler:
    """In place of core.runs.compare.start_sampler. `slow`: seconds a picture; `fault`: last words instead of pictures."""

    def __init__(self, slow: float = 0.0, fault: str = ""):
        self.slow, self.fault, self.starts = slow, fault, 0
        self.threads: list[threading.Thread] = []
        self.ended = False

    def __call__(self, run):
        self.starts += 1
        thread = threading.Thread(target=self._serve, args=(run,), daemon=True)
        self.threads.append(thread)
        thread.start()
        thread.poll = lambda: None if thread.is_alive() else 0
        thread.kill, thread.wait = self.end, thread.join
        return thread

    def _serve(self, run) -> None:
        with Store(run) as store:
            store.claim()
            if self.fault:
                store.tell("failed", self.fault, "Traceback: <b>")
                return
            store.tell("ready")
            while not self.ended:
                wanted = store.next()
                if wanted is None:
                    time.sleep(0.02)
                elif wanted.measure:
                    store.add_measure(wanted.prompt, wanted.side, measured(wanted.prompt, wanted.side))
                else:
                    for seed in wanted.seeds[:4] if self.slow else wanted.seeds:
                        time.sleep(self.slow)
                        store.add(wanted.prompt, wanted.side, [drawn(wanted.prompt, wanted.side, seed)])
            store.tell("ended")

    def end(self) -> None:
        self.ended = True
        for thread in self.threads:
            thread.join(5)
