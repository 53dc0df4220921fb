"""Gradio's part in a view: a constant place that the studio's script draws into."""

from __future__ import annotations

import os
from typing import Any

from .stubs import no_stubs

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # Gradio decides at import

with no_stubs():
    import gradio as gr

    class View(gr.HTML):
        """A place for one view. The template is constant, so Gradio never touches it again."""

        def __init__(self, name: str, **props: Any):
            super().__init__(
                html_template=f'<div class="mm mm-{name}" data-view="{name}"></div>',
                js_on_load="(window.manymodesViews ||= []).push(element.querySelector('[data-view]'))",
                apply_default_css=False,
                elem_id=f"view-{name}",
                elem_classes=["mm-host"],
                **props,
            )


QUEUE_PACE = 1.0  # seconds
SCREENS = (("setup", "Setup"), ("live", "Live"), ("compare", "Compare"), ("runs", "Runs"), ("lesson", "Lesson"))


def screens() -> gr.Blocks:
    """The strip above, and one tab a screen; the style sheet makes the tab buttons a rail."""
    with gr.Blocks(title="Manymodes Studio", fill_width=True, fill_height=True, analytics_enabled=False) as blocks:
        View("strip")
        with gr.Tabs(elem_id="screens", selected="setup"):
            for name, label in SCREENS:
                with gr.Tab(label, id=name, elem_id=f"tab-{name}", render_children=True):
                    View(name)
    # Gradio looks for events and their progress a thousand times a second, for 5 % of a core. Nothing here has such an event.
    blocks._queue.sleep_when_free = blocks._queue.progress_update_sleep_when_free = QUEUE_PACE
    return blocks
