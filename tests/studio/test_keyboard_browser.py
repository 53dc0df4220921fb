"""The whole way without a mouse, from the first page to an exported LoRA; the focus is seen, goes round and comes back."""

from __future__ import annotations

import re

import pytest
from chromium import FakeTrainer
from fake_sampler import FakeSampler
from focus import cycle, tab_to
from playwright.sync_api import expect
from safetensors.numpy import load
from sample_run import LORA, write_run

from core.runs import checkpoints, compare, folder

LONG = 30_000  # milliseconds
FOCUSED = "s => document.activeElement?.matches(s) ?? false"


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    trainer = FakeTrainer(FAKE_PACE="0.3")
    runs = tmp_path_factory.mktemp("runs")
    run = write_run(runs / "done", iterations=20, end=40, prompts=("cat", "dog"), group_size=8, base_pictures=40)
    checkpoints.save(run, 20, LORA, {}, keep=5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare, "start_sampler", FakeSampler())
        serving = server(runs, starter=trainer)
        trainer(folder.create(runs / "live", run.config().with_changes(iterations=5000)))
        yield serving
    trainer.end()


@pytest.fixture
def keys(page):
    """A page that no mouse can reach: every click, press and move that did not come from the keyboard counts."""
    page.add_init_script(
        """window.mice = 0;
        for (const kind of ['pointerdown', 'mousedown', 'pointermove', 'wheel', 'touchstart']) addEventListener(kind, () => window.mice++, true);"""
    )
    return page


def test_from_an_open_page_to_an_exported_lora_without_a_mouse(studio, keys):
    page, press = keys, keys.keyboard.press
    page.goto(studio.url)
    expect(page.locator("#tab-lesson-button")).to_have_attribute("aria-selected", "true", timeout=LONG)
    press("1")
    expect(page.locator("#mm-start")).to_contain_text("Start training", timeout=LONG)

    # choose a preset, name the run, change a dial in a folded group
    tab_to(page, "[aria-label='Name of the run']")
    page.keyboard.type("by-keys")
    tab_to(page, "[role=radio][data-preset]")
    for _ in range(4):
        if page.evaluate(FOCUSED, "[data-preset=diverse-grpo]"):
            break
        press("ArrowRight")
    expect(page.locator("[data-preset=diverse-grpo]")).to_have_attribute("aria-checked", "true")
    tab_to(page, "[aria-label='Pictures per prompt']")
    page.keyboard.type("8")  # takes the place of what was selected by coming here
    tab_to(page, ".acc summary")
    expect(page.locator(".acc details").first).not_to_have_attribute("open", "")
    press("Enter")
    tab_to(page, "[aria-label='Diversity bonus']")
    page.keyboard.type("0.8")
    expect(page.locator(".mm-setup .ti")).to_have_text("DiverseGRPO, 2 changes")
    tab_to(page, "#mm-start")
    expect(page.locator("#mm-start")).to_contain_text("Start training")
    press("Enter")

    # watch: the page is on Live, a look at the map, a dial, a picture
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    page.wait_for_function("manymodes.state.rows.length > 4 && manymodes.mapDrawn?.dots > 40", timeout=LONG)
    run = folder.Run(studio.runs / "by-keys")
    assert (run.config().creative_beta, run.config().group_size) == (0.8, 8)
    tab_to(page, ".mm-map .area")
    press("ArrowDown")
    expect(page.locator(".mm-live .card")).to_contain_text("Rank", timeout=LONG)
    press("Enter")
    expect(page.locator(".mm-live .card.pinned")).to_be_visible()
    press("Escape")
    expect(page.locator(".mm-live .card")).to_be_hidden()
    tab_to(page, ".mm-dials [data-dial=creative_beta] input[type=range]")
    press("ArrowRight")
    expect(page.locator("[data-dial=creative_beta] .note")).to_contain_text(re.compile(r"In force since iteration \d+"), timeout=LONG)
    press("Shift+S")
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=LONG)

    # export
    press("4")
    row = page.locator('.mm-runs .list [data-run="by-keys"]')
    expect(row).to_contain_text("Stopped", timeout=LONG)
    more = "[aria-label='More for by-keys']"
    tab_to(page, more)
    press("Enter")
    for _ in range(12):
        if page.evaluate("document.activeElement.textContent") == "Export LoRA":
            break
        press("ArrowDown")
    press("Enter")
    expect(page.locator(".mm-ask")).to_be_visible()
    tab_to(page, ".mm-ask [type=submit]", most=12)
    with page.expect_download() as download:
        press("Enter")
    tensors = load(download.value.path().read_bytes())  # an independent reader: it is safetensors
    assert "lora_unet_joint_blocks_0_x_block_attn_qkv.alpha" in tensors
    expect(page.locator(".mm-ask")).to_have_count(0)
    page.wait_for_function(FOCUSED, arg=more, timeout=LONG)
    assert page.evaluate("window.mice") == 0


