"""What Compare shows of a run: pictures of two sides, one seed through training, measures, and who makes what is missing.

The page says everything that it shows in one question, and asks it again while something is missing; what is missing is
written down in compare.db, where the trainer or a sampler takes it up (core.comparing). Nothing here imports torch.
"""

from __future__ import annotations

import atexit
import io
import json
import re
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from core.errors import UserError
from core.grids import BASE_NAME, Grid, Side, in_pairs, side_by_side
from core.runs import compare
from core.runs.compare import BASE, EVERY, MEASURED, OPENED, SHOWN, STRONGEST, THROUGH, Store, Want
from core.runs.database import ALIVE
from core.runs.folder import Run
from core.runs.lora_header import model_name, model_title

from . import started
from .settings import settings

SEEDS = 16  # pairs on the screen
CELLS = 12  # checkpoints of one seed through training
LARGEST_SEED = 2**31 - 1
_PROMPTS_LISTED = 200
_samplers: dict[Path, subprocess.Popen] = {}
_since: dict[Path, float] = {}  # when each was started
_one = threading.Lock()  # two questions at once start one sampler: a second would be lost to end_samplers
_COUNTED = 5  # seconds of loading after which they are told


@dataclass(frozen=True)
class Ask:
    """What a page shows. left, right: (checkpoint, strength in hundredths); a checkpoint of -1 is the newest weights."""

    page: str
    prompt: int = 0
    first: int = 0
    left: tuple[int, int] = BASE
    right: tuple[int, int] = (-1, 100)
    other: str | None = None  # name of another run whose weights are on the left
    seed: int | None = None  # drawn at every checkpoint
    every: bool = False  # measure every prompt
    take: int | None = None  # put the weights aside that the trainer has after this iteration
    again: bool = False  # try what failed

    @classmethod
    def read(cls, body: dict[str, Any]) -> "Ask":
        """From what the page sent. Raises UserError that names the field."""
        last = LARGEST_SEED - SEEDS
        other = body.get("other")
        seed, take = body.get("seed"), body.get("take")
        return cls(
            page=str(body.get("page", ""))[:40],
            prompt=_number(body, "prompt", 0, 100_000),
            first=_number(body, "first", 0, last),
            left=_side(body.get("left"), "left", BASE),
            right=_side(body.get("right"), "right", (-1, 100)),
            other=None if other is None else str(other),
            seed=None if seed is None else _number(body, "seed", 0, LARGEST_SEED),
            every=body.get("every") is True,
            take=None if take is None else _number(body, "take", 0, 10**9),
            again=body.get("again") is True,
        )

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(range(self.first, self.first + SEEDS))


def _number(body: dict[str, Any], name: str, low: int, high: int) -> int:
    value = body.get(name, low)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise UserError(f"{name}: {str(value)[:40]} is out of range. Use a whole number from {low} to {high:,}.", name)
    return value


def _side(value: Any, name: str, otherwise: tuple[int, int]) -> tuple[int, int]:
    if value is None:
        return otherwise
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        raise UserError(f"{name}: expected a checkpoint and a strength in hundredths.", name)
    if value[0] < -1 or not 0 <= value[1] <= STRONGEST:
        raise UserError(f"strength: {value[1] / 100:g} is out of range. Use 0 to {STRONGEST / 100:g}.", "strength")
    return value[0], value[1]


class View:
    """One side or both sides of what a page shows of one run."""

    def __init__(self, run: Run, store: Store, ask: Ask, prompt: int):
        self.run, self.store, self.ask, self.prompt = run, store, ask, prompt
        self.weights = compare.available(run)
        self.newest = self.weights[-1] if self.weights else 0

    def side(self, asked: tuple[int, int]) -> tuple[int, int]:
        """(checkpoint, strength) by which its pictures are kept."""
        return compare.side(self.newest if asked[0] < 0 else asked[0], asked[1])

    def through(self) -> list[int]:
        """Checkpoints at which one seed is shown: all, or some evenly spread with the first and the last; 0 is the base."""
        drawn = self.store.checkpoints_of(self.prompt, self.ask.seed) if self.ask.seed is not None else set()
        there = sorted({*self.weights, *drawn})
        if len(there) > CELLS:
            there = [there[round(i * (len(there) - 1) / (CELLS - 1))] for i in range(CELLS)]
        return [0, *there]

    def tiles(self, where: tuple[int, int]) -> list[dict[str, Any] | None]:
        found = self.store.pictures(self.prompt, where, self.ask.seeds)
        return [dict(found[s]) if s in found else None for s in self.ask.seeds]

    def cells(self) -> list[dict[str, Any]]:
        seed, cells = self.ask.seed, []
        for checkpoint in self.through():
            found = self.store.pictures(self.prompt, compare.side(checkpoint, 100), [seed]).get(seed)
            cells.append({"checkpoint": checkpoint, **({} if found is None else dict(found))})
        return cells

    def count(self, where: tuple[int, int]) -> int:
        """How many of the measured seeds are drawn."""
        return len(self.store.pictures(self.prompt, where, range(MEASURED), "id"))


