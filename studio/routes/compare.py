"""What Compare asks: pictures of base and tuned on the same seeds."""

from __future__ import annotations

from fastapi import APIRouter

from .common import Place


def add(api: APIRouter, place: Place) -> None:
    pass
