"""Going on from a run: its forecast, a branch from one of its checkpoints, and its log."""

from __future__ import annotations

import time

from fastapi import APIRouter, Body
from fastapi.responses import PlainTextResponse

from core.errors import UserError
from core.runs import folder
from core.runs.branch import branch, free_path
from core.runs.database import ALIVE
from core.runs.folder import Run

from ..data import head as heads
from ..data import started
from ..data.forecast import forecast
from .common import Place, as_dict, as_int

PATIENCE = 30.0  # seconds in which a trainer that is asked to stop usually has


def add(api: APIRouter, place: Place) -> None:
    @api.get("/runs/{name}/forecast")
    def ahead(name: str, prompt: int = 0) -> dict:
        with place.reading(name) as db:
            return forecast(place.run(name), db, prompt)

    @api.get("/runs/{name}/log")
    def log(name: str) -> PlainTextResponse:
        return PlainTextResponse(heads.log_tail(place.run(name), 200_000) or "The log is empty.", headers={"Cache-Control": "no-store"})

    @api.post("/runs/{name}/branch")
    def begin(name: str, body: dict = Body()) -> dict:
        """Stop the run, then go on from checkpoint `from` in a new folder beside it; `changes` as in core.runs.branch."""
        run = place.own(name)
        at = as_int(body, "from")
        made = branch(run, free_path(run, at), at, as_dict(body, "changes") if "changes" in body else {})
        if not _stop(run):
            return {"run": made.name, "waits": f"{name} is still finishing a step. {made.name} is ready: resume it once {name} has stopped."}
        with run.database() as db, made.database() as new:
            db.add_event("rollback", db.status()["iteration"] + 1, to=made.name, at=at)
            new.set_status(state="preparing", message="Starting the trainer")
        started.remember(made, place.starter(made, resume=True))
        return {"run": made.name}


def _stop(run: Run) -> bool:
    """Ask the run's trainer to stop and wait for it; False if it has not in half a minute. Two trainers would share one GPU."""
    with run.database() as db:
        if _at_rest(run, db.status()):
            return True
        db.send("stop")
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if _at_rest(run, db.status()):
                return True
            time.sleep(0.1)
    return False


def _at_rest(run: Run, status: dict) -> bool:
    return started.state(run, status) not in (*ALIVE, "silent") and folder.worker_process(status) is None
