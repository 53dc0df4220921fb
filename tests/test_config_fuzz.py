"""Anything that JSON or YAML can say is either a RunConfig or one line."""

import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from core.config import FIELDS, RunConfig, build, load, parse_assignments, problems
from core.errors import UserError

SCHEMA = RunConfig.model_json_schema()["properties"]
TEXT = st.text(max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=8,
)


def valid(part: dict) -> st.SearchStrategy:
    """Values that a field's JSON schema allows."""
    if "anyOf" in part:
        return st.one_of([valid(p) for p in part["anyOf"]])
    if "enum" in part:
        return st.sampled_from(part["enum"])
    if "const" in part:
        return st.just(part["const"])
    if part["type"] == "integer":
        step = part.get("multipleOf", 1)
        return st.integers(-(-part["minimum"] // step), part["maximum"] // step).map(lambda n: n * step)
    if part["type"] == "number":
        low, high = part.get("minimum", part.get("exclusiveMinimum")), part.get("maximum", 1e6)
        return st.floats(low, high, exclude_min="exclusiveMinimum" in part)
    if part["type"] == "boolean":
        return st.booleans()
    if part["type"] == "null":
        return st.none()
    if part["type"] == "array":
        return st.lists(st.text(min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=5)
    if part["type"] == "object":
        return st.dictionaries(st.text(min_size=1, max_size=20), st.floats(-10, 10), min_size=1, max_size=6)
    return st.text(min_size=1, max_size=30)


@st.composite
def configs(draw) -> RunConfig:
    values = draw(st.fixed_dictionaries({}, optional={name: valid(part) for name, part in SCHEMA.items()}))
    for _ in range(20):  # settings that clash are told one by one: mend or drop the one that is named
        try:
            return build(values)
        except UserError as error:
            if error.field == "reward_file":
                values["reward_file"] = "own.py"
            else:
                topic = error.field.split("_")[0]
                for name in [error.field] if error.field in values else [n for n in values if n.split("_")[0] == topic]:
                    del values[name]
    raise AssertionError(f"no end of clashes: {values}")


@given(configs())
def test_valid_config_comes_back_from_disk_as_it_was(config):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(config.to_yaml(), encoding="utf-8", newline="\n")
        assert load(file) == config
    assert config.with_changes() == config
    assert problems(config.model_dump()) == {}


# fields of which a rule about two settings may speak
TOGETHER = {
    "sa_reg_steps", "prompts_per_iteration", "reward_file", "noise_level", "creative_beta", "objective", "shaping_alpha", "shaping_terminal_zero", "advantage",
    "adv_history_min", "subset_k", "subset_low", "prompt_noise_tau1", "window",
}  # fmt: skip


@given(configs(), st.sampled_from(sorted(FIELDS)), st.data())
def test_one_change_changes_one_field(config, name, data):
    value = data.draw(valid(SCHEMA[name]))
    try:
        changed = config.with_changes(**{name: value})
    except UserError as error:
        assert error.field in TOGETHER
        return
    assert {n for n in FIELDS if getattr(changed, n) != getattr(config, n)} <= {name}
    assert getattr(changed, name) == (tuple(x.strip() for x in value) if name == "prompts" else value)


def says_one_line(values) -> None:
    """`build` and `problems` agree, and what they say can be shown."""
    found = problems(values)
    try:
        assert isinstance(build(values), RunConfig) and found == {}
    except UserError as error:
        assert found[error.field or ""] == str(error)
        for text in found.values():
            assert text.splitlines() == [text] and len(text) < 250, text
            text.encode("utf-8")  # printable anywhere: no lone surrogates


@given(JSON)
def test_any_value_at_all(value):
    says_one_line(value)


@given(st.dictionaries(st.sampled_from(sorted(FIELDS)) | TEXT, JSON, max_size=5))
def test_any_settings(values):
    says_one_line(values)


@pytest.mark.parametrize("name", sorted(FIELDS))
def test_any_value_of_each_field(name):
    @settings(max_examples=12)
    @given(JSON | st.lists(TEXT, max_size=4) | st.dictionaries(TEXT, st.floats() | JSON, max_size=7))
    def check(value):
        says_one_line({name: value})

    check()


@given(st.text(max_size=200) | st.sampled_from(sorted(FIELDS)).flatmap(lambda n: TEXT.map(lambda t: f"{n}={t}")))
def test_any_assignment_of_the_command_line(pair):
    try:
        build(parse_assignments([pair]))
    except UserError as error:
        assert str(error).splitlines() == [str(error)]


@given(st.text(max_size=200) | JSON.map(yaml.safe_dump) | st.dictionaries(st.sampled_from(sorted(FIELDS)), JSON, max_size=5).map(yaml.safe_dump))
def test_any_file(text):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(text, encoding="utf-8", errors="replace", newline="")
        try:
            load(file)
        except UserError as error:
            assert str(error).splitlines() == [str(error)]
