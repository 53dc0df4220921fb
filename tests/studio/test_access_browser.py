"""Access: axe-core and own measures on every screen and dialog, contrast in light and in dark; focus by keyboard; small windows and 200 % zoom.

axe-core cannot tell the ground of words that something else overlaps, and looks neither at focus nor at what is out of reach: access.js does.
"""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from chromium import FakeTrainer
from fake_sampler import FakeSampler
from playwright.sync_api import Page, expect
from sample_run import write_run

from core.runs import checkpoints, compare, queue
from core.runs.folder import Run
from studio.data import compare as data

SCRIPTS = (Axe().axe_script, (Path(__file__).parent / "access.js").read_text(encoding="utf-8"))
PATIENCE = 40_000  # milliseconds, also of a computer that trains meanwhile
LORA = {f"lora/transformer_blocks.0.attn.to_q.lora_{s}.default.weight": np.ones((32, 8) if s == "A" else (8, 32), np.float32) for s in "AB"}


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    """Runs in every state that a row or the strip has words for, a queue, an archived run, a preset of one's own, and a sampler."""
    runs = tmp_path_factory.mktemp("runs")
    cats = write_run(runs / "cats", iterations=40, end=40, prompts=("cat", "dog"), state="finished")
    for iteration in (20, 40):
        checkpoints.save(cats, iteration, LORA, {}, keep=9)
    for name in ("cats-2", "waits", "died", "broken", "alive-and-with-a-longer-name"):
        shutil.copytree(cats.path, runs / name)
    with Run(runs / "died").database() as db:
        db.set_status(state="running", iteration=38, iterations=90, pid=2**22 + 1, process_started=1.0)
    with Run(runs / "alive-and-with-a-longer-name").database() as db:
        me = psutil.Process()
        db.set_status(state="running", iterations=400, pid=me.pid, process_started=me.create_time())
        db.write("UPDATE status SET heartbeat = ?", time.time() + 86_400)
    with Run(runs / "waits").database() as db:
        db.set_status(state="stopped", iterations=90)
    (runs / "broken" / "config.yaml").write_text("steps: nothing", encoding="utf-8")
    queue.hold(runs, True)
    fake, trainer = FakeSampler(), FakeTrainer(FAKE_PACE="0.2")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "start_sampler", fake)
        patch.setattr(data, "_samplers", {})
        serving = server(runs, starter=trainer)
        preset = {"title": "Mine", "line": "", "config": {"prompts": ["cat"], "rewards": {"style_preference": 1.0}}, "overwrite": False}
        for path, body in (("runs/cats-2/archive", {}), ("queue", {"run": "waits"}), ("own-presets", preset)):
            post(serving, path, body)
        yield serving
    trainer.end()
    fake.end()


def post(studio, path: str, body: dict) -> dict:
    headers = {"Content-Type": "application/json", "Origin": studio.url}
    with urlopen(Request(f"{studio.url}/api/{path}", json.dumps(body).encode(), headers)) as answer:
        return json.load(answer)


def opened(page: Page, studio, screen: str, run: str = "cats", **more) -> Page:
    """The page on `screen`, with what measures it, once it shows what it shows last. Without fades, in which every colour is faint."""
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{studio.url}/?screen={screen}&run={run}" + "".join(f"&{k}={v}" for k, v in more.items()))
    for script in SCRIPTS:
        page.evaluate(script)
    return settled(page, screen)


LAST = {
    "setup": ("#mm-start", re.compile("Start training")),
    "live": (".mm-live .tile .rw >> nth=0", re.compile(r"\d")),
    "compare": (".mm-compare .changed .sub >> nth=0", re.compile("seeds each")),
    "runs": (".mm-runs .list", re.compile("cats")),
    "lesson": (".mm-lesson .tile .rw >> nth=0", re.compile(r"\d")),
}


def settled(page: Page, screen: str) -> Page:
    selector, words = LAST[screen]
    expect(page.locator(selector)).to_have_text(words, timeout=PATIENCE)
    return page


def show(page: Page, screen: str) -> Page:
    page.evaluate(f"manymodes.show('{screen}')")
    return settled(page, screen)


def pin_a_picture(page: Page) -> None:
    page.wait_for_function("manymodes.state.base && manymodes.state.dots.trail(manymodes.state.head.newest).length > 0", timeout=PATIENCE)
    page.locator(".mm-live .mm-map .area").focus()
    for key in ("ArrowDown", "Enter"):
        page.keyboard.press(key)
    expect(page.locator(".mm-live .mm-map .card.pinned")).to_be_visible(timeout=PATIENCE)


