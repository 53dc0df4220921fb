"""The studio on a port of its own, a fake trainer, and a browser page that notices every outside request."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from chromium import CHROMIUM, FLAGS, FakeTrainer  # noqa: E402

from core.runs import compare  # noqa: E402


@dataclass
class Studio:
    url: str
    runs: Path


class Ended:
    """In place of a sampler's process: one that found nothing to do."""

    def poll(self) -> int:
        return 0


@pytest.fixture(scope="module")
def server() -> Iterator[Callable[..., Studio]]:
    """server(runs_dir, starter=...) serves the studio and returns its address; ended after the module."""
    import uvicorn

    from studio.shell import build

    running = []
    held = pytest.MonkeyPatch()
    # a page may ask once more after its test has taken its own sampler back; a real one would load a model for a run of flat colours
    held.setattr(compare, "start_sampler", lambda run: Ended())

    def serve(runs: Path, **options) -> Studio:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        instance = uvicorn.Server(uvicorn.Config(build(runs, **options), host="127.0.0.1", port=port, log_level="warning"))
        thread = threading.Thread(target=instance.run, daemon=True)
        thread.start()
        running.append((instance, thread))
        end = time.time() + 60
        while not instance.started and time.time() < end:
            time.sleep(0.02)
        assert instance.started
        return Studio(f"http://127.0.0.1:{port}", Path(runs))

    yield serve
    for instance, thread in running:
        instance.should_exit = True
        thread.join(20)
    held.undo()


@pytest.fixture
def trainer() -> Iterator[FakeTrainer]:
    fake = FakeTrainer()
    yield fake
    fake.end()


@pytest.fixture(scope="session")
def browser():
    if not Path(CHROMIUM).exists():
        # where the tests must drive a browser, one that is missing is a failure
        (pytest.fail if os.environ.get("MANYMODES_REQUIRE_BROWSER") else pytest.skip)("no Chromium on this computer")
    sync = pytest.importorskip("playwright.sync_api")
    with sync.sync_playwright() as play:
        chromium = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def context(browser):
    """One window for all tests: what a server sends is compiled once."""
    made = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme="light")
    yield made
    made.close()


@pytest.fixture(scope="session")
def kept(context):
    """A page that stays open and shows nothing: with it stays the process that has the scripts compiled."""
    view = context.new_page()
    view.route("http://127.0.0.1/**", lambda route: route.fulfill(body=""))
    view.goto("http://127.0.0.1/")
    return view


@pytest.fixture
def page(context, kept):
    """A page of 1440 x 900 that remembers nothing. page.outside and page.wrong list outside requests and script errors; both must stay empty."""
    view = context.new_page()
    view.outside, view.wrong = [], []
    view.on("request", lambda r: None if r.url.startswith(("http://127.0.0.1:", "data:", "blob:")) else view.outside.append(r.url))
    view.on("pageerror", lambda e: view.wrong.append(str(e)))
    yield view
    if view.url.startswith("http"):
        context.new_cdp_session(view).send("Storage.clearDataForOrigin", {"origin": view.evaluate("location.origin"), "storageTypes": "local_storage"})
    for open_page in context.pages:
        if open_page is not kept:
            open_page.close()
    assert view.outside == []
    assert view.wrong == []
