"""What the list of runs asks."""

from __future__ import annotations

from fastapi import APIRouter

from core.runs import folder

from ..data import head as heads
from .common import Place


def add(api: APIRouter, place: Place) -> None:
    @api.get("/runs")
    def all_runs() -> dict:
        return {"runs": [heads.brief(run) for run in folder.find(place.runs)[:200]]}
