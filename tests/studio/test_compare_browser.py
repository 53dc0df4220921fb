"""Compare in a real browser, on a sampler that only pretends."""

from __future__ import annotations

import io
import re
import time

import numpy as np
import pytest
from fake_sampler import FakeSampler, colour, drawn
from PIL import Image
from playwright.sync_api import expect
from sample_run import write_run

from core.runs import checkpoints, compare
from studio.data import compare as data

HOSTILE = '<img src=x onerror="window.hit=1"> ${window.hit=2} {{window.hit=3}}'
MIDDLE = """i => i.decode().then(() => { const c = document.createElement('canvas'); c.width = c.height = 64; const g = c.getContext('2d');
  g.drawImage(i, 0, 0); return [...g.getImageData(32, 32, 1, 1).data].slice(0, 3) })"""


WATCH = """() => { window.moved = [];
  const told = n => { const e = n?.nodeType === 3 ? n.parentElement : n; return e?.closest?.('.mm-compare') ? `${e.outerHTML.slice(0, 90)} ${n.nodeType}` : null };
  new PerformanceObserver(l => { for (const e of l.getEntries()) for (const s of e.sources) window.moved.push(told(s.node)) }).observe({ type: 'layout-shift' }) }"""


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    run = write_run(runs / "cats", iterations=12, prompts=("cat", HOSTILE, "dog"))
    for iteration in (20, 40):
        checkpoints.save(run, iteration, {"lora/x": np.zeros(1, np.float32)}, {}, keep=9)
    return server(runs, starter=lambda run, resume=False: None)


@pytest.fixture
def sampler(monkeypatch):
    fake = FakeSampler()
    monkeypatch.setattr(compare, "start_sampler", fake)
    monkeypatch.setattr(data, "_samplers", {})
    yield fake
    fake.end()


def shown(page, side: str, n: int) -> list[int]:
    return page.locator(".mm-compare .pair").nth(n).locator(f".tl.{side} img").evaluate(MIDDLE)


def until_shown(page, side: str, n: int, expected: tuple) -> None:
    """Wait for all 32 pictures, none of them a former one, and for this colour."""
    whole = "document.querySelectorAll('.mm-compare .pair .tl img[src]').length === 32 && !document.querySelector('.mm-compare .tl.old')"
    end = time.time() + 15
    while time.time() < end:
        page.wait_for_function(whole, timeout=15000)
        if shown(page, side, n) == list(expected):
            return
        page.wait_for_timeout(50)
    assert shown(page, side, n) == list(expected)


