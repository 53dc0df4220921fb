"""Whatever a name, a prompt, a path or a run folder holds is shown as text, on every screen: nothing runs, nothing leaves its place."""

from __future__ import annotations

import json

import pytest
from fake_sampler import FakeSampler
from hostile import ARM, FOLDER, FOUND, MARKUP, NAME, RTL, fill
from hostile import LONG as LETTERS
from playwright.sync_api import expect

from core.config import RunConfig
from core.runs import compare
from studio.data import compare as compared

LONG = 30_000  # milliseconds


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    fill(runs)
    return server(runs, starter=lambda run, resume=False: None)


@pytest.fixture
def safe(page):
    """safe(): fails if anything of what was planted lives, or a box spills. Also at the end of the test."""
    page.add_init_script(ARM)
    page.on("dialog", lambda dialog: (page.wrong.append(f"dialog: {dialog.message}"), dialog.dismiss()))

    def check(*where) -> None:
        assert page.evaluate(FOUND) == [], where

    yield check
    check("at the end")


def look(page, studio, run, screen="live", more=""):
    page.goto(f"{studio.url}/?run={run}&screen={screen}{more}")
    page.wait_for_function("manymodes?.state?.head && manymodes.state.rows.length > 5", timeout=LONG)


def test_live_shows_prompts_messages_and_scores_as_text(studio, page, safe):
    look(page, studio, NAME)
    notice = page.locator(".mm-notice")
    expect(notice.locator("b")).to_contain_text(MARKUP, timeout=LONG)
    expect(notice.locator("pre")).to_contain_text(RTL)
    expect(page.locator("#mm-on")).to_have_attribute("title", f"{MARKUP} {LETTERS}")
    # however long the message: it stays on the map, its buttons in reach
    panel, box = page.locator(".mm-map").bounding_box(), notice.bounding_box()
    assert box["y"] >= panel["y"] and box["y"] + box["height"] <= panel["y"] + panel["height"]
    last = notice.get_by_role("button").last.bounding_box()
    assert last["y"] + last["height"] <= box["y"] + box["height"]
    safe("message")
    for number in "0123":
        page.locator("#mm-prompt").select_option(number)
        expect(page.locator(".mm-pictures .tile")).to_have_count(8, timeout=LONG)
        safe("prompt", number)
    expect(page.locator(".mm-pictures .sub").first).to_contain_text("iteration 10, 8 for “")
    page.locator("#mm-prompt").select_option("all")
    page.wait_for_function("manymodes.mapDrawn?.dots > 60", timeout=LONG)
    expect(page.locator(".mm-map .chip").first).to_be_visible(timeout=LONG)
    safe("all prompts")
    page.locator("#mm-prompt").select_option("0")
    page.wait_for_function("!manymodes.state.all && manymodes.mapDrawn?.dots > 60", timeout=LONG)
    # a card, with names of scores that nobody would choose
    page.locator(".mm-map .area").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".mm-live .card dl")).to_contain_text("Rank", timeout=LONG)
    page.keyboard.press("Enter")
    expect(page.locator(".mm-live .card.pinned dl")).to_contain_text("<i id=planted></i>")
    safe("card")
    page.locator(".mm-live .card.pinned").get_by_role("button", name="Open large").click()
    expect(page.locator(".mm-large")).to_be_visible(timeout=LONG)
    safe("large picture")
    page.keyboard.press("Escape")


def test_a_direction_ends_where_its_text_ends(studio, page, safe):
    """An override that is never closed turns round nothing that the studio says itself."""
    look(page, studio, "warned")
    expect(page.locator("#mm-on")).to_contain_text(f"on \u2068{RTL}\u2069, from ", timeout=LONG)
    expect(page.locator(".mm-pictures .sub").first).to_contain_text(f"for “\u2068{RTL}\u2069”", timeout=LONG)
    expect(page.locator(".mm-variety .say")).to_contain_text(f"“\u2068{RTL}\u2069”")
    # what stands left in the sentence stands left on the screen
    left = """s => { const node = document.querySelector(s).firstChild, text = node.textContent, range = document.createRange();
      return [0, text.length - 1].map(i => (range.setStart(node, i), range.setEnd(node, i + 1), range.getBoundingClientRect().left)) }"""
    first, last = page.evaluate(left, ".mm-pictures .sub")
    assert first < last
    expect(page.locator(".mm-notice p").first).to_contain_text(MARKUP)
    safe("warning")
    page.get_by_role("button", name="Dismiss").click()


def test_values_of_another_kind_than_the_trainer_writes(studio, page, safe):
    look(page, studio, "odd")
    expect(page.locator(".mm-notice")).to_contain_text("Warning at iteration 6.", timeout=LONG)
    expect(page.locator(".mm-notice p").first).to_contain_text("'html': ")
    page.wait_for_function("manymodes.mapDrawn?.dots > 20", timeout=LONG)
    expect(page.locator(".mm-pictures .tile").first).to_be_visible(timeout=LONG)
    safe("odd")


def test_compare_names_prompts_and_models_as_text(studio, page, safe, monkeypatch):
    sampler = FakeSampler()
    monkeypatch.setattr(compare, "start_sampler", sampler)
    monkeypatch.setattr(compared, "_samplers", {})
    look(page, studio, NAME, "compare")
    expect(page.locator(".mm-compare .changed h2").first).to_contain_text("What changed for “<i id=planted></i>", timeout=LONG)
    expect(page.locator(".mm-compare .prw .name", has_text="W" * 40)).to_have_count(1)
    safe("compare")
    page.locator("#mm-search").focus()
    expect(page.locator("#mm-prompts [role=option]")).to_have_count(4)
    expect(page.locator("#mm-prompts [role=option]").first).to_have_text(MARKUP)
    safe("list of prompts")
    page.keyboard.press("Escape")
    sampler.end()


