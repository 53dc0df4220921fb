"""What a setup costs on this computer: three real iterations in a temporary run folder, timed and weighed.

    python -m core.trial collapse-demo            # a preset, a YAML file, or - for settings as JSON on stdin

Prints JSON, a line each: {"doing": words} while it works, then {"measured": ...} or {"error", "field", "memory"}. The
studio starts it as a process of its own and imports nothing of it but `ITERATIONS`.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import mean, median
from typing import Any

if __name__ == "__main__":  # as in core.__main__, so that a trial is as fast as the run
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

import torch

from .backbones import checkpointing
from .backbones.device import choose_device
from .config import RunConfig, build, fewest_base_pictures, load
from .footprint import in_use, memory, peak_memory
from .errors import UserError
from .loading import build_trainer
from .presets import load_preset
from .ranks import out_of_memory
from .runs import checkpoints, folder
from .training import Iteration, Trainer
from .worker import Worker

ITERATIONS = 3
_LOOK_EVERY = 0.005  # seconds between looks at the resident memory
_PARTS = {"reward": "looks", "diversity": "looks"}  # whose memory a phase needs beyond what is resident; all others: pictures


class Meter:
    """Bytes in use: after each part was loaded, and the highest of every phase. GPU allocations, or resident memory."""

    def __init__(self, device_type: str):
        self.device_type, self.cuda = device_type, device_type == "cuda"
        self.after: dict[str, int] = {}
        self.highest: dict[str, int] = {}
        self.before: dict[str, int] = {}  # a phase, when it was entered first
        self.phase = "loading"
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)
        if not self.cuda:
            self._watch.start()

    def now(self) -> int:
        return in_use(self.device_type)

    def loaded(self, part: str) -> None:
        self.after[part] = self.now()

    def enter(self, phase: str) -> None:
        """From here on, memory is counted for `phase`."""
        self._settle(torch.cuda.max_memory_allocated() if self.cuda else self.now())
        if self.cuda:
            torch.cuda.reset_peak_memory_stats()
        self.phase = phase
        self.before.setdefault(phase, self.now())

    def close(self) -> None:
        self.enter("over")
        self._over.set()

    def _settle(self, seen: int) -> None:
        self.highest[self.phase] = max(seen, self.highest.get(self.phase, 0))

    def _look(self) -> None:
        while not self._over.wait(_LOOK_EVERY):
            self._settle(self.now())


class Trial(Worker):
    """A run of three iterations that weighs what it does."""

    def __init__(self, run: folder.Run, meter: Meter, tell):
        super().__init__(run, resume=False, follow=False)
        self.meter, self.tell = meter, tell
        self.failure: BaseException | None = None
        self.reserved = 0  # the GPU allocator's highest; its counter starts over with every phase

    def _build(self, config: RunConfig, arithmetic: str | None) -> Trainer:
        self.tell("Loading the model")
        trainer = build_trainer(config, arithmetic=arithmetic, part=lambda n, of: self.tell(f"Loading the model ({n} of {of} parts)"), loaded=self.meter.loaded)
        trainer.entering = self._entering
        self._entering("base")
        return trainer

    def _entering(self, phase: str) -> None:
        self.reserved = max(self.reserved, peak_memory(self.control.device_type))
        self.meter.enter(phase)

    def _measure_base(self) -> None:
        self.tell(f"Making {self.config.base_pictures} base pictures")
        start = time.perf_counter()
        super()._measure_base()
        self.base_seconds = time.perf_counter() - start
        self.tell(f"Trial iteration 1 of {self.config.iterations}")

    def _record(self, iteration: Iteration, start: float) -> None:
        self._entering("write")
        super()._record(iteration, start)
        if self.iteration < self.config.iterations:
            self.tell(f"Trial iteration {self.iteration + 1} of {self.config.iterations}")

    def _end(self, state: str, message: str) -> None:
        super()._end(state, message)
        self._entering("over")

    def _last_words(self, error: BaseException) -> int:
        self.failure = error
        return super()._last_words(error)

    # --- what was found -----------------------------------------------------------------------------------------
    def measured(self, config: RunConfig) -> dict[str, Any]:
        """Times, bytes and places of a trial that ended well; `config` is the run's own."""
        kind = self.trainer.backbone.device.type
        with self.run.database(readonly=True) as db:
            rows = db.iterations(0)
            picture = db.row("SELECT avg(length(thumb) + length(embedding) + length(scores) + 100) AS size FROM pictures")["size"]
            notes = db.row("SELECT avg(length(metrics)) AS size FROM iterations")["size"]
        parameters = sum(p.numel() * p.element_size() for p in self.trainer.adapter.values())
        moments = sum(t.numel() * t.element_size() for s in self.trainer.optimizer.state.values() for t in s.values())
        peak = max(self.reserved, peak_memory(kind))
        parts = memory_parts(peak, self.meter.after, self.meter.highest, parameters=parameters, moments=moments)
        return {
            "iterations": ITERATIONS,
            **times(rows, refresh=config.hrfd_refresh_every if config.window == "hrf_dynamic" else None),
            "base_picture": self.base_seconds / self.config.base_pictures,
            "memory": peak,
            "memory_parts": parts,
            "memory_total": memory(kind)[1],
            "kept": self._kept(config, parts["pictures"]),
            "device": f"{kind}, {self.trainer.backbone.arithmetic}",
            "disk": {
                "checkpoint": folder.size(self.run.checkpoints) // len(checkpoints.all_of(self.run)), "export": folder.size(self.run.export),
                "picture": round(picture), "iteration": round(notes),
            },
        }

    def _kept(self, config: RunConfig, pictures: int) -> float | None:
        """What gradient checkpointing leaves of the `pictures` part of memory; None if the peak was not reached while learning."""
        if max(self.meter.highest, key=self.meter.highest.get) != "update":
            return None
        trainer = self.trainer
        conditions, step = trainer.conditions([0], 1), trainer.plan(1).trained[0]
        x = torch.zeros(1, *trainer.backbone.latent_shape, device=trainer.backbone.device)
        forward = lambda: trainer.backbone.velocity(x, step, trainer.schedule, conditions, guidance=config.guidance)
        share = checkpointing.measure(trainer.backbone.denoiser, forward, on=config.gradient_checkpointing).share
        active = self.meter.highest["update"] - self.meter.before["update"]
        return left(share, min(1.0, active / max(pictures, 1)), on=config.gradient_checkpointing)


