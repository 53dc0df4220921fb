"""The schedule of all iterations, drawn before and during a run."""

from __future__ import annotations

from fastapi import APIRouter, Body
from fastapi.responses import FileResponse

from core.config import build
from core.errors import UserError

from ..data import schedule
from .common import Place, as_dict, as_int


def add(api: APIRouter, place: Place) -> None:
    @api.post("/schedule")
    def of_settings(body: dict = Body()) -> dict:
        return schedule.of_config(build(as_dict(body, "config")))

    @api.get("/runs/{name}/schedule")
    def of_run(name: str) -> dict:
        with place.reading(name) as db:
            return schedule.of_run(place.run(name), db)

    @api.get("/runs/{name}/film.webp")
    def film(name: str) -> FileResponse:
        strip = place.run(name).film
        if not strip.is_file():
            raise UserError(f"{name} has no film of a picture.", "picture")
        return FileResponse(strip, media_type="image/webp", headers={"Cache-Control": "no-cache"})

    @api.post("/runs/{name}/schedule")
    def with_turns(name: str, body: dict = Body()) -> dict:
        """As it would be with dials turned that wait or are being turned."""
        with place.reading(name) as db:
            return schedule.of_run(place.run(name), db, as_dict(body, "changes"), as_int(body, "from"))
