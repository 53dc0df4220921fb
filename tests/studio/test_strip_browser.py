"""The strip, the notices and the remedies in a real browser."""

from __future__ import annotations

import re
import time

import psutil
import pytest
from chromium import FakeTrainer
from playwright.sync_api import expect
from saved_run import saved_run

from core.runs import folder

LONG = 15_000


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    trainer = FakeTrainer(FAKE_PACE="0.2")
    serving = server(tmp_path_factory.mktemp("runs"), starter=trainer)
    serving.trainer = trainer
    yield serving
    trainer.end()


def made(studio, name, iterations=60, **options):
    return saved_run(studio.runs / name, iterations=iterations, **options)


def status(run, **values):
    with run.database() as db:
        db.set_status(**values)


def look(page, studio, run, screen="live"):
    page.goto(f"{studio.url}/?run={run.name}&screen={screen}")
    expect(page.locator("#mm-run")).to_have_value(run.name, timeout=LONG)


def test_every_state_has_its_own_icon_and_word(studio, page):
    run = made(studio, "states", iterations=8, saved=())
    look(page, studio, run)
    me = psutil.Process()
    seen = {}
    for state in ("preparing", "running", "paused", "sampling", "stopping", "stopped", "finished", "failed"):
        status(run, state=state, message="", pid=me.pid, process_started=me.create_time())
        expect(page.locator("#mm-state")).to_have_attribute("data-state", state, timeout=LONG)
        seen[page.locator("#mm-state .word").text_content()] = page.locator("#mm-state .ic").inner_html()
    assert list(seen) == ["Preparing", "Running", "Paused", "Sampling", "Stopping", "Stopped", "Finished", "Failed"]
    assert len(set(seen.values())) == 8


def test_rename_in_place_and_the_reason_why_not(studio, page):
    run = made(studio, "old-name", iterations=8, saved=())
    made(studio, "taken", iterations=2, saved=())
    look(page, studio, run)
    page.locator("#mm-rename-button").click()
    field = page.locator("#mm-rename")
    expect(field).to_be_focused()
    field.fill("taken")
    field.press("Enter")
    expect(page.locator("#mm-rename-told")).to_contain_text("A run is called taken already")
    field.fill("<b>x</b>")
    field.press("Enter")
    expect(page.locator("#mm-rename-told")).to_contain_text("a sign that a folder cannot carry")
    field.fill("new-name")
    field.press("Enter")
    expect(page.locator("#mm-run")).to_have_value("new-name", timeout=LONG)
    assert "run=new-name" in page.url and (studio.runs / "new-name" / "run.db").exists() and not run.path.exists()
    page.locator("#mm-rename-button").click()
    page.locator("#mm-rename").fill("other")
    page.keyboard.press("Escape")
    expect(page.locator("#mm-run")).to_have_value("new-name")
    # while a trainer has it, the name stays and the reason is said
    me = psutil.Process()
    status(folder.Run(studio.runs / "new-name"), state="running", pid=me.pid, process_started=me.create_time())
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    page.locator("#mm-rename-button").click()
    expect(page.locator("#mm-rename-told")).to_contain_text("Stop the run to rename it")
    expect(page.locator("#mm-rename")).to_be_hidden()


def test_a_late_answer_for_the_former_name_does_not_lose_the_renamed_run(studio, page):
    run = made(studio, "before", iterations=8, saved=())
    made(studio, "newer", iterations=2, saved=())
    look(page, studio, run)
    held = []
    page.route("**/api/runs/before/head", lambda route: held.append(route))  # asked while the run still had that name
    end = time.time() + LONG / 1000
    while not held and time.time() < end:
        page.wait_for_timeout(50)
    page.locator("#mm-rename-button").click()
    page.locator("#mm-rename").fill("after")
    page.keyboard.press("Enter")
    expect(page.locator("#mm-run")).to_have_value("after", timeout=LONG)
    held[0].fulfill(status=404, json={"error": "There is no run called before."})
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=LONG)
    page.wait_for_timeout(500)
    expect(page.locator("#mm-run")).to_have_value("after")


