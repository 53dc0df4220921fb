"""Where the shares of the looks go if nothing changes: replicator dynamics (methods.md, "Replicator view").

The share w_k of look k grows with its mean reward f_k over the mean of all: w_k' = w_k exp(eta (f_k - sum_j w_j f_j)),
normalised. f is measured over the last 25 iterations, bonus included, on the scale on which the trainer adds the two;
the speed eta is the least-squares fit of the shares' own moves over the same iterations, so the scale of f drops out.
It is limited: a look that leaps for 25 iterations does not go on for 40 more (`tests/bench/forecast.py` prints what that gains).
Every forecast of which the 40th iteration has come is compared with what happened: that error is told beside the next.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy as np

from core.alarms import SPAN
from core.config import RunConfig
from core.runs.database import Database
from core.runs.folder import Run

from .history import History, history
from .settings import settings

HORIZON = 40  # iterations
FEWEST = 10  # iterations from which a speed is read
FASTEST = 0.04  # log-odds of the fittest look against the least fit, gained an iteration
_lock = threading.Lock()


def values(reward: np.ndarray, bonus: np.ndarray | None, beta: float, mode: str, gate: str) -> np.ndarray:
    """What each picture of one group is worth to the trainer, (G,): core.diversity.bonus.combine without its running scales."""
    paid = bonus is not None and beta > 0
    if paid and gate == "above_mean":
        bonus = np.where(reward >= reward.mean(), bonus - bonus.min(), 0.0)
    if mode == "zscore_sum":
        return _z(reward) + (beta * _z(bonus) if paid else 0.0)
    if not paid:
        return reward
    scale = reward.std() / bonus.std() if mode == "scaled_sum" and bonus.std() > 0 else 1.0
    return reward + beta * scale * bonus


def _z(x: np.ndarray) -> np.ndarray:
    spread = x.std()
    return (x - x.mean()) / spread if spread > 1e-7 * np.abs(x).max(initial=0.0) else np.zeros_like(x)


def speed(times: np.ndarray, shares: np.ndarray, fitness: np.ndarray) -> float:
    """eta >= 0 by least squares. times (N,), shares (N, K), fitness (K,): shares move by eta times the sum of w_k (f_k - mean f)."""
    pushes = shares[:-1] * (fitness - (shares[:-1] @ fitness)[:, None])  # (N - 1, K)
    push = (pushes * np.diff(times)[:, None]).sum(axis=0)
    force = float(push @ push)
    return max(0.0, float(push @ (shares[-1] - shares[0])) / force) if force > 0 else 0.0


def limited(eta: float, fitness: np.ndarray) -> float:
    """The speed, at most so large that no look gains more than FASTEST on another in an iteration."""
    spread = float(np.ptp(fitness))
    return min(eta, FASTEST / spread) if spread > 0 else eta


def project(shares: np.ndarray, fitness: np.ndarray, eta: float, steps: int) -> np.ndarray:
    """Shares now and after 1 to `steps` iterations, (steps + 1, K)."""
    path = [np.asarray(shares, dtype=float)]
    for _ in range(steps):
        grown = path[-1] * np.exp(eta * (fitness - path[-1] @ fitness))
        path.append(grown / grown.sum())
    return np.array(path)


class Groups:
    """Of one prompt: times (N,), smoothed shares (N, K + 1) and, per iteration, sum and count of the values of each look."""

    def __init__(self, looks: int):
        self.looks = looks  # K + 1: 'new' is the last
        self.times: list[int] = []
        self.shares: list[list[float]] = []
        self.sums: list[np.ndarray] = []
        self.counts: list[np.ndarray] = []
        self.misses: list[tuple[float, float]] = []  # of the forecast, and of "nothing changes"
        self._checked = 0  # how many iterations were tried as the start of a past forecast

    def add(self, time: int, shares: list[float], looks: np.ndarray, worth: np.ndarray) -> None:
        """One iteration: `looks` (G,) with -1 for new, `worth` (G,)."""
        place = np.where(looks < 0, self.looks - 1, looks)
        self.times.append(time)
        self.shares.append(shares)
        self.sums.append(np.bincount(place, worth, self.looks))
        self.counts.append(np.bincount(place, minlength=self.looks))
        self._check()

    def forecast(self, n: int) -> np.ndarray | None:
        """The forecast from the n-th iteration, (HORIZON + 1, K + 1), or None while there are too few."""
        first = next(i for i in range(n + 1) if self.times[i] > self.times[n] - SPAN)
        if n + 1 - first < FEWEST:
            return None
        sums, counts = sum(self.sums[first : n + 1]), sum(self.counts[first : n + 1])
        mean = sums.sum() / max(1, counts.sum())
        fitness = np.where(counts > 0, sums / np.maximum(counts, 1), mean)
        shares = np.array(self.shares[first : n + 1])
        eta = limited(speed(np.array(self.times[first : n + 1]), shares, fitness), fitness)
        return project(shares[-1], fitness, eta, HORIZON)

    def _check(self) -> None:
        """Compare the forecast made 40 iterations ago with what came; once for every start."""
        while self._checked < len(self.times) and self.times[self._checked] + HORIZON <= self.times[-1]:
            made = self.forecast(self._checked)
            if made is not None:
                now = np.array(self.shares[-1])
                self.misses.append((float(np.abs(made[-1] - now).mean()), float(np.abs(made[0] - now).mean())))
            self._checked += 1


def forecast(run: Run, db: Database, prompt: int) -> dict[str, Any]:
    """{"iteration", "shares": (41, K + 1) from now on or None, "error": mean miss of a share after 40 iterations or None,
    "still": the same had nothing changed, "checked": how many past forecasts that is}.
    """
    past = history(run, db)
    with _lock:
        groups = _groups(past, settings(run), db, prompt)
    made = groups.forecast(len(groups.times) - 1) if groups and groups.times else None
    misses = np.array(groups.misses if groups else []).reshape(-1, 2)
    error, still = misses.mean(axis=0).tolist() if len(misses) else (None, None)
    return {
        "iteration": groups.times[-1] if groups and groups.times else 0,
        "shares": None if made is None else np.round(made, 5).tolist(),
        "error": error,
        "still": still,
        "checked": len(misses),
    }


def _groups(past: History, config: RunConfig, db: Database, prompt: int) -> Groups | None:
    """The prompt's iterations, read once and then only continued."""
    key = str(prompt)
    rows = [r for r in past.rows if r["iteration"] > 0 and key in r["shares"]]
    if not rows:
        return None
    kept: dict[int, Groups] = past.kept.setdefault("forecast", {})
    groups = kept.setdefault(prompt, Groups(len(rows[0]["shares"][key])))
    since = groups.times[-1] if groups.times else 0
    pictures: dict[int, list[Any]] = {}
    for r in db.rows(
        "SELECT iteration, look, reward, bonus FROM pictures WHERE kind = 'train' AND prompt = ? AND iteration > ? AND look IS NOT NULL", prompt, since
    ):
        pictures.setdefault(r["iteration"], []).append(r)
    turns = [t for t in past.dials if t["name"] == "creative_beta"]
    for row in rows:
        found = pictures.get(row["iteration"])
        if row["iteration"] <= since or not found:
            continue
        reward = np.array([r["reward"] for r in found], dtype=float)
        bonus = None if any(r["bonus"] is None for r in found) else np.array([r["bonus"] for r in found], dtype=float)
        beta = next((t["new"] for t in reversed(turns) if t["iteration"] <= row["iteration"]), config.creative_beta)
        worth = values(reward, bonus, beta, config.creative_combine, config.creative_gate)
        groups.add(row["iteration"], row["shares"][key], np.array([r["look"] for r in found]), np.nan_to_num(worth))
    return groups
