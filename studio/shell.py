"""The app: Gradio's tabs as screens, custom views on them, and the studio's own routes beside Gradio's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

from .stubs import no_stubs  # noqa: E402

with no_stubs():
    import gradio as gr  # noqa: E402 (analytics is decided at import)

from fastapi import FastAPI  # noqa: E402
from fastapi.responses import Response  # noqa: E402
from fastapi.staticfiles import StaticFiles  # noqa: E402

from core.config import ROOT  # noqa: E402
from core.runs import folder  # noqa: E402

from .guard import Guard  # noqa: E402
from .page import OwnHead  # noqa: E402
from .routes import Starter, install_errors, routes  # noqa: E402

HERE = Path(__file__).parent
SCREENS = (("setup", "Setup"), ("live", "Live"))

with no_stubs():

    class View(gr.HTML):
        """A place for one view. The template is constant, so Gradio never touches it again; the script draws into it."""

        def __init__(self, name: str, **props: Any):
            super().__init__(
                html_template=f'<div class="mm mm-{name}" data-view="{name}"></div>',
                js_on_load="(window.manymodesViews ||= []).push(element.querySelector('[data-view]'))",
                apply_default_css=False, elem_id=f"view-{name}", elem_classes=["mm-host"], **props,
            )


def screens() -> gr.Blocks:
    with gr.Blocks(title="Manymodes Studio", fill_width=True, fill_height=True, analytics_enabled=False) as blocks:
        View("strip")
        with gr.Tabs(elem_id="screens", selected="setup"):
            for name, label in SCREENS:
                with gr.Tab(label, id=name, elem_id=f"tab-{name}", render_children=True):
                    View(name)
    return blocks


class Files(StaticFiles):
    """The studio's scripts and styles, checked again on each load, so that an update is never half old."""

    async def get_response(self, path: str, scope: Any) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "no-cache"
        return response


def build(runs: Path, *, starter: Starter = folder.start_worker) -> FastAPI:
    """The whole studio on the runs under `runs`. `starter(run, resume=False)` starts a trainer."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(OwnHead)
    app.add_middleware(Guard)
    install_errors(app)
    app.include_router(routes(Path(runs), starter))
    app.mount("/studio/static", Files(directory=HERE / "static"))
    app.mount("/studio/fonts", StaticFiles(directory=ROOT / "assets" / "fonts"))

    @app.get("/studio/ready")
    def ready() -> dict:
        return {"ready": True}

    return gr.mount_gradio_app(
        app, screens(), path="/", footer_links=[], run_history=False, ssr_mode=False, enable_monitoring=False, pwa=False, allowed_paths=[], show_error=False,
        max_file_size="10mb", theme=gr.themes.Base(font=["Inter", "sans-serif"], font_mono=["monospace"]), app_kwargs={"docs_url": None, "redoc_url": None},
    )