def test_narrowing_is_said_on_every_screen_and_its_remedies_work(studio, page):
    run = made(studio, "cats", iterations=94)
    look(page, studio, run)
    expect(page.locator("#mm-away")).to_have_text("Reward up, variety down", timeout=LONG)
    expect(page.locator(".mm-variety .say b").first).to_have_text("Reward up, variety down")
    page.locator("#tab-runs-button").click()
    expect(page.locator("#mm-away")).to_contain_text(re.compile("(Narrowing|Collapsing): reward up, variety down"))
    page.locator("#tab-setup-button").click()
    expect(page.locator("#mm-away")).to_be_empty()  # this run is over; beside a new setup it would read as a verdict on that
    page.locator("#tab-live-button").click()

    # the forecast is named, and how far off it was is told
    expect(page.locator(".mm-shares .forecast title")).to_have_text(re.compile(r"Forecast .* not measured.* past forecasts were off by [\d.]+ points"))
    expect(page.locator(".mm-shares svg text", has_text="forecast")).to_be_visible()

    # a second run, dotted and named
    page.get_by_label("A second run in this chart").select_option("taken")
    expect(page.locator(".mm-front svg text", has_text="taken, β 0")).to_be_visible()

    # roll back: what it makes can be read before, by mouse and by keyboard
    back, told = page.get_by_role("button", name="Roll back to 20"), page.get_by_role("tooltip")
    expect(page.locator(".mm-variety .after")).to_have_text("in a new run")
    back.hover()
    expect(told).to_have_text(
        "Makes a new run, cats-from-20, that goes on from iteration 20 with β 0.50. 20 is the last saved iteration where variety was healthy. cats is kept as it is."
    )
    page.mouse.move(700, 500)
    expect(told).to_be_hidden()
    page.get_by_role("button", name="Resume with β 0.50").focus()
    page.keyboard.press("Tab")
    expect(back).to_be_focused()
    expect(told).to_contain_text("Makes a new run")
    expect(back).to_have_accessible_description(re.compile("^Makes a new run, cats-from-20"))
    page.keyboard.press("Escape")
    expect(told).to_be_hidden()

    # a branch opens and runs, the first run is whole and points to it
    back.click()
    expect(page.locator("#mm-run")).to_have_value("cats-from-20", timeout=LONG)
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    expect(page.locator("#mm-on")).to_contain_text("from cats at 20")
    page.wait_for_function("manymodes.state.head.iteration > 21 && manymodes.state.head.dials.creative_beta === 0.5", timeout=LONG)
    page.locator("#mm-run").select_option("cats")
    expect(page.locator(".mm-notice")).to_contain_text("Rolled back to 20.")
    expect(page.locator(".mm-notice")).to_contain_text("Everything of cats is kept.")
    page.wait_for_function("manymodes.state.head?.newest === 94", timeout=LONG)  # no head yet right after the change of run
    page.get_by_role("button", name="Open cats-from-20").click()
    expect(page.locator("#mm-run")).to_have_value("cats-from-20")


def out_of_memory(studio, name, thrifty=False):
    """A run that failed for want of memory; `thrifty`: although checkpointing was on."""
    run = made(studio, name, iterations=41, state="failed")
    with run.database() as db:
        db.add_event("failure", 42, reason="memory", fewer=12, saving=2_400_000_000, thrifty=thrifty)
        db.set_status(message="Ran out of memory, iteration 42. Saved at 40.", remedy="Continue with 12 pictures in flight (micro_batch=12).", details="<i>x</i>")
    return run


def test_out_of_memory_goes_on_with_fewer_pictures_in_flight(studio, page):
    run = out_of_memory(studio, "oom")
    look(page, studio, run)
    expect(page.locator("#mm-on")).to_have_text("Ran out of memory, iteration 42. Saved at 40.", timeout=LONG)
    expect(page.locator(".mm-notice pre")).to_have_text("<i>x</i>", timeout=LONG)
    page.get_by_role("button", name="Continue with 12 pictures in flight, 2.4 GB less").click()
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    assert run.config().micro_batch == 12 and not run.config().gradient_checkpointing


