"""The app: Gradio's tabs as screens, and the studio's own routes, styles and scripts beside them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from core.config import ROOT
from core.runs import folder

from . import static_files
from .data import compare, measuring
from .guard import Guard
from .page import OwnHead
from .routes import Starter, install_errors, routes
from .views import gr, screens


def build(runs: Path, *, starter: Starter = folder.start_worker) -> FastAPI:
    """The whole studio on the runs under `runs`. `starter(run, resume=False)` starts a trainer.

    A server that ends takes its helpers with it, which draw for Compare or measure for Setup; trainers go on.
    """

    @asynccontextmanager
    async def helpers(_: FastAPI) -> AsyncIterator[None]:
        yield
        compare.end_samplers(Path(runs))
        measuring.stop(Path(runs))

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=helpers)
    app.add_middleware(OwnHead)
    app.add_middleware(Guard)
    install_errors(app)
    app.include_router(routes(Path(runs), starter))
    app.mount(static_files.URL, static_files.VersionedFiles())
    app.mount("/studio/fonts", StaticFiles(directory=ROOT / "assets" / "fonts"))

    @app.get("/studio/ready")
    def ready() -> dict:
        return {"ready": True}

    return gr.mount_gradio_app(
        app,
        screens(),
        path="/",
        footer_links=[],
        run_history=False,
        ssr_mode=False,
        show_error=False,
        max_file_size="10mb",
        theme=gr.themes.Base(font=["Inter", "sans-serif"], font_mono=["monospace"]),
        app_kwargs={"docs_url": None, "redoc_url": None},
    )