def serious(page: Page, state: str) -> list[str]:
    """What is wrong in this state: by axe-core's rules, and in light and in dark by our measure of contrast, which reads every colour."""
    found = page.evaluate("access.audit()")
    wrong = [f"{state}: {v['rule']} ({v['impact']}) {v['where']}" for v in found if v["impact"] in ("serious", "critical")]
    for theme in ("light", "dark"):
        wrong += [f"{state}, {theme}: {words}" for words in page.evaluate("access.faint()")]
        page.evaluate("manymodes.turnTheme()")
    return wrong


def test_screens_of_a_finished_run(studio, page):
    wrong = serious(opened(page, studio, "setup"), "Setup")
    page.get_by_label("Iterations", exact=True).fill("0")
    expect(page.locator("#mm-start")).to_contain_text("Check", timeout=PATIENCE)
    for group in page.locator(".mm-setup details").all():
        group.locator("summary").click()
    wrong += serious(page, "Setup, a wrong field and every group open")

    wrong += serious(show(page, "live"), "Live")
    pin_a_picture(page)
    page.get_by_role("button", name="Table of Reward against variety").click()
    wrong += serious(page, "Live, a pinned card and a table")

    wrong += serious(show(page, "compare"), "Compare")
    page.get_by_role("button", name="Two grids").click()
    page.locator("#mm-search").click()
    wrong += serious(page, "Compare, two grids and the list of prompts")

    show(page, "runs")
    for name in ("cats", "died"):
        page.get_by_label(f"Chart {name}", exact=True).check()
    expect(page.locator(".mm-runs .table tbody tr")).to_have_count(2, timeout=PATIENCE)
    page.locator(".mm-runs .shelf summary").click()
    wrong += serious(page, "Runs")
    assert wrong == []


def test_every_dialog(studio, page):
    wrong = []

    def look(state: str) -> None:
        expect(page.locator("dialog[open], :popover-open")).to_have_count(1, timeout=PATIENCE)
        wrong.extend(serious(page, state))
        page.keyboard.press("Escape")
        expect(page.locator("dialog[open], :popover-open")).to_have_count(0, timeout=PATIENCE)

    opened(page, studio, "setup")
    page.keyboard.press("?")
    look("Shortcuts")
    page.locator("#mm-load-setup").click()
    expect(page.locator("#mm-load .one").first).to_be_visible(timeout=PATIENCE)
    look("Load a setup")
    page.get_by_label("Iterations", exact=True).fill("77")
    page.locator("#mm-save-preset").click()
    look("Save as preset")

    show(page, "live")
    page.get_by_role("button", name="Map", exact=True).click()
    look("Menu of the map")
    pin_a_picture(page)
    page.get_by_role("button", name="Open large").click()
    look("One picture, large")
    page.keyboard.press("Escape")
    ids = page.evaluate("[...document.querySelectorAll('.mm-live .tile')].slice(0, 4).map((t) => Number(t.dataset.id))")
    post(studio, "runs/cats/grids", {"ids": ids})
    page.reload()
    for script in SCRIPTS:
        page.evaluate(script)
    settled(page, "live")
    page.locator("#mm-grids").click()
    look("Kept grids")

    show(page, "compare")
    page.locator(".mm-compare .pair").first.click()
    look("One seed, large")

    show(page, "runs")
    more = page.get_by_role("button", name="More for cats", exact=True)
    more.click()
    look("Menu of a run")
    for words in ("Export LoRA", "Delete"):
        more.click()
        page.get_by_role("menuitem", name=words).click()
        look(words)
    page.get_by_role("button", name="Watch a folder").click()
    look("Watch a folder")
    assert wrong == []


def test_a_run_under_way_one_that_ended_by_itself_and_the_lesson(studio, page):
    config = {"prompts": ["cat"], "rewards": {"style_preference": 1.0}, "iterations": 400}
    run = post(studio, "runs", {"config": config, "name": "busy"})["run"]
    opened(page, studio, "live", run)
    expect(page.locator(".mm-live .mm-variety .verdict .word")).to_have_text(re.compile(r"\w"), timeout=PATIENCE)
    dial = page.get_by_label("Diversity bonus, number")
    dial.fill("0.5")
    dial.press("Enter")
    wrong = serious(page, "Live while it runs, a dial just turned")
    page.locator("#mm-stop").click()
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=PATIENCE)
    page.locator("#mm-run").select_option("died")
    expect(page.locator(".mm-live .mm-notice")).to_contain_text("stopped by itself", timeout=PATIENCE)
    wrong += serious(page, "Live of a trainer that died")

    show(page, "lesson")
    for number in range(1, 7):
        page.get_by_role("button", name=f"Step {number}:").click()
        expect(page.locator(".mm-lesson .count")).to_have_text(f"{number} of 6", timeout=PATIENCE)
        if number in (3, 6):
            page.locator("#mm-onward").click()  # the verdict, and the tuned pictures
        if number in (1, 3, 5, 6):
            page.wait_for_timeout(300)
            wrong += serious(page, f"Lesson, step {number}")
    page.keyboard.press("p")
    wrong += serious(page, "Lesson, presented")
    assert wrong == []


