"""The left column of Live in a real browser: drawing around dots, the card, all prompts, sampling, and that nothing moves."""

from __future__ import annotations

import json
import math
import re

import pytest
from chromium import FakeTrainer
from PIL import Image
from playwright.sync_api import expect
from sample_run import write_run

from core.config import RunConfig
from core.runs import folder

WATCH = """() => {
  window.shifts = [];
  new PerformanceObserver(list => { for (const e of list.getEntries())
    window.shifts.push([e.value, ...e.sources.map(s => (s.node?.outerHTML ?? s.node?.parentNode?.outerHTML ?? '?').slice(0, 120))]);
  }).observe({type: 'layout-shift', buffered: false});
}"""
# polls until so many of them have brought a new iteration; tests/bench/seen.py does it a hundred times
UPDATES = """async (wanted) => {
  const store = await import(manymodes.files + 'lib/store.js');
  let seen = store.newest(), updates = 0;
  const end = performance.now() + 60000;
  while (updates < wanted && performance.now() < end) {
    await store.poll();
    await new Promise(requestAnimationFrame);
    if (store.newest() > seen) updates++;
    seen = store.newest();
  }
  return updates;
}"""
SCRUB = """async () => {
  const store = await import(manymodes.files + 'lib/store.js');
  const last = store.newest(), step = Math.max(1, Math.floor(last / 100));
  for (let i = 0; i <= last; i += step) {
    store.view({ iteration: i });
    await new Promise(requestAnimationFrame);
  }
  return last;
}"""


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    serving = server(tmp_path_factory.mktemp("runs"), starter=FakeTrainer())
    write_run(serving.runs / "animals", iterations=24, prompts=("cat", "dog"), turn_at=12)
    return serving


def opened(page, url, dots=300):
    page.goto(url)
    page.wait_for_function(f"window.manymodes?.mapDrawn?.dots >= {dots}", timeout=20000)
    expect(page.locator(".mm-pictures .tile").first).to_be_visible()


def places(page):
    """Pixels of the dots on the map, with id, look and iteration."""
    return page.evaluate(
        """async () => {
          const { seen } = await import(manymodes.files + 'views/map/lasso.js');
          const { Frame } = await import(manymodes.files + 'views/mapframe.js');
          const { state, looksOf } = await import(manymodes.files + 'lib/store.js');
          const area = document.querySelector('.mm-map .area'), frame = new Frame();
          frame.measure(state.base, looksOf().map(l => l.look), 'look', area.clientWidth, area.clientHeight);
          return seen().map(d => ({ id: d.id, look: d.look, iteration: d.iteration, at: frame.place(d.x, d.y) }));
        }"""
    )


def draw_around(page, x, y, radius):
    box = page.locator(".mm-map .area").bounding_box()
    for i in range(25):
        angle = i / 24 * 2 * math.pi
        page.mouse.move(box["x"] + x + radius * math.cos(angle), box["y"] + y + radius * math.sin(angle))
        if i == 0:
            page.mouse.down()
    page.mouse.up()


def test_draw_around_dots_and_keep_them(studio, page):
    opened(page, f"{studio.url}/?run=animals&screen=live")
    dots = places(page)
    x, y = dots[-1]["at"]
    wanted = {d["id"] for d in dots if math.hypot(d["at"][0] - x, d["at"][1] - y) < 70}
    clear_of_the_line = {d["id"] for d in dots if abs(math.hypot(d["at"][0] - x, d["at"][1] - y) - 70) > 3}
    page.keyboard.press("l")
    draw_around(page, x, y, 70)
    expect(page.locator(".mm-pictures h2")).to_have_text("Selection")
    chosen = set(page.evaluate("manymodes.state.sel.ids"))
    assert chosen & clear_of_the_line == wanted & clear_of_the_line and chosen
    expect(page.locator(".mm-pictures .sub").first).to_contain_text(f"{len(chosen)} / 192 pictures")

    # an empty corner takes nothing, and says so
    draw_around(page, 20, 20, 8)
    expect(page.locator(".mm-map .told")).to_have_text("No dots inside. Draw around some.")
    expect(page.locator(".mm-pictures h2")).to_have_text("Newest pictures")

    # the selection is in the address; another page shows the same
    draw_around(page, x, y, 70)
    expect(page.locator(".mm-pictures h2")).to_have_text("Selection")
    page.reload()
    expect(page.locator(".mm-pictures .sub").first).to_contain_text(f"{len(chosen)} / 192 pictures", timeout=15000)
    expect(page.locator(".mm-pictures .tile")).to_have_count(min(len(chosen), 128))

    page.locator("#mm-keep").click()
    expect(page.locator("#mm-grids")).to_have_text("Kept 1")
    kept = list((studio.runs / "animals" / "grids").glob("*.png"))
    assert len(kept) == 1 and set(json.loads(Image.open(kept[0]).text["manymodes:picture_id"])) == chosen
    page.locator("#mm-grids").click()
    row = page.locator(".mm-kept .grid")
    expect(row).to_contain_text(f"{len(chosen)} pictures for cat")
    assert row.locator("img").evaluate("async i => { await i.decode(); return i.naturalWidth }") > 300
    page.keyboard.press("Escape")
    expect(page.locator(".mm-pictures h2")).to_have_text("Selection")  # Esc closed the list, no more
    # deleting cannot be undone: the first press only asks
    page.locator("#mm-grids").click()
    row.get_by_role("button", name="Delete").click()
    assert kept[0].exists()
    row.get_by_role("button", name="Delete for good").click()
    expect(page.locator("#mm-grids")).to_be_hidden()
    assert not kept[0].exists()
    page.keyboard.press("Escape")
    expect(page.locator(".mm-pictures h2")).to_have_text("Newest pictures")
    assert "sel=" not in page.url