def answer(run: Run, ask: Ask, other: Run | None = None, *, ask_for_more: bool = True) -> dict[str, Any]:
    """All that the page shows, as far as it is there; the rest is asked for. `other` holds the left side if it is given."""
    config = settings(run)
    if not ask.prompt < len(config.prompts):
        raise UserError(f"prompt: {ask.prompt} is not in the list. Use 0 to {len(config.prompts) - 1}.", "prompt")
    text = config.prompts[ask.prompt]
    with Store(run, readonly=not ask_for_more) as store:
        view = View(run, store, ask, ask.prompt)
        if other is None:
            return _answer(view, view, ask_for_more)
        theirs = settings(other).prompts
        if text not in theirs:
            raise UserError(f"{other.name} has no prompt “{text[:60]}”. Choose another prompt, or the base model on the left.", "left")
        with Store(other, readonly=not ask_for_more) as their_store:
            return _answer(view, View(other, their_store, ask, theirs.index(text)), ask_for_more)


def _answer(view: View, left_view: View, ask_for_more: bool) -> dict[str, Any]:
    ask, both = view.ask, view is left_view
    left, right = left_view.side(ask.left), view.side(ask.right)
    problems = [p[c] for p, c in ((left_view.store.problems(), left[0]), (view.store.problems(), right[0])) if c in p]
    if ask_for_more:
        if ask.again:
            for one in {id(view): view, id(left_view): left_view}.values():
                _forgive(one)
        view.store.want(ask.page, _wants(view, (left, right) if both else (right,)), ask.take)
        if not both:
            left_view.store.want(ask.page, _wants(left_view, (left,), alone=True))
    tiles = {"left": left_view.tiles(left), "right": view.tiles(right)}
    makers = [_maker(one, ask_for_more) for one in ([view] if both else [view, left_view])]
    missing = sum(t is None for side in tiles.values() for t in side)
    return {
        "checkpoints": view.weights,
        "left_checkpoints": left_view.weights,
        "left": list(left),
        "right": [view.newest if ask.right[0] < 0 else ask.right[0], ask.right[1]],
        "seeds": list(ask.seeds),
        "tiles": tiles,
        "missing": missing,
        "through": view.cells() if ask.seed is not None else [],
        "n": MEASURED,
        "changed": {
            "left": left_view.store.measure(left_view.prompt, left), "right": view.store.measure(view.prompt, right),
            "drawn": [left_view.count(left), view.count(right)],
        },
        "prompts": _every(view, left_view, left, right),
        "maker": {**next((m for m in makers if m["state"] not in ("idle", "ready")), makers[0]), **({"problem": problems[0]} if problems else {})},
    }  # fmt: skip


def _wants(view: View, sides: tuple[tuple[int, int], ...], alone: bool = False) -> list[Want]:
    """The page's question as wants, in the order in which a person would like to see them."""
    ask, prompt = view.ask, view.prompt
    measured = tuple(range(MEASURED))
    wants = [Want(SHOWN, prompt, *where, ask.seeds) for where in dict.fromkeys(sides)]
    if ask.seed is not None and not alone:
        wants += [Want(THROUGH, prompt, c, 100, (ask.seed,)) for c in view.through() if c == 0 or c in view.weights]
    wants += [Want(OPENED, prompt, *where, measured, True) for where in dict.fromkeys(sides)]
    if ask.every and not alone:
        wants += [Want(EVERY, p, *where, measured, True) for p in _mapped(view.run) if p != prompt for where in dict.fromkeys(sides)]
    return wants


def _mapped(run: Run) -> list[int]:
    """Prompts whose looks are known, which are the ones that are measured unasked."""
    with run.database(readonly=True) as db:
        return [r["prompt"] for r in db.rows("SELECT prompt FROM prompts WHERE mapped = 1 ORDER BY prompt LIMIT ?", _PROMPTS_LISTED)]


def _every(view: View, left_view: View, left: tuple[int, int], right: tuple[int, int]) -> list[dict[str, Any]]:
    """The measures of every prompt that has looks or was measured; the loss of effective looks orders them, largest first."""
    mine, theirs = view.store.measures(right), left_view.store.measures(left)
    texts, their_texts = settings(view.run).prompts, settings(left_view.run).prompts
    place = {t: i for i, t in reversed(list(enumerate(their_texts)))} if view is not left_view else None
    rows = []
    for prompt in sorted({*_mapped(view.run), *mine})[:_PROMPTS_LISTED]:
        a = theirs.get(prompt if place is None else place.get(texts[prompt], -1))
        b = mine.get(prompt)
        rows.append({"prompt": prompt, "left": a, "right": b, "loss": a["looks"] - b["looks"] if a and b else None})
    return sorted(rows, key=lambda r: (r["loss"] is None, -(r["loss"] or 0)))


