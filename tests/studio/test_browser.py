"""The screens in a real browser, on a fake trainer."""

from __future__ import annotations

import re
import time

import pytest
from chromium import FakeTrainer
from playwright.sync_api import expect
from sample_run import write_run

HOSTILE = '<img src=x onerror="window.hit=1"> ${window.hit=2} {{window.hit=3}} \u202eabc'
SHIFT = """new Promise(done => {
  let sum = 0; const where = [];
  new PerformanceObserver(list => { for (const e of list.getEntries()) {
    sum += e.value;
    for (const s of e.sources) where.push((s.node?.outerHTML ?? s.node?.nodeName ?? '?').slice(0, 80));
  } }).observe({type: 'layout-shift', buffered: false});
  setTimeout(() => done([sum, where]), 3000);
})"""
PLACED = """(() => {
  const groups = [...manymodes.state.dots.groups.values()];
  return groups.filter(g => g.length === 24 && g.every(d => d.x === d.x)).length > 2;
})()"""

# Tiles that do not show the picture of their number, and requests for one picture of a tile alone.
OWN = """(async () => {
  const alone = performance.getEntriesByType('resource').map(e => e.name), wrong = [];
  const tiles = [...document.querySelectorAll('.mm-pictures .tile')];
  const bytes = async url => String(new Uint8Array(await (await fetch(url)).arrayBuffer()));
  let count = 0;
  for (const tile of tiles) {
    const own = new URL(`/api/runs/${manymodes.state.run}/thumb/${tile.dataset.id}.webp`, location).href;
    count += alone.filter(name => name.startsWith(own)).length;
    if (await bytes(tile.querySelector('img').src) !== await bytes(own)) wrong.push(tile.dataset.id);
  }
  return {tiles: tiles.length, wrong, alone: count};
})()"""


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    trainer = FakeTrainer()
    serving = server(tmp_path_factory.mktemp("runs"), starter=trainer)
    yield serving
    trainer.end()


def head(page, name):
    return page.evaluate(f"fetch('/api/runs/{name}/head').then(r => r.json())")


def test_a_run_from_start_to_stop(studio, page, browser):
    page.goto(f"{studio.url}/?screen=setup")
    start = page.locator("#mm-start")
    expect(start).to_contain_text("Start training", timeout=15000)
    page.locator("[data-preset=collapse-demo]").click()
    page.get_by_label("Name of the run").fill("first-run")

    # a wrong field is named at the field and on the button, before anything starts
    iterations = page.get_by_label("Iterations", exact=True)
    iterations.fill("0")
    expect(start).to_contain_text("Check: Iterations")
    iterations.fill("400")
    expect(start).to_contain_text("Start training")
    page.keyboard.press("Control+Enter")

    # pictures arrive
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=15000)
    expect(page.locator(".mm-pictures .tile")).to_have_count(24, timeout=10000)
    expect(page.locator(".mm-pictures .sub").first).to_contain_text(re.compile("iteration [1-9]"), timeout=10000)
    assert page.locator(".mm-pictures .tile img").first.evaluate("async i => { await i.decode(); return i.naturalWidth }") == 64
    page.wait_for_function("manymodes.mapDrawn.dots > 130")

    # the map moves from PCA to UMAP once that is there, and shows dots that were laid out after they were made
    page.wait_for_function("manymodes.state.base.method === 'umap'", timeout=10000)
    page.wait_for_function(PLACED)

    # turn beta: waits with its iteration, then in force, and a diamond on the time axis
    beta = page.get_by_label("Diversity bonus, number")
    assert float(beta.input_value()) == 0
    page.get_by_label("Diversity bonus β").focus()
    for _ in range(10):
        page.keyboard.press("ArrowRight")
    note = page.locator("[data-dial=creative_beta] .note")
    expect(note).to_contain_text(re.compile(r"0\.00 → 0\.50 from iteration \d+"))
    expect(note).to_contain_text(re.compile(r"In force since iteration \d+"), timeout=5000)
    expect(page.locator(".mm-scrubber .turn")).to_have_count(1)
    told = head(page, "first-run")
    assert told["dials"]["creative_beta"] == 0.5 and told["turns"][0]["old"] == 0

    # a reload loses nothing
    page.reload()
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=15000)
    expect(page.locator("#mm-run")).to_have_value("first-run")
    expect(page.get_by_label("Diversity bonus, number")).to_have_value("0.50")
    expect(page.locator(".mm-scrubber .turn")).to_have_count(1)

    # a second tab sees the same run and can pause it; the first tab notices
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#mm-state")).to_contain_text("Running", timeout=15000)
    other.locator("#mm-pause").click()
    expect(other.locator("#mm-state")).to_contain_text("Paus")
    expect(page.locator("#mm-state")).to_contain_text("Paused", timeout=5000)
    other.close()
    page.locator("#mm-pause").click()
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=5000)

    # nothing moves while pictures keep arriving
    before = head(page, "first-run")["iteration"]
    assert page.evaluate(SHIFT) == [0, []]
    assert head(page, "first-run")["iteration"] > before

    pressed = time.monotonic()
    page.locator("#mm-stop").click()
    expect(page.locator("#mm-state")).to_contain_text("Stopp")
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=5000)
    assert time.monotonic() - pressed < 5
    expect(page.locator("#mm-resume")).to_be_visible()


