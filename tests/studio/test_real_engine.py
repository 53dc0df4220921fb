"""The whole way once: the page starts a real trainer on the embedded model, turns a dial, reloads and stops it."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from core.runs import checkpoints, folder

MINUTES = 180_000  # milliseconds; loading torch on two busy cores takes its time


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    serving = server(tmp_path_factory.mktemp("runs"))
    yield serving
    for run in folder.find(serving.runs):
        folder.end_worker(run)


def test_a_real_run_is_started_watched_turned_and_stopped(studio, page):
    page.goto(f"{studio.url}/?screen=setup")
    expect(page.locator("#mm-start")).to_contain_text("Start training", timeout=15000)
    page.locator("[data-preset=collapse-demo]").click()
    page.get_by_label("Name of the run").fill("real")
    page.get_by_label("Pictures per prompt").fill("8")
    page.keyboard.press("Control+Enter")

    # base pictures are counted, then the run's own arrive
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=MINUTES)
    expect(page.locator(".mm-pictures .sub").first).to_contain_text(re.compile("iteration [1-9]"), timeout=MINUTES)
    expect(page.locator(".mm-pictures .tile")).to_have_count(8, timeout=MINUTES)
    page.wait_for_function("manymodes.mapDrawn.dots > 120", timeout=MINUTES)

    # turn beta: the dial says from when, then a diamond marks it
    beta = page.get_by_label("Diversity bonus β")
    beta.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    note = page.locator("[data-dial=creative_beta] .note")
    expect(note).to_contain_text(re.compile(r"In force since iteration \d+"), timeout=MINUTES)
    expect(page.locator(".mm-scrubber .turn")).to_have_count(1, timeout=MINUTES)

    # a reload finds the run as it is
    page.reload()
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=MINUTES)
    expect(page.get_by_label("Diversity bonus, number")).to_have_value("1.00")
    expect(page.locator(".mm-scrubber .turn")).to_have_count(1, timeout=MINUTES)

    page.locator("#mm-stop").click()
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=MINUTES)
    run = folder.Run(studio.runs / "real")
    with run.database(readonly=True) as db:
        finished = db.status()["iteration"]
        turned = [e for e in db.events() if e["kind"] == "dial"]
        rows = db.iterations(0)
    assert finished >= 1 and checkpoints.all_of(run)[-1] == finished and len(rows) == finished
    assert [(e["name"], e["new"]) for e in turned] == [("creative_beta", 1.0)]
    assert all(r["first_ratio"] == 0 for r in rows)
    assert all(r["dials"]["creative_beta"] == (1.0 if r["iteration"] >= turned[0]["iteration"] else 0.0) for r in rows)
    assert (run.export / "pytorch_lora_weights.safetensors").exists()