IN_ORDER = {
    "setup": ["Run", "Name of the run", "Load a setup", "Collapse demo", "Prompts, one a line", "Pictures per prompt", "Add a reward", "Dials", "Iterations", "Start training"],
    "live": ["Run", "Map", "Prompt", "Lasso", "Iteration", "Follow", "Diversity bonus, number", "Diversity bonus", "Leash length, number", "Training window"],
    "compare": ["Run", "Prompt", "First seed", "LoRA strength", "Left side", "Right side"],
    "runs": ["Run", "Watch a folder", "Chart done", "More for done"],
    "lesson": [],
}


def test_the_focus_is_seen_at_every_stop_in_order_and_comes_round(studio, page):
    page.goto(f"{studio.url}/?run=live&screen=setup")
    expect(page.locator("#mm-start")).to_contain_text("Start training", timeout=LONG)
    page.wait_for_function("manymodes.state.rows.length > 3", timeout=LONG)
    unseen = []
    for screen, order in IN_ORDER.items():
        page.locator(f"#tab-{screen}-button").focus()
        page.keyboard.press("Enter")
        page.wait_for_function("s => manymodes.state.screen === s && document.querySelector(`.mm-${s}`).childElementCount > 1", arg=screen, timeout=LONG)
        if screen == "runs":
            expect(page.locator('.mm-runs .list [data-run="done"]')).to_be_visible(timeout=LONG)
        stops = cycle(page)
        names = [s["what"] for s in stops]
        unseen += [(screen, s["what"], s["sides"], s["outline"]) for s in stops if not s["inked"] or s["sides"] < 3]
        rest = iter(names)
        assert all(any(name.startswith(wanted) for name in rest) for wanted in order), (screen, order, names)
        # and back again
        before, _, back = (page.keyboard.press(key) or page.evaluate_handle("document.activeElement") for key in ("Tab", "Tab", "Shift+Tab"))
        assert page.evaluate("([a, b]) => a === b", [before, back]), screen
    assert unseen == []
    # the ring of a track is around its thumb, where no style can be asked for: it shows on the picture
    page.keyboard.press("2")
    tab_to(page, "[data-dial=creative_beta] input[type=range]")
    track = page.locator("[data-dial=creative_beta] input[type=range]")
    ringed = track.screenshot()
    page.keyboard.press("Tab")
    assert track.screenshot() != ringed


DIALOGS = (  # screen, what opens it, the dialog
    ("setup", "#mm-load-setup", "#mm-load"),
    ("live", "[aria-label='Keyboard shortcuts']", "#mm-keys"),
    ("runs", ".mm-runs .watch", ".mm-ask"),
)


def test_escape_closes_every_dialog_and_gives_the_focus_back(studio, page):
    page.goto(f"{studio.url}/?run=done&screen=setup")
    expect(page.locator("#mm-start")).to_contain_text("Start training", timeout=LONG)
    page.get_by_label("Pictures per prompt").fill("12")
    for screen, opener, dialog in (*DIALOGS, ("setup", "#mm-save-preset", "#mm-save")):
        page.locator(f"#tab-{screen}-button").focus()
        page.keyboard.press("Enter")
        page.locator(opener).focus()
        page.keyboard.press("Enter")
        expect(page.locator(dialog)).to_be_visible(timeout=LONG)
        assert page.evaluate("d => document.querySelector(d).contains(document.activeElement)", dialog), dialog
        for _ in range(4):  # the page behind is out of reach
            page.keyboard.press("Tab")
            assert page.evaluate("d => document.activeElement === document.body || document.querySelector(d).contains(document.activeElement)", dialog), dialog
        page.keyboard.press("Escape")
        expect(page.locator(f"{dialog}[open]")).to_have_count(0)
        page.wait_for_function(FOCUSED, arg=opener, timeout=LONG)
    # a menu, and the questions behind it
    more = "[aria-label='More for done']"
    page.locator("#tab-runs-button").focus()
    page.keyboard.press("Enter")
    page.locator(more).focus()
    for words, dialog in (("", ""), ("Export LoRA", ".mm-ask"), ("Delete", ".mm-ask")):
        page.keyboard.press("Enter")
        expect(page.locator(".mm-menu")).to_be_visible()
        if words:
            for _ in range(12):
                if page.evaluate("document.activeElement.textContent") == words:
                    break
                page.keyboard.press("ArrowDown")
            page.keyboard.press("Enter")
            expect(page.locator(dialog)).to_be_visible(timeout=LONG)
        page.keyboard.press("Escape")
        expect(page.locator(".mm-menu:popover-open, .mm-ask[open]")).to_have_count(0)
        page.wait_for_function(FOCUSED, arg=more, timeout=LONG)
    # a name that is being changed
    for key in ("Enter", "End", "ArrowUp", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    page.wait_for_function(FOCUSED, arg="[aria-label='New name of done']", timeout=LONG)
    page.keyboard.press("Escape")
    page.wait_for_function(FOCUSED, arg="[data-run=done] .name", timeout=LONG)
