"""The Runs screen in a real browser: figure, rename, archive, delete, queue, watched folder, crash."""

from __future__ import annotations

import json
import re
import shutil

import pytest
from chromium import FakeTrainer
from playwright.sync_api import expect
from safetensors.numpy import load
from sample_run import LORA, write_run

from core.runs import checkpoints, queue
from core.runs.folder import Run

HOSTILE = '<img src=x onerror="window.hit=1"> ${window.hit=2}'


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    first = write_run(runs / "cat-01", iterations=24, end=40)
    with first.database() as db:
        db.set_status(state="failed", message=HOSTILE)
    checkpoints.save(first, 20, LORA, {}, keep=5)
    for name in ("cat-02", "cat-03"):
        shutil.copytree(first.path, runs / name)
    write_run(runs / "cat-04", iterations=24, turn_at=6, end=40)
    queue.hold(runs, True)
    trainer = FakeTrainer()
    yield server(runs, starter=trainer)
    trainer.end()


@pytest.fixture
def listed(studio, page):
    """The Runs screen, with row(name), and pick(name, words) for the row's menu."""
    page.goto(f"{studio.url}/?screen=runs")
    page.row = lambda name: page.locator(f'.mm-runs .list [data-run="{name}"]')
    expect(page.row("cat-04")).to_be_visible(timeout=20000)

    def pick(name: str, words: str) -> None:
        page.row(name).get_by_role("button", name=f"More for {name}").click()
        page.get_by_role("menuitem", name=words).click()

    page.pick = pick
    return page


def test_the_screen_of_the_address_is_opened_however_late_the_tabs_come(studio, page):
    """By then a run was found, and the address says which."""
    def late(route):
        page.wait_for_timeout(2500)
        route.continue_()

    page.route("**/assets/Blocks-*.js", late)
    page.goto(f"{studio.url}/?screen=runs", wait_until="commit")
    expect(page.locator("#tab-runs-button")).to_have_attribute("aria-selected", "true", timeout=20000)
    assert page.evaluate("manymodes.state.screen") == "runs"


def test_ticked_runs_are_drawn_and_read_at_one_reward(listed):
    page = listed
    for name in ("cat-01", "cat-04"):
        page.row(name).get_by_role("checkbox").check()
    rows = page.locator(".mm-runs .table tbody tr")
    expect(rows).to_have_count(2)
    level = page.get_by_label("Matched reward")
    before = rows.first.inner_text()
    level.focus()
    page.keyboard.press("Home")
    expect(page.locator(".mm-runs .plot svg")).to_have_attribute("aria-label", re.compile(r"At reward 0\.00: cat-01 with variety \d\.\d, cat-04"))
    assert rows.first.inner_text() != before
    page.reload()
    expect(rows).to_have_count(2, timeout=20000)  # ticks outlive a reload
    expect(page.row("cat-01")).to_contain_text("<img src=x")
    assert page.evaluate("window.hit") is None


def test_rename_archive_undo_delete_by_keyboard(listed, studio):
    page = listed
    page.pick("cat-02", "Rename")
    page.keyboard.type("cat-03")
    page.keyboard.press("Enter")
    expect(page.row("cat-02").get_by_role("alert")).to_contain_text("A run is called cat-03 already.")
    page.keyboard.press("Escape")
    expect(page.row("cat-02").get_by_role("alert")).to_have_count(0)
    page.pick("cat-02", "Rename")
    page.get_by_label("New name of cat-02").fill("dog-02")
    page.keyboard.press("Enter")
    expect(page.row("dog-02")).to_be_visible()
    expect(page.row("cat-02")).to_have_count(0)

    more = page.row("dog-02").get_by_role("button", name="More for dog-02")
    more.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")  # Archive asks nothing
    expect(page.row("dog-02")).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(page.row("dog-02")).to_be_visible()

    page.pick("dog-02", "Delete")
    sure = page.get_by_role("button", name="Delete for good")
    page.keyboard.type("dog-0")
    expect(sure).to_be_disabled()
    page.keyboard.type("2")
    page.keyboard.press("Enter")
    expect(page.row("dog-02")).to_have_count(0)
    assert not (studio.runs / "dog-02").exists() and (studio.runs / "cat-03").exists()


def test_queue_is_ordered_by_keys_and_by_dragging_and_starts_what_is_first(listed, studio):
    page = listed
    for name in ("cat-01", "cat-03", "cat-04"):
        page.pick(name, "Add to the queue")
        expect(page.row(name)).to_contain_text("Queued")
    items = page.locator(".mm-runs .queue li .name")
    page.get_by_role("button", name="Earlier cat-04").press("Enter")
    expect(items).to_have_text(["cat-01", "cat-04", "cat-03"])
    page.keyboard.press("Alt+ArrowUp")  # the focus went with it
    expect(items).to_have_text(["cat-04", "cat-01", "cat-03"])
    page.locator(".mm-runs .queue li").nth(2).drag_to(page.locator(".mm-runs .queue li").nth(0), target_position={"x": 40, "y": 4})
    expect(items).to_have_text(["cat-03", "cat-04", "cat-01"])
    assert json.loads((studio.runs / "queue.json").read_text())["runs"] == ["cat-03", "cat-04", "cat-01"]
    page.get_by_role("button", name="Take cat-04 out of the queue").click()
    page.get_by_role("button", name="Let it go on").click()
    expect(items).to_have_text(["cat-01"], timeout=10000)
    expect(page.row("cat-03")).to_contain_text(re.compile("Preparing|Running"), timeout=10000)
    page.get_by_role("button", name="Take cat-01 out of the queue").click()
    expect(page.locator(".mm-runs .queue")).to_be_hidden()


def test_crash_says_where_it_resumes_and_settings_go_to_setup(listed, studio):
    page = listed
    with Run(studio.runs / "cat-01").database() as db:
        db.set_status(state="running", pid=2**22 + 1, process_started=1.0)
    row = page.row("cat-01")
    expect(row).to_contain_text("Ended unexpectedly at 24, saved at 20", timeout=8000)
    expect(row.get_by_role("button", name="Resume from 20")).to_be_visible()
    page.evaluate("manymodes.state.draft = null")
    page.pick("cat-01", "Duplicate to Setup")
    page.wait_for_function("manymodes.state.screen === 'setup'")
    assert page.evaluate("manymodes.state.draft?.values.prompts") in (["cat"], None)  # None once Setup has taken it
    expect(page.locator(".mm-setup")).to_contain_text("A copy of cat-01")


def test_watch_and_export(listed, studio, tmp_path):
    page = listed
    far = tmp_path / "cluster" / "drift"
    shutil.copytree(studio.runs / "cat-01", far)
    page.get_by_role("button", name="Watch a folder").click()
    page.keyboard.type(str(far.parent))
    page.keyboard.press("Enter")
    expect(page.locator(".mm-ask .wrong")).to_contain_text("holds 1 runs (drift). Name one of them.")
    page.get_by_label("Folder of the run").fill(str(far))
    page.keyboard.press("Enter")
    row = page.row("drift@cluster")
    expect(row).to_contain_text("Watching, read only")
    expect(row.get_by_role("button", name="Resume")).to_have_count(0)
    page.pick("drift@cluster", "Export LoRA")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.suggested_filename == "drift-20-comfy.safetensors"
    assert "lora_unet_joint_blocks_0_x_block_attn_qkv.alpha" in load(download.value.path().read_bytes())
    page.pick("drift@cluster", "Stop watching")
    expect(row).to_have_count(0)
    assert far.exists()

