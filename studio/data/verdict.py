"""Is a run collapsing? The verdict and the sentence with its cause, from numbers alone.

q is variety (effective number of looks) divided by the base model's. Collapsing below 0.45, Healthy from 0.80 on;
between them Recovering while variety has risen by more than 0.12 looks over 25 iterations, else Narrowing. A worse
word comes at its threshold at once; a better one needs 0.03 more, so that noise does not make the word flicker.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice

from core.alarms import ENOUGH, HEALTHY, HYSTERESIS, SPAN, WARN

RISE = 0.12  # looks

EARLY, FINE, RECOVERING, NARROWING, COLLAPSING = "Too early to say", "Healthy", "Recovering", "Narrowing", "Collapsing"
_LEVELS = ("low", "middle", "high")


def collapsing_below(warn: float | None) -> float:
    """The share of the base's variety below which the word is Collapsing: the alarm's line, kept clear of Healthy."""
    return WARN if warn is None else min(warn, 75) / 100


class Verdict:
    """Verdicts of one run, iteration after iteration; holds what hysteresis needs to remember."""

    def __init__(self, alarm: float = WARN) -> None:
        self.alarm = alarm
        self.varieties: list[float] = []
        self.level: str | None = None
        self.recovering = False

    def next(self, variety: float, base: float, pictures: int) -> str:
        """The word after one more iteration. `pictures`: how many were made so far, over all iterations."""
        self.varieties.append(variety)
        if pictures < ENOUGH or base <= 0:
            return EARLY
        self.level = _level(variety / base, self.level, self.alarm)
        rise = variety - self.varieties[max(0, len(self.varieties) - 1 - SPAN)]
        self.recovering = rise > RISE - (HYSTERESIS if self.recovering else 0.0)
        if self.level == "high":
            return FINE
        if self.level == "low":
            return COLLAPSING
        return RECOVERING if self.recovering else NARROWING


def _level(q: float, before: str | None, alarm: float) -> str:
    plain = "high" if q >= HEALTHY else "low" if q < alarm else "middle"
    if before is None or _LEVELS.index(plain) <= _LEVELS.index(before):
        return plain
    eased = "high" if q >= HEALTHY + HYSTERESIS else "low" if q < alarm + HYSTERESIS else "middle"
    return max(before, eased, key=_LEVELS.index)


def verdicts(varieties: Sequence[float], bases: Sequence[float], pictures: Sequence[int]) -> list[str]:
    """One word per iteration."""
    state = Verdict()
    return [state.next(*row) for row in zip(varieties, bases, pictures, strict=True)]


def sentence(word: str, rows: Sequence[dict], dials: Sequence[dict], prompt: str | None, name: str = "") -> list[str]:
    """One sentence with a cause and, if it is bad, a remedy, about the last of `rows`.

    rows: {"iteration", "variety", "reward", "pictures", "shares"}, shares: {prompt: [of each look ..., of 'new']}; the last
    may hold "since", the iteration at which its word began, and "alarms".
    dials: {"iteration", "label", "old", "new"}, oldest first. `prompt`: whose looks are spoken of, called `name` if
    there are several. Returns texts of which every second is emphasised.
    """
    now = rows[-1]
    if word == EARLY:
        return [f"A verdict needs {ENOUGH} pictures; there are ", str(now["pictures"]), " so far."]
    shares = now["shares"].get(prompt)
    if not shares:
        return ["Looks are not fixed for these prompts, so only their number is shown."]
    look, share = leading(shares)
    who = f"{look} of “{name}”" if name else look
    if word == FINE:
        return _fine(shares, who, share)
    if word == RECOVERING:
        return _recovering(rows, dials, prompt, look, who)
    parting = now.get("alarms", {}).get("parting")
    start = [] if parting is None else ["", "Reward up, variety down", f" since iteration {parting}. "]
    if word == NARROWING:
        then = max(rows[0]["iteration"], now["iteration"] - SPAN)
        before = _share_of(_shares_at(rows, then, prompt), look)
        if share - before >= 0.02:
            return _joined(
                start, f"{who} has grown from {_percent(before)} at iteration {then} to ", _percent(share), " of the pictures. A bonus for rare looks or a longer leash holds it."
            )
        return _joined(start, f"{who} makes ", _percent(share), " of the pictures. Variety stays below the base model's.")
    climbs = parting is None and now["reward"] > _at(rows, now["iteration"] - SPAN)["reward"]
    words = f" of the pictures{' while reward still climbs' if climbs else ''}. Raise the diversity bonus β or lengthen the leash K."
    since = f"Collapsing since iteration {now['since']}. " if "since" in now and not start else ""
    return _joined(start, f"{since}{who} makes ", _percent(share), words)


def _joined(start: list[str], first: str, *rest: str) -> list[str]:
    """`start` and the other texts as one list, in which every second stays emphasised."""
    return [*start[:-1], "".join([*start[-1:], first]), *rest]


def leading(shares: Sequence[float]) -> tuple[str, float]:
    """The look with the largest share, in words, and that share. The last share is of new pictures."""
    k = max(range(len(shares)), key=lambda i: shares[i])
    return ("What is new" if k == len(shares) - 1 else f"Look {chr(65 + k)}", shares[k])


def _share_of(shares: Sequence[float], look: str) -> float:
    return shares[-1] if look.startswith("What") else shares[ord(look[-1]) - 65]


def _fine(shares: Sequence[float], who: str, share: float) -> list[str]:
    here, of = sum(s > 0 for s in shares[:-1]), len(shares) - 1
    start = "Every look the base model had is still here" if here == of else f"{here} of the base model's {of} looks are here"
    return [f"{start}; the largest, {who[0].lower()}{who[1:]}, is at ", _percent(share), "."]


def _recovering(rows: Sequence[dict], dials: Sequence[dict], prompt: str | None, look: str, who: str) -> list[str]:
    now = rows[-1]
    turns = [d for d in dials if d["iteration"] <= now["iteration"] and _at(rows, d["iteration"])["variety"] < now["variety"]]
    start = _at(rows, turns[-1]["iteration"] if turns else now["iteration"] - SPAN)
    said = f"Up from {start['variety']:.1f} at iteration {start['iteration']}"
    if turns:
        said += f", when {_turned([t for t in turns if t['iteration'] == turns[-1]['iteration']])}"
    before = _share_of(_shares_at(rows, start["iteration"], prompt), look)
    return [f"{said}. {who} has gone from {_percent(before)} to ", _percent(_share_of(now["shares"][prompt], look)), "."]


def _turned(together: Sequence[dict]) -> str:
    """What was turned in one iteration: two dials by name, then how many more."""
    first, *others = (f"the {t['label'].lower()}{{}} from {_value(t['old'])} to {_value(t['new'])}" for t in together)
    said, more = [first.format(" went"), *(o.format("") for o in others[:1])], len(others) - 1
    return " and ".join(said) if more < 1 else f"{', '.join(said)}, and {more} more {'dial was' if more == 1 else 'dials were'} turned"


def _at(rows: Sequence[dict], iteration: int) -> dict:
    """The row of `iteration`, or the nearest later one."""
    return rows[min(bisect_left(rows, iteration, key=lambda r: r["iteration"]), len(rows) - 1)]


def _shares_at(rows: Sequence[dict], iteration: int, prompt: str | None) -> Sequence[float]:
    """Shares of `prompt` when it was first drawn from `iteration` on."""
    start = bisect_left(rows, iteration, key=lambda r: r["iteration"])
    return next(r["shares"][prompt] for r in islice(rows, start, None) if prompt in r["shares"])


def _percent(share: float) -> str:
    return "under 1 %" if 0 < share < 0.01 else f"{100 * share:.0f} %"


def _value(value: object) -> str:
    return (
        f"{value:.2f}"
        if isinstance(value, float) and 0.01 <= abs(value) < 100
        else f"{value:g}"
        if isinstance(value, (int, float))
        else str(value)
    )
