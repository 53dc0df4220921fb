"""What Setup knows and keeps: lists, presets of one's own, loaded setups, fields checked against the model."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from sample_run import write_run

from core.backbones import missing
from core.config import RunConfig, parse_assignments
from core.errors import UserError
from core.presets import load_preset
from core.runs import folder
from studio.data import lists, measuring, own_presets, presets, setup

HOSTILE = '<img src=x onerror="window.hit=1"> ${window.hit=2} {{x}} \u202e'


def test_lists_are_the_files_beside_the_presets_and_the_command_line_takes_them():
    found = {one["name"]: one for one in lists.ready()}
    assert (len(found["animals"]["prompts"]), len(found["animal-activities"]["prompts"])) == (45, 135)
    assert "an ant playing chess" in found["animal-activities"]["prompts"]
    for name, one in found.items():
        assert one["prompts"] and len(set(one["prompts"])) == len(one["prompts"]) and one["title"] and one["source"], name
        assert parse_assignments([f"prompts=@{name}"])["prompts"] == tuple(one["prompts"])
    assert [len(one["prompts"]) for one in lists.ready()] == sorted(len(one["prompts"]) for one in lists.ready())


def test_a_list_of_ones_own_and_one_that_is_not_there(tmp_path):
    (tmp_path / "mine.txt").write_text("# My list\na fox\n\n  an owl  \na fox\n")
    assert parse_assignments([f"prompts=@{tmp_path / 'mine.txt'}"])["prompts"] == ("a fox", "an owl", "a fox")
    with pytest.raises(UserError, match="Did you mean @animals"):
        parse_assignments(["prompts=@animal"])
    with pytest.raises(UserError, match="no list here") as caught:
        parse_assignments(["prompts=@"])
    assert caught.value.field == "prompts"


def test_own_presets_are_kept_as_yaml_and_come_back_equal(tmp_path):
    config = RunConfig(creative_beta=0.35, prompts=("cat", HOSTILE))
    saved = own_presets.save(tmp_path, " Bright foxes ", "Foxes that\nglow.", config.model_dump(mode="json"))
    assert (saved.stem, saved.title, saved.line) == ("bright-foxes", "Bright foxes", "Foxes that glow.")
    assert saved.path == tmp_path / "presets" / "bright-foxes.yaml" and saved.config() == config
    with pytest.raises(UserError, match="kept already") as caught:
        own_presets.save(tmp_path, "Bright Foxes", "", config.model_dump())
    assert caught.value.field == "overwrite" and saved.config() == config
    own_presets.save(tmp_path, "Bright Foxes", "", RunConfig().model_dump(), overwrite=True)
    assert own_presets.find(tmp_path, "bright-foxes").config() == RunConfig()
    assert [card["title"] for card in presets.own_cards(tmp_path)] == ["Bright Foxes"]
    own_presets.delete(tmp_path, "bright-foxes")
    assert own_presets.every(tmp_path) == [] and presets.own_cards(tmp_path) == []


@pytest.mark.parametrize("title", ["../up", HOSTILE, "猫", "é", ".", "CON", "a/b\\c"])
def test_any_title_makes_a_file_inside_the_folder(tmp_path, title):
    saved = own_presets.save(tmp_path, title, HOSTILE, {})
    assert saved.title == title.strip() and saved.path.parent == tmp_path / "presets"
    assert [p.name for p in tmp_path.rglob("*.yaml")] == [saved.path.name]


def test_titles_in_other_letters_do_not_meet(tmp_path):
    assert len({own_presets.save(tmp_path, title, "", {}).stem for title in ("猫", "犬", "Käse", "Kase")}) == 4


@pytest.mark.parametrize("title", ["", "   ", "x" * 61, "two\nlines", "a\u2028b", "a\x85b"])
def test_odd_titles_are_refused(tmp_path, title):
    with pytest.raises(UserError) as caught:
        own_presets.save(tmp_path, title, "", {})
    assert caught.value.field == "title" and not (tmp_path / "presets").exists()


def test_a_wrong_setting_is_not_saved(tmp_path):
    with pytest.raises(UserError) as caught:
        own_presets.save(tmp_path, "wrong", "", {"group_size": 1})
    assert caught.value.field == "group_size"


def test_broken_and_foreign_files_break_nothing(tmp_path):
    own_presets.save(tmp_path, "good", "", {})
    folder = tmp_path / "presets"
    (folder / "broken.yaml").write_text("# Broken\n# It is.\ngroup_size: [")
    (folder / "code.yaml").write_text(f"!!python/object/apply:os.system ['touch {tmp_path / 'hit'}']")
    (folder / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "elsewhere.yaml").write_text("seed: 1")
    (folder / "link.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    cards = {card["name"]: card for card in presets.own_cards(tmp_path)}
    assert cards.keys() == {"good", "broken", "code"}
    assert "values" in cards["good"] and "cannot be read" in cards["broken"]["broken"] and "cannot be read" in cards["code"]["broken"]
    assert not (tmp_path / "hit").exists()


def test_setups_come_from_runs_presets_and_files(tmp_path):
    write_run(tmp_path / "cats", iterations=1, creative_beta=0.7)
    own_presets.save(tmp_path, "Mine", "A line.", {"seed": 9})
    found = {(s["kind"], s["name"]): s for s in setup.setups(tmp_path)}
    assert found["run", "cats"]["line"].startswith("Flow-GRPO") or "change" in found["run", "cats"]["line"]
    assert found["own", "mine"]["line"] == "A line."
    assert ("rivals", "mix-grpo") in found and ("real", "sd15-ddpo") in found
    assert setup.read("own", "mine", "", tmp_path)["values"]["seed"] == 9
    shipped = setup.read("rivals", "mix-grpo", "", tmp_path)
    assert RunConfig(**shipped["values"]) == load_preset("mix-grpo") and shipped["title"] == "MixGRPO"
    dropped = setup.read("file", "x.yaml", RunConfig(seed=5).to_yaml(), tmp_path)
    assert dropped["title"] == "x.yaml" and RunConfig(**dropped["values"]) == RunConfig(seed=5)


@pytest.mark.parametrize(
    "text, said",
    [
        ("!!python/object/apply:os.system ['touch hit']", "it is not YAML"),
        ("[1, 2]", "`name: value`"),
        ("group_siz: 4", "Did you mean group_size"),
        ("group_size: 1", "Use 4 to 64"),
        ("a: &a [*a]", "no such setting"),
        ("x" * (2**20 + 1), "larger than 1 MB"),
    ],
)
def test_a_dropped_file_that_is_no_setup_is_told_in_a_sentence(tmp_path, text, said):
    with pytest.raises(UserError, match=said):
        setup.read("file", "x.yaml", text, tmp_path)


@pytest.fixture
def model_folder(tmp_path):
    def make(kind: str) -> str:
        folder = tmp_path / kind
        folder.mkdir()
        (folder / "model_index.json").write_text(json.dumps({"_class_name": kind}))
        return str(folder)

    return make


@pytest.mark.parametrize(
    "kind, changes, wrong",
    [
        ("StableDiffusion3Pipeline", {}, set()),
        ("StableDiffusion3Pipeline", {"dynamics": "ddim"}, {"dynamics"}),
        ("StableDiffusionPipeline", {}, {"dynamics"}),
        ("StableDiffusionPipeline", {"dynamics": "ddim", "guidance": 5.0}, set()),
        ("DDPMPipeline", {"dynamics": "ddim"}, set()),
        ("DDPMPipeline", {"dynamics": "ddim", "guidance": 2.0, "prompt_noise_scale": 0.1}, {"guidance", "prompt_noise_scale"}),
        ("LDMPipeline", {"dynamics": "cps"}, {"dynamics"}),
    ],
)
def test_fields_are_checked_against_the_kind_of_the_model(tmp_path, model_folder, kind, changes, wrong):
    values = {**RunConfig().model_dump(mode="json"), "model": model_folder(kind), **changes}
    assert setup.check(values, "fine-01", tmp_path)["problems"].keys() == wrong
    if wrong:
        with pytest.raises(UserError) as caught:
            setup.make(values, "fine-01", tmp_path)
        assert caught.value.field in wrong and not (tmp_path / "fine-01").exists()


def test_surroundings_take_anything_that_a_form_may_send(tmp_path):
    for odd in ({}, {"model": 3, "rewards": [1], "clip_model": {}, "reward_file": 7, "guidance": "x", "perceptual": None}):
        assert isinstance(setup.check(odd, "fine-01", tmp_path)["problems"], dict)
    problems = setup.check({"rewards": {"own": 1.0}, "reward_file": str(tmp_path / "no.py")}, "fine-01", tmp_path)["problems"]
    assert "is not a file" in problems["reward_file"]


def test_glyphs_tell_the_methods_apart():
    drawn = {name: presets.schedule(load_preset(name)) for name in ("collapse-demo", "diverse-grpo", "drift-style", "hrf", "hrf-d", "ddpo", "flow-grpo-kl")}
    assert len({json.dumps(d) for d in drawn.values()}) == len(drawn)
    assert drawn["drift-style"]["noise"][0] == 1 and drawn["drift-style"]["noise"][-1] == 0
    assert drawn["hrf-d"]["chosen"] and drawn["hrf"]["start"] > 0 and drawn["ddpo"]["past"] and drawn["flow-grpo-kl"]["pull"]


def test_only_models_that_are_here_are_offered(tmp_path, monkeypatch):
    monkeypatch.setattr(setup, "MODELS", tmp_path)
    assert [m["name"] for m in setup.models()] == ["emoji-sd3"]
    os.makedirs(tmp_path / "emoji-ddpm")
    (tmp_path / "emoji-ddpm" / "model_index.json").write_text("{}")
    assert [m["name"] for m in setup.models()] == ["emoji-sd3", "emoji-ddpm"]


def test_a_folder_of_runs_that_can_only_be_read_is_told_before_start(tmp_path, monkeypatch):
    assert "runs" not in setup.check(RunConfig().model_dump(mode="json"), "fine-01", tmp_path)["problems"]
    monkeypatch.setattr(os, "access", lambda place, how: False)
    told = setup.check(RunConfig().model_dump(mode="json"), "fine-01", tmp_path)["problems"]
    assert told == {"runs": f"The folder of runs, {tmp_path}, can only be read. Start the studio with another one (--runs FOLDER), or make it writable."}
    for refused in (lambda: setup.make({}, "fine-01", tmp_path), lambda: measuring.start(tmp_path, RunConfig())):
        with pytest.raises(UserError, match="can only be read") as caught:
            refused()
        assert caught.value.field == "runs"
    monkeypatch.undo()
    monkeypatch.setattr(folder.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10, 10, 2**20))
    assert setup.check({}, "fine-01", tmp_path)["problems"]["runs"].startswith("only 1 MB free in ")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def fetched(tmp_path, monkeypatch):
    """fetched(kind, parts): what the hub's cache holds of a/b."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))

    def make(kind: str, *parts: str) -> None:
        place = tmp_path / "hub" / "models--a--b"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text("1f")
        index = {"_class_name": kind, "unet": ["diffusers", "UNet2DModel"], "scheduler": ["diffusers", "DDPMScheduler"]}
        (place / "snapshots" / "1f").mkdir(parents=True)
        (place / "snapshots" / "1f" / "model_index.json").write_text(json.dumps(index))
        for part in parts:
            (place / "snapshots" / "1f" / part).mkdir()

    return make