def left(share: float, active: float, *, on: bool) -> float:
    """With checkpointing over without it, of the pictures' memory: of that only the part that learning adds shrinks, to `share`.

    active: what learning added to the pictures' memory, as measured; `on`: measured with checkpointing, where that part had shrunk.
    """
    return 1 / (1 + active * (1 / share - 1)) if on else 1 - active * (1 - share)


def times(rows: list[dict], *, refresh: int | None = None) -> dict[str, Any]:
    """{"pace", "seconds": {make, score, looks, learn}} of one iteration, in seconds, from recorded ones; the parts add up to the pace.

    The median over the iterations; with HRF-D, whose iterations 1, 1 + `refresh`, ... also choose a start, the mean over a whole round.
    """
    def typical(value) -> float:
        if refresh is None:
            return median(map(value, rows))
        choosing = [value(r) for r in rows if (r["iteration"] - 1) % refresh == 0]
        others = [value(r) for r in rows if (r["iteration"] - 1) % refresh]
        return mean(choosing) / refresh + (mean(others) * (1 - 1 / refresh) if others else 0.0)

    pace = typical(lambda r: r["duration"])
    parts = {
        "make": typical(lambda r: r["seconds"]["rollout"] + r["seconds"]["decode"]),
        "score": typical(lambda r: r["seconds"]["reward"]),
        "looks": typical(lambda r: r["seconds"]["diversity"]),
    }
    # advantages and writing belong to learning: what is left, so that nothing is hidden
    return {"pace": pace, "seconds": {**parts, "learn": max(0.0, pace - sum(parts.values()))}}


def memory_parts(peak: int, after: dict[str, int], highest: dict[str, int], *, parameters: int, moments: int) -> dict[str, int]:
    """The bytes at the `peak` in four parts that add up to it: model, pictures, gradients, looks.

    after: bytes once the model, then the judges (rewards and likeness) were there. highest: per phase. parameters, moments: bytes of
    the LoRA and of Adam's. While learning, gradients are as large as the LoRA, and both are kept once more to undo a broken update.
    """
    worst = max(highest, key=highest.get)
    parts = {
        "model": after["model"],
        "pictures": 0,
        "gradients": 2 * (parameters + moments) if worst == "update" else moments,
        "looks": max(0, after["judges"] - after["model"]),
    }
    rest = "model" if worst == "loading" else _PARTS.get(worst, "pictures")
    parts[rest] += peak - sum(parts.values())
    if parts[rest] < 0:  # it found room in what others had given back
        parts["model"] += parts[rest]
        parts[rest] = 0
    return parts


def short(config: RunConfig) -> RunConfig:
    """The same work three times, after as few base pictures as looks can be found in; no alarm may pause it."""
    quiet = {"alarm_pause": None, "alarm_action": "none"}
    return config.with_changes(iterations=ITERATIONS, base_pictures=fewest_base_pictures(config.group_size), base_prompts=1, checkpoint_every=ITERATIONS, keep_checkpoints=1, **quiet)


def measure(config: RunConfig, place: Path, tell=lambda words: None) -> dict[str, Any]:
    """The last line that is printed: {"measured": ...} or {"error", "field", "memory"}. Writes a run folder inside `place`."""
    try:
        meter = Meter(choose_device(config.device).type)
        trial = Trial(folder.create(place / "trial", short(config)), meter, tell)
        code = trial.carry_out()
        meter.close()
    except UserError as error:
        return {"error": str(error), "field": error.field, "memory": False}
    if code == 0 and trial.iteration == ITERATIONS:
        return {"measured": trial.measured(config)}
    with trial.run.database(readonly=True) as db:
        message = db.status()["message"]
    return {"error": message, "field": getattr(trial.failure, "field", None), "memory": trial.failure is not None and out_of_memory(trial.failure)}


def _asked(what: str) -> RunConfig:
    if what == "-":
        return build(json.load(sys.stdin))
    return load(Path(what)) if Path(what).suffix in (".yaml", ".yml") else load_preset(what)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m core.trial", description=__doc__.splitlines()[0])
    parser.add_argument("what", metavar="PRESET|FILE|-")
    parser.add_argument("--folder", type=Path, help="where the temporary run folder is made (default: the system's place for such)")
    args = parser.parse_args(arguments)
    out, sys.stdout = sys.stdout, sys.stderr  # whatever a library prints must not look like an answer
    say = lambda line: print(json.dumps(line), file=out, flush=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # leave through the context below, which removes the folder
    try:
        config = _asked(args.what)
        with tempfile.TemporaryDirectory(prefix="manymodes-trial-", dir=args.folder, ignore_cleanup_errors=True) as place:
            answer = measure(config, Path(place), lambda words: say({"doing": words}))
    except UserError as error:
        answer = {"error": str(error), "field": error.field, "memory": False}
    finally:
        sys.stdout = out
    say(answer)
    return 0 if "measured" in answer else 2


if __name__ == "__main__":
    sys.exit(main())
