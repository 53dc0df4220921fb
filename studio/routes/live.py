"""What the strip and Live ask of a run, and what they ask it to do."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Body
from fastapi.responses import FileResponse, Response

from core.config import LIVE, RESUMABLE
from core.errors import UserError
from core.runs import folder
from core.runs.database import Database
from core.runs.folder import Run

from ..data import grids
from ..data import head as heads
from ..data import points as dots
from ..data import started, thumbs
from ..data.history import history
from ..data.settings import settings
from .common import Place, as_dict, as_int, binary

_FOR_GOOD = {"Cache-Control": "private, max-age=31536000, immutable"}  # a picture never changes
_ASKED_OF_A_TRAINER = ("pause", "resume", "stop")


def add(api: APIRouter, place: Place) -> None:
    @api.get("/runs/{name}/head")
    def head(name: str) -> dict:
        with place.reading(name) as db:
            return heads.head(place.run(name), db)

    @api.get("/runs/{name}/pulse")
    def pulse(name: str) -> dict:
        """Whether there is news: asked more often than all the rest."""
        with place.reading(name) as db:
            return dict(db.row("SELECT (SELECT max(iteration) FROM iterations) AS iteration, (SELECT max(id) FROM events) AS event, state FROM status"))

    @api.get("/runs/{name}/info")
    def info(name: str) -> dict:
        with place.reading(name) as db:
            return heads.info(place.run(name), db)

    @api.get("/runs/{name}/series")
    def series(name: str, since: int = -1) -> dict:
        with place.reading(name) as db:
            return history(place.run(name), db).since(since)

    @api.get("/runs/{name}/base")
    def base(name: str, prompt: int = 0, all: bool = False, method: dots.Method | None = None) -> Response:
        with place.reading(name) as db:
            return binary(dots.base_of_all(db) if all else dots.base(db, prompt, method))

    @api.get("/runs/{name}/points")
    def points(name: str, prompt: int = 0, all: bool = False, since: int = 0, until: int = 2**31, method: dots.Method = "pca") -> Response:
        with place.reading(name) as db:
            return binary(dots.points_of_all(db, since, until) if all else dots.points(db, prompt, since, until, method))

    @api.get("/runs/{name}/pictures")
    def pictures(name: str, iteration: int, prompt: int = 0, all: bool = False) -> dict:
        count = settings(place.run(name)).group_size
        with place.reading(name) as db:
            return dots.pictures_of_all(db, iteration, count) if all else dots.pictures(db, prompt, iteration, count)

    @api.get("/runs/{name}/selected")
    def selected(name: str, ids: str) -> dict:
        with place.reading(name) as db:
            return dots.some(db, grids.numbers(ids.split(",")))

    @api.get("/runs/{name}/sampled/{command}")
    def sampled(name: str, command: int) -> dict:
        with place.reading(name) as db:
            return dots.sampled(db, command)

    @api.get("/runs/{name}/grids")
    def kept(name: str) -> dict:
        return {"grids": grids.kept(place.run(name))}

    @api.post("/runs/{name}/grids")
    def keep(name: str, body: dict = Body()) -> dict:
        with place.reading(name) as db:
            return grids.keep(place.run(name), db, body.get("ids"))

    @api.get("/runs/{name}/grids/{file}")
    def grid(name: str, file: str) -> FileResponse:
        return FileResponse(grids.path(place.run(name), file), media_type="image/png", filename=f"{name}-{file}")

    @api.post("/runs/{name}/grids/{file}/delete")
    def remove(name: str, file: str) -> dict:
        grids.remove(place.run(name), file)
        return {"deleted": file}

    @api.get("/runs/{name}/pictures/{number}")
    def picture(name: str, number: int) -> dict:
        with place.reading(name) as db:
            found = dots.picture(db, number)
        if found is None:
            raise UserError(f"There is no picture {number} in {name}.", "picture")
        return found

    @api.get("/runs/{name}/thumb/{number}.webp")
    def thumb(name: str, number: int) -> Response:
        with place.reading(name) as db:
            data = thumbs.thumb(db, number)
        if data is None:
            raise UserError(f"There is no picture {number} in {name}.", "picture")
        return Response(data, media_type="image/webp", headers=_FOR_GOOD)

    @api.get("/runs/{name}/thumbs")
    def sheet(name: str, ids: str) -> Response:
        with place.reading(name) as db:
            return Response(thumbs.sheet(db, grids.numbers(ids.split(","))), media_type="application/octet-stream", headers=_FOR_GOOD)

    @api.post("/runs/{name}/commands")
    def command(name: str, body: dict = Body()) -> dict:
        run, kind = place.run(name), body.get("kind")
        with run.database() as db:
            if kind == "undo":
                return {"undone": db.undo(as_int(body, "command"))}
            if kind == "set":
                return {"command": db.send("set", changes=_changes(run, db, as_dict(body, "changes")))}
            if kind == "sample":
                return {"command": db.send("sample", prompt=as_int(body, "prompt"))}
            if kind not in _ASKED_OF_A_TRAINER:
                raise UserError(f"command {kind!r} is unknown. Use one of {', '.join(_ASKED_OF_A_TRAINER)}, set or undo.", "kind")
            return {"command": db.send(kind)}

    @api.post("/runs/{name}/end")
    def end(name: str) -> dict:
        return {"ended": folder.end_worker(place.run(name))}

    @api.post("/runs/{name}/resume")
    def resume(name: str, body: dict = Body(default={})) -> dict:
        run = place.run(name)
        with place.reading(name) as db:
            status = db.status()
        state = started.state(run, status)
        if state in folder.ALIVE or state == "silent":
            raise UserError(f"{name} has a trainer already.", "run")
        with run.database() as db:
            if body.get("changes"):
                _change_at_rest(run, db, as_dict(body, "changes"))
            db.set_status(state="preparing", message="Starting the trainer", remedy="", details="", pid=None)
        started.remember(run, place.starter(run, resume=True))
        return {"run": name}


def _change_at_rest(run: Run, db: Database, changes: dict[str, Any]) -> None:
    """What a run that is at rest goes on with: settings into its file, dials as a turn in its first iteration. Raises UserError."""
    fixed = [name for name in changes if name not in (*LIVE, *RESUMABLE)]
    if fixed:
        raise UserError(f"{fixed[0]}: this is fixed when the run starts. When resuming, these can change: {', '.join(RESUMABLE)}.", fixed[0])
    turned = {name: value for name, value in changes.items() if name in LIVE}
    config = run.config().with_changes(**{name: value for name, value in changes.items() if name not in LIVE})
    if turned:
        db.send("set", changes=_changes(run, db, turned))
    folder.write_atomically(run.config_file, config.to_yaml())


def _changes(run: Run, db: Database, changes: dict[str, Any]) -> dict[str, Any]:
    """Live dials with values that the config accepts together with those in force. Raises UserError."""
    for name in changes:
        if name not in LIVE:
            raise UserError(f"{name}: this is fixed when the run starts. Live are {', '.join(LIVE)}.", name)
    if not changes:
        raise UserError("changes: name at least one dial.", "changes")
    config = settings(run)
    in_force = heads.dials_in_force(config, history(run, db).dials)
    checked = config.with_changes(**{**in_force, **changes})
    return {name: getattr(checked, name) for name in changes}
