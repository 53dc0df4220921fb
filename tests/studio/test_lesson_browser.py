"""The Lesson in Chromium: first start, six steps by keys, present mode at a projector's size, notes, and back to one's own run."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect
from sample_run import write_run

from studio.data import lesson


# names of the views that can be seen; the dials of the fourth step belong to its chart
SEEN = """() => {
    const seen = (n) => n && n.getClientRects().length && getComputedStyle(n).visibility === 'visible';
    return ['.mm-map', '.mm-pictures', '.mm-variety', '.mm-beside', '.mm-shares', '.mm-hold', '.pairs'].filter((n) => seen(document.querySelector('.mm-lesson ' + n)));
}"""


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    write_run(runs / "mine", iterations=6)
    return server(runs)


@pytest.fixture
def steps() -> list[dict]:
    return lesson.lesson()["steps"]


def key(page, name, times=1):
    for _ in range(times):
        page.keyboard.press(name)


def title(page):
    return page.locator(".mm-lesson h1")


def test_the_first_start_opens_the_first_step_and_space_walks_to_the_end(studio, page, steps):
    page.goto(studio.url)
    expect(title(page)).to_have_text(steps[0]["title"], timeout=15000)
    expect(page.locator("#mm-state")).to_contain_text("Replay")
    expect(page.locator(".mm-lesson .mm-map .chip")).to_have_count(len([c for c in lesson.read("collapse").looks if c["share"] > 0.02]), timeout=10000)
    expect(page.locator(".mm-lesson .chips")).to_have_css("visibility", "hidden")
    key(page, " ")
    expect(page.locator(".mm-lesson .chips")).to_have_css("visibility", "visible")
    expect(page.locator(".mm-lesson .sentence")).to_have_text(steps[0]["after"])
    key(page, " ")

    # the second step plays to the end of the collapse, and no further; nothing says a verdict yet
    expect(title(page)).to_have_text(steps[1]["title"])
    page.emulate_media(reduced_motion="no-preference")
    key(page, " ")
    expect(page.locator(".mm-lesson .sentence")).to_have_text(steps[1]["after"], timeout=20000)
    assert page.evaluate("[manymodes.state.iteration ?? manymodes.state.head.newest, manymodes.state.head.newest]") == [steps[1]["to"]] * 2
    assert not page.locator(".mm-lesson .mm-variety").is_visible()
    key(page, " ")

    # the third shows it only when asked
    expect(title(page)).to_have_text(steps[2]["title"])
    assert not page.locator(".mm-lesson .verdict").is_visible()
    key(page, " ")
    expect(page.locator(".mm-lesson .verdict")).to_be_visible()
    expect(page.locator(".mm-lesson .marks span")).to_have_text([f"{m['word']} {m['iteration']}" for m in steps[2]["marks"]])
    key(page, "ArrowRight")

    # the fourth: the dial is seen, greyed; the rest of the run is known only once it plays
    dials = page.locator(".mm-lesson .mm-dials output")
    expect(dials).to_have_text([f"{d['old']:.{d['digits']}f}" for d in steps[3]["dials"]])
    expect(page.locator(".mm-lesson .mm-dials input:enabled")).to_have_count(0)
    page.wait_for_function(f"manymodes.state.head?.newest === {steps[3]['until']} && !manymodes.state.head.turns.length")
    expect(page.locator(".mm-lesson .mm-shares .sub").first).to_have_text("")  # of no pictures nothing is said
    key(page, " ")
    expect(dials).to_have_text([f"{d['new']:.{d['digits']}f}" for d in steps[3]["dials"]], timeout=20000)
    page.wait_for_function(f"manymodes.state.head.newest === {steps[3]['to']}")
    # no chart tells what has not been played yet
    label = page.locator(".mm-lesson .mm-shares svg[role=img]").get_attribute("aria-label")
    assert int(re.search(r"at iteration (\d+)", label)[1]) < steps[3]["to"]
    expect(page.locator(".mm-lesson .mm-beside svg")).to_have_attribute("aria-label", re.compile(f"reward alone ended with {steps[3]['beside']['path'][-1][1]:.1f}"))
    # it can stand still on the way, and goes on from there
    key(page, " ")
    expect(page.locator("#mm-onward .word")).to_have_text("Go on")
    stood = page.evaluate("manymodes.state.iteration")
    key(page, " ")
    expect(page.locator("#mm-onward .word")).to_have_text("Pause")
    page.wait_for_function(f"manymodes.state.iteration === {stood} + 1")
    key(page, "ArrowRight")  # on, also while it plays

    # the fifth: the schedule map, without and with the leash
    read = page.locator(".mm-lesson .mm-hold .read")
    expect(read).to_contain_text("no leash", timeout=10000)
    key(page, " ")
    expect(read).to_contain_text("the leash held", timeout=10000)
    key(page, " ")

    # the sixth: pairs of the same seeds
    expect(page.locator(".mm-lesson .pair")).to_have_count(24)
    assert not page.locator(".mm-lesson .tuned img").first.is_visible()
    key(page, " ")
    picture = page.locator(".mm-lesson .tuned img").first
    expect(picture).to_be_visible()
    assert picture.evaluate("async i => { await i.decode(); return i.naturalWidth }") == 64

    # then Setup, with the demo chosen
    page.locator("#mm-try-live").click()
    expect(page.locator("[data-preset=collapse-demo]")).to_have_attribute("aria-checked", "true")
    expect(page.locator("#mm-start")).to_be_visible()
    expect(page.locator("#mm-run")).to_have_value("mine")  # one's own run is back


def test_one_s_own_run_waits_where_it_was(studio, page):
    page.goto(f"{studio.url}/?run=mine&screen=live&it=3")
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=15000)
    key(page, "5")
    expect(page.locator("#mm-state")).to_contain_text("Replay", timeout=10000)
    assert page.locator(":is(#mm-pause, #mm-stop, #mm-resume):visible").count() == 0
    key(page, "ArrowRight", 4)
    expect(page).to_have_url(re.compile("screen=lesson.*step=5"))
    key(page, "ArrowLeft")
    expect(page).to_have_url(re.compile("step=4"))
    page.reload()
    expect(page.locator(".mm-lesson .count")).to_have_text("4 of 6", timeout=15000)
    page.goto(f"{studio.url}/?run=mine&screen=live&it=3")
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=15000)
    key(page, "5")
    expect(page.locator("#mm-state")).to_contain_text("Replay", timeout=10000)
    key(page, "2")
    expect(page.locator("#mm-run")).to_have_value("mine")
    expect(page).to_have_url(re.compile("run=mine&screen=live&it=3"))


def test_present_mode_fits_a_projector(studio, page, steps):
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto(f"{studio.url}/?screen=lesson")
    expect(title(page)).to_have_text(steps[0]["title"], timeout=15000)
    plain = page.locator(".mm-lesson .sentence").evaluate("n => parseFloat(getComputedStyle(n).fontSize)")
    key(page, "p")
    assert page.locator(".mm-lesson .sentence").evaluate("n => parseFloat(getComputedStyle(n).fontSize)") == 1.25 * plain
    for number in range(6):
        expect(title(page)).to_have_text(steps[number]["title"])
        for done in (False, True):
            if done and steps[number]["action"]["kind"] == "play":
                continue
            if done:
                page.locator("#mm-onward").click()
            page.wait_for_function(f"({SEEN})().length === 1", timeout=10000)  # the schedule map comes when the server has answered
            assert page.locator(".mm-lesson kbd:visible").count() == 0
            over, wide = page.evaluate("[document.querySelector('.mm-lesson .words'), document.documentElement].map((n, i) => i ? n.scrollWidth : n.scrollHeight - n.clientHeight)")
            assert over <= 0 and wide <= 1280, (number, done)
        key(page, "ArrowRight")
    key(page, "Escape")
    expect(page.locator("#mm-onward, #mm-try-live").first).to_be_attached()
    assert not page.locator(".mm-lesson.presenting").count()


def test_notes_follow_in_a_second_window(studio, page, steps):
    page.goto(f"{studio.url}/?screen=lesson&step=2")
    expect(title(page)).to_have_text(steps[1]["title"], timeout=15000)
    with page.expect_popup() as opened:
        page.locator("#mm-notes").click()
    notes = opened.value
    expect(notes.locator("h1")).to_have_text(steps[1]["title"])
    expect(notes.locator("li")).to_have_text(steps[1]["notes"])
    notes.keyboard.press("ArrowRight")  # the second window drives the first
    expect(title(page)).to_have_text(steps[2]["title"])
    expect(notes.locator("h1")).to_have_text(steps[2]["title"])
    notes.close()
    key(page, "ArrowRight")
    expect(title(page)).to_have_text(steps[3]["title"])


def test_ids_stay_unique(studio, page):
    page.goto(f"{studio.url}/?screen=lesson")
    expect(title(page)).to_be_visible(timeout=15000)
    doubles = page.evaluate("[...document.querySelectorAll('.mm [id], .mm[id]')].map((n) => n.id).filter((id, i, all) => all.indexOf(id) !== i && !/^mm-(mini|soft)$/.test(id))")
    assert doubles == []
