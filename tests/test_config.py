"""RunConfig: what it accepts, how it comes back from disk, and the one line it says of anything else."""

import math

import pytest

from core.config import FIELDS, RunConfig, build, load, parse_assignments, problems
from core.errors import UserError


def line(values) -> str:
    with pytest.raises(UserError) as caught:
        build(values)
    return str(caught.value)


def test_near_miss_of_an_unknown_setting_is_offered():
    assert line({"creative_bta": 1}) == "creative_bta: there is no such setting. Did you mean creative_beta?"
    assert line({"zzz": 1}) == "zzz: there is no such setting. `python -m core train --help` lists them."
    assert "\n" not in line({"two\nlines": 1})


@pytest.mark.parametrize(
    "values, said",
    [
        ({"creative_beta": 3.5}, "creative_beta: Diversity bonus is 3.5. Use 0 to 3."),
        ({"creative_beta": math.nan}, "creative_beta: Diversity bonus is nan. Use 0 to 3."),
        ({"creative_max": math.inf}, "creative_max: Bonus ceiling is inf. Use a number above 1 or nothing."),
        ({"noise_level": 0}, "noise_level: Noise level is 0. Use above 0 to 1.2."),
        ({"group_size": "many"}, "group_size: Pictures per prompt is 'many'. Use 4 to 64."),
        ({"group_size": 24.5}, "group_size: Pictures per prompt is 24.5. Use 4 to 64."),
        ({"seed": True}, "seed: Seed is True. Use 0 to 2147483647."),
        ({"seed": -1}, "seed: Seed is -1. Use 0 to 2147483647."),
        ({"learning_rate": 1.0}, "learning_rate: Learning rate is 1.0. Use 1e-06 to 0.01."),
        ({"resolution": 100}, "resolution: Picture size is 100. Use 16 to 2048 in steps of 16 or nothing."),
        ({"cluster_k": 13}, "cluster_k: Clusters is 13. Use eigengap or 1 to 12."),
        ({"dynamics": "ode"}, "dynamics: Noise kind is 'ode'. Use flow_sde or cps or dance_sde or ddim."),
        ({"sa_reg_weight": "heavy"}, "sa_reg_weight: Leash strength is 'heavy'. Use auto or 0 to 100."),
        ({"kl_include_dt": 2}, "kl_include_dt: KL as published is 2. Use true or false."),
        ({"model": ""}, "model: Model is empty. Use a text."),
        ({"rewards": {}}, "rewards: Reward is empty. Use 1 to 6 reward names, each with a weight from -10 to 10."),
        ({"rewards": {"clip_score": math.nan}}, "rewards: Reward is nan. Use 1 to 6 reward names, each with a weight from -10 to 10."),
        ({"prompts": []}, "prompts: Prompts is empty. Use 1 to 5,000 lines of text, each of at most 10,000 characters."),
        ({"prompts": ["cat", " "]}, "prompts: prompt 2 of 2 is empty. Write a text or remove it."),
        ({"sa_reg_steps": 11}, "sa_reg_steps: Leash length is 11, the run has 10 steps. Use 0 to 10."),
        ({"dynamics": "cps", "noise_level": 1.1}, "noise_level: Noise level is 1.1; with cps use above 0 to 1."),
        ({"prompts_per_iteration": 2}, "prompts_per_iteration: 2 is more than the 1 prompts. Use 1 to 1, or add prompts."),
        ({"rewards": {"own": 1}}, "reward_file: the reward `own` needs a Python file. Name it in reward_file."),
        ({"seed": 10**5000}, "seed: Seed is a int too large to show. Use 0 to 2147483647."),
        ({5: 1}, "settings must be names with values, got 5."),
        ("seed", "settings must be names with values, got 'seed'."),
    ],
)
def test_wrong_value_is_one_line_with_field_value_and_what_is_allowed(values, said):
    assert line(values) == said


def test_lists_nested_without_end_are_one_line():
    nested = []
    for _ in range(100_000):
        nested = [nested]
    assert line({"seed": nested}).startswith("seed: Seed is a list too large to show.")


BOUNDED = {
    name: part
    for name, schema in RunConfig.model_json_schema()["properties"].items()
    for part in schema.get("anyOf", [schema])
    if "minimum" in part
}


