"""The model row of Setup in a real browser: from "not on this computer" over a hub on this computer to "Start training"."""

from __future__ import annotations

import json
import os

import fake_hub
import pytest
from playwright.sync_api import expect

from studio.data import fetching

NAME = "a/tiny"
HOSTILE = '<img src=x onerror="window.hit=1"> licence'
PATIENCE = 90_000  # each press starts a process, which a busy machine takes its time for


@pytest.fixture
def hub(tmp_path):
    with fake_hub.serve(repositories={NAME: fake_hub.tiny_sd3(4)}, card={"license_name": HOSTILE}) as served, pytest.MonkeyPatch.context() as patch:
        for name, value in served.environment(tmp_path / "hub").items():
            patch.setenv(name, value)
        for name in set(os.environ) - set(served.environment(tmp_path / "hub")):
            patch.delenv(name)
        patch.setattr(fetching, "_known", {})
        yield served
        fetching._end_all()


def test_a_model_of_the_hub_is_asked_about_fetched_stopped_and_fetched_on(server, page, hub, tmp_path):
    studio = server(tmp_path / "runs", starter=lambda run, resume=False: None)
    page.goto(f"{studio.url}/?screen=setup")
    start, act, row = page.locator("#mm-start"), page.locator("[data-fetch=model]"), page.locator(".fetch").first
    expect(start).to_contain_text("Start training", timeout=PATIENCE)
    page.get_by_label("Folder or hub name", exact=False).first.check()
    page.get_by_placeholder("folder, or owner/model").fill(NAME)
    expect(row.locator("p").first).to_have_text("tiny is not on this computer.")
    expect(act).to_have_text("Ask the hub")
    expect(start).to_have_text("Check: ModelCtrl ⏎")
    assert hub.asked == []  # nothing touches the network before a press

    height = row.bounding_box()["height"]
    act.click()
    expect(act).to_have_text("Download 4.9 MB", timeout=PATIENCE)
    expect(row.locator("p").first).to_have_text("tiny is not on this computer (4.9 MB).")
    expect(row.locator(".told p").last).to_contain_text(f"Licence: {HOSTILE}, {hub.url}/{NAME}. ")
    expect(row.locator(".told p").last).to_contain_text("GB are free here.")
    assert page.evaluate("window.hit") is None and not [path for path in hub.sent if path != "model_index.json"]

    hub.slow = 5  # a minute and more for the large file: time enough to look, to load the page again and to stop
    act.click()
    expect(row.locator(".far")).to_contain_text("/s, ", timeout=PATIENCE)
    assert row.bounding_box()["height"] == height  # nothing moves
    page.reload()  # the server knows what is under way
    expect(act).to_have_text("Stop", timeout=PATIENCE)
    act.click()
    expect(row.locator(".far")).to_contain_text("came so far and are kept")
    expect(act).to_contain_text("Download the other")
    expect(start).to_contain_text("Check: Model")
    sent = sum(hub.sent.values())

    hub.slow = 0
    act.click()
    expect(start).to_contain_text("Start training", timeout=PATIENCE)
    expect(row.locator("p").first).to_have_text("tiny is here: SD 3, SD 3.5, 4.9 MB.".replace("4.9", "5"))
    expect(act).to_be_hidden()
    again = sum(hub.sent.values()) - sent
    assert row.bounding_box()["height"] == height and again < 4.9e6 - sent + 2**21  # what had come did not come twice
    paths = {path for _, path, _ in hub.asked}
    assert all(path.startswith((f"/api/models/{NAME}", f"/{NAME}/resolve/")) for path in paths)
    assert not any("pytorch_model.bin" in path for path in paths)


def test_what_is_refused_is_told_in_words_at_the_row(server, page, hub, tmp_path):
    hub.gated.add(NAME)
    hub.repositories["a/flux"] = {"model_index.json": json.dumps({"_class_name": "FluxPipeline"}).encode()}
    studio = server(tmp_path / "runs", starter=lambda run, resume=False: None)
    page.goto(f"{studio.url}/?screen=setup")
    act, told = page.locator("[data-fetch=model]"), page.locator(".fetch .told p.off").first
    page.get_by_label("Folder or hub name", exact=False).first.check(timeout=PATIENCE)
    for name, words in ((NAME, "asks you to accept its licence first."), ("a/flux", "a/flux is FLUX (FluxPipeline), which cannot be tuned here.")):
        page.get_by_placeholder("folder, or owner/model").fill(name)
        expect(act).to_have_text("Ask the hub")
        act.click()
        expect(told).to_contain_text(words, timeout=PATIENCE)
        expect(page.locator("#mm-start")).to_contain_text("Check: Model")
    page.get_by_role("button", name="Use Emoji SD3").click()
    expect(page.locator("#mm-start")).to_contain_text("Start training")
    expect(page.locator(".fetch").first).to_be_hidden()