def test_out_of_memory_goes_on_with_checkpointing_and_offers_it_only_once(studio, page):
    run = out_of_memory(studio, "thrifty")
    before = run.config()
    look(page, studio, run)
    button = page.locator(".mm-notice").get_by_role("button", name="Turn on checkpointing")
    expect(button).to_be_visible(timeout=LONG)
    button.hover()
    expect(page.get_by_role("tooltip")).to_have_text(re.compile(r"^Goes on from 40\. .*less of each picture.*about a third more time\."))
    button.click()
    expect(page.get_by_role("tooltip")).to_be_hidden()
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    page.wait_for_function("manymodes.state.head.iteration > 42 && manymodes.state.head.failure === null", timeout=LONG)
    expect(page.locator(".mm-notice")).to_be_hidden()
    assert run.config() == before.with_changes(gradient_checkpointing=True)
    look(page, studio, out_of_memory(studio, "thrifty-already", thrifty=True))
    expect(page.get_by_role("button", name="Continue with 12 pictures in flight")).to_be_visible(timeout=LONG)
    expect(button).to_have_count(0)


def test_a_trainer_that_does_not_answer_is_ended_only_when_one_is_sure(studio, page):
    run = made(studio, "silent", iterations=8, saved=())
    trainer = psutil.Popen(["sleep", "60"])
    with run.database() as db:
        db.set_status(state="running", pid=trainer.pid, process_started=trainer.create_time())
        db.write("UPDATE status SET heartbeat = heartbeat - 14")
    look(page, studio, run)
    expect(page.locator("#mm-state")).to_contain_text("Not answering", timeout=LONG)
    notice = page.locator(".mm-notice")
    expect(notice).to_contain_text(re.compile(r"No sign from the trainer for \d+ s\."), timeout=LONG)
    notice.get_by_role("button", name="End it").click()
    expect(notice).to_contain_text("Nothing is saved yet: it would begin anew.")
    assert trainer.is_running()
    notice.get_by_role("button", name="End it now").click()
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=LONG)
    assert trainer.wait(5) != 0


def test_what_another_tab_took_back_is_not_waited_for(studio, page):
    run = made(studio, "two-tabs", iterations=8, saved=())
    me = psutil.Process()
    status(run, state="running", pid=me.pid, process_started=me.create_time())
    look(page, studio, run)
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    page.route("**/api/runs/two-tabs/commands", lambda route: route.fulfill(json={"command": 1}))  # paused, and resumed elsewhere at once
    page.keyboard.press("Space")
    expect(page.locator("#mm-state")).to_contain_text("Pausing")
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=LONG)
    expect(page.locator("#mm-pause")).to_be_enabled()


def test_a_run_that_goes_away_is_not_replaced_by_another(studio, page):
    run = made(studio, "away", iterations=8, saved=())
    made(studio, "alive-one", iterations=8, saved=())
    look(page, studio, run)
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=LONG)
    elsewhere = run.path.rename(studio.runs.parent / "elsewhere")
    notice = page.locator(".mm-notice")
    expect(notice.locator("b")).to_have_text("away is not here any more.", timeout=LONG)
    page.wait_for_timeout(2500)  # two polls
    assert page.evaluate("manymodes.state.run") is None
    elsewhere.rename(run.path)
    expect(page.locator("#mm-run")).to_have_value("away", timeout=LONG)
    expect(notice).to_be_hidden()


def test_what_the_server_says_of_a_run_is_said_not_that_it_is_lost(studio, page):
    run = made(studio, "edited", iterations=8, saved=())
    look(page, studio, run)
    expect(page.locator("#mm-state")).to_contain_text("Stopped", timeout=LONG)
    plain = run.config_file.read_text(encoding="utf-8")
    run.config_file.write_text(plain + "sa_reg_stepz: 3\n", encoding="utf-8")
    notice = page.locator(".mm-notice")
    expect(notice).to_contain_text("edited cannot be read.", timeout=LONG)
    expect(notice).to_contain_text("sa_reg_stepz: there is no such setting. Did you mean sa_reg_steps?")
    page.wait_for_timeout(3500)  # more polls than it takes to give the server up
    expect(page.locator("#mm-lost")).to_have_count(0)
    run.config_file.write_text(plain, encoding="utf-8")
    expect(notice).to_be_hidden(timeout=LONG)


