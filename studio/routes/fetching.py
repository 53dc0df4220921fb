"""What Setup asks of models on the hub. Nothing here touches the network but the process that `ask` and `get` start."""

from __future__ import annotations

from fastapi import APIRouter, Body

from ..data import fetching
from .common import Place


def add(api: APIRouter, place: Place) -> None:
    @api.get("/fetch")
    def state(field: str = "model", name: str = "") -> dict:
        return fetching.find(field, name).told()

    def of(body: dict) -> fetching.Fetch:
        return fetching.find(str(body.get("field", "")), str(body.get("name", "")))

    @api.post("/fetch/ask")
    def ask(body: dict = Body()) -> dict:
        of(body).begin("ask")
        return of(body).told()

    @api.post("/fetch/get")
    def get(body: dict = Body()) -> dict:
        of(body).begin("get")
        return of(body).told()

    @api.post("/fetch/stop")
    def stop(body: dict = Body()) -> dict:
        of(body).stop()
        return of(body).told()
