"""How far off the forecast of the shares is on real runs: `python tests/bench/forecast.py RUN...`, each a run folder.

From every iteration of every run, the shares 10, 20 and 40 iterations later as foreseen, beside what came: mean miss of a share
in percentage points, each run counted once. "As measured" is the forecast without its limit of speed, "unchanged" that nothing moves.
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import mean
from unittest.mock import patch

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[2]))

from core.runs.folder import Run  # noqa: E402
from studio.data import forecast  # noqa: E402
from studio.data.history import history  # noqa: E402
from studio.data.settings import settings  # noqa: E402

AHEAD = (10, 20, 40)


def misses(groups: forecast.Groups, ahead: int) -> list[tuple[float, float, float]]:
    """Of every start that has a forecast and a future: forecast, as measured, unchanged."""
    found = []
    for n, start in enumerate(groups.times):
        later = np.searchsorted(groups.times, start + ahead)
        made = groups.forecast(n) if later < len(groups.times) else None
        if made is not None:
            with patch.object(forecast, "limited", lambda eta, fitness: eta):
                free = groups.forecast(n)
            came = np.array(groups.shares[later])
            found.append(tuple(float(np.abs(shares - came).mean()) for shares in (made[ahead], free[ahead], made[0])))
    return found


def main(paths: list[str]) -> None:
    if not paths:
        sys.exit(__doc__)
    every: dict[int, list[np.ndarray]] = {ahead: [] for ahead in AHEAD}
    for path in paths:
        run = Run(Path(path))
        with run.database(readonly=True) as db:
            for prompt in range(len(run.config().prompts)):
                groups = forecast._groups(history(run, db), settings(run), db, prompt)
                for ahead in AHEAD:
                    if groups and (found := misses(groups, ahead)):
                        every[ahead].append(np.mean(found, axis=0))
    print("| iterations ahead | runs | forecast | as measured | unchanged |\n|---|---|---|---|---|")
    for ahead, found in every.items():
        cells = " | ".join(f"{100 * mean(column):.1f}" for column in zip(*found)) if found else " | | "
        print(f"| {ahead} | {len(found)} | {cells} |")


if __name__ == "__main__":
    main(sys.argv[1:])
