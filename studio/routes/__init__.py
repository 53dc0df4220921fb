"""The studio's own routes: short requests, each a function of a run folder. Errors are {"error", "field"}. One file a screen."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse

from core.errors import UserError

from . import branch, compare, fetching, lesson, live, runs, schedule, setup
from .common import Place, Starter

__all__ = ["Starter", "install_errors", "routes"]


def routes(where: Path, starter: Starter) -> APIRouter:
    """Everything under /api, on the runs in `where`; `starter(run, resume=False)` starts a trainer on a run folder."""
    place = Place(where, starter)
    api = APIRouter(prefix="/api", dependencies=[Depends(place.refuse_changes)])
    for screen in (setup, fetching, live, branch, schedule, compare, runs, lesson):
        screen.add(api, place)
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
