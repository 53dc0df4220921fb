"""The studio's own routes: short requests, each a function of a run folder. Errors are {"error", "field"}."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Body, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response

from core.config import LIVE, NAME
from core.errors import UserError
from core.runs import folder
from core.runs.database import Database
from core.runs.folder import Run

from .data import head as heads
from .data import points as dots
from .data import setup, started
from .data.history import history
from .data.settings import settings

Starter = Callable[..., Any]
_ASKED_OF_A_TRAINER = ("pause", "resume", "stop", "sample")


def routes(runs: Path, starter: Starter) -> APIRouter:
    """`starter(run, resume=False)` starts a trainer on a run folder."""
    api = APIRouter(prefix="/api")

    def run_of(name: str) -> Run:
        """The run called `name` inside the runs folder. Raises UserError."""
        run = Run(runs / name)
        if not NAME.fullmatch(name) or run.path.resolve().parent != runs.resolve() or not run.exists():
            raise UserError(f"There is no run {name!r} here.", "run")
        return run

    def reading(name: str) -> Database:
        return run_of(name).database(readonly=True)

    @api.get("/runs")
    def all_runs() -> dict:
        return {"runs": [heads.brief(run) for run in folder.find(runs)[:200]]}

    @api.get("/presets")
    def presets() -> dict:
        return setup.form(runs)

    @api.post("/check")
    def check(body: dict = Body()) -> dict:
        return setup.check(_dict(body, "config"), str(body.get("name", "")), runs)

    @api.post("/runs")
    def start(body: dict = Body()) -> dict:
        run = setup.make(_dict(body, "config"), str(body.get("name", "")), runs)
        started.remember(run, starter(run))
        return {"run": run.name}

    @api.get("/runs/{name}/head")
    def head(name: str) -> dict:
        with reading(name) as db:
            return heads.head(run_of(name), db)

    @api.get("/runs/{name}/info")
    def info(name: str) -> dict:
        with reading(name) as db:
            return heads.info(run_of(name), db)

    @api.get("/runs/{name}/series")
    def series(name: str, since: int = -1) -> dict:
        with reading(name) as db:
            return history(run_of(name), db).since(since)

    @api.get("/runs/{name}/base")
    def base(name: str, prompt: int = 0) -> Response:
        with reading(name) as db:
            return _binary(dots.base(db, prompt))

    @api.get("/runs/{name}/points")
    def points(name: str, prompt: int = 0, since: int = 0, until: int = 2**31, method: dots.Method = "pca") -> Response:
        with reading(name) as db:
            return _binary(dots.points(db, prompt, since, until, method))

    @api.get("/runs/{name}/pictures")
    def pictures(name: str, iteration: int, prompt: int = 0) -> dict:
        count = settings(run_of(name)).group_size
        with reading(name) as db:
            return dots.pictures(db, prompt, iteration, count)

    @api.get("/runs/{name}/pictures/{number}")
    def picture(name: str, number: int) -> dict:
        with reading(name) as db:
            found = dots.picture(db, number)
        if found is None:
            raise UserError(f"There is no picture {number} in {name}.", "picture")
        return found

    @api.get("/runs/{name}/thumb/{number}.webp")
    def thumb(name: str, number: int) -> Response:
        with reading(name) as db:
            data = dots.thumb(db, number)
        if data is None:
            raise UserError(f"There is no picture {number} in {name}.", "picture")
        return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=31536000, immutable"})

    @api.post("/runs/{name}/commands")
    def command(name: str, body: dict = Body()) -> dict:
        run, kind = run_of(name), body.get("kind")
        with run.database() as db:
            if kind == "undo":
                return {"undone": db.undo(_int(body, "command"))}
            if kind == "set":
                return {"command": db.send("set", changes=_changes(run, db, _dict(body, "changes")))}
            if kind not in _ASKED_OF_A_TRAINER:
                raise UserError(f"command {kind!r} is unknown. Use one of {', '.join(_ASKED_OF_A_TRAINER)}, set or undo.", "kind")
            return {"command": db.send(kind)}

    @api.post("/runs/{name}/end")
    def end(name: str) -> dict:
        return {"ended": folder.end_worker(run_of(name))}

    @api.post("/runs/{name}/resume")
    def resume(name: str) -> dict:
        run = run_of(name)
        with reading(name) as db:
            status = db.status()
        state = started.state(run, status)
        if state in folder.ALIVE or state == "silent":
            raise UserError(f"{name} has a trainer already.", "run")
        with run.database() as db:
            db.set_status(state="preparing", message="Starting the trainer", remedy="", details="", pid=None)
        started.remember(run, starter(run, resume=True))
        return {"run": name}

    return api


def install_errors(app: FastAPI) -> None:
    """Every error as {"error", "field"}: what a person can mend is 400, an unknown address or number 422."""

    @app.exception_handler(UserError)
    async def user_error(_: Request, error: UserError) -> JSONResponse:
        return JSONResponse({"error": str(error), "field": error.field}, status_code=404 if error.field in ("run", "picture") else 400)

    @app.exception_handler(RequestValidationError)
    async def wrong_request(_: Request, error: RequestValidationError) -> JSONResponse:
        first = error.errors()[0]
        field = str(first["loc"][-1]) if first["loc"] else None
        return JSONResponse({"error": f"{field}: {first['msg']}.", "field": field}, status_code=422)


def _changes(run: Run, db: Database, changes: dict[str, Any]) -> dict[str, Any]:
    """Live dials with values that the config accepts together with those in force. Raises UserError."""
    for name in changes:
        if name not in LIVE:
            raise UserError(f"{name}: this is fixed when the run starts. Live are {', '.join(LIVE)}.", name)
    if not changes:
        raise UserError("changes: name at least one dial.", "changes")
    config = settings(run)
    in_force = heads.dials_in_force(config, history(run, db).dials)
    checked = config.with_changes(**{**in_force, **changes})
    return {name: getattr(checked, name) for name in changes}


def _binary(data: bytes) -> Response:
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": "no-store"})


def _dict(body: dict, key: str) -> dict:
    value = body.get(key)
    if not isinstance(value, dict):
        raise UserError(f"{key}: expected names with values.", key)
    return value


def _int(body: dict, key: str) -> int:
    value = body.get(key)
    if not isinstance(value, int):
        raise UserError(f"{key}: expected a whole number.", key)
    return value