def test_from_opening_to_the_sheet(studio, page, sampler):
    page.goto(f"{studio.url}/?run=cats&screen=compare")
    until_shown(page, "left", 5, colour(0, 0, 100, 5))
    assert shown(page, "right", 5) == list(colour(0, 40, 100, 5))
    pair = page.locator(".mm-compare .pair").nth(5)
    expect(pair).to_contain_text("seed 5+0.40")
    assert pair.get_attribute("aria-label").startswith("Seed 5: base Look F, tuned Look F, reward up 0.40")
    expect(page.locator(".mm-compare .changed .sub").first).to_have_text("48 seeds each")
    row = page.locator(".mm-compare .changed tbody tr").nth(1)
    expect(row).to_have_text("Variety6.05.6−0.4")

    # every prompt is measured unasked, as no training waits; the largest loss comes first and a click opens it
    first = page.locator(".mm-compare .prw").first
    expect(first).to_contain_text("dog", timeout=10000)
    assert page.locator(".mm-compare .prw .name").nth(1).text_content().startswith("<img src=x")

    # the slider: a newer wish in place of the older, old pictures stay until then, and 0 is the base
    slider = page.get_by_label("LoRA strength", exact=True)
    slider.focus()
    for _ in range(7):
        page.keyboard.press("ArrowLeft")
    expect(page.get_by_label("LoRA strength, number")).to_have_value("0.65")
    until_shown(page, "right", 2, colour(0, 40, 65, 2))
    assert "strength=65" in page.url
    page.keyboard.press("Home")
    expect(page.locator(".mm-compare .words")).to_have_text("At strength 0 both sides are the base model.")
    until_shown(page, "right", 2, colour(0, 0, 100, 2))
    slider.dblclick()
    until_shown(page, "right", 2, colour(0, 40, 100, 2))

    # the seed under the pointer, at every checkpoint; a click puts that one on the right
    page.locator(".mm-compare .pair").nth(3).hover()
    expect(page.locator(".mm-compare .through h2")).to_have_text("Seed 3 through training")
    expect(page.locator(".mm-compare .cell img[src]")).to_have_count(3)
    page.locator(".mm-compare .cell").nth(1).click()
    until_shown(page, "right", 3, colour(0, 20, 100, 3))
    expect(page.get_by_label("Right side")).to_have_value("20")

    # next seeds by key, two grids, and all of it again after a reload
    page.keyboard.press("n")
    until_shown(page, "left", 0, colour(0, 0, 100, 16))
    page.get_by_role("button", name="Two grids").click()
    expect(page.locator(".mm-compare .grids .tl img[src]")).to_have_count(32)
    page.locator(".mm-compare .gr .tl").nth(4).hover()
    expect(page.locator(".mm-compare .tl.ring")).to_have_count(2)
    page.reload()
    expect(page.locator(".mm-compare .grids .tl img[src]")).to_have_count(32, timeout=15000)
    expect(page.get_by_label("First seed")).to_have_value("16")
    expect(page.get_by_label("Right side")).to_have_value("20")

    with page.expect_download() as download:
        page.locator("#mm-sheet").click()
    told = Image.open(io.BytesIO(download.value.path().read_bytes())).text
    assert download.value.suggested_filename == "cats-cat-16.png" and told["manymodes:iteration"] == "20"


