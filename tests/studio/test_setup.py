"""What Setup knows and keeps: lists, presets of one's own, loaded setups, fields checked against the model."""

from __future__ import annotations

import json
import os

import pytest
from sample_run import write_run

from core.config import RunConfig, load_preset, parse_assignments
from core.errors import UserError
from studio.data import lists, own_presets, presets, setup

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
