"""All four dials and the schedule map in a real browser, on a fake trainer."""

from __future__ import annotations

import re

import pytest
from chromium import FakeTrainer
from playwright.sync_api import expect
from sample_run import write_run

from core.config import RunConfig
from core.runs.folder import create
from studio.data import watched


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    trainer = FakeTrainer(FAKE_PACE="1.5")
    serving = server(tmp_path_factory.mktemp("runs"), starter=trainer)
    serving.start = lambda name, **settings: trainer(create(serving.runs / name, RunConfig(prompts=("cat",), iterations=400, **settings)))
    yield serving
    trainer.end()


TURN = """turns => { for (const [label, value] of turns) {
  const input = document.querySelector(`.mm-dials [aria-label="${label}"]`);
  input.value = value;
  for (const kind of ['input', 'change']) input.dispatchEvent(new Event(kind, {bubbles: true}));
} }"""


def told(page, name):
    return page.evaluate(f"fetch('/api/runs/{name}/head').then(r => r.json())")


def commands(studio, name):
    from core.runs.folder import Run

    with Run(studio.runs / name).database(readonly=True) as db:
        return [r["body"] for r in db.rows("SELECT body FROM commands WHERE kind = 'set' AND answer = 'ok' ORDER BY id")]


def test_four_dials_turn_wait_come_into_force_and_are_drawn(studio, page):
    studio.start("turned", base_pictures=40, sa_reg_steps=3)
    page.goto(f"{studio.url}/?run=turned&screen=live")
    expect(page.locator("#mm-state")).to_contain_text("Running", timeout=30000)
    read = page.locator(".mm-dials .read")
    expect(read).to_have_text("Training steps 0 to 8; the leash holds steps 0 to 2 of them.", timeout=15000)

    dial = page.locator(".mm-dials")
    # prompt noise and its fade, turned within a moment: one command
    page.evaluate(TURN, [["Prompt noise, number", "0.10"], ["Prompt noise gone from step", "5"]])
    note = page.locator("[data-dial=prompt_noise_scale] .note")
    expect(note).to_contain_text(re.compile(r"0\.00 → 0\.10, 1–4 → 1–5 from iteration \d+"))
    assert "takes effect at iteration" in dial.get_by_label("Prompt noise gone from step").get_attribute("aria-valuetext")
    expect(page.locator("[data-dial=prompt_noise_scale] .was:visible")).to_have_count(2)
    expect(read).to_contain_text(re.compile(r"From iteration \d+: training .* the prompt is noisy in steps 0 to 4\."))
    expect(note).to_contain_text(re.compile(r"In force since iteration \d+"), timeout=10000)
    expect(read).to_contain_text("the prompt is noisy in steps 0 to 4.")
    dials = told(page, "turned")["dials"]
    assert (dials["prompt_noise_scale"], dials["prompt_noise_tau2"], dials["prompt_noise_tau1"]) == (0.1, 0.9, 0.5)
    assert len(commands(studio, "turned")) == 1

    # the window: its kind brings its numbers
    dial.get_by_label("Training window").select_option("mix_progressive")
    size = dial.get_by_label("Steps in the window")
    size.fill("4")
    page.keyboard.press("ArrowDown")
    expect(page.locator("[data-dial=window] .note")).to_contain_text(re.compile("All steps → Slides forward from iteration"))
    expect(page.locator("[data-dial=window] .note")).to_contain_text("In force since", timeout=10000)
    expect(read).to_contain_text("Training steps 0 to 2 for now")
    assert told(page, "turned")["dials"]["window_size"] == 3

    # what the config refuses is said at the row, in its own words, and changes nothing
    size.fill("9")
    expect(page.locator("[data-dial=window] .note [role=status]")).to_contain_text("Window size is 9; there are 8 steps before the last two steps.")
    page.locator("[data-dial=window] .note").get_by_role("button", name="Close").click()
    expect(page.locator("[data-dial=window] .note [role=status]")).to_have_count(0)
    assert told(page, "turned")["dials"]["window_size"] == 3

    # an edge of the map is the same dial; Undo takes it back
    page.locator("#mm-pause").click()
    expect(page.locator("#mm-state")).to_contain_text("Paused", timeout=10000)
    edge = page.locator(".mm-dials [data-edge=leash]")
    box = page.locator(".mm-dials .map svg").bounding_box()
    at = edge.bounding_box()
    page.mouse.move(at["x"] + at["width"] / 2, at["y"] + at["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.61 * box["width"], at["y"] + 8, steps=4)
    page.mouse.up()
    expect(dial.get_by_label("Leash length, number")).to_have_value("6")
    leash = page.locator("[data-dial=sa_reg_steps] .note")
    expect(leash).to_contain_text("3 → 6 from iteration")
    leash.get_by_role("button", name="Undo").click()
    expect(dial.get_by_label("Leash length, number")).to_have_value("3")
    page.wait_for_function("fetch('/api/runs/turned/head').then(r => r.json()).then(h => h.dials.sa_reg_steps === 3)")

    # each turn has its diamond on the time axes, those of one iteration one together
    turns = told(page, "turned")["turns"]
    names = [t["name"] for t in turns]
    assert names[:4] == ["prompt_noise_scale", "prompt_noise_tau1", "window", "window_size"]  # and nothing that stayed as it was
    expect(page.locator(".mm-scrubber .turn")).to_have_count(len({t["iteration"] for t in turns}))
    first, second = page.locator(".mm-scrubber .turn title").all_text_contents()[:2]
    assert first.endswith("Prompt noise 0.00 to 0.10; Prompt noise gone from step 4 to 5")
    assert "Training window All steps to Slides forward" in second
    page.locator("#mm-stop").click()


def test_the_past_shows_its_own_dials_and_windows(studio, page):
    run = write_run(studio.runs / "past", iterations=30, end=40, window="mix_progressive", window_interval=10, sa_reg_steps=2)
    with run.database() as db:
        db.add_event("dial", 21, name="sa_reg_steps", old=2, new=5)
    page.goto(f"{studio.url}/?run=past&screen=live&it=15")
    dial = page.locator(".mm-dials")
    read = dial.locator(".read")
    expect(read).to_have_text("At iteration 15: trained steps 1 to 4; the leash held step 1 of them.", timeout=20000)
    expect(page.locator(".mm-dials .sched .sub")).to_have_text("as it was at iteration 15")
    expect(dial.get_by_label("Leash length, number")).to_have_value("5")  # dials always show the present
    expect(page.locator(".mm-dials [data-edge]")).to_have_count(0)
    page.keyboard.press("f")
    expect(read).to_have_text("At iteration 30: trained steps 2 to 5; the leash held steps 2 to 4 of them.")


@pytest.mark.parametrize("case, why", [("over", "locked: run finished"), ("ended", "locked until resumed"), ("far", "locked: driven elsewhere")])
def test_dials_that_cannot_be_turned_say_why(studio, page, tmp_path, case, why):
    far = case == "far"
    run = write_run((tmp_path if far else studio.runs) / case, iterations=4, end=8 if case == "ended" else 4)
    if far:  # its trainer lives, on another computer
        with run.database() as db:
            db.set_status(state="running", iterations=8)
    name = watched.add(studio.runs, str(run.path.resolve())) if far else case
    page.goto(f"{studio.url}/?run={name}&screen=live")
    expect(page.locator("#mm-dials-why")).to_have_text(why, timeout=20000)
    dials = page.locator(".mm-dials :is(input, select)")
    page.wait_for_function("document.querySelectorAll('.mm-dials :is(input, select):enabled').length === 0")
    assert dials.count() > 8
    expect(page.locator(".mm-dials [data-edge]")).to_have_count(0)
    expect(page.locator("#mm-sample")).to_be_disabled()
    expect(page.locator(".mm-dials .fixed dd").first).to_have_text("Preferred style (fluent-3d)")
    bonus = page.locator("#mm-dial-creative_beta")
    expect(bonus).to_have_css("opacity", "1")  # grey by its ink, not pale
    # the grey that names the value keeps 4.5 to 1
    assert contrast(page, ".mm-dials .numin") > 4.5 and contrast(page, "#mm-dials-why") > 4.5


def contrast(page, place):
    """WCAG contrast of the words of `place` on the panel."""
    return page.evaluate(
        """place => {
          const light = (css) => {
            const [r, g, b] = css.match(/[\d.]+/g).map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
            return 0.2126 * r + 0.7152 * g + 0.0722 * b + 0.05;
          };
          const node = document.querySelector(place), panel = node.closest('.col');
          const [a, b] = [light(getComputedStyle(node).color), light(getComputedStyle(panel).backgroundColor)];
          return Math.max(a, b) / Math.min(a, b);
        }""",
        place,
    )