def test_no_run_at_all(server, page, tmp_path_factory):
    empty = server(tmp_path_factory.mktemp("runs"), starter=lambda run, resume=False: None)
    page.emulate_media(reduced_motion="reduce")
    page.goto(f"{empty.url}/?screen=live")
    for script in SCRIPTS:
        page.evaluate(script)
    expect(page.locator(".mm-live .mm-notice")).to_contain_text("No run yet", timeout=PATIENCE)
    # the map shows the outlines of the lesson's base, without dots and without names
    page.wait_for_function("""import(manymodes.files + 'views/map/demo.js').then(({ demoBase }) => demoBase(() => {})?.n > 0)""", timeout=PATIENCE)
    page.wait_for_function("""() => {
      const canvas = document.querySelector('.mm-map canvas');
      return canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.some((v) => v > 0 && v < 200);  // the grey of an outline
    }""", timeout=PATIENCE)
    expect(page.locator(".mm-map .chip")).to_have_count(0)
    page.locator(".mm-map .area").hover()
    wrong = serious(page, "Live, no run")
    for screen, words in (("compare", "No run yet"), ("runs", "Runs you start are kept here")):
        page.evaluate(f"manymodes.show('{screen}')")
        expect(page.get_by_text(words).locator("visible=true").first).to_be_visible(timeout=PATIENCE)
        wrong += serious(page, f"{screen}, no run")
    assert wrong == []


def test_the_focus_is_seen_wherever_tab_takes_it(studio, page):
    for screen, most in (("setup", 160), ("live", 60), ("compare", 80), ("runs", 60), ("lesson", 40)):
        opened(page, studio, screen)
        page.keyboard.press("Tab")
        first, lost, stops = page.evaluate("access.focus().name"), [], 0
        while stops < most:
            at = page.evaluate("access.focus()")
            if at and not (at["ring"] and at["there"]):
                lost.append(at)
            page.keyboard.press("Tab")
            stops += 1
            if stops > 3 and (page.evaluate("access.focus()?.name") in (None, first)):
                break
        assert lost == [], screen
        assert 8 < stops < most, (screen, stops)  # every stop was seen, and Tab is caught nowhere


@pytest.mark.parametrize("size", [(1280, 720), (1100, 700), (1024, 768), (720, 450)])
def test_nothing_is_cut_off_or_out_of_reach_in_a_small_window(studio, page, size):
    page.set_viewport_size(dict(zip(("width", "height"), size)))
    opened(page, studio, "setup", "alive-and-with-a-longer-name")  # the strip with most in it: buttons, alarm and verdict
    expect(page.locator("#mm-away")).to_have_text("Narrowing: reward up, variety down", timeout=PATIENCE)
    wrong = []
    for screen in LAST:
        if screen == "compare":
            page.locator("#mm-run").select_option("cats")  # its pictures would wait for the trainer, which there is none of
        show(page, screen)
        if screen == "lesson":  # the step with the most words beside the map
            page.get_by_role("button", name="Step 3:").click()
            page.locator("#mm-onward").click()
            expect(page.locator(".mm-lesson .mm-variety .say")).to_have_text(re.compile(r"\w"), timeout=PATIENCE)
        page.wait_for_timeout(150)
        wrong += [f"{screen}, cut {words}" for words in page.evaluate("access.cut()")]
        wrong += [f"{screen}, {words}" for words in page.evaluate("access.overlapped()")]
        wrong += [f"{screen}, out of reach: {words}" for words in page.evaluate("access.covered()")]
    assert wrong == []


def test_runs_keep_verdict_and_time_in_every_window(studio, page):
    opened(page, studio, "runs")
    for width in (1440, 1280, 1100, 1024, 720):
        page.set_viewport_size({"width": width, "height": 720})
        row = page.locator('.mm-runs .list [data-run="cats"]')
        for part in (".name", ".state", ".what b", ".began span"):
            expect(row.locator(part)).to_be_visible(timeout=PATIENCE)
            assert row.locator(part).evaluate("n => n.scrollWidth <= n.clientWidth + 1 || getComputedStyle(n).display === 'inline'"), (width, part)


def test_reduced_motion_stills_every_fade(studio, page):
    opened(page, studio, "live")
    moving = """[...document.querySelectorAll('*')].filter((n) => { const s = getComputedStyle(n);
      return (parseFloat(s.transitionDuration) > 0 || parseFloat(s.animationDuration) > 0) && n.closest('.mm, #screens [role=tablist]') }).map((n) => n.className)"""
    assert page.evaluate(moving) == []
