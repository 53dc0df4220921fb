"""Draws what Compare asks for: `python -m core.comparing RUN_DIR` while no trainer runs, else the trainer between iterations.

Pictures of the base model and of any weights of the run at any LoRA strength, on the same seeds, by the deterministic
sampler and without prompt noise; reward, look and features of each; and for every prompt the measures of a side.
"""

from __future__ import annotations

import io
import os
import random
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.numpy import save

from . import base
from .backbones.device import free_memory
from .diversity.distance import mean_pairwise, pairwise
from .diversity.metrics import base_scale, variety
from .errors import UserError
from .evaluation import PIXEL_SIDE, pixel_distances
from .loading import open_run
from .pictures import to_uint8
from .runs import compare
from .runs.compare import BASE, MEASURED, Store, Want
from .runs.database import ALIVE, Database, pack, unpack
from .runs.folder import Run, state, write_atomically
from .training import SAMPLE, Trainer

CHUNK = 1.0  # seconds of drawing after which pictures are shown; what is under way can be given up at every denoising step
SMALLEST_CHUNK = 4  # pictures, however slow: one alone takes half as long as four together
LARGEST_SHOWN = 256  # pixels; a larger picture gets a thumbnail of this side
IDLE = 300.0  # seconds without a request after which the sampler ends
LOOK_EVERY = 0.2  # seconds between looks at the run while drawing
LEAST_GAP = 2.0  # seconds that a trainer gives to Compare between two iterations; more if its iterations take longer


class Abandoned(Exception):
    """What is being drawn is wanted no more, or somebody else needs the model."""


# --- one picture, one measure -------------------------------------------------------------------------------------------
def rows(seeds: list[int], images: torch.Tensor, features: torch.Tensor, quality: torch.Tensor | None, looks: np.ndarray | None) -> list[dict]:
    """Columns of compare.db for pictures (N, 3, H, W) in [0, 1] with features (N, F), reward (N,) and look (N,)."""
    small = F.adaptive_avg_pool2d(images.float().cpu(), PIXEL_SIDE).numpy()
    plain = features.float().cpu().numpy()
    rewards = [None] * len(seeds) if quality is None else [None if q != q else q for q in quality.tolist()]
    found = []
    for n, (seed, pixels) in enumerate(zip(seeds, to_uint8(images))):
        picture = Image.fromarray(pixels)
        found.append({
            "seed": seed, "reward": rewards[n], "look": None if looks is None else int(looks[n]), "embedding": pack(plain[n]), "pixels": pack(small[n]),
            "picture": _webp(picture, lossless=True), "thumb": _thumbnail(picture),
        })
    return found


