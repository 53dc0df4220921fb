"""What may happen to a run while one watches: the studio's server is killed, the trainer is killed, a reload, two tabs."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import psutil
import pytest
from chromium import FakeTrainer
from playwright.sync_api import expect

from core.config import RunConfig
from core.runs import folder

HERE = Path(__file__).parent
LONG = 30_000  # milliseconds
WHOLE = "manymodes.state.rows.every((row, i) => row.iteration === i) && manymodes.state.rows.length > {}"


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    trainer = FakeTrainer(FAKE_PACE="0.3")
    serving = server(tmp_path_factory.mktemp("runs"), starter=trainer)
    serving.start = lambda name, **more: trainer(folder.create(serving.runs / name, config(**more)))
    yield serving
    trainer.end()


@pytest.fixture
def other(page):
    """A second tab of the same browser."""
    tab = page.context.new_page()
    tab.on("pageerror", lambda e: page.wrong.append(str(e)))
    yield tab
    tab.close()


def config(**more) -> RunConfig:
    return RunConfig(**{"prompts": ("cat",), "iterations": 400, "base_pictures": 40, "group_size": 8, **more})


def look(page, studio, name, **address):
    more = "".join(f"&{key}={value}" for key, value in address.items())
    page.goto(f"{studio.url}/?run={name}&screen=live{more}")
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)


def rows(run: folder.Run) -> list[dict]:
    with run.database(readonly=True) as db:
        return db.iterations()


def head(page) -> dict:
    return page.evaluate("fetch(`/api/runs/${manymodes.state.run}/head`).then(r => r.json())")


# --- the server ------------------------------------------------------------------------------------------------------
@pytest.fixture
def app(tmp_path):
    """app(): the studio as a person starts it, always on the same port. Whatever it started is ended."""
    fake = tmp_path / "python"
    fake.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{HERE / "fake_worker.py"}" "$4"\n')  # -m core train FOLDER
    fake.chmod(0o755)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    runs, started = tmp_path / "runs", []

    def start() -> subprocess.Popen:
        command = [sys.executable, str(HERE / "serve_fake.py"), str(fake), "--runs", str(runs), "--port", str(port), "--no-browser"]
        process = subprocess.Popen(command, env={**os.environ, "FAKE_PACE": "0.3"}, start_new_session=True, stderr=subprocess.DEVNULL)
        started.append(process)
        end = time.time() + 60
        while time.time() < end:
            try:
                urllib.request.urlopen(f"{start.url}/studio/ready", timeout=1).read()
                return process
            except OSError:
                time.sleep(0.1)
        raise AssertionError("the studio did not start")

    start.url, start.runs = f"http://127.0.0.1:{port}", runs
    yield start
    for run in folder.find(runs):
        folder.end_worker(run)
    for process in started:
        process.kill()
        process.wait()


def test_the_server_is_killed_and_started_again_while_the_run_goes_on(app, page):
    """The page needs no reload: it says that the server is gone, then shows all that happened meanwhile, and its buttons work."""
    first = app()
    page.goto(f"{app.url}/?screen=setup")
    expect(page.locator("#mm-start")).to_contain_text("Start training", timeout=LONG)
    page.get_by_label("Name of the run").fill("survivor")
    page.get_by_label("Iterations", exact=True).fill("5000")
    page.get_by_label("Pictures per prompt").fill("8")
    expect(page.locator("#mm-start")).to_contain_text("Start training", timeout=LONG)
    page.keyboard.press("Control+Enter")
    page.wait_for_function("manymodes.state.rows.length > 4", timeout=LONG)
    page.evaluate("window.same = 'page'")

    # everything in the server's session ends, as when its terminal is closed by force
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    expect(page.locator("#mm-lost")).to_contain_text("Lost the studio’s server. The run goes on by itself.", timeout=LONG)
    assert page.evaluate("[document.querySelector('#mm-lost').offsetHeight, document.querySelector('.mm-strip').offsetHeight]") == [52, 52]  # over the strip, over nothing else
    run = folder.Run(app.runs / "survivor")
    seen = len(rows(run))
    end = time.time() + 30
    while len(rows(run)) < seen + 4 and time.time() < end:
        time.sleep(0.1)
    assert len(rows(run)) >= seen + 4  # nobody served a page, and the run went on
    # what is pressed meanwhile is told, not swallowed
    page.keyboard.press("Shift+S")
    expect(page.locator("#mm-on")).to_have_text("Stop did not reach the trainer. The studio’s server does not answer.", timeout=LONG)
    expect(page.locator("#mm-stop")).to_have_text("Stop")

    app()
    expect(page.locator("#mm-lost")).to_have_count(0, timeout=LONG)
    page.wait_for_function(WHOLE.format(seen + 4), timeout=LONG)  # no gap
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    page.locator("#mm-pause").click()
    expect(page.locator("#mm-state")).to_contain_text("Paused", timeout=LONG)
    page.locator("#tab-runs-button").click()
    expect(page.locator('.mm-runs .list [data-run="survivor"]')).to_contain_text("Paused", timeout=LONG)
    page.locator("#mm-stop").click()
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=LONG)
    assert page.evaluate("window.same") == "page"
    assert [r["iteration"] for r in rows(run)] == list(range(len(rows(run))))


# --- the trainer -----------------------------------------------------------------------------------------------------
def test_a_killed_trainer_is_told_on_every_tab_and_no_finished_iteration_is_gone(studio, page, other):
    trainer = studio.start("killed")
    look(page, studio, "killed")
    other.goto(f"{studio.url}/?run=killed&screen=runs")
    page.wait_for_function("manymodes.state.rows.length > 4", timeout=LONG)
    trainer.send_signal(signal.SIGKILL)
    trainer.wait()
    run = folder.Run(studio.runs / "killed")
    finished = rows(run)
    expect(page.locator("#mm-state")).to_contain_text("Failed", timeout=LONG)
    last = finished[-1]["iteration"]
    expect(page.locator(".mm-notice b").first).to_contain_text(f"The trainer stopped by itself at {last}", timeout=LONG)
    expect(page.locator("#mm-alarm")).to_contain_text(f"The trainer stopped by itself at {last}")  # said aloud too
    expect(other.locator('.mm-runs .list [data-run="killed"]')).to_contain_text(f"Ended unexpectedly at {last}", timeout=LONG)
    page.wait_for_function(WHOLE.format(last), timeout=LONG)
    # all of them can be looked at
    page.locator(".mm-scrubber .tl").focus()
    page.keyboard.press("End")
    expect(page.locator(".mm-pictures .sub").first).to_contain_text(f"iteration {last}", timeout=LONG)
    expect(page.locator(".mm-pictures .tile")).to_have_count(8)
    page.get_by_role("button", name="Start again").click()
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    expect(other.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    page.wait_for_function(WHOLE.format(last + 1), timeout=LONG)
    assert rows(run)[: last + 1] == finished


# --- reload and tabs -------------------------------------------------------------------------------------------------
def test_a_reload_keeps_run_prompt_moment_and_pause(studio, page):
    studio.start("newer", prompts=("cat", "dog"), prompts_per_iteration=2)
    studio.start("older")
    look(page, studio, "newer")
    page.wait_for_function("manymodes.state.rows.length > 5", timeout=LONG)
    page.locator("#mm-prompt").select_option("1")
    page.locator(".mm-scrubber .tl").focus()
    page.keyboard.press("Home")
    for _ in range(2):
        page.keyboard.press("ArrowRight")
    page.locator("#mm-pause").click()
    page.reload()  # at once: the trainer may not have heard of it
    expect(page.locator("#mm-state")).to_contain_text("Paused", timeout=LONG)
    expect(page.locator("#mm-run")).to_have_value("newer")  # not the other run, which is alive too
    expect(page.locator("#mm-prompt")).to_have_value("1")
    expect(page.locator(".mm-scrubber .at b")).to_have_text(re.compile(r"^\s*2$"))
    expect(page.locator(".mm-pictures .sub").first).to_contain_text("iteration 2, 8 for “dog”", timeout=LONG)
    page.reload()
    expect(page.locator("#mm-state")).to_contain_text("Paused", timeout=LONG)
    expect(page.locator("#mm-pause")).to_have_text("Resume")
    stood = head(page)["iteration"]
    page.wait_for_timeout(900)
    assert head(page)["iteration"] == stood
    page.locator("#mm-pause").click()
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    page.wait_for_function(f"manymodes.state.head.iteration > {stood}", timeout=LONG)
    expect(page.locator(".mm-scrubber .at b")).to_have_text(re.compile(r"^\s*2$"))  # the past stays in view while it goes on
    page.locator("#mm-stop").click()


def test_two_tabs_turn_dials_and_agree(studio, page, other):
    studio.start("shared", iterations=5000)
    for tab in (page, other):
        look(tab, studio, "shared")
    page.locator("#mm-pause").click()
    for tab in (page, other):
        expect(tab.locator("#mm-state")).to_contain_text("Paused", timeout=LONG)

    def turn(tab, name, value):
        field = tab.locator(".mm-dials").get_by_label(name, exact=True)
        field.fill(value)
        field.press("Enter")

    # each turns another dial: both wait, in both tabs
    turn(page, "Diversity bonus, number", "0.50")
    turn(other, "Leash length, number", "3")
    for tab in (page, other):
        expect(tab.locator("[data-dial=creative_beta] .note")).to_contain_text("0.00 → 0.50 from iteration", timeout=LONG)
        expect(tab.locator("[data-dial=sa_reg_steps] .note")).to_contain_text("0 → 3 from iteration", timeout=LONG)
    # both turn the same one: the later turn counts, in both tabs
    turn(page, "Prompt noise, number", "0.10")
    expect(other.locator("[data-dial=prompt_noise_scale] .note")).to_contain_text("0.00 → 0.10", timeout=LONG)
    turn(other, "Prompt noise, number", "0.20")
    for tab in (page, other):
        expect(tab.locator("[data-dial=prompt_noise_scale] .note")).to_contain_text("0.00 → 0.20", timeout=LONG)
    other.locator("#mm-pause").click()
    for tab in (page, other):
        for name in ("creative_beta", "sa_reg_steps", "prompt_noise_scale"):
            expect(tab.locator(f"[data-dial={name}] .note")).to_contain_text("In force since iteration", timeout=LONG)
        expect(tab.locator(".mm-scrubber .turn").first).to_be_attached()
        assert [tab.evaluate(f"manymodes.state.head.dials.{n}") for n in ("creative_beta", "sa_reg_steps", "prompt_noise_scale")] == [0.5, 3, 0.2]
    # one stops, the other hears of it
    page.locator("#mm-stop").click()
    expect(other.locator("#mm-state")).to_contain_text("Stopped", timeout=LONG)
    expect(other.locator("#mm-resume")).to_be_visible()