@pytest.mark.parametrize(
    "kind, parts, place",
    [
        ("DDPMPipeline", ("unet", "scheduler"), {"here": True, "hub": True, "words": "b is here: pixels without a prompt, 0 MB."}),
        ("DDPMPipeline", ("unet",), {"here": False, "hub": True, "words": "b is on this computer only in part."}),
        ("FluxPipeline", ("unet",), {"here": False, "hub": False, "words": f"a/b is FLUX (FluxPipeline), which cannot be tuned here. Use {missing.TUNED}."}),
    ],
)
def test_what_the_hub_gave_before_is_looked_at(fetched, kind, parts, place):
    fetched(kind, *parts)
    assert setup.model_place("a/b") == place
    assert setup.model_kind("a/b")["name"] == kind


def test_a_hub_name_that_is_not_here_is_a_wrong_field(fetched, tmp_path):
    assert setup.model_place("a/b") == {"here": False, "hub": True, "words": "b is not on this computer."}
    values = RunConfig(model="a/b", clip_model="a/c").model_dump(mode="json")
    found = setup.check(values, "new", tmp_path / "runs")
    assert found["problems"] == {name: f"{repo} is not on this computer. Download it, or name a folder." for name, repo in (("model", "b"), ("clip_model", "c"))}
    assert (found["model"]["name"], found["clip"]["name"]) == ("a/b", "a/c")
    with pytest.raises(UserError, match="b is not on this computer"):
        setup.make(values, "new", tmp_path / "runs")
    with pytest.raises(UserError, match="c is not on this computer"):
        setup.make(values | {"model": "emoji-sd3"}, "new", tmp_path / "runs")
    told = setup.model_place("black-forest-labs/FLUX.1-dev")
    assert told["hub"] and told["words"] == f"FLUX.1-dev is not on this computer, and sounds like FLUX, which cannot be tuned here. Use {missing.TUNED}."