def _webp(picture: Image.Image, **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", method=1, **options)
    return buffer.getvalue()


def _thumbnail(picture: Image.Image) -> bytes | None:
    if max(picture.size) <= LARGEST_SHOWN:
        return None
    small = picture.copy()
    small.thumbnail((LARGEST_SHOWN, LARGEST_SHOWN), Image.Resampling.LANCZOS)
    return _webp(small, quality=92)


def measure(pictures: list[sqlite3.Row], base_pictures: list[sqlite3.Row], known: int | None) -> dict:
    """Numbers over the N pictures of a side: rows with reward, look, embedding and pixels. `known`: looks of the prompt.

    `looks` is the Vendi score on the base's scale (diversity.metrics.variety). `spread` is the mean distance of two
    pictures in the measure that training uses; `held_out` the root mean square difference of their pixels, 0 to 1, which
    no bonus has paid for (evaluation.pixel_distances). `found` counts looks with at least one picture, new ones not.
    """
    scale = base_scale(_distances(base_pictures))
    distances = _distances(pictures)
    rewards = [p["reward"] for p in pictures if p["reward"] is not None]
    labels = np.array([p["look"] for p in pictures if p["look"] is not None])
    return {
        "n": len(pictures),
        "reward": float(np.mean(rewards)) if rewards else None,
        "looks": variety(distances[None], scale).item(),
        "found": None if known is None else int(len(set(labels.tolist()) - {-1})),
        "shares": None if known is None else [float((labels == k).mean()) for k in (*range(known), -1)],
        "spread": mean_pairwise(distances).item(),
        "held_out": mean_pairwise(pixel_distances(_small(pictures))).sqrt().item(),
    }


def _distances(pictures: list[sqlite3.Row]) -> torch.Tensor:
    features = torch.from_numpy(unpack(p["embedding"] for p in pictures))
    return pairwise(F.normalize(features, dim=1))  # half precision took the last digits of their length


def _small(pictures: list[sqlite3.Row]) -> torch.Tensor:
    return torch.from_numpy(unpack(p["pixels"] for p in pictures)).view(-1, 3, PIXEL_SIDE, PIXEL_SIDE)


# --- on a loaded trainer --------------------------------------------------------------------------------------------------
class Comparer:
    """Makes what is wanted of `run`, piece by piece, on `trainer`, which afterwards is as it was, bit by bit."""

    def __init__(self, run: Run, trainer: Trainer, store: Store, prompts: dict[int, base.PromptBase]):
        self.run, self.trainer, self.store, self.prompts = run, trainer, store, prompts
        self.pace: float | None = None  # seconds a picture, of the last chunk
        self.most = trainer.config.micro_batch

    def step(self, interrupted: Callable[[], bool]) -> bool:
        """Make the first thing that is wanted and missing, about a second of it; False if there is nothing.

        `interrupted` is asked between denoising steps; once it is true, the pictures under way are given up.
        What cannot be made is written down for the page, and does not come again by itself.
        """
        wanted = self.store.next()
        if wanted is None:
            return False
        try:
            if wanted.measure:
                self._measure(wanted)
            else:
                self._draw(wanted, interrupted)
        except Abandoned:
            pass
        except UserError as error:
            self.store.refuse(wanted.checkpoint, str(error))
        except (MemoryError, torch.OutOfMemoryError):
            self._less_memory(wanted)
        return True

    def _less_memory(self, wanted: Want) -> None:
        free_memory()
        if self.most > 1:
            self.most //= 2
        else:
            self.store.refuse(wanted.checkpoint, "There is not enough memory for a picture. Close other programs, or wait until training has ended.")

    def _draw(self, wanted: Want, interrupted: Callable[[], bool]) -> None:
        count = SMALLEST_CHUNK if self.pace is None else max(SMALLEST_CHUNK, int(CHUNK / self.pace))
        seeds = list(wanted.seeds[: min(count, self.most)])
        looked = [time.monotonic()]

        def between() -> None:
            if interrupted():
                raise Abandoned
            if time.monotonic() - looked[0] > LOOK_EVERY:
                looked[0] = time.monotonic()
                if not any((w.prompt, w.lane) == (wanted.prompt, wanted.lane) and (w.side == wanted.side or w.measure) for w in self.store.wants()):
                    raise Abandoned

        start = time.perf_counter()
        with self._weights(wanted.checkpoint, wanted.strength), self._undisturbed(between):
            images = self.trainer.pictures(wanted.prompt, seeds, purpose=SAMPLE, base=wanted.side == BASE)
            quality = self._quality(images, wanted.prompt)
            features = self.trainer.perceptual.embed(images)
        known = self.prompts.get(wanted.prompt)
        looks = None if known is None else known.looks.assign(features.float().cpu().numpy())
        self.store.add(wanted.prompt, wanted.side, rows(seeds, images, features, quality, looks))
        self.pace = (time.perf_counter() - start) / len(seeds)

    def _quality(self, images: torch.Tensor, prompt: int) -> torch.Tensor | None:
        rewards = self.trainer.rewards
        if not rewards.std or not images.isfinite().all():
            return None
        return rewards.combine(rewards(images, [self.trainer.config.prompts[prompt]] * len(images)).raw)

    def _measure(self, wanted: Want) -> None:
        seeds = range(MEASURED)
        found, plain = (
            list(self.store.pictures(wanted.prompt, where, seeds, "reward, look, embedding, pixels").values()) for where in (wanted.side, BASE)
        )
        known = self.prompts.get(wanted.prompt)
        self.store.add_measure(wanted.prompt, wanted.side, measure(found, plain, None if known is None else len(known.looks.centres)))

    @contextmanager
    def _weights(self, checkpoint: int, strength: int) -> Iterator[None]:
        """Within it the LoRA is that of `checkpoint` at `strength` hundredths. Raises UserError if the weights are gone."""
        if checkpoint == 0:
            yield
            return
        adapter, backbone = self.trainer.adapter, self.trainer.backbone
        wanted = self._load(checkpoint)
        if missing := [name for name in adapter if wanted.get(f"lora/{name}", np.empty(0)).shape != tuple(adapter[name].shape)]:
            raise UserError(f"The weights of {checkpoint} do not fit this model ({missing[0]} differs).")
        kept = {name: p.detach().clone() for name, p in adapter.items()}
        try:
            with torch.no_grad():
                for name, parameter in adapter.items():
                    parameter.copy_(torch.from_numpy(wanted[f"lora/{name}"]))
            if strength != 100:
                backbone.set_strength(strength / 100)
            yield
        finally:
            if strength != 100:
                backbone.set_strength(1.0)
            with torch.no_grad():
                for name, value in kept.items():
                    adapter[name].copy_(value)

    def _load(self, checkpoint: int) -> dict[str, np.ndarray]:
        try:
            return compare.weights(self.run, checkpoint)
        except UserError:
            raise UserError(f"The weights after {checkpoint} are not kept any more. Choose another checkpoint.") from None

    @contextmanager
    def _undisturbed(self, between: Callable[[], None]) -> Iterator[None]:
        """Within it `between` takes the place of the trainer's own, and nobody's random numbers are used up."""
        former, numbers, plain = self.trainer.between, np.random.get_state(), random.getstate()
        self.trainer.between = between
        try:
            with torch.random.fork_rng():
                yield
        finally:
            self.trainer.between = former
            np.random.set_state(numbers)
            random.setstate(plain)


# --- beside a training ----------------------------------------------------------------------------------------------------
class Gap:
    """Compare's part in a training: a moment between two iterations while a page asks, and all the time of a pause."""

    def __init__(self, run: Run, trainer: Trainer, prompts: dict[int, base.PromptBase], db: Database):
        self.run, self.trainer, self.prompts, self.db = run, trainer, prompts, db
        self.iteration = db.status()["iteration"]  # finished
        self._comparer: Comparer | None = None

    def after(self, iteration: int, seconds: float) -> None:
        """Serve for as long as an iteration takes (`seconds`), at least 2 s; shorter if nothing is wanted or a command waits."""
        self.iteration = iteration
        end = time.monotonic() + max(LEAST_GAP, seconds)
        while time.monotonic() < end and self.serve():
            pass

    def serve(self) -> bool:
        """One piece of what is wanted; False if there is nothing. Whatever goes wrong here must not reach the training."""
        if self.trainer.backbone.referring:  # paused while the trainer draws with the base: the adapter is its own until it is done
            return False
        try:
            if self._comparer is None:
                if not compare.path(self.run).exists():
                    return False
                self._comparer = Comparer(self.run, self.trainer, Store(self.run), self.prompts)
            store = self._comparer.store
            if not store.asked() or self._called():
                return False
            self._take(store.taken_for())
            return self._comparer.step(self._called)
        except Exception as error:
            print(f"(Compare could not be served: {error!r})", file=sys.stderr)
            self._refuse(error)
            return False

    def _refuse(self, error: Exception) -> None:
        try:
            wanted = self._comparer.store.next() if self._comparer else None
            if wanted is not None:
                self._comparer.store.refuse(wanted.checkpoint, f"Pictures could not be made ({type(error).__name__}). The log has the reason; training goes on.")
        except sqlite3.Error:  # a disk that is full; the page sees that nothing comes
            pass

    def _called(self) -> bool:
        """A command waits that must not wait for pictures."""
        return any(kind in ("stop", "pause", "resume") for _, kind, _ in self.db.pending())

    def _take(self, after: int | None) -> None:
        """Put the weights aside that a page wants to see, if there are none that new."""
        if after is None or self.iteration < max(1, after) or any(i >= after for i in compare.available(self.run)):
            return
        weights = self.trainer.settled or self.trainer.adapter
        file = compare.weights_file(self.run, self.iteration)
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, save({f"lora/{name}": p.detach().cpu().numpy() for name, p in weights.items()}))
        compare.drop_old_weights(self.run)