def test_no_shortcut_reaches_behind_a_dialog(studio, page):
    run = made(studio, "behind", iterations=8, saved=())
    me = psutil.Process()
    status(run, state="running", pid=me.pid, process_started=me.create_time())
    look(page, studio, run)
    expect(page.locator("#mm-pause")).to_be_enabled(timeout=LONG)
    page.keyboard.press("?")
    expect(page.locator("#mm-keys")).to_be_visible()
    page.locator("#mm-keys").focus()
    for key in ("3", "Shift+S", "t"):
        page.keyboard.press(key)
    assert page.evaluate("manymodes.state.screen") == "live"
    page.keyboard.press("?")
    expect(page.locator("#mm-keys")).to_be_hidden()
    # nor one of Live what is not on show
    page.keyboard.press("4")
    page.wait_for_function("manymodes.state.screen === 'runs'")
    for key in ("g", "k", "l", "b"):
        page.keyboard.press(key)
    page.wait_for_timeout(300)
    assert page.evaluate("[manymodes.state.iteration, document.querySelector('#mm-sample').innerText]") == [None, "Sample now"]
    with run.database() as db:
        assert db.pending() == []


def test_after_ten_seconds_a_pause_or_a_stop_offers_to_end_the_process(studio, page):
    run = made(studio, "deaf", iterations=8, saved=())
    me = psutil.Process()
    status(run, state="running", pid=me.pid, process_started=me.create_time())
    with run.database() as db:  # asked in another tab
        db.send("stop")
        db.write("UPDATE commands SET time = time - 8")
    look(page, studio, run)
    expect(page.locator("#mm-state")).to_contain_text("Stopping", timeout=LONG)
    expect(page.locator("#mm-patience")).to_be_visible(timeout=LONG)
    expect(page.locator("#mm-patience")).to_contain_text("Still finishing a step. Stop now?")
    page.locator("#mm-patience").get_by_role("button", name="Wait").click()
    expect(page.locator("#mm-patience")).to_be_hidden()


def test_a_run_paused_by_its_alarm_says_why_and_goes_on(studio, page):
    run = made(studio, "watched-over", iterations=94)
    me = psutil.Process()
    status(run, state="paused", message="Paused by an alarm at 41. Variety is at 28 % of the base model's, below 30 %.", pid=me.pid, process_started=me.create_time())
    look(page, studio, run)
    notice = page.locator(".mm-notice")
    expect(notice.locator("b")).to_have_text("Paused by an alarm at 41.", timeout=LONG)
    expect(notice).to_contain_text("Variety is at 28 %")
    expect(notice).to_contain_text("Roll back to 20: makes a new run, watched-over-from-20, that goes on from iteration 20 with β 0.50.")
    expect(notice).to_contain_text("watched-over stops and is kept as it is.")
    notice.get_by_role("button", name="Resume", exact=True).click()
    page.wait_for_function("manymodes.state.head.waiting.length === 1")
    with run.database(readonly=True) as db:
        assert [kind for _, kind, _ in db.pending()] == ["resume"]


def test_a_warning_is_shown_until_it_is_read(studio, page):
    run = made(studio, "warned", iterations=8, saved=())
    with run.database() as db:
        db.add_event("warning", 3, message="The ratio is off. Use dtype float32.")
    look(page, studio, run)
    notice = page.locator(".mm-notice")
    expect(notice).to_contain_text("Warning at iteration 3.", timeout=LONG)
    expect(notice).to_contain_text("The ratio is off.")
    notice.get_by_role("button", name="Dismiss").click()
    expect(notice).to_be_hidden()
    other = made(studio, "warned-too", iterations=8, saved=())
    with other.database() as db:
        db.add_event("warning", 3, message="Another ratio is off.")
    page.evaluate("import(manymodes.files + 'lib/store.js').then((store) => store.openRun('warned-too'))")  # in the same page: numbers of events are of one run
    expect(notice).to_contain_text("Another ratio is off.", timeout=LONG)