def test_hostile_text_is_only_text(studio, page):
    run = write_run(studio.runs / "hostile", iterations=6, prompts=(HOSTILE, "cat"))
    page.goto(f"{studio.url}/?run=hostile&screen=live")
    expect(page.locator(".mm-pictures .tile")).to_have_count(24, timeout=15000)
    expect(page.locator(".mm-pictures .sub").first).to_contain_text("<img src=x onerror=")
    assert HOSTILE[:40] in page.locator("#mm-prompt option").first.text_content()
    page.locator("#tab-setup-button").click()
    prompts = page.get_by_label("Prompts, one a line")
    prompts.fill(HOSTILE)
    name = page.get_by_label("Name of the run")
    name.fill("<b>${1+1}</b>")
    expect(page.locator("[data-field=name] .wrong")).to_contain_text("cannot carry")
    page.reload()
    expect(prompts).to_have_value(HOSTILE, timeout=15000)
    assert page.evaluate("window.hit") is None
    assert run.exists()


def test_a_dead_trainer_is_told_with_its_last_words(studio, page):
    run = write_run(studio.runs / "dead", iterations=30, state="failed")
    with run.database() as db:
        db.set_status(
            message="Ran out of memory while learning, iteration 31. Saved at 20.",
            remedy="Lower Pictures in flight.",
            details="Traceback: <script>window.hit=1</script>",
        )
    page.goto(f"{studio.url}/?run=dead&screen=live")
    notice = page.locator(".mm-notice")
    expect(notice).to_contain_text("Ran out of memory", timeout=15000)
    expect(notice).to_contain_text("Lower Pictures in flight.")
    expect(notice.locator("pre")).to_contain_text("<script>")
    expect(page.locator("#mm-state")).to_contain_text("Failed")
    assert page.evaluate("window.hit") is None


def test_the_past_can_be_viewed_and_linked(studio, page):
    write_run(studio.runs / "past", iterations=40, turn_at=20)
    page.goto(f"{studio.url}/?run=past&screen=live")
    expect(page.locator("#mm-follow")).to_have_attribute("aria-pressed", "true", timeout=15000)
    expect(page.locator(".mm-scrubber .at")).to_have_text("40 of 40")
    page.locator(".mm-scrubber .tl").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    expect(page.locator(".mm-scrubber .at")).to_have_text("37 of 40")
    expect(page.locator(".mm-pictures .sub").first).to_contain_text("iteration 37")
    assert "it=37" in page.url
    assert page.evaluate(OWN) == {"tiles": 24, "wrong": [], "alone": 0}
    page.reload()
    expect(page.locator(".mm-scrubber .at")).to_have_text("37 of 40", timeout=15000)
    page.keyboard.press("f")
    expect(page.locator(".mm-scrubber .at")).to_have_text("40 of 40")
    assert "it=" not in page.url
    page.keyboard.press("t")
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_a_screen_that_did_not_open_at_once_is_opened_again(studio, page):
    """Gradio builds a tab before it listens to it; on a slow computer the first press is lost."""
    page.add_init_script("""
        let lost = 0;
        addEventListener('click', (e) => { if (e.target.closest?.('#tab-runs-button') && lost++ < 2) e.stopImmediatePropagation(); }, true);
    """)
    page.goto(f"{studio.url}/?screen=runs")
    expect(page.locator("#tab-runs-button")).to_have_attribute("aria-selected", "true", timeout=15000)
    expect(page.locator(".mm-runs")).to_be_visible()
    page.locator("#tab-compare-button").click()  # and a person's press is left as it is
    page.wait_for_timeout(2500)
    expect(page.locator("#tab-compare-button")).to_have_attribute("aria-selected", "true")