# --- without a training ---------------------------------------------------------------------------------------------------
def trained_now(db: Database) -> bool:
    """True if the run has a trainer, answering or not."""
    return state(db.status()) in (*ALIVE, "silent")


def serve(run: Run, store: Store, *, idle: float = IDLE, studio: int | None = None) -> str:
    """Load the model once and serve until nothing was wanted for `idle` seconds, a trainer has the run, or the run is gone.

    Once the process `studio`, which started this one, is gone, it ends as soon as nothing is wanted.
    """
    with run.database(readonly=True) as db:
        looked = [time.monotonic(), trained_now(db)]

        def taken() -> bool:
            if time.monotonic() - looked[0] > LOOK_EVERY:
                looked[:] = time.monotonic(), trained_now(db) or not run.exists()
            return looked[1]

        if taken():
            return "A trainer has this run; it serves Compare by itself."
        trainer = open_run(run)
        measured = run.path / "base.npz"
        comparer = Comparer(run, trainer, store, base.load(measured) if measured.exists() else {})
        store.tell("ready")
        last = time.monotonic()
        while not taken():
            if comparer.step(taken):
                last = time.monotonic()
            elif time.monotonic() - last > idle:
                return "Nothing was wanted for a while."
            elif studio is not None and not psutil.pid_exists(studio):  # killed, or its terminal was closed: it could not end this process
                return "The studio that started it is gone."
            else:
                time.sleep(0.1)
        return "A trainer has this run; it serves Compare by itself."


def main(argv: list[str]) -> int:
    if len(argv) not in (1, 2):
        print("usage: python -m core.comparing RUN_DIR [PROCESS THAT STARTED IT]", file=sys.stderr)
        return 2
    if hasattr(os, "nice"):
        os.nice(2)
    run = Run(Path(argv[0]))
    try:
        if not run.exists():
            raise UserError(f"{run.path}: there is no run here.")
        with Store(run) as store:
            if not store.claim():
                return 0
            try:
                store.tell("ended", serve(run, store, studio=int(argv[1]) if len(argv) == 2 else None))
                return 0
            except BaseException as error:
                tail = "".join(traceback.format_exception(error))[-4000:]
                memory = isinstance(error, (MemoryError, torch.OutOfMemoryError))
                reason = str(error) if isinstance(error, UserError) else "There is not enough memory for the model." if memory else f"The sampler stopped on a fault of its own ({type(error).__name__})."
                print(tail, file=sys.stderr)
                store.tell("failed", reason, tail)
                return 2 if isinstance(error, UserError) else 1
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