def test_runs_lists_every_folder_and_asks_about_it_in_text(studio, page, safe):
    look(page, studio, "warned", "runs")
    row = page.locator(f'.mm-runs .list [data-run="{NAME}"]')
    expect(row.locator(".sub.told")).to_contain_text("<i id=planted></i>", timeout=LONG)
    # a folder that no address leads to says so, and is no trap for those who open the studio
    odd = page.locator(".mm-runs .list li", has_text="Rename it: letters, digits")
    expect(odd.locator(".name")).to_have_text(FOLDER)
    expect(odd.get_by_role("button", name="More for")).to_have_count(0)
    safe("list")
    for words in ("Delete", "Rename"):
        row.get_by_role("button", name=f"More for {NAME}").click()
        page.get_by_role("menuitem", name=words).click()
        safe(words)
        page.keyboard.press("Escape")
    page.get_by_role("button", name="Watch a folder").click()
    page.get_by_label("Folder of the run").fill(f"/{MARKUP}{RTL}{'W' * 3000}")
    page.keyboard.press("Enter")
    expect(page.locator(".mm-ask .wrong")).to_contain_text("<i id=planted></i>", timeout=LONG)
    safe("watch a folder")
    page.keyboard.press("Escape")
    for name in (NAME, "long"):
        page.locator(f'.mm-runs .list [data-run="{name}"]').get_by_role("checkbox").check()
    expect(page.locator(".mm-runs .table tbody tr")).to_have_count(2, timeout=LONG)
    safe("figure")


def test_setup_takes_every_text_as_text(studio, page, safe, tmp_path):
    page.goto(f"{studio.url}/?run=warned&screen=setup")
    expect(page.locator("#mm-start")).to_contain_text("Start training", timeout=LONG)
    own = page.locator("[data-kind=own]")
    expect(own).to_have_count(4)
    safe("cards")
    for card, title in (("one", MARKUP), ("two", f"\u2068{RTL}\u2069"), ("three", LETTERS)):
        page.locator(f"[data-kind=own][data-preset={card}]").focus()
        page.keyboard.press("Enter")
        expect(page.locator(".mm-setup .ti")).to_have_text(title)
        safe("preset", card)
    page.get_by_label("Pictures per prompt").fill("8")
    expect(page.locator(".mm-setup .ti")).to_have_text(f"{LETTERS}, 1 change")
    # Start and its reason stay in reach however wrong the model is
    page.get_by_label("Folder or hub name", exact=False).first.check()
    wrong = page.locator("[data-field=model] .wrong")
    for text, said in ((MARKUP, "<i id=planted></i>"), (LETTERS, "W" * 59 + "…"), (RTL, "\\u202eabc"), ("~nobody", "~nobody")):
        page.get_by_placeholder("folder, or owner/model").fill(text)
        expect(wrong).to_contain_text(said, timeout=LONG)
        start = page.locator("#mm-start").bounding_box()
        assert start["y"] + start["height"] < 900 - 16
        safe("model", text[:20])
    page.get_by_role("button", name="Use Emoji SD3").click()
    for name in (MARKUP[:60], RTL, "👩‍👩‍👧‍👦"):
        page.get_by_label("Name of the run").fill(name)
        expect(page.locator("[data-field=name] .wrong")).to_contain_text("a sign that a folder cannot carry", timeout=LONG)
        safe("name", name)
    # dialogs, and a list of prompts from a file
    page.locator("#mm-save-preset").click()
    page.get_by_label("Name of the preset").fill(MARKUP[:60])
    page.get_by_label("What it does, in a line").fill(f"{RTL}{MARKUP}"[:120])
    page.get_by_role("button", name="Save", exact=True).click()
    expect(own).to_have_count(5, timeout=LONG)
    expect(own.locator("> b").first).to_have_text(MARKUP[:60])
    safe("saved")
    page.locator("#mm-load-setup").click()
    expect(page.locator("#mm-load .one").filter(has_text="onerror").first).to_be_visible(timeout=LONG)
    safe("setups")
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(RunConfig(prompts=(MARKUP, RTL, LETTERS, "{{7*7}}")).to_yaml())
    page.locator("#mm-load input[type=file]").set_input_files({"name": f"{MARKUP.replace('/', '')}.yaml", "mimeType": "text/yaml", "buffer": prompts.read_bytes()})
    expect(page.get_by_label("Prompts, one a line")).to_have_value("\n".join((MARKUP, RTL, LETTERS, "{{7*7}}")), timeout=LONG)
    expect(page.locator(".mm-setup .ti")).to_have_text(f"{MARKUP.replace('/', '')}.yaml")
    safe("file")
    assert json.loads(page.evaluate("sessionStorage.getItem('manymodes.draft')"))["values"]["prompts"][0] == MARKUP


def test_an_address_full_of_markup_opens_nothing(studio, page, safe):
    page.goto(studio.url)  # the address is read by scripts, so it is given by one
    page.evaluate("text => location.assign('/?' + new URLSearchParams(Object.fromEntries(['run', 'screen', 'prompt', 'it', 'sel', 'step', 'other', 'left'].map(k => [k, text]))))", MARKUP)
    expect(page.locator("#mm-state .word")).to_be_visible(timeout=LONG)
    page.wait_for_function("manymodes?.state?.head && !manymodes.state.run.includes('<')", timeout=LONG)
