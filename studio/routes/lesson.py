"""What the lesson asks: its steps. The recorded runs answer every question of Live under the names lesson:collapse and lesson:diverse."""

from __future__ import annotations

from fastapi import APIRouter

from ..data.lesson import lesson
from .common import Place


def add(api: APIRouter, place: Place) -> None:
    @api.get("/lesson")
    def steps() -> dict:
        return lesson()
