"""The whole way once: the page starts a real trainer on the embedded model, sees it killed, resumes it, turns a dial, reloads and stops it."""

from __future__ import annotations

import json
import os
import re
import signal
import time

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


def written(run: folder.Run) -> list[tuple[int, float, str]]:
    """Iteration, time and metrics as they are written."""
    with run.database(readonly=True) as db:
        return [tuple(row) for row in db.rows("SELECT iteration, time, metrics FROM iterations ORDER BY iteration")]


def killed(run: folder.Run) -> list[tuple[int, float, str]]:
    """End the trainer between two checkpoints, as a computer out of memory does; what it had finished."""
    end = time.time() + MINUTES / 1000
    while time.time() < end:
        with run.database(readonly=True) as db:
            status = db.status()
        if status["iteration"] % 2 == 1 and status["iteration"] > 2:
            break
        time.sleep(0.02)
    os.kill(status["pid"], getattr(signal, "SIGKILL", signal.SIGTERM))
    while folder.worker_process(status) is not None:
        time.sleep(0.02)
    return written(run)


def test_a_real_run_is_started_watched_killed_resumed_turned_and_stopped(studio, page):
    page.goto(f"{studio.url}/?screen=setup")
    expect(page.locator("#mm-start")).to_contain_text("Start training", timeout=15000)
    page.locator("[data-preset=collapse-demo]").click()
    page.get_by_label("Name of the run").fill("real")
    page.get_by_label("Pictures per prompt").fill("8")
    page.locator("summary", has_text="Sampling").click()
    page.get_by_label("Steps", exact=True).fill("4")
    page.locator("summary", has_text="Saving").click()
    page.get_by_label("Checkpoint every").fill("2")
    page.get_by_label("Base pictures").fill("40")
    page.keyboard.press("Control+Enter")

    # base pictures are counted, then the run's own arrive
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=MINUTES)
    expect(page.locator(".mm-pictures .sub").first).to_contain_text(re.compile("iteration [1-9]"), timeout=MINUTES)
    expect(page.locator(".mm-pictures .tile")).to_have_count(8, timeout=MINUTES)
    page.wait_for_function("manymodes.mapDrawn.dots > 56", timeout=MINUTES)

    # killed: every finished iteration is there, those after the checkpoint are made once more and come out the same
    run = folder.Run(studio.runs / "real")
    before = killed(run)
    last, saved = before[-1][0], checkpoints.all_of(run)[-1]
    assert [row[0] for row in before] == list(range(last + 1)) and 2 <= saved <= last
    notice = page.locator(".mm-notice")
    expect(notice.locator("b")).to_have_text(re.compile(rf"The trainer stopped by itself at {last} \(killed.*\)\. Saved at {saved}\."), timeout=MINUTES)
    page.wait_for_function(f"manymodes.state.rows.length === {last + 1}", timeout=MINUTES)
    notice.get_by_role("button", name=f"Resume from {saved}").click()
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=MINUTES)
    page.wait_for_function(f"manymodes.state.head.iteration > {last} && manymodes.state.rows.every((row, i) => row.iteration === i)", timeout=MINUTES)
    after = written(run)
    assert after[: saved + 1] == before[: saved + 1]
    rewards = [[json.loads(metrics)["reward"] for _, _, metrics in rows[: last + 1]] for rows in (before, after)]
    assert rewards[1] == pytest.approx(rewards[0], abs=1e-4)

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
    with run.database(readonly=True) as db:
        finished = db.status()["iteration"]
        turned = [e for e in db.events() if e["kind"] == "dial"]
        rows = db.iterations(0)
    assert finished >= 1 and checkpoints.all_of(run)[-1] == finished and len(rows) == finished
    assert [(e["name"], e["new"]) for e in turned] == [("creative_beta", 1.0)]
    assert all(r["first_ratio"] == 0 for r in rows)
    assert all(r["dials"]["creative_beta"] == (1.0 if r["iteration"] >= turned[0]["iteration"] else 0.0) for r in rows)
    assert (run.export / "pytorch_lora_weights.safetensors").exists()