def test_a_file_of_prompts_gives_as_many_as_a_run_takes():
    assert setup.prompts_of("p.txt", "cat\ndog") == {"prompts": ("cat", "dog"), "left": 0}
    told = setup.prompts_of("p.txt", "\n".join(f"cat {i}" for i in range(6200)))
    assert (len(told["prompts"]), told["prompts"][-1], told["left"]) == (5000, "cat 4999", 1200)
    RunConfig(prompts=told["prompts"])
    with pytest.raises(UserError, match="larger than 8 MB"):
        setup.prompts_of("p.txt", "x" * (8 * 2**20 + 1))


@pytest.mark.parametrize(
    "model, clip, said",
    [
        ("emoji-sd3", "emoji-clip", ""),
        ("emoji-ddpm", "emoji-clip", ""),
        ("runwayml/stable-diffusion-v1-5", "emoji-clip", "It knows emoji only. For photos and paintings use openai/clip-vit-large-patch14."),
        ("emoji-sd3", "a/c", "c is not on this computer."),
        ("emoji-sd3", "a/b", "b is on this computer only in part."),
        ("emoji-sd3", 3, ""),
    ],
)
def test_what_a_person_should_know_of_the_judging_clip(fetched, model, clip, said):
    fetched("CLIPModel")
    place = setup.clip_place({"model": model, "clip_model": clip})
    assert place["words"] == said and place["here"] == ("on this computer" not in said)


