"""The image retrieval score IRS (MischaD/BeyondFID, arXiv 2411.16171): how many reference pictures a generator finds again.

Every generated picture retrieves the nearest reference picture. A varied generator retrieves many different ones; how many
it would retrieve with endless pictures follows from the statistics of drawing with replacement. The authors call their
repository BeyondFID; name the variant (alpha, inf, adjusted), the features and the reference, never 'BeyondFID' alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from scipy.special import gammaln
from torch import Tensor

from .features import checked, distance_rows, same_width


@dataclass(frozen=True)
class RetrievalScore:
    """`retrieved` different pictures of `size` reference pictures by `queries` generated ones.

    reachable: the most likely number of reference pictures that endless queries would retrieve. low, high: the smallest and
    largest number that `retrieved` does not contradict, each at a one-sided level.
    """

    retrieved: int
    queries: int
    size: int
    reachable: int
    low: int
    high: int

    @property
    def irs_alpha(self) -> float:
        """IRS_alpha, 0 to 1: share of the reference that was retrieved, alpha = queries / size. Grows with the number of queries."""
        return self.retrieved / self.size

    @property
    def irs_inf(self) -> float:
        """IRS_inf, 0 to 1: share of the reference that endless queries would retrieve."""
        return self.reachable / self.size

    @property
    def irs_inf_bounds(self) -> tuple[float, float]:
        """IRS_inf at `low` and at `high`."""
        return self.low / self.size, self.high / self.size


def retrieval_score(queries: Tensor, reference: Tensor, level: float = 0.05) -> RetrievalScore:
    """IRS of generated features (n, F) in reference features (N, F), Euclidean, one neighbour; of equal ones the first.

    Compare equal n and N only. O(n N F) time with bounded memory, and once per n O(n^2) time and O(n) memory for the
    Stirling numbers. Raises ValueError for n < 2, features that are not finite or of different spaces.
    """
    queries, reference = checked(queries, "queries", 2), checked(reference, "reference")
    same_width(queries, reference)
    nearest = torch.cat([distances.argmin(dim=1) for _, distances in distance_rows(queries, reference)])
    retrieved, n, size = len(nearest.unique()), len(queries), len(reference)
    reachable = most_likely_items(retrieved, n, size)
    return RetrievalScore(retrieved, n, size, reachable, *item_bounds(retrieved, n, size, level))


def adjusted(score: RetrievalScore, held_out: RetrievalScore) -> float:
    """IRS_inf over that of real pictures held out of the reference: 1 = as varied as the real ones.

    Raises ValueError unless both come from equally many queries into equally many reference pictures.
    """
    if (score.queries, score.size) != (held_out.queries, held_out.size):
        raise ValueError(
            f"{score.queries} queries into {score.size} pictures cannot be held against {held_out.queries} into {held_out.size}; "
            "take the same numbers of both."
        )
    return score.irs_inf / held_out.irs_inf


@lru_cache(maxsize=4)
def log_stirling2(n: int) -> np.ndarray:
    """log S2(n, k) for k = 0 ... n, (n + 1,) float64: ways to part n items into k non-empty sets; -inf where there is none.

    S2(n, k) = k S2(n - 1, k) + S2(n - 1, k - 1), in logarithms, so nothing overflows. O(n^2) time, O(n) memory.
    """
    if n < 0:
        raise ValueError(f"n is {n}; use 0 or more.")
    row = np.full(n + 1, -np.inf)
    row[0] = 0.0
    logs = np.log(np.arange(1, n + 1))
    for m in range(1, n + 1):
        row[1 : m + 1] = np.logaddexp(row[1 : m + 1] + logs[:m], row[:m])
        row[0] = -np.inf
    row.flags.writeable = False  # it is cached
    return row


def log_probabilities(items: int, n: int) -> np.ndarray:
    """log P(k | s, n), k = 0 ... n: that n draws with replacement from s items show k different ones. (n + 1,) float64.

    P(k | s, n) = S2(n, k) s! / ((s - k)! s^n). -inf for k > s.
    """
    k = np.arange(min(items, n) + 1)
    found = np.full(n + 1, -np.inf)
    found[: len(k)] = log_stirling2(n)[: len(k)] + gammaln(items + 1) - gammaln(items - k + 1) - n * np.log(items)
    return found


def most_likely_items(retrieved: int, n: int, size: int) -> int:
    """argmax over s of P(retrieved | s, n), retrieved <= s <= size. Without repeats (retrieved = n) that is `size`.

    The Stirling number does not depend on s, and P rises to one maximum, so the last s at which it still rises is searched.
    Raises ValueError unless n >= 2 and 1 <= retrieved <= min(n, size).
    """
    if n < 2 or not 1 <= retrieved <= min(n, size):
        raise ValueError(f"{retrieved} different pictures of {size} by {n} queries cannot be; use 2 or more queries and 1 to min(queries, pictures).")

    def rises(s: int) -> bool:  # log P(k | s, n) - log P(k | s - 1, n) > 0; s = k is the first that is possible at all
        return s == retrieved or np.log(s) - np.log(s - retrieved) + n * np.log1p(-1 / s) > 0

    return size if retrieved == n else _last(rises, retrieved, size)


def item_bounds(retrieved: int, n: int, size: int, level: float = 0.05) -> tuple[int, int]:
    """Smallest and largest s, retrieved to `size`, that `retrieved` different pictures do not reject at `level`.

    One-sided each, as in the authors' code: P(K >= retrieved | s, n) >= level for the smallest, P(K <= retrieved | s, n) >=
    level for the largest. The most likely s always counts as not rejected, so that the bounds enclose it even where all s
    up to `size` are rejected: queries that hit more different pictures than independent draws would.
    """
    if not 0 < level < 0.5:
        raise ValueError(f"level is {level}; use more than 0 and less than 0.5.")
    best = most_likely_items(retrieved, n, size)

    def too_few(s: int) -> bool:
        return np.exp(log_probabilities(s, n)[retrieved:]).sum() < level

    def not_too_many(s: int) -> bool:
        return np.exp(log_probabilities(s, n)[: retrieved + 1]).sum() >= level

    low = _last(too_few, retrieved - 1, best - 1) + 1  # retrieved - 1 items cannot show `retrieved`
    return low, _last(not_too_many, best, size)


def _last(holds, low: int, high: int) -> int:
    """The last s of low ... high at which `holds`, given that it holds at `low` and that it stays false once it is."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low