def test_prompts_are_searched_by_key_and_shown_as_text(studio, page, sampler):
    page.goto(f"{studio.url}/?run=cats&screen=compare")
    search = page.locator("#mm-search")
    expect(search).to_have_value("cat", timeout=15000)
    page.keyboard.press("/")
    expect(search).to_be_focused()
    expect(page.locator("#mm-prompts [role=option]")).to_have_count(3)
    page.keyboard.type("ONERROR")
    expect(page.locator("#mm-prompts [role=option]")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(search).to_have_value(HOSTILE)
    expect(page.locator(".mm-compare .changed h2").first).to_contain_text("What changed for “<img src=x")
    until_shown(page, "right", 1, colour(1, 40, 100, 1))
    assert page.evaluate("window.hit") is None and "prompt=1" in page.url


def test_zoom_wipes_and_walks(studio, page, sampler):
    page.goto(f"{studio.url}/?run=cats&screen=compare")
    until_shown(page, "left", 0, colour(0, 0, 100, 0))
    page.locator(".mm-compare .pair").nth(15).click()
    zoom = page.locator("dialog.mm-zoom")
    expect(zoom.locator("h2")).to_have_text("Seed 15")
    assert zoom.locator(".big.right img").evaluate(MIDDLE) == list(colour(0, 40, 100, 15))
    page.keyboard.press("ArrowRight")
    expect(zoom.locator("h2")).to_have_text("Seed 0")  # round to the first
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(zoom.locator("h2")).to_have_text("Seed 14")
    wipe = zoom.get_by_label("How much of each side is seen")
    wipe.focus()
    page.keyboard.press("End")
    expect(zoom.locator("h2")).to_have_text("Seed 14")  # keys on the slider move the line, not the seed
    clip = "e => getComputedStyle(e).clipPath"
    assert re.fullmatch(r"inset\(0px( 0% 0px 0px)?\)", zoom.locator(".big.left").evaluate(clip))
    page.keyboard.press("Home")
    assert zoom.locator(".big.left").evaluate(clip) == "inset(0px 100% 0px 0px)"
    page.keyboard.press("Escape")
    expect(zoom).to_be_hidden()


def test_what_is_seen_is_what_is_exported_and_any_weights_take_the_left(studio, page, sampler):
    run = write_run(studio.runs / "owls", iterations=12, prompts=("cat",))
    lora = {f"lora/transformer_blocks.0.attn.to_q.lora_{side}.default.weight": np.ones((32, 8) if side == "A" else (8, 32), np.float32) for side in "AB"}
    for iteration in (10, 12):
        checkpoints.save(run, iteration, lora, {}, keep=9)
    page.goto(f"{studio.url}/?run=owls&screen=compare&checkpoint=10&strength=65")
    until_shown(page, "right", 3, colour(0, 10, 65, 3))
    page.get_by_role("button", name="Export LoRA").click()
    box = page.get_by_role("dialog", name="Export LoRA of owls")
    expect(box.get_by_label("Weights of")).to_have_value("10")
    expect(box.get_by_label("Strength")).to_have_value("0.65")
    box.get_by_label("Strength").fill("7")
    box.get_by_role("button", name="Download").click()
    expect(box.get_by_role("alert")).to_have_text("7 is out of range. Use 0 to 1.5.")
    box.get_by_label("Strength").fill("0.65")
    with page.expect_download() as download:
        box.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "owls-10-x0.65-comfy.safetensors"
    expect(page.locator(".mm-compare .words")).to_contain_text("Saved owls-10-x0.65-comfy.safetensors, ")

    page.get_by_label("Left side").select_option("run:cats")  # first its newest weights, then any that it has
    until_shown(page, "left", 3, colour(0, 40, 100, 3))
    page.get_by_label("Left side").select_option("run:cats:20")
    until_shown(page, "left", 3, colour(0, 20, 100, 3))
    expect(page.get_by_label("Right side").locator("option:checked")).to_have_text("owls at 10")  # with two runs on the screen both are named
    page.locator(".mm-compare .pair").nth(3).click()
    names = page.locator("dialog.mm-zoom .zc b")
    expect(names).to_have_text(["cats, iteration 20", "owls, iteration 10"])
    page.keyboard.press("Escape")
    page.reload()
    until_shown(page, "left", 3, colour(0, 20, 100, 3))
    expect(page.get_by_label("Left side")).to_have_value("run:cats:20")
    page.get_by_label("LoRA strength", exact=True).press("Home")
    expect(page.get_by_role("button", name="Export LoRA")).to_be_disabled()


APART = """() => [...document.querySelectorAll('.mm-compare .pair')].map((pair) => {
  const box = (side, part) => pair.querySelector(`.cap.${side} ${part}`).getBoundingClientRect();
  const whole = [...pair.querySelectorAll('.cap')].every((cap) => cap.scrollWidth <= cap.clientWidth);
  return whole ? box('right', '.gl').left - box('left', '.rw').right : -1;
})"""
INSIDE = """() => [...document.querySelectorAll('.mm-compare :is(.prw, .prh)')].every((row) => [...row.children].every((cell) => cell.getBoundingClientRect().right <= row.getBoundingClientRect().right + 0.5))"""


def test_captions_keep_apart_and_tables_keep_inside_in_every_window(studio, page):
    run = write_run(studio.runs / "apart", iterations=12)
    checkpoints.save(run, 10, {"lora/x": np.zeros(1, np.float32)}, {}, keep=9)
    with compare.Store(run) as store:
        for side in (compare.BASE, (10, 100)):
            store.add(0, side, [{**drawn(0, side, seed), "reward": -8.88, "look": -1 if seed % 2 else 0} for seed in range(16)])
    page.goto(f"{studio.url}/?run=apart&screen=compare")
    expect(page.locator(".mm-compare .pair .cap.right .rw").last).to_have_text("−8.88", timeout=15000)
    for width in (1440, 1401, 1400, 1280, 1151, 1024):
        page.set_viewport_size({"width": width, "height": 768})
        page.wait_for_timeout(200)
        assert min(page.evaluate(APART)) >= 10, width
        assert page.evaluate(INSIDE), width
    page.set_viewport_size({"width": 1440, "height": 900})


def test_with_all_pictures_there_only_the_measures_are_waited_for(studio, page):
    import psutil

    run = write_run(studio.runs / "busy", iterations=12, state="running", pid=psutil.Process().pid)
    checkpoints.save(run, 10, {"lora/x": np.zeros(1, np.float32)}, {}, keep=9)
    with compare.Store(run) as store:
        for side in (compare.BASE, (10, 100)):
            store.add(0, side, [drawn(0, side, seed) for seed in range(16)])
    page.goto(f"{studio.url}/?run=busy&screen=compare")
    until_shown(page, "right", 0, colour(0, 10, 100, 0))
    expect(page.locator(".mm-compare .words")).to_have_text("Measures after iteration 13")
    expect(page.get_by_role("button", name="Measure all")).to_be_hidden()  # there is one prompt, and its turn comes unasked


def test_changes_are_those_of_the_numbers_that_are_shown(studio, page, sampler, monkeypatch):
    """0.004 to 0.006 reads 0.00 to 0.01: the change reads 0.01, and 1.14 to 1.26, which read 1.1 and 1.3, differ by 0.2."""
    import fake_sampler

    for file in (studio.runs / "cats").glob("compare.db*"):
        file.unlink()
    drawn, measured = fake_sampler.drawn, fake_sampler.measured
    monkeypatch.setattr(fake_sampler, "drawn", lambda p, where, seed: drawn(p, where, seed) | {"reward": 0.006 if where[0] else 0.004})
    monkeypatch.setattr(fake_sampler, "measured", lambda p, where: measured(p, where) | {"reward": 0.006 if where[0] else 0.004, "looks": 1.26 if where[0] else 1.14})
    page.goto(f"{studio.url}/?run=cats&screen=compare")
    until_shown(page, "right", 5, colour(0, 40, 100, 5))
    expect(page.locator(".mm-compare .pair").nth(5).locator(".h b")).to_have_text("+0.01")
    rows = page.locator(".mm-compare .changed tbody tr")
    expect(rows.nth(0)).to_have_text("Mean reward0.000.01+0.01")
    expect(rows.nth(1)).to_have_text("Variety1.11.3+0.2")
    page.locator(".mm-compare .pair").nth(5).click()
    expect(page.locator("dialog.mm-zoom .sub")).to_contain_text("reward up 0.01")


def test_a_sampler_that_fails_says_why_and_can_be_tried_again(studio, page, sampler):
    for file in (studio.runs / "cats").glob("compare.db*"):
        file.unlink()
    sampler.fault = "model: <b>it</b> is gone."
    page.goto(f"{studio.url}/?run=cats&screen=compare")
    expect(page.locator(".mm-compare .words")).to_have_text("model: <b>it</b> is gone.", timeout=15000)
    sampler.fault = ""
    page.get_by_role("button", name="Try again").click()
    until_shown(page, "right", 0, colour(0, 40, 100, 0))


def test_while_a_run_trains_it_says_when_and_nothing_moves(studio, page, sampler):
    import psutil

    run = write_run(studio.runs / "live", iterations=12, state="running", pid=psutil.Process().pid)
    checkpoints.save(run, 10, {"lora/x": np.zeros(1, np.float32)}, {}, keep=9)
    page.goto(f"{studio.url}/?run=live&screen=compare")
    expect(page.locator(".mm-compare .words")).to_have_text("Pictures after iteration 13", timeout=15000)
    page.evaluate(WATCH)
    serving = sampler(run)  # in the trainer's place
    until_shown(page, "right", 0, colour(0, 10, 100, 0))
    expect(page.locator(".mm-compare .changed .sub").first).to_have_text("48 seeds each")
    with run.database() as db:
        db.set_status(state="running")  # a sign of life
    page.get_by_label("Right side").focus()  # as it is after a person's choice
    page.get_by_label("Right side").select_option("take")
    expect(page.locator(".mm-compare .words")).to_have_text("Pictures after iteration 13")
    file = compare.weights_file(run, 12)
    file.parent.mkdir()
    file.write_bytes(b"")
    until_shown(page, "right", 0, colour(0, 12, 100, 0))
    expect(page.get_by_label("Right side")).to_have_value("12")
    assert page.evaluate("window.moved.filter(m => m)") == []
    assert serving.is_alive()