def test_by_keyboard_from_a_look_to_a_pinned_picture_and_on_to_compare(studio, page):
    # Compare itself has its own tests; here it must not start a sampler with a real model
    page.route(re.compile("/api/runs/animals/compare"), lambda route: route.fulfill(status=404, json={"error": "not here", "field": None}))
    opened(page, f"{studio.url}/?run=animals&screen=live")
    area, card = page.locator(".mm-map .area"), page.locator(".mm-map .card")
    newest = [d for d in places(page) if d["iteration"] == 24]
    looks = sorted({d["look"] for d in newest})
    area.focus()
    for look in looks[:2]:
        page.keyboard.press("ArrowDown")
        expect(card).to_contain_text(f"Look {chr(65 + look)}")
        expect(card).to_contain_text(re.compile("Rank.*of 24"))
    page.keyboard.press("ArrowUp")
    expect(card).to_contain_text(f"Look {chr(65 + looks[0])}")
    best = card.text_content()
    page.keyboard.press("ArrowRight")
    expect(card).not_to_have_text(best)
    expect(card).to_contain_text(f"Look {chr(65 + looks[0])}")
    page.keyboard.press("Enter")
    expect(card.get_by_role("button", name="Open large")).to_be_visible()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    large = page.locator("dialog.mm-large")
    expect(large).to_contain_text(re.compile("of 24, best first"))
    seed = large.locator("dd").nth(2).text_content()
    page.keyboard.press("ArrowRight")
    expect(large.locator("dd").nth(2)).not_to_have_text(seed)
    page.keyboard.press("Escape")
    expect(large).to_have_count(0)
    card.get_by_role("button", name="Find this seed in Compare").click()
    assert page.evaluate("manymodes.state.compare") == {"prompt": 0, "seed": seed}
    expect(page.locator("#tab-compare-button")).to_have_attribute("aria-selected", "true")


def test_all_prompts_layouts_and_the_table(studio, page):
    opened(page, f"{studio.url}/?run=animals&screen=live")
    assert page.evaluate("manymodes.state.base.method") == "umap"
    assert page.locator(".mm-map .at").all_text_contents() == list("ABCDEF")  # on the outlines, as in the shares
    expect(page.locator(".mm-shares .sub")).to_have_text("in the last 96 pictures")
    page.locator(".mm-map .name").click()
    page.get_by_label("PCA").check()
    page.wait_for_function("manymodes.state.base?.method === 'pca'")
    page.keyboard.press("Escape")
    page.keyboard.press("b")
    assert not page.locator("#mm-base").is_checked()

    page.select_option("#mm-ink", "prompt")  # says something only where several prompts are on the map
    page.wait_for_function("manymodes.state.base?.n === 240 && manymodes.mapDrawn.dots === 240 + 8 * 48")
    expect(page.locator("#mm-prompt")).to_have_value("all")
    expect(page.locator(".mm-map .chip")).to_have_count(2)
    assert page.locator(".mm-map .at").all_text_contents() == ["cat", "dog"]  # on the outlines
    expect(page.locator(".mm-map .chip").first).to_contain_text(re.compile(r"catvariety \d\.\d of \d\.\d"))
    expect(page.locator(".mm-pictures .sub").first).to_contain_text("48 for all prompts")
    assert "prompt=all" in page.url
    expect(page.locator(".mm-shares .sub")).to_have_text("last 96 pictures each")
    expect(page.locator(".mm-shares svg[role=img]")).to_have_attribute("aria-label", re.compile(r"1st look \d+ %, 2nd look"))
    page.reload()
    page.wait_for_function("window.manymodes?.mapDrawn?.dots === 240 + 8 * 48", timeout=15000)
    page.select_option("#mm-prompt", "1")
    expect(page.locator("#mm-ink")).to_have_value("look")
    page.wait_for_function("manymodes.state.base?.n === 120")

    expect(page.locator(".mm-map canvas")).to_have_attribute("aria-label", re.compile(r"^Map of the pictures for dog at iteration 24: look A \d+ %"))
    page.locator(".mm-map .name").click()
    page.get_by_role("button", name="Show as table").click()
    table = page.locator(".mm-map table")
    expect(table.locator("tbody tr")).to_have_count(192)
    expect(table.locator("tbody tr").first.locator("td").first).to_have_text("24")
    page.get_by_role("button", name="Show the map").click()
    expect(table).to_be_hidden()


