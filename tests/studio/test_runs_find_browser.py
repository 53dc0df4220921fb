"""Looking for runs among many, in a real browser: words, state, order, and the way to them by keys."""

from __future__ import annotations

import os
import shutil
import time

import pytest
from playwright.sync_api import expect
from sample_run import write_run

from core.runs.folder import Run

NAMES = ["cat-10", "cat-9", "dog", "owl"]  # as made, newest first


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    written = write_run(runs / "cat-10", iterations=8, end=20)
    for name in NAMES[1:]:
        shutil.copytree(written.path, runs / name)
    for age, name in enumerate(NAMES):
        os.utime(runs / name / "config.yaml", (time.time() - 60 * age,) * 2)
    with Run(runs / "dog").database() as db:
        db.set_status(state="failed", message="no memory")
    return server(runs, starter=lambda run, resume=False: None)


def test_words_state_and_order_narrow_the_list(studio, page):
    page.goto(f"{studio.url}/?screen=runs")
    shown = page.locator(".mm-runs .list .name")
    expect(shown).to_have_text(NAMES, timeout=20000)
    page.locator('.mm-runs [data-run="owl"]').get_by_role("checkbox").check()

    page.keyboard.press("/")
    search = page.get_by_label("Search runs")
    expect(search).to_be_focused()
    page.keyboard.type("CAT")
    expect(shown).to_have_text(NAMES[:2])
    expect(page.locator(".mm-runs .count")).to_contain_text("2 of 4 runs, ")
    page.get_by_label("Order").select_option("name")
    expect(shown).to_have_text(["cat-9", "cat-10"])  # numbers as numbers
    expect(page.locator(".mm-runs .table tbody tr")).to_have_count(1)  # what is not listed stays in the figure
    search.press("ArrowDown")
    expect(shown.first).to_be_focused()

    page.reload()  # it outlives one
    expect(shown).to_have_text(["cat-9", "cat-10"], timeout=20000)
    page.get_by_label("State").select_option("wrong")
    expect(page.get_by_text("No run matches.")).to_be_visible()
    page.keyboard.press("/")
    page.keyboard.press("Escape")
    expect(shown).to_have_text(["dog"])
    page.get_by_label("State").select_option("finished")
    page.get_by_role("button", name="Show all").click()
    expect(shown).to_have_text(["cat-9", "cat-10", "dog", "owl"])
    page.locator('.mm-runs [data-run="owl"]').get_by_role("button", name="More for owl").click()
    page.get_by_role("menuitem", name="Open in Compare").click()
    page.wait_for_function("manymodes.state.screen === 'compare' && manymodes.state.run === 'owl'")