# --- who makes what is missing --------------------------------------------------------------------------------------------
def _maker(view: View, ask_for_more: bool) -> dict[str, Any]:
    """state (idle, waiting, loading, ready, failed, watching), and a sentence for each but idle and ready."""
    wanted = view.store.next() if ask_for_more else None
    with view.run.database(readonly=True) as db:
        status = db.status()
    trainer = started.state(view.run, status)
    taking = view.ask.take is not None and not any(i >= view.ask.take for i in view.weights)
    told = {"iteration": status.get("iteration", 0), "alive": trainer in ALIVE or trainer == "silent"}
    if not ask_for_more:
        return told | {"state": "watching", "words": "Pictures are made where the run is driven."}
    if wanted is None and not (taking and told["alive"]):
        return told | {"state": "idle", "words": ""}
    if trainer in ("running", "sampling"):
        return told | {"state": "waiting", "words": f"Pictures after iteration {told['iteration'] + 1}"}
    if trainer in _WAITING:
        return told | {"state": "waiting" if _WAITING[trainer] else "ready", "words": _WAITING[trainer]}
    return told | _sampler(view)


_WAITING = {
    "preparing": "Pictures once training has begun",
    "stopping": "Pictures once training has stopped",
    "silent": "The trainer does not answer; pictures wait for it",
    "pausing": "",
    "paused": "",
}


def _forgive(view: View) -> None:
    """What failed may be tried again; a sampler that had failed or died is followed by a new one."""
    with _one:
        process = _samplers.get(view.run.path.absolute())
        if process is not None and (view.store.sampler()["state"] == "failed" or process.poll() is not None):
            _end(_samplers.pop(view.run.path.absolute()))
        view.store.forgive()


def _sampler(view: View) -> dict[str, Any]:
    """The state of the run's sampler, which is started if there is none."""
    with _one:
        return _started(view)


def _started(view: View) -> dict[str, Any]:
    told, key = view.store.sampler(), view.run.path.absolute()
    process = _samplers.get(key)
    # one that an earlier studio started, or that ended with the computer, says nothing of how the next one fares
    fell = told["state"] == "died" and process is not None and process.poll() is not None
    if told["state"] == "failed" or fell:
        return {"state": "failed", "words": told["message"], "details": told["details"]}
    if told["state"] == "ready":
        return {"state": "ready", "words": ""}
    if told["state"] != "loading" and (process is None or process.poll() == 0):
        _samplers[key], _since[key] = compare.start_sampler(view.run), time.monotonic()
    elif told["state"] != "loading" and process.poll() is not None:
        return {"state": "failed", "words": "The sampler could not be started. The run's log has the reason.", "details": ""}
    taken = round(time.monotonic() - _since.get(key, time.monotonic()))
    return {"state": "loading", "words": f"Loading {model_title(settings(view.run))}{f', {taken} s' if taken > _COUNTED else ''}"}


def end_samplers(runs: Path | None = None) -> None:
    """End every sampler that this studio started on a run of `runs`, or any: each holds a model in memory, and nobody looks any more."""
    with _one:
        for path in [path for path in _samplers if runs is None or path.parent == runs.absolute()]:
            _end(_samplers.pop(path))


def _end(process: subprocess.Popen) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()


atexit.register(end_samplers)  # a server that is told twice to end does not close its app


# --- files ----------------------------------------------------------------------------------------------------------------
def picture(run: Run, number: int, *, small: bool) -> bytes:
    with Store(run, readonly=True) as store:
        data = store.picture(number, small=small)
    if data is None:
        raise UserError(f"There is no picture {number} in {run.name}.", "picture")
    return data


def sheet(run: Run, ask: Ask, other: Run | None, *, layout: str) -> tuple[str, Grid]:
    """(file name, sheet) of what the page shows. Raises UserError while a picture is missing."""
    config = settings(run)
    shown = answer(run, ask, other, ask_for_more=False)
    if shown["missing"]:
        raise UserError(f"{shown['missing']} of {2 * SEEDS} pictures are not made yet. Wait for them, then export.")
    prompt, seeds = config.prompts[ask.prompt], shown["seeds"]
    sides = []
    for name, source, asked in (("left", other or run, ask.left), ("right", run, ask.right)):
        with Store(source, readonly=True) as store:
            pixels = [np.asarray(Image.open(io.BytesIO(store.picture(t["id"]))).convert("RGB")) for t in shown["tiles"][name]]
        checkpoint = shown[name][0]
        words = f"iteration {checkpoint}" if checkpoint else BASE_NAME
        sides.append(Side(words, pixels, asked[1] / 100, "" if words == BASE_NAME else source.name))
    facts = {"run": run.name, "iteration": str(shown["right"][0]), "strength": f"{ask.right[1] / 100:g}", "model": model_name(config)}
    facts |= {"steps": str(config.steps), "guidance": f"{config.guidance:g}"}
    facts["rewards"] = json.dumps({name: [t["reward"] for t in shown["tiles"][name]] for name in ("left", "right")})
    draw = in_pairs if layout == "pairs" else side_by_side
    word = re.sub(r"[^A-Za-z0-9]+", "-", prompt)[:40].strip("-").lower() or "prompt"
    return f"{run.name}-{word}-{seeds[0]}.png", draw(*sides, prompt=prompt, seeds=seeds, facts=facts)