def test_nothing_moves_during_updates_a_full_scrub_and_while_sampling(studio, page, request):
    run = folder.create(studio.runs / "live", RunConfig(prompts=("cat", "dog"), prompts_per_iteration=2, iterations=100_000, base_pictures=24))
    trainer = FakeTrainer(FAKE_PACE="0.1")
    request.addfinalizer(trainer.end)
    trainer(run)
    page.goto(f"{studio.url}/?run=live&screen=live")
    page.wait_for_function("window.manymodes?.state.head?.newest > 12 && manymodes.mapDrawn.dots > 200", timeout=20000)
    page.wait_for_timeout(500)  # the last pictures of the first filling
    page.evaluate(WATCH)
    assert page.evaluate(UPDATES, 20) == 20

    page.locator("#mm-sample").click()
    expect(page.locator(".mm-pictures h2")).to_have_text("Sampled now", timeout=8000)
    expect(page.locator(".mm-pictures .sub").first).to_have_text(re.compile(r"weights after iteration \d+"))
    expect(page.locator(".mm-pictures .tile")).to_have_count(24)
    shown = page.locator(".mm-pictures .tile").evaluate_all("tiles => tiles.map(t => Number(t.dataset.id))")
    with run.database(readonly=True) as db:
        assert {r["id"] for r in db.rows("SELECT id FROM pictures WHERE kind = 'sample'")} == set(shown)
    page.locator("#mm-clear").click()
    expect(page.locator(".mm-pictures h2")).to_have_text("Newest pictures")
    assert "weights after" not in page.locator(".mm-pictures .sub").first.inner_text()

    assert page.evaluate(SCRUB) > 20
    page.keyboard.press("f")
    page.keyboard.press("k")  # plays from the first iteration
    page.wait_for_function("manymodes.state.iteration > 4")
    page.keyboard.press("k")
    assert page.evaluate("window.shifts") == []

    # what was asked for is shown, whatever becomes of the page before and after it is there
    page.locator("#mm-pause").click()
    expect(page.locator("#mm-pause")).to_have_text("Resume", timeout=8000)
    page.locator("#mm-sample").click()
    expect(page.locator("#mm-sample")).to_have_text("Sampling")
    page.reload()
    expect(page.locator("#mm-sample")).to_have_text("Sampling", timeout=20000)
    expect(page.locator(".mm-pictures h2")).to_have_text("Pictures")
    page.locator("#mm-pause").click()
    expect(page.locator(".mm-pictures h2")).to_have_text("Sampled now", timeout=8000)
    page.reload()
    expect(page.locator(".mm-pictures h2")).to_have_text("Sampled now", timeout=20000)
    expect(page.locator("#mm-sample")).to_have_text("Sample now")
    page.locator("#mm-clear").click()
    page.reload()
    expect(page.locator(".mm-pictures .tile").first).to_be_visible(timeout=20000)
    expect(page.locator(".mm-pictures h2")).to_have_text("Pictures")


def test_sample_now_needs_a_trainer(studio, page):
    opened(page, f"{studio.url}/?run=animals&screen=live")
    expect(page.locator("#mm-sample")).to_be_disabled()
    expect(page.locator("#mm-sample")).to_have_attribute("title", "Needs a trainer. Start or resume the run.")
