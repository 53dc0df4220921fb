"""Which steps of a rollout are stochastic and trained, iteration by iteration.

One function per kind, and `window` to call them by name with flat settings. All are pure: what is random follows from
(seed, iteration) alone, hence is the same on every process. Step 0 is the noisiest. The last step is never stochastic:
its log-probability would measure rounding, and an ODE step there returns the predicted clean latents, which is what
DanceGRPO decodes. Flow-GRPO: arXiv 2505.05470. DanceGRPO: 2505.07818. MixGRPO: 2507.21802. HRF and HRF-D: 2410.08315.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

WindowKind = Literal[
    "full", "fast_random", "random_fraction", "mix_progressive", "mix_random", "mix_decay", "mix_exp_decay", "mix_frozen",
    "hrf_early", "hrf_latter", "hrf_scheduled", "hrf_dynamic",
]
HrfStart = Literal["anchor_renoise", "full_rollout"]
Phase = tuple[int, int, int]  # (lo, hi, iterations): for so many iterations, starts come from lo to hi - 1

_STREAM = 0x57494E  # sets these draws apart from others keyed by (seed, iteration); not 0, which numpy would drop


@dataclass(frozen=True)
class Window:
    """The plan of one iteration.

    start: the first step of the rollout; above 0 it begins from re-noised latents. sde_steps: the stochastic steps.
    train_steps: those of them that are trained. Both in rising order, never empty, never with the last step.
    """

    start: int
    sde_steps: tuple[int, ...]
    train_steps: tuple[int, ...]


def full(steps: int) -> Window:
    """All steps but the last, stochastic and trained (Flow-GRPO)."""
    return _window(range(_at_least_two(steps) - 1))


def fast_random(iteration: int, steps: int, *, seed: int, size: int = 3, low: int = 0, high: int | None = None) -> Window:
    """`size` steps from a start drawn evenly from low to high - size, the ODE elsewhere (Flow-GRPO-Fast, the current public code).

    high: the first step after the range, T // 2 if None. One draw per iteration, so that all members of a group share it.
    """
    high = _at_least_two(steps) // 2 if high is None else high
    if not 0 <= low < high <= steps - 1:
        raise ValueError(f"window range is {low} to {high}; a rollout of {steps} steps, of which the last is never trained, has 0 to {steps - 1}.")
    _check_size(size, high - low, f"between steps {low} and {high}")
    start = _start(seed, iteration, low, high - size + 1)
    return _window(range(start, start + size))


def random_fraction(iteration: int, steps: int, *, seed: int, fraction: float = 0.6) -> Window:
    """All steps but the last stochastic, a random `fraction` of them trained, rounded down but at least one (DanceGRPO).

    One choice per iteration for all pictures (our choice; the public code draws one for each).
    """
    if not 0 < fraction <= 1:
        raise ValueError(f"window fraction is {fraction}; use above 0, up to 1.")
    stochastic = range(_at_least_two(steps) - 1)
    count = max(1, math.floor(fraction * len(stochastic) + 1e-9))  # the product may lie a rounding below a whole number
    return _window(stochastic, sorted(_generator(seed, iteration).choice(len(stochastic), count, replace=False).tolist()))


def mix_progressive(iteration: int, steps: int, *, size: int = 4, stride: int = 1, interval: int = 25, roll_back: bool = True) -> Window:
    """`size` steps from l on; every `interval` iterations l moves on by `stride` (MixGRPO).

    As in the public code the window ends before step T - 2 and shrinks as it runs into that end. Past it, l begins again
    at 0 (roll_back, as in its launch script) or stays. The public code has one more position there, with nothing to train; here l stops at T - 3.
    """
    return _moving(iteration, steps, size, stride, interval, roll_back, lambda position, end: interval)


def mix_decay(
    iteration: int, steps: int, *, size: int = 4, stride: int = 1, interval: int = 25, shortest: int | None = None, roll_back: bool = True,
) -> Window:
    """As mix_progressive, with an interval that falls in a line from `interval` at l = 0 to `shortest` at l = T - 2.

    shortest: max(1, interval // 4) if None, as in the public code.
    """
    shortest = max(1, interval // 4) if shortest is None else shortest
    if interval >= 1 and not 1 <= shortest <= interval:
        raise ValueError(f"shortest window interval is {shortest}; use 1 to the first interval, {interval}.")
    return _moving(iteration, steps, size, stride, interval, roll_back, lambda position, end: (interval * (end - position) + shortest * position) // end)


def mix_exp_decay(
    iteration: int, steps: int, *, size: int = 4, stride: int = 1, interval: int = 25, decay_rate: float = 0.1, decay_from: int = 13, roll_back: bool = True,
) -> Window:
    """As mix_progressive, with the interval ceil(interval exp(-decay_rate max(0, l - decay_from))). MixGRPO's 13 is for 25 steps."""
    if not (decay_rate >= 0 and decay_from >= 0):
        raise ValueError(f"window decay rate is {decay_rate}, from step {decay_from}; use 0 or more for both.")
    length = lambda position, end: math.ceil(interval * math.exp(-decay_rate * max(0, position - decay_from)))
    return _moving(iteration, steps, size, stride, interval, roll_back, length)


def mix_random(iteration: int, steps: int, *, seed: int, size: int = 4) -> Window:
    """`size` steps from a start drawn evenly in every iteration; they end before step T - 2 (MixGRPO, strategy random)."""
    _check_size(size, steps - 2, "before the last two steps")
    start = _start(seed, iteration, 0, steps - 2 - size + 1)
    return _window(range(start, start + size))


def mix_frozen(steps: int, *, size: int = 4) -> Window:
    """The first `size` steps, always (MixGRPO, strategy frozen)."""
    _check_size(size, steps - 2, "before the last two steps")
    return _window(range(size))


def hrf_early(iteration: int, steps: int, *, seed: int, hrf_start: HrfStart = "anchor_renoise") -> Window:
    """A suffix that starts anywhere in the noisy half, before step T // 2 (HRF; the paper's bounds are not known, so our choice)."""
    return _from_cluster(iteration, steps, seed, 0, _at_least_two(steps) // 2, hrf_start)


def hrf_latter(iteration: int, steps: int, *, seed: int, hrf_start: HrfStart = "anchor_renoise") -> Window:
    """A suffix that starts anywhere from step T // 2 on (HRF; the paper's bounds are not known, so our choice)."""
    return _from_cluster(iteration, steps, seed, _at_least_two(steps) // 2, steps, hrf_start)


def hrf_scheduled(
    iteration: int, steps: int, *, seed: int, phases: Sequence[Phase] = (), interval: int = 25, hrf_start: HrfStart = "anchor_renoise",
) -> Window:
    """A suffix whose start comes from the cluster of the current phase (HRF, the public code's schedule).

    Without `phases`: the early half and then the latter, `interval` iterations each (in the code 35). After the last phase
    its cluster stays (our choice: a run may be made longer). One start per iteration; the code draws one per anchor.
    """
    _at_least_two(steps)
    phases = list(phases) or [(0, steps // 2, interval), (steps // 2, steps, interval)]
    for lo, hi, iterations in phases:
        _check_cluster(lo, hi, steps)
        _check_count("number of iterations of a phase", iterations)
    for (_, end, _), (begin, _, _) in itertools.pairwise(sorted(phases)):
        if begin < end:
            raise ValueError(f"two phases share step {begin}; phases must not overlap.")
    ends = list(itertools.accumulate(iterations for _, _, iterations in phases))
    lo, hi, _ = phases[min(bisect.bisect_right(ends, iteration), len(phases) - 1)]
    return _from_cluster(iteration, steps, seed, lo, hi, hrf_start)


def hrf_dynamic(steps: int, *, start: int | None, hrf_start: HrfStart = "anchor_renoise") -> Window:
    """The suffix from `start`, which was chosen by scores (HRF-D; see `hrfd_start`)."""
    if start is None or not 0 <= start <= _at_least_two(steps) - 2:
        raise ValueError(f"the window's start is {start}; a suffix of a rollout of {steps} steps starts at 0 to {steps - 2}.")
    suffix = range(start, steps - 1)
    if hrf_start == "anchor_renoise":
        return Window(start, tuple(suffix), tuple(suffix))
    if hrf_start == "full_rollout":
        return _window(range(steps - 1), suffix)
    raise ValueError(f"hrf_start is {hrf_start!r}; use anchor_renoise or full_rollout.")


def hrfd_start(rewards: Sequence[float], distances: Sequence[float], candidates: Sequence[int], beta: float = 0.5) -> int:
    """The candidate after which the reward changes most for how little the picture moves (HRF-D, the authors' code).

    rewards, distances: per candidate, of pictures re-noised to it and denoised without noise: mean reward, and mean
    distance to the clean anchor. With d_j = rewards[j+1] - rewards[j], the argmax over j of
    minmax(d)_j - beta minmax(distances[1:])_j; minmax of equal numbers is 0, the first of equal scores wins. So the last
    candidate only closes the last difference. Raises ValueError for unequal lengths, fewer than 2 candidates, or a number that is not finite.
    """
    if not len(rewards) == len(distances) == len(candidates) >= 2:
        raise ValueError(f"there are {len(candidates)} candidates with {len(rewards)} rewards and {len(distances)} distances; give 2 or more of each alike.")
    rewards, distances = np.asarray(rewards, np.float64), np.asarray(distances, np.float64)
    if not np.isfinite([*rewards, *distances, beta]).all():
        raise ValueError("a reward, a distance or beta of the start's choice is not a finite number; check the reward.")
    score = _minmax(np.diff(rewards)) - beta * _minmax(distances[1:])
    return int(candidates[int(score.argmax())])


def window(
    kind: WindowKind, iteration: int, steps: int, *, seed: int = 0, size: int = 4, low: int = 0, high: int | None = None, fraction: float = 0.6,
    stride: int = 1, interval: int = 25, shortest: int | None = None, decay_rate: float = 0.1, decay_from: int = 13, roll_back: bool = True,
    phases: Sequence[Phase] = (), hrf_start: HrfStart = "anchor_renoise", start: int | None = None,
) -> Window:
    """The window of `kind` at `iteration` (0-based) of a rollout of `steps` steps; a kind reads the settings of its function only.

    Raises ValueError for an unknown kind and for settings that leave nothing to train.
    """
    if iteration < 0:
        raise ValueError(f"iteration is {iteration}; use 0 or more.")
    drawn = {"iteration": iteration, "steps": steps, "seed": seed}
    moving = {"iteration": iteration, "steps": steps, "size": size, "stride": stride, "interval": interval, "roll_back": roll_back}
    match kind:
        case "full":
            return full(steps)
        case "fast_random":
            return fast_random(**drawn, size=size, low=low, high=high)
        case "random_fraction":
            return random_fraction(**drawn, fraction=fraction)
        case "mix_progressive":
            return mix_progressive(**moving)
        case "mix_decay":
            return mix_decay(**moving, shortest=shortest)
        case "mix_exp_decay":
            return mix_exp_decay(**moving, decay_rate=decay_rate, decay_from=decay_from)
        case "mix_random":
            return mix_random(**drawn, size=size)
        case "mix_frozen":
            return mix_frozen(steps, size=size)
        case "hrf_early":
            return hrf_early(**drawn, hrf_start=hrf_start)
        case "hrf_latter":
            return hrf_latter(**drawn, hrf_start=hrf_start)
        case "hrf_scheduled":
            return hrf_scheduled(**drawn, phases=phases, interval=interval, hrf_start=hrf_start)
        case "hrf_dynamic":
            return hrf_dynamic(steps, start=start, hrf_start=hrf_start)
    raise ValueError(f"window kind is {kind!r}; use {', '.join(get_args(WindowKind))}.")


def _window(stochastic: Sequence[int], trained: Sequence[int] | None = None) -> Window:
    return Window(0, tuple(stochastic), tuple(stochastic if trained is None else trained))


def _moving(
    iteration: int, steps: int, size: int, stride: int, interval: int, roll_back: bool, length: Callable[[int, int], int],
) -> Window:
    """A window at the position of this iteration; length(position, end) is the number of iterations it stays there."""
    end = steps - 2
    _check_size(size, end, "before the last two steps")
    _check_count("window stride", stride)
    _check_count("window interval", interval)
    positions = list(range(0, end, stride))
    if not roll_back and positions[-1] != end - 1:
        positions.append(end - 1)
    ends = list(itertools.accumulate(length(position, end) for position in positions))
    if roll_back:
        iteration %= ends[-1]
    position = positions[min(bisect.bisect_right(ends, iteration), len(positions) - 1)]
    return _window(range(position, min(position + size, end)))


def _from_cluster(iteration: int, steps: int, seed: int, lo: int, hi: int, hrf_start: HrfStart) -> Window:
    _check_cluster(lo, hi, steps)
    return hrf_dynamic(steps, start=_start(seed, iteration, lo, min(hi, steps - 1)), hrf_start=hrf_start)


def _generator(seed: int, iteration: int) -> np.random.Generator:
    return np.random.default_rng([seed, iteration, _STREAM])


@functools.lru_cache(maxsize=2**14)  # a schedule that is drawn while a dial moves asks for the same draws again and again
def _start(seed: int, iteration: int, lo: int, hi: int) -> int:
    """One of lo to hi - 1, all alike."""
    return int(_generator(seed, iteration).integers(lo, hi))


def _minmax(values: np.ndarray) -> np.ndarray:
    spread = values.max() - values.min()
    return (values - values.min()) / spread if spread > 0 else np.zeros_like(values)


def _at_least_two(steps: int) -> int:
    if steps < 2:
        raise ValueError(f"steps is {steps}; a window needs 2 or more, as the last step is never trained.")
    return steps


def _check_size(size: int, there: int, where: str) -> None:
    if not 1 <= size <= there:
        raise ValueError(f"window size is {size}; there are {max(0, there)} steps {where}. Use 1 to that many, or more steps.")


def _check_count(what: str, value: int) -> None:
    if value < 1:
        raise ValueError(f"{what} is {value}; use 1 or more.")


def _check_cluster(lo: int, hi: int, steps: int) -> None:
    if not 0 <= lo < hi <= steps or lo > steps - 2:
        raise ValueError(f"a window starts from step {lo} up to, not at, {hi}; a rollout of {steps} steps, of which the last is never trained, has 0 to {steps - 1}.")
