"""Setup in a real browser, with trials and scores that only pretend."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import expect
from sample_run import write_run

from core.config import RunConfig
from core.presets import load_preset
from core.runs import folder
from studio.data import measuring, trying

HERE = Path(__file__).parent
HOSTILE = '<img src=x onerror="window.hit=1"> ${window.hit=2} {{window.hit=3}} \u202eabc'


@pytest.fixture(scope="module")
def studio(server, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "TRIAL", [sys.executable, str(HERE / "fake_trial.py")])
        patch.setattr(trying, "SCORING", [sys.executable, str(HERE / "fake_scoring.py")])
        patch.setenv("FAKE_TRIAL_SECONDS", "1")
        runs = tmp_path_factory.mktemp("runs")
        write_run(runs / "cats-03", iterations=2, creative_beta=0.7)
        yield server(runs, starter=lambda run, resume=False: None)


@pytest.fixture
def setup(studio, page):
    page.goto(f"{studio.url}/?screen=setup")
    expect(page.locator("#mm-start")).to_contain_text("Start training", timeout=30000)
    return page


def files(*sizes: int) -> list[dict]:
    out = []
    for n, side in enumerate(sizes):
        data = io.BytesIO()
        Image.effect_noise((side, side), 60).save(data, "PNG")
        out.append({"name": f"{n}-{HOSTILE}.png", "mimeType": "image/png", "buffer": data.getvalue()})
    return out


def test_what_was_not_measured_is_measured_where_it_is_chosen(setup):
    card = setup.locator("[data-preset=diverse-grpo]")
    expect(card.locator(".ms")).to_have_text("not measured yet")
    card.click()
    expect(card.locator(".do")).to_have_text("Measure")
    expect(setup.locator(".bud.time .value")).to_have_text("Not measured yet")
    card.locator(".do").click()
    expect(setup.locator("#mm-measure")).to_have_text("Stop measuring")
    expect(setup.locator(".doing")).to_contain_text("Loading the model", timeout=10000)
    expect(card.locator(".ms")).to_contain_text("measured here", timeout=20000)
    iterations = int(setup.get_by_label("Iterations", exact=True).input_value())
    expect(card.locator(".ms b")).to_have_text(f"{round(8.6 * iterations / 60)} min, 6.5 GB")
    # four parts of each, and where the numbers are from
    assert setup.locator(".bud.time dd").all_text_contents() == ["4.1 s", "3.3 s", "0.7 s", "0.5 s"]
    assert setup.locator(".bud.memory dd").all_text_contents() == ["2.0 GB", "3.0 GB", "1.0 GB", "0.5 GB"]
    expect(setup.locator(".bud.memory .fit")).to_have_text("Fits")
    expect(setup.locator(".prov")).to_have_text(re.compile(r"^Measured in 3 trial iterations on this computer, just now\. Disk: about \d+ MB\.$"))
    # more iterations are known at once, a longer leash is not
    setup.get_by_label("Iterations", exact=True).fill("1000")
    expect(setup.locator(".bud.time .value")).to_have_text("2 h 23 min")
    setup.locator("summary", has_text="Dials").click()
    setup.get_by_label("Leash length").fill("5")
    expect(setup.locator(".bud.time .value")).to_have_text("Not measured yet")


def test_of_a_run_that_recorded_no_parts_the_whole_is_said(studio, page):
    method = load_preset("ddpo").model_dump(exclude={"prompts", "iterations", "prompts_per_iteration"})
    write_run(studio.runs / "cats-05", iterations=4, **method, prompts_per_iteration=load_preset("ddpo").prompts_per_iteration)
    page.goto(f"{studio.url}/?screen=setup")
    page.locator("[data-preset=ddpo]").click()
    memory = page.locator(".bud.memory")
    expect(memory.locator(".value")).to_have_text("3.4 GB", timeout=20000)
    expect(memory.locator(".whole")).to_have_text("Runs note the peak alone. Measure again shows the four parts.")
    expect(memory.locator("dd").first).to_be_hidden()
    bars = memory.locator(".stack i").evaluate_all("all => all.map((i) => i.getBoundingClientRect().width)")
    assert bars[0] / (bars[0] + bars[-1]) == pytest.approx(3.4 / 8, abs=0.01) and sum(bars[1:-1]) == 0
    # the marks of the cards have a key, and each card the same in words
    expect(page.locator(".cardkey > span")).to_have_text(["trained (grey: at times)", re.compile("held"), "prompt shaken", re.compile("starts"), "pays for variety", "does not", re.compile("own past")])
    expect(page.locator("[data-preset=diverse-grpo]")).to_have_attribute("title", re.compile(r"The first \d+ are held near the base model\. Pays for variety\.$"))


def test_what_does_not_fit_offers_remedies(setup):
    setup.locator("summary", has_text="Learning").click()
    setup.get_by_label("Seed").fill("1")
    setup.get_by_label("Updates per iteration").fill("1")
    setup.locator("#mm-measure").click()
    expect(setup.locator(".bud.memory .unfit")).to_have_text("Does not fit", timeout=20000)
    expect(setup.locator(".bud.memory .huge")).to_have_text("Needs 15.5of 8.0 GB")
    remedies = setup.locator(".remedies button")
    assert remedies.all_text_contents() == ["Turn on checkpointing−9.0 GB", "24 → 12 pictures in flight−6.0 GB", "24 → 12 pictures per prompt−6.0 GB", "32 → 16 as LoRA rank−0.5 GB"]
    remedies.nth(1).click()
    expect(setup.get_by_label("Pictures in flight")).to_have_value("12")
    expect(remedies).to_have_count(0)
    expect(setup.locator(".ti")).to_contain_text("3 changes")


def test_changes_are_counted_reset_and_saved_as_a_preset(setup, studio):
    setup.locator("[data-preset=diverse-grpo]").click()
    expect(setup.locator("#mm-reset")).to_be_hidden()
    setup.get_by_label("Pictures per prompt").fill("12")
    setup.get_by_label("Ready lists").select_option(label="Food (12)")
    expect(setup.locator(".ti")).to_have_text("DiverseGRPO, 2 changes")
    expect(setup.get_by_text("12 prompts")).to_be_visible()
    setup.locator("#mm-reset").click()
    expect(setup.locator(".ti")).to_have_text("DiverseGRPO")
    expect(setup.get_by_label("Prompts, one a line")).to_have_value("cat")

    for prompts, said in (("cat\ndog\ncat", "3 prompts, 1 of them a repeat"), ("cat\ndog", "2 prompts")):
        setup.get_by_label("Prompts, one a line").fill(prompts)
        expect(setup.get_by_text(said, exact=True)).to_be_visible()
    setup.locator("#mm-save-preset").click()
    setup.get_by_label("Name of the preset").fill(HOSTILE[:40])
    setup.get_by_role("button", name="Save", exact=True).click()
    own = setup.locator("[data-kind=own]")
    expect(own.locator("> b")).to_have_text(HOSTILE[:40])
    expect(own).to_have_attribute("aria-checked", "true")
    # a second one of that name asks, and takes its place
    setup.get_by_label("Pictures per prompt").fill("8")
    expect(setup.locator(".ti")).to_contain_text("1 change")
    setup.locator("#mm-save-preset").click()
    setup.get_by_role("button", name="Save", exact=True).click()
    expect(setup.locator("#mm-save .wrong")).to_contain_text("kept already")
    setup.get_by_role("button", name="Overwrite it").click()
    expect(setup.locator("#mm-save")).to_have_count(0)
    assert own.count() == 1
    (file,) = (studio.runs / "presets").glob("*.yaml")
    setup.locator("#mm-load-setup").click()
    remove = setup.get_by_role("button", name=f"Delete {HOSTILE[:40]}")
    remove.click()
    assert file.exists()
    remove.click()
    expect(own).to_have_count(0)
    assert not file.exists() and setup.evaluate("window.hit") is None


def test_a_setup_is_loaded_from_a_run_a_group_or_a_file(setup, studio, tmp_path):
    def load(name: str):
        setup.locator("#mm-load-setup").click()
        setup.locator("#mm-load .one", has_text=name).first.click()

    load("cats-03")
    expect(setup.locator(".ti")).to_have_text("cats-03")
    expect(setup.get_by_label("Name of the run", exact=True)).to_have_value("cats-01")
    expect(setup.locator("summary", has_text="Dials")).to_contain_text("bonus 0.7")
    load("MixGRPO")
    expect(setup.locator(".ti")).to_have_text("MixGRPO")
    expect(setup.locator("summary", has_text="Training window")).to_contain_text("4 steps")

    setup.locator("#mm-load-setup").click()
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("group_siz: 4")
    setup.locator("#mm-load input[type=file]").set_input_files(wrong)
    expect(setup.locator("#mm-load .wrong")).to_contain_text("Did you mean group_size?")
    mine = tmp_path / "mine.yaml"
    mine.write_text(RunConfig(prompts=(HOSTILE,), group_size=10).to_yaml())
    setup.locator("#mm-load input[type=file]").set_input_files(mine)
    expect(setup.get_by_label("Prompts, one a line")).to_have_value(HOSTILE)
    expect(setup.locator(".ti")).to_have_text("mine.yaml")
    # a reload keeps it, and what another screen hands over takes its place
    setup.reload()
    expect(setup.get_by_label("Prompts, one a line")).to_have_value(HOSTILE, timeout=20000)
    setup.evaluate(
        """async () => { const store = await import(manymodes.files + 'lib/store.js');
        store.state.draft = { name: 'other', values: {...(await store.get('/api/presets')).presets[0].values, group_size: 9} }; store.emit('draft'); }"""
    )
    expect(setup.get_by_label("Pictures per prompt")).to_have_value("9")
    expect(setup.locator(".mm-setup")).to_contain_text("A copy of other")
    assert setup.evaluate("window.hit") is None


def test_pictures_are_tried_best_first(setup):
    pictures = setup.locator(".try figure")
    setup.locator(".try input[type=file]").set_input_files(files(8, 32, 16))
    expect(pictures).to_have_count(3, timeout=20000)
    values = [float(v) for v in setup.locator(".try figcaption").all_text_contents()]
    assert values == sorted(values, reverse=True) and values[0] > values[2]
    assert pictures.first.get_attribute("title").startswith("1-<img")
    expect(setup.locator(".try .words")).to_have_text("3 scored at 64 px, best first")
    setup.locator(".try input[type=file]").set_input_files(files(*[4] * 65))
    expect(setup.locator(".try .words")).to_have_text("65 pictures are too many. Drop up to 64 at a time.")
    assert setup.evaluate("window.hit") is None


def test_a_missing_model_and_a_wrong_field_are_told_in_words(setup, studio):
    setup.get_by_label("Folder or hub name", exact=False).first.check()
    other = setup.get_by_placeholder("folder, or owner/model")
    other.fill("stabilityai/stable-diffusion-3.5-medium")
    expect(setup.locator(".fetch p").first).to_have_text("stable-diffusion-3.5-medium is not on this computer.")
    expect(setup.locator("#mm-start")).to_contain_text("Check: Model")
    other.fill("/no/such/place")
    expect(setup.locator("[data-field=model] .wrong")).to_contain_text("no folder")
    expect(setup.locator("#mm-start")).to_contain_text("Check: Model")
    setup.get_by_role("button", name="Use Emoji SD3").click()
    expect(setup.locator("#mm-start")).to_contain_text("Start training")
    # a wrong field in a folded group says so there, and Start leads to it
    setup.locator("summary", has_text="Sampling").click()
    setup.get_by_label("Noise kind").select_option("ddim")
    setup.locator("summary", has_text="Sampling").click()
    expect(setup.locator("summary .sum.off")).to_contain_text("This model is a flow model")
    setup.keyboard.press("Control+Enter")
    expect(setup.get_by_label("Noise kind")).to_be_focused()
    setup.get_by_label("Noise kind").select_option("cps")
    setup.get_by_label("Name of the run", exact=True).fill("waiting")
    expect(setup.locator("#mm-start")).to_contain_text("Start training")
    setup.locator("#mm-queue").click()
    expect(setup.locator(".go .hint")).to_have_text("waiting starts, as no other run is at work. Live shows it.")
    assert folder.Run(studio.runs / "waiting").config().dynamics == "cps"


def drop(page, selector: str, name: str, text: str, kind: str = "") -> None:
    """Drop a file of that text on the element, as a person would."""
    page.evaluate(
        """([selector, name, text, type]) => {
          const data = new DataTransfer();
          data.items.add(new File([text], name, { type }));
          for (const kind of ['dragover', 'drop'])
            document.querySelector(selector).dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
        }""",
        [selector, name, text, kind],
    )


def test_a_file_that_is_dropped_anywhere_is_taken_for_what_it_is(setup):
    lines = setup.get_by_label("Prompts, one a line")
    drop(setup, "h2.q", "many.csv", "id,prompt\n1,a fox\n2,an owl\n3,a fox\n")
    expect(lines).to_have_value("a fox\nan owl\na fox")
    expect(setup.locator(".from .said")).to_have_text("3 prompts, 1 of them a repeat, from many.csv")
    drop(setup, "textarea", "odd.csv", "id,words\n1,a fox\n")
    expect(setup.locator(".from .said.off")).to_have_text("odd.csv has no column called prompt; its first line is id, words. Call the right one prompt.")
    expect(lines).to_have_value("a fox\nan owl\na fox")
    lines.fill("cat")
    expect(setup.locator(".from .said")).to_have_text("1 prompt")
    drop(setup, ".bud.time", "mine.yaml", RunConfig(group_size=9, prompts=(HOSTILE,)).to_yaml())
    expect(setup.locator(".ti")).to_contain_text("mine.yaml")
    expect(setup.get_by_label("Pictures per prompt")).to_have_value("9")
    setup.get_by_role("button", name="From a file").locator("xpath=following-sibling::input").set_input_files(
        {"name": "set.jsonl", "mimeType": "", "buffer": b'{"prompt": "a red cat"}\n'}
    )
    expect(lines).to_have_value("a red cat")
    assert setup.evaluate("window.hit") is None


def test_the_judging_clip_stands_with_the_model_and_our_choices_are_marked(setup):
    clip = setup.get_by_label("CLIP model")
    expect(clip).to_have_value("emoji-clip")
    said = setup.locator(".judge .said")
    expect(said).to_have_text("")
    setup.get_by_placeholder("folder, or owner/model").evaluate("e => e.closest('.box').querySelector('.opt:last-of-type input').click()")
    setup.get_by_placeholder("folder, or owner/model").fill("runwayml/stable-diffusion-v1-5")
    expect(said).to_have_text("It knows emoji only. For photos and paintings use openai/clip-vit-large-patch14.")
    clip.fill("openai/clip-vit-large-patch14")
    expect(setup.locator(".judge .fetch p").first).to_have_text("clip-vit-large-patch14 is not on this computer.")
    expect(setup.locator("[data-fetch=clip_model]")).to_have_text("Ask the hub")
    setup.get_by_role("button", name="Use Emoji SD3").click()
    clip.fill("/no/clip")
    expect(setup.locator("[data-field=clip_model] > .wrong")).to_contain_text("neither")
    expect(setup.locator("#mm-start")).to_contain_text("Check: CLIP model")
    expect(setup.locator(".judge .fetch")).to_be_hidden()
    clip.fill("emoji-clip")
    expect(setup.locator("#mm-start")).to_contain_text("Start training")
    setup.locator("summary", has_text="DRIFT-style parts").click()
    shaping = setup.locator("[data-field=shaping_delta] .ours")
    expect(shaping).to_have_text("*")
    expect(setup.locator("details[open] .key")).to_contain_text("Our choice")
    assert setup.locator("[data-field=shaping_alpha] .ours").count() == 0


def test_checkpointing_is_a_setting_that_the_heading_tells(setup):
    learning = setup.locator("details", has=setup.locator("summary", has_text="Learning"))
    expect(learning.locator(".sum")).not_to_contain_text("checkpointing")
    learning.locator("summary").click()
    setup.get_by_label("Gradient checkpointing").check()
    learning.locator("summary").click()
    expect(learning.locator(".sum")).to_contain_text("in flight, checkpointing")
    expect(setup.locator(".ti")).to_contain_text("1 change")


def test_own_presets_are_called_something_else_in_the_dialog(setup, studio):
    setup.locator("#mm-save-preset").evaluate("e => e.click()")
    setup.get_by_label("Name of the preset").fill("First name")
    setup.get_by_role("button", name="Save", exact=True).click()
    expect(setup.locator("[data-kind=own] > b")).to_have_text("First name")
    setup.locator("#mm-load-setup").click()
    setup.get_by_role("button", name="Rename First name").click()
    name = setup.get_by_label("New name of First name")
    expect(name).to_be_focused()
    name.fill("Second name")
    name.press("Enter")
    expect(setup.locator("#mm-load .one b", has_text="Second name")).to_be_visible()
    setup.keyboard.press("Escape")
    expect(setup.locator("[data-kind=own] > b")).to_have_text("Second name")
    expect(setup.locator("[data-kind=own]")).to_have_attribute("aria-checked", "true")
    expect(setup.locator(".ti")).to_have_text("Second name")
    (studio.runs / "presets" / "second-name.yaml").unlink()
