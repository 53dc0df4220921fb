"""What Setup asks: the form, whether settings are right, what they cost, presets of one's own, scores of one's pictures, a new run."""

from __future__ import annotations

from fastapi import APIRouter, Body, Request
from fastapi.concurrency import run_in_threadpool

from core.config import build

from ..data import measuring, own_presets, setup, started, trying
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
        measuring.stop(place.runs)  # a trial makes way for the run
        started.remember(run, place.starter(run))
        return {"run": run.name}

    # --- setups that are kept -----------------------------------------------------------------------------------
    @api.get("/setups")
    def setups() -> dict:
        return {"setups": setup.setups(place.runs)}

    @api.post("/setups/read")
    def read(body: dict = Body()) -> dict:
        kind, name, text = (str(body.get(key, "")) for key in ("kind", "name", "text"))
        return setup.of_run(place.run(name)) if kind == "run" else setup.read(kind, name, text, place.runs)

    @api.post("/prompts/read")
    def read_prompts(body: dict = Body()) -> dict:
        return setup.prompts_of(str(body.get("name", "")), str(body.get("text", "")))

    @api.post("/own-presets")
    def save(body: dict = Body()) -> dict:
        words = (str(body.get(key, "")) for key in ("title", "line"))
        preset = own_presets.save(place.runs, *words, as_dict(body, "config"), overwrite=body.get("overwrite") is True)
        return {"name": preset.stem}

    @api.post("/own-presets/{name}/rename")
    def rename(name: str, body: dict = Body()) -> dict:
        return {"name": own_presets.rename(place.runs, name, str(body.get("title", ""))).stem}

    @api.post("/own-presets/{name}/delete")
    def delete(name: str) -> dict:
        own_presets.delete(place.runs, name)
        return {"deleted": name}

    # --- what a setup costs -------------------------------------------------------------------------------------
    @api.get("/measure")
    def measure_state() -> dict:
        return measuring.state(place.runs)

    @api.post("/measure")
    def measure(body: dict = Body()) -> dict:
        measuring.start(place.runs, build(as_dict(body, "config")).placed())
        return measuring.state(place.runs)

    @api.post("/measure/stop")
    def stop_measuring() -> dict:
        measuring.stop(place.runs)
        return measuring.state(place.runs)

    # --- try the reward -----------------------------------------------------------------------------------------
    @api.post("/try")
    def begin(body: dict = Body()) -> dict:
        return {"try": trying.begin(as_dict(body, "config"), str(body.get("prompt", "")))}

    @api.post("/try/{name}/pictures")
    async def picture(name: str, request: Request) -> dict:
        data = await request.body()
        return {"pictures": await run_in_threadpool(trying.add, name, data)}

    @api.post("/try/{name}/scores")
    def scores(name: str) -> dict:
        return trying.scores(name)