def test_our_choices_are_marked_and_the_papers_are_not():
    marked = {name for name, field in setup.fields().items() if field["ours"]}
    assert {"creative_combine", "shaping_delta", "prompt_noise_tau1", "subset_k"} <= marked
    assert not marked & {"group_size", "sa_reg_steps", "clip_epsilon", "adv_history_size", "shaping_terminal_zero"}


def test_own_presets_can_be_called_something_else(tmp_path):
    config = RunConfig(seed=9)
    own_presets.save(tmp_path, "Mine", "A line.", config.model_dump())
    own_presets.save(tmp_path, "Other", "", {})
    renamed = own_presets.rename(tmp_path, "mine", " Much better ")
    assert (renamed.stem, renamed.title, renamed.line, renamed.config()) == ("much-better", "Much better", "A line.", config)
    assert {p.stem for p in own_presets.every(tmp_path)} == {"much-better", "other"}
    assert own_presets.rename(tmp_path, "much-better", "MUCH better").title == "MUCH better"  # the same file
    for wrong, said in (("Other", "kept already"), ("", "1 to 60 letters")):
        with pytest.raises(UserError, match=said):
            own_presets.rename(tmp_path, "much-better", wrong)
    assert own_presets.find(tmp_path, "much-better").config() == config and own_presets.find(tmp_path, "other").config() == RunConfig()
