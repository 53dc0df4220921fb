"""What the list of runs asks: all runs, their fronts, the queue, watched folders, files to export."""

from __future__ import annotations

import tempfile
from pathlib import Path

from fastapi import APIRouter, Body
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from core.config import NAME
from core.errors import UserError
from core.runs import compare, folder, lora_header, lora_keys, queue

from ..data import head as heads
from ..data import runs as shelf
from ..data import watched
from ..data.presets import describe
from ..data.queue import Runner, busy, enqueue, make
from ..data.settings import settings
from .common import Place, as_dict


def add(api: APIRouter, place: Place) -> None:
    runner = Runner(place.runs, place.starter)
    runner.begin()
    _lists(api, place)
    _whole_runs(api, place)
    _queue(api, place, runner)
    _exports(api, place)


def _lists(api: APIRouter, place: Place) -> None:
    @api.get("/runs")
    def all_runs() -> dict:
        found = []
        own = [run for run in folder.find(place.runs)[:200] if NAME.fullmatch(run.name)]  # the Runs screen says what is wrong with the others
        for name, run in [*((run.name, run) for run in own), *watched.read(place.runs).items()]:
            try:
                settings(run)  # a run without readable settings cannot be opened
                found.append({**heads.brief(run), "name": name, "watched": watched.holds(run)})
            except UserError:
                continue  # the Runs screen lists it with the reason
        return {"runs": found}

    @api.get("/runs/all")
    def listed() -> dict:
        return shelf.listed(place.runs)

    @api.get("/runs/{name}/front")
    def front(name: str) -> dict:
        return shelf.front(place.run(name), name)

    @api.post("/watched")
    def watch(body: dict = Body()) -> dict:
        return {"run": watched.add(place.runs, str(body.get("path", "")))}

    @api.post("/watched/{watched_name}/forget")
    def forget(watched_name: str) -> dict:
        watched.forget(place.runs, watched_name)
        return {"forgotten": watched_name}


def _whole_runs(api: APIRouter, place: Place) -> None:
    @api.post("/runs/{name}/rename")
    def rename(name: str, body: dict = Body()) -> dict:
        return {"run": shelf.rename(place.runs, place.own(name), str(body.get("to", "")))}

    @api.post("/runs/{name}/archive")
    def archive(name: str) -> dict:
        return {"archived": shelf.archive(place.runs, place.own(name))}

    @api.post("/runs/{name}/delete")
    def delete(name: str, body: dict = Body()) -> dict:
        shelf.delete(place.runs, place.own(name), str(body.get("typed", "")))
        return {"deleted": name}

    @api.post("/archived/{archived}/restore")
    def restore(archived: str) -> dict:
        return {"run": shelf.restore(place.runs, shelf.archived(place.runs, archived))}

    @api.post("/archived/{archived}/delete")
    def delete_archived(archived: str, body: dict = Body()) -> dict:
        shelf.delete(place.runs, shelf.archived(place.runs, archived), str(body.get("typed", "")))
        return {"deleted": archived}


def _queue(api: APIRouter, place: Place, runner: Runner) -> None:
    @api.post("/queue")
    def put(body: dict = Body()) -> dict:
        """A run of the folder by its name ({"run"}), or a new one from settings ({"config", "name"}, as POST /runs takes them). `starts`: nothing is before it."""
        if "run" in body:
            name = place.own(str(body["run"])).name
            enqueue(place.runs, name)
        else:
            name = make(as_dict(body, "config"), str(body.get("name", "")), place.runs).name
        waiting = queue.read(place.runs)
        starts = waiting.runs == (name,) and not waiting.held and busy(place.runs) is None
        runner.wake()
        return {"run": name, "starts": starts, "queue": shelf.queue_row(waiting)}

    @api.post("/queue/order")
    def order(body: dict = Body()) -> dict:
        names = body.get("runs")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise UserError("runs: expected a list of names.", "runs")
        return {"queue": shelf.queue_row(queue.order(place.runs, names))}

    @api.post("/queue/remove")
    def remove(body: dict = Body()) -> dict:
        return {"queue": shelf.queue_row(queue.remove(place.runs, str(body.get("run", ""))))}

    @api.post("/queue/hold")
    def hold(body: dict = Body()) -> dict:
        held = queue.hold(place.runs, body.get("held") is True)
        runner.wake()
        return {"queue": shelf.queue_row(held)}


def _exports(api: APIRouter, place: Place) -> None:
    @api.get("/runs/{name}/lora")
    def exports(name: str) -> dict:
        """What can be exported: iterations whose weights are there, forms of the file, the licence that goes with it."""
        run = place.run(name)
        saved = compare.available(run)
        config = settings(run)
        prompted = bool(saved) and lora_keys.is_prompted(run, saved[-1])
        return {"saved": saved, "forms": lora_keys.FORMATS if prompted else {}, "model": config.model, "licence": lora_header.licence(config)}

    @api.get("/runs/{name}/lora/{form}.safetensors")
    def lora(name: str, form: str, iteration: int | None = None, strength: float = 1.0) -> FileResponse:
        run = place.run(name)
        at = lora_keys.newest(run) if iteration is None else iteration
        with tempfile.NamedTemporaryFile(suffix=".safetensors", delete=False) as draft:
            target = Path(draft.name)
        try:
            lora_keys.write(run, at, form, target, strength=strength, preset=describe(settings(run))["title"])
        except BaseException:
            target.unlink()
            raise
        shown = lora_keys.file_name(run, at, form, strength)
        return FileResponse(target, media_type="application/octet-stream", filename=shown, background=BackgroundTask(target.unlink))
