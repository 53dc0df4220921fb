"""The schedule of all iterations, drawn before and during a run."""

from __future__ import annotations

from fastapi import APIRouter

from .common import Place


def add(api: APIRouter, place: Place) -> None:
    pass
