"""What Compare asks: pictures and measures of two sides on the same seeds, and a sheet of them to keep."""

from __future__ import annotations

import json
from typing import Any, Literal

from fastapi import APIRouter, Body
from fastapi.responses import Response

from core.errors import UserError
from core.runs.folder import Run

from ..data import compare
from ..data.compare import Ask
from .common import Place


def add(api: APIRouter, place: Place) -> None:
    def other(ask: Ask) -> Run | None:
        return None if ask.other is None else place.run(ask.other)

    @api.post("/runs/{name}/compare")
    def wanted(name: str, body: dict = Body()) -> dict:
        """What the page shows, as far as it is there; the rest is drawn meanwhile."""
        ask = Ask.read(body)
        return compare.answer(place.run(name), ask, place.own(ask.other) if ask.other is not None else None)

    @api.get("/runs/{name}/compare")
    def there(name: str, ask: str = "{}") -> dict:
        """The same of a run that is only watched: nothing is drawn."""
        read = Ask.read(_json(ask))
        return compare.answer(place.run(name), read, other(read), ask_for_more=False)

    @api.get("/runs/{name}/compare/picture/{number}.webp")
    def picture(name: str, number: int, small: bool = False) -> Response:
        data = compare.picture(place.run(name), number, small=small)
        return Response(data, media_type="image/webp", headers={"Cache-Control": "private, max-age=31536000, immutable"})

    @api.get("/runs/{name}/compare/sheet.png")
    def sheet(name: str, ask: str = "{}", layout: Literal["pairs", "grids"] = "pairs") -> Response:
        read = Ask.read(_json(ask))
        file, grid = compare.sheet(place.run(name), read, other(read), layout=layout)
        return Response(grid.png(), media_type="image/png", headers={"Content-Disposition": f'attachment; filename="{file}"', "Cache-Control": "no-store"})


def _json(text: str) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise UserError("ask: expected names with values.", "ask")
    return body
