"""Carrying a tiny run out in this process, and reading what it left."""

from __future__ import annotations

import numpy as np

from core.runs import checkpoints
from core.runs.database import Database
from core.worker import Worker

TIMES = ("time", "duration", "seconds", "memory")


def work(run, *, resume: bool = False) -> int:
    return Worker(run, resume=resume, follow=False).carry_out()


def reading(run) -> Database:
    return run.database(readonly=True)


def status(run) -> dict:
    with reading(run) as db:
        return db.status()


def answers(run) -> list[str]:
    with reading(run) as db:
        return [r["answer"] for r in db.rows("SELECT answer FROM commands ORDER BY id")]


def send(run, kind: str, **body) -> int:
    with run.database() as db:
        return db.send(kind, **body)


def metrics(run) -> list[dict]:
    with reading(run) as db:
        return [{k: v for k, v in row.items() if k not in TIMES} for row in db.iterations()]


def pictures(run) -> list[tuple]:
    with reading(run) as db:
        return [
            tuple(r)
            for r in db.rows(
                "SELECT kind, iteration, prompt, position, seed, reward, scores, bonus, cluster, look, pca_x, pca_y, embedding, thumb FROM pictures "
                "ORDER BY iteration, prompt, position",
            )
        ]


def events(run, kind: str) -> list[dict]:
    with reading(run) as db:
        return [{k: v for k, v in e.items() if k not in ("id", "time", "kind")} for e in db.events() if e["kind"] == kind]


def same_weights(a, b, iteration: int) -> bool:
    mine, theirs = (checkpoints.load(run, iteration)[0] for run in (a, b))
    return mine.keys() == theirs.keys() and all(np.array_equal(mine[n], theirs[n]) for n in mine)
