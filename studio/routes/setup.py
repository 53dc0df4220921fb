"""What Setup asks: the form, whether settings are right, and a new run."""

from __future__ import annotations

from fastapi import APIRouter, Body

from ..data import setup, started
from .common import Place, as_dict


def add(api: APIRouter, place: Place) -> None:
    @api.get("/presets")
    def presets() -> dict:
        return setup.form(place.runs)

    @api.post("/check")
    def check(body: dict = Body()) -> dict:
        return setup.check(as_dict(body, "config"), str(body.get("name", "")), place.runs)

    @api.post("/runs")
    def start(body: dict = Body()) -> dict:
        run = setup.make(as_dict(body, "config"), str(body.get("name", "")), place.runs)
        started.remember(run, place.starter(run))
        return {"run": run.name}