@pytest.mark.parametrize("name", BOUNDED)
def test_bounds_are_the_last_accepted_values(name):
    part = BOUNDED[name]
    step = part.get("multipleOf", 1) if part["type"] == "integer" else 1e-7
    room = {"steps": 50, "prompts": ["cat"] * 64}  # so that only the field's own bounds count
    for bound, outward in (("minimum", -step), ("maximum", step)):
        if bound in part:
            assert line({**room, name: part[bound] + outward}).startswith(f"{name}: ")
            if (name, bound) != ("sa_reg_steps", "maximum"):  # 1000, but never more than the run's steps
                assert getattr(build({**room, name: part[bound]}), name) == part[bound]


def test_problems_names_every_wrong_field_at_once():
    found = problems({"seed": -1, "prompts": "", "creative_bta": 1, "steps": 10})
    assert set(found) == {"seed", "prompts", "creative_bta"}
    assert found["seed"] == line({"seed": -1})
    assert problems({"seed": 1}) == {}
    assert problems({5: 1}) == {"": "settings must be names with values, got 5."}


def test_prompts_may_be_lines_of_text_and_keep_duplicates():
    assert build({"prompts": " cat \n\n dog\ncat"}).prompts == ("cat", "dog", "cat")


def test_with_changes_validates_and_leaves_the_original():
    first = RunConfig()
    second = first.with_changes(creative_beta=0.5, sa_reg_steps=4)
    assert (first.creative_beta, second.creative_beta, second.sa_reg_steps) == (0.0, 0.5, 4)
    assert second.with_changes(creative_beta=0.0, sa_reg_steps=0) == first
    with pytest.raises(UserError, match="sa_reg_steps: Leash length is 4, the run has 3|sa_reg_steps: Leash length is 5, the run has 4"):
        first.with_changes(steps=4, sa_reg_steps=5)
    with pytest.raises(ValueError):
        first.seed = 3


def test_trainable_steps_leave_the_last_one_out():
    assert build({"steps": 4}).trainable_steps == (0, 1, 2)


def test_numbers_written_3e_4_are_numbers_and_texts_stay_texts(tmp_path):
    assert parse_assignments(["learning_rate=3e-4", "iterations=1e2"]) == {"learning_rate": 3e-4, "iterations": 100.0}
    assert parse_assignments(["subset_mode=off", "cluster_k=off"]) == {"subset_mode": "off", "cluster_k": False}
    for text in ("a cat #1", "a cat: sitting", "42", "{cat}", "off"):
        assert build(parse_assignments([f"prompts={text}"])).prompts == (text,)
    assert parse_assignments(["model=3e-4", "prompts=[1e5 cats]"]) == {"model": "3e-4", "prompts": ["1e5 cats"]}
    file = tmp_path / "c.yaml"
    file.write_text("learning_rate: 3e-4\nprompts: 1e5\nsubset_mode: off\n")
    assert (load(file).learning_rate, load(file).prompts) == (3e-4, ("1e5",))


@pytest.mark.parametrize("pair", ["seed", "=3", "seed=[", "seed=2024-13-45", "seed=" + "9" * 5000, "seed=" + "[" * 3000])
def test_unreadable_assignment_is_one_line(pair):
    with pytest.raises(UserError) as caught:
        build(parse_assignments([pair]))
    assert "seed" in str(caught.value) or "key=value" in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("text", ["", "- a", "a: [", "a: 2024-13-45", "seed: " + "9" * 5000, "a: " + "[" * 3000, "\x07", "seed: &a [*a]"])
def test_unreadable_file_is_one_line(tmp_path, text):
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        load(file)
    assert "\n" not in str(caught.value)


def test_file_that_is_missing_or_no_text_is_one_line(tmp_path):
    (tmp_path / "picture").write_bytes(b"\x89PNG\xff")
    for path, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory"), (tmp_path / "picture", "it is not YAML")):
        with pytest.raises(UserError, match=reason):
            load(path)


def test_every_field_has_its_words():
    for name, field in FIELDS.items():
        assert field.description.endswith(".") and field.json_schema_extra["label"], name
