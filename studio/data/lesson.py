"""The lesson: two recorded runs in assets/lesson, and the words of its six steps, every number in them read from the runs."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.config import ROOT, RunConfig
from core.errors import UserError
from core.rewards.names import REGISTRY
from core.runs.folder import Run

from .head import info
from .history import history
from .settings import settings
from .verdict import COLLAPSING, FINE, NARROWING, RECOVERING

FOLDER = ROOT / "assets" / "lesson"
PREFIX = "lesson:"  # no run of a person's folder, own or watched, can have such a name
COLLAPSE, DIVERSE = "collapse", "diverse"
_WORDS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")


def run(name: str) -> Run:
    """The recorded run behind the address `lesson:<name>`. Raises UserError."""
    stem = name.removeprefix(PREFIX)
    found = Run(FOLDER / stem)
    if stem not in (COLLAPSE, DIVERSE) or not found.exists():
        raise UserError(f"There is no recorded run {stem!r} in the lesson.", "run")
    return found


def holds(run: Run) -> bool:
    """Whether `run` is a recorded one, which is only read."""
    return run.path.parent == FOLDER


# --- what the runs say ----------------------------------------------------------------------------------------------------
@dataclass(frozen=True)
class Recorded:
    """One recorded run: its rows as the charts show them, the turns of its dials, its looks and pairs."""

    config: RunConfig
    rows: list[dict[str, Any]]
    turns: list[dict[str, Any]]
    looks: list[dict[str, Any]]
    base_pictures: int
    every: int | None
    pairs: list[dict[str, Any]]

    @property
    def last(self) -> int:
        return self.rows[-1]["iteration"]

    def row(self, iteration: int) -> dict[str, Any]:
        return next(r for r in self.rows if r["iteration"] == iteration)

    def first(self, verdict: str, until: int) -> int | None:
        """The iteration of the first row up to `until` with this verdict."""
        return next((r["iteration"] for r in self.rows if 0 < r["iteration"] <= until and r["verdict"] == verdict), None)


def read(name: str) -> Recorded:
    """A recorded run, COLLAPSE or DIVERSE. Raises UserError if it is not there."""
    found = run(name)
    with found.database(readonly=True) as db:
        past = history(found, db)
        told = json.loads(db.row("SELECT body FROM events WHERE kind = 'recorded'")["body"])
        sides = db.rows(
            "SELECT b.seed, b.id AS base, b.look AS base_look, b.reward AS base_reward, t.id AS tuned, t.look AS tuned_look, t.reward AS tuned_reward "
            "FROM pictures b JOIN pictures t ON t.kind = 'sample' AND t.position = b.position AND t.iteration > 0 "
            "WHERE b.kind = 'sample' AND b.iteration = 0 ORDER BY b.position"
        )
        looks = info(found, db)["looks"].get("0", [])
        return Recorded(settings(found), past.rows, past.dials, looks, told["pictures"], told["every"], [dict(r) for r in sides])


# --- the steps ------------------------------------------------------------------------------------------------------------
def lesson() -> dict[str, Any]:
    """All that the screen shows: {"steps", "pairs", "live"}. Raises UserError if the recording is not there."""
    return _lesson(*((FOLDER / name / "run.db").stat().st_mtime_ns if (FOLDER / name / "run.db").exists() else 0 for name in (COLLAPSE, DIVERSE)))


@functools.lru_cache(maxsize=1)
def _lesson(*_: int) -> dict[str, Any]:
    collapse, diverse = read(COLLAPSE), read(DIVERSE)
    return {"steps": steps(collapse, diverse), "pairs": diverse.pairs, "live": "collapse-demo"}


def steps(collapse: Recorded, diverse: Recorded) -> list[dict[str, Any]]:
    """The six steps: title, one sentence, one action and the sentence after it, notes for the speaker, and what is replayed.

    `run`, `from` and `until`: which run is shown, from which iteration, and the last that is known of in this step.
    `to`: the action plays to this iteration. `then`: the run that the action shows instead.
    """
    turn = next((t for t in collapse.turns if t["name"] == "creative_beta"), None)
    end = turn["iteration"] - 1 if turn else collapse.last
    shown = PREFIX + COLLAPSE
    made = [
        _base(collapse) | {"view": "base", "run": shown, "from": 0, "until": end},
        _pay(collapse, end) | {"view": "pay", "run": shown, "from": 0, "until": end, "to": end},
        _stop(collapse, end) | {"view": "stop", "run": shown, "from": end, "until": end},
        _turn(collapse, turn, end) if turn else _again(collapse, diverse, end),
        _hold(collapse, diverse, end) | {"view": "hold", "run": shown, "from": end, "until": end, "then": PREFIX + DIVERSE},
        _better(diverse) | {"view": "pairs", "run": PREFIX + DIVERSE, "from": diverse.last, "until": None},
    ]
    return made


def _base(c: Recorded) -> dict[str, Any]:
    thing, n = c.config.prompts[0], len(c.looks)
    shares = _listed([f"{chr(65 + look['look'])} {_percent(look['share'])}" for look in c.looks])
    return {
        "title": f"{_word(n).capitalize()} {'kind' if n == 1 else 'kinds'} of {thing}",
        "sentence": f"Each hollow dot is a {thing} that the base model drew; near means alike, and they fall into {_word(n)} {_looks(n)}.",
        "action": {"label": "Show each look", "kind": "show"},
        "after": f"Each look has a letter and a share: {shares} of {c.config.base_pictures} pictures.",
        "kept": f"Hollow dots: the base model, {c.base_pictures} of its {c.config.base_pictures} pictures.",
        "notes": [
            f"Nothing is trained yet. The prompt is “{thing}”, the seeds differ, so the pictures differ.",
            f"Ask: would you call these {_word(n)} groups, or more? The dashed lines are what the computer finds.",
            f"A finer measure, variety, says {c.rows[0]['variety']:.1f}: so many of {c.config.group_size} pictures count as different (Vendi score).",
        ],
    }


def _pay(c: Recorded, end: int) -> dict[str, Any]:
    thing, g = c.config.prompts[0], c.config.group_size
    rewards = _listed([f"“{REGISTRY[name].label}”" for name in c.config.rewards])
    return {
        "title": "Pay for the best",
        "sentence": f"Each iteration draws {g} {thing}s and pays for those that score best; watch where the dots go.",
        "action": {"label": "Play", "kind": "play"},
        "kept": _kept(c),
        "after": f"After {end} iterations the mean reward is up from {_number(c.rows[0]['reward'])} to {_number(c.row(end)['reward_mean'])}.",
        "notes": [
            f"The reward here is {rewards}. Nobody asked the model to forget anything.",
            "Solid dots are this run, the newest strongest; hollow dots stay where the base model was.",
            "Dots that pile up in one place are pictures that became alike.",
        ],
    }


def _stop(c: Recorded, end: int) -> dict[str, Any]:
    narrowing, collapsing = c.first(NARROWING, end), c.first(COLLAPSING, end)
    said = [f"{word} at iteration {at}" for word, at in ((NARROWING, narrowing), (COLLAPSING, collapsing)) if at]
    at = collapsing or narrowing
    climbed = c.row(end)["reward_mean"] - c.row(at)["reward_mean"] if at else 0.0
    rest = (
        f", while the mean reward still rose by {_number(climbed)} to iteration {end}"
        if climbed > 0
        else f"; the mean reward did not rise after iteration {at}"
    )
    return {
        "title": "Where would you have stopped?",
        "sentence": "Drag along the iterations and say where you would have stopped.",
        "action": {"label": "Show the verdict", "kind": "show"},
        "after": f"The verdict is {_listed(said)}{rest}." if at else "The studio saw no collapse in this run.",
        "kept": _kept(c),
        "marks": [{"iteration": i, "word": word} for word, i in ((NARROWING, narrowing), (COLLAPSING, collapsing)) if i],
        "notes": [
            "Let a few people point at the scrubber before the verdict appears. There is no right answer, only a cost.",
            f"Variety fell from {c.rows[0]['variety']:.1f} to {c.row(end)['variety']:.1f}.",
            "Reward alone says: go on. That is why it is not enough to watch it.",
        ],
    }


def _turn(c: Recorded, turn: dict[str, Any], end: int) -> dict[str, Any]:
    before, after = c.row(end), c.rows[-1]
    back = after["verdict"] in (RECOVERING, FINE)
    n = after["iteration"] - end
    change = f"{before['variety']:.1f} to {after['variety']:.1f} of {after['base']:.1f}"
    return {
        "title": "Turn one dial",
        "sentence": f"The diversity bonus β pays extra for a rare look; until here it was {_number(turn['old'])}.",
        "action": {"label": f"Turn β to {_number(turn['new'])}", "kind": "play"},
        "after": f"{'The looks return' if back else 'The looks do not return'}: variety goes from {change} in {n} iterations, at a mean reward of {_number(after['reward_mean'])}.",
        "kept": _kept(c),
        "dials": [_bonus(turn["old"], turn["new"], turn["iteration"])],
        "view": "turn",
        "run": PREFIX + COLLAPSE,
        "from": end,
        "until": end,
        "to": c.last,
        "notes": [
            "The same run goes on from the same weights; only this dial was turned. The diamond marks it.",
            "A picture is paid more when few others of its group look like it. At 1 rarity weighs as much as the reward.",
            f"The mean reward was {_number(before['reward_mean'])} before the turn and is {_number(after['reward_mean'])} at the end.",
        ],
    }


def _again(c: Recorded, d: Recorded, end: int) -> dict[str, Any]:
    """The fourth step of a recording in which no dial was turned: the other run, from its start."""
    beta, leash = d.config.creative_beta, d.config.sa_reg_steps
    return {
        "title": "Turn the dials",
        "sentence": f"Start again with a diversity bonus β of {_number(beta)}, which pays extra for a rare look, and a leash on the first {leash} steps.",
        "action": {"label": "Start again", "kind": "play"},
        "after": (
            f"{_fallen(d)}, at a mean reward of {d.rows[-1]['reward_mean']:.1f}; "
            f"reward alone left {c.row(end)['variety']:.1f} at {end}, at a mean reward of {c.row(end)['reward_mean']:.1f}."
        ),
        "kept": _kept(d),
        "dials": [
            _bonus(c.config.creative_beta, beta, 1),
            {"label": "Leash length", "symbol": "K", "old": c.config.sa_reg_steps, "new": leash, "high": d.config.steps, "digits": 0, "iteration": 1},
        ],
        "beside": {"words": "reward alone", "path": [[r["iteration"], r["variety"]] for r in c.rows if r["iteration"] <= end]},
        "view": "turn",
        "run": PREFIX + DIVERSE,
        "from": 0,
        "until": 0,
        "to": d.last,
        "notes": [
            "The same model, the same prompt, the same reward and the same seeds; only the two dials differ.",
            "A picture is paid more when few others of its group look like it. The next step shows what the leash does.",
            "Both runs narrow at first: the dotted line is reward alone, which goes on falling. Variety has its price in reward.",
        ],
    }


def _bonus(old: float, new: float, iteration: int) -> dict[str, Any]:
    return {"label": "Diversity bonus", "symbol": "β", "old": old, "new": new, "high": 3, "digits": 2, "iteration": iteration}


def _fallen(d: Recorded) -> str:
    """How far variety fell on the way, and where it is at the end."""
    low, last = min(d.rows[1:], key=lambda r: r["variety"]), d.rows[-1]
    now = f"{last['variety']:.1f} of {last['base']:.1f}"
    back = low["variety"] < last["variety"] and last["verdict"] in (RECOVERING, FINE)
    if back:
        return f"The looks return: variety goes from {low['variety']:.1f} at iteration {low['iteration']} to {now} at {last['iteration']}"
    return f"Variety is {now} at iteration {last['iteration']}"


def _hold(c: Recorded, d: Recorded, end: int) -> dict[str, Any]:
    leash, total = d.config.sa_reg_steps, d.config.steps
    after = d.rows[-1]
    return {
        "title": "Hold the early steps",
        "sentence": f"A picture is made in {total} steps from noise to clean; the early ones decide the layout, so they decide variety.",
        "action": {"label": f"Hold the first {leash} steps", "kind": "show"},
        "after": (
            f"With this leash and β {_number(d.config.creative_beta)} from the start, variety is {after['variety']:.1f} of {after['base']:.1f} "
            f"at iteration {d.last}; reward alone left {c.row(end)['variety']:.1f} at {end}."
        ),
        "notes": [
            "Left is noise, right is the finished picture. Black cells are trained, hatched cells are held near the base model.",
            "A late step can still be trained freely: it changes the finish, not the layout.",
            "This is another run, trained from the start with both dials set.",
        ],
    }


def _better(d: Recorded) -> dict[str, Any]:
    thing, n = d.config.prompts[0], len(d.pairs)
    known = len(d.looks)
    found = {side: len({p[f"{side}_look"] for p in d.pairs} - {-1, None}) for side in ("base", "tuned")}
    mean = {side: sum(p[f"{side}_reward"] for p in d.pairs) / n for side in ("base", "tuned")}
    all_kept = f"all {_word(known)} looks are there" if known > 1 else "its one look is there"
    kept = all_kept if found["tuned"] == known else f"{_word(found['tuned'])} of the {_word(known)} looks are there; the base shows {_word(found['base'])}"
    better = sum(p["tuned_reward"] > p["base_reward"] for p in d.pairs)
    return {
        "title": "Better and still varied" if mean["tuned"] > mean["base"] and found["tuned"] >= found["base"] else "What it cost",
        "sentence": f"Here are {n} {thing}s by the base model; the tuned model draws its own from the same seeds.",
        "action": {"label": "Show the tuned model", "kind": "show"},
        "after": (
            f"{better} of {n} score higher, the mean reward goes from {_number(mean['base'])} to {_number(mean['tuned'])}, "
            f"and {kept}."
        ),
        "notes": [
            "Each pair has one seed: the same noise, the base model in the dashed frame, the tuned one in the solid frame.",
            "Ask for a pair that got worse. There usually is one; the reward is not taste.",
            "Try it live starts the first run of this lesson on this computer.",
        ],
    }


def _kept(c: Recorded) -> str:
    pictures = "all pictures are" if c.every == 1 else f"the pictures of every {_nth(c.every)} iteration are"
    return f"Hollow: base model. Solid: this run, newest strongest; {pictures} kept here."


# --- words ----------------------------------------------------------------------------------------------------------------
def _word(n: int) -> str:
    return _WORDS[n] if n < len(_WORDS) else str(n)


def _looks(n: int) -> str:
    return "look" if n == 1 else "looks"


def _nth(every: int | None) -> str:
    return {1: "single", 2: "second", 3: "third", 4: "fourth", 5: "fifth"}.get(every or 1, f"{every}th")


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u00a0%"


def _number(value: float) -> str:
    """Two significant digits, with a true minus."""
    return f"{0.0 if abs(value) < 0.005 else value:.2g}".replace("-", "−")


def _listed(parts: list[str]) -> str:
    return f"{', '.join(parts[:-1])} and {parts[-1]}" if len(parts) > 1 else "".join(parts)
