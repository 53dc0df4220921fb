"""The shipped presets: found by name, each with its title and its sentence."""

import pytest
import yaml

from core import presets
from core.config import FIELDS, NAME, build
from core.errors import UserError


@pytest.fixture
def two(tmp_path, monkeypatch):
    monkeypatch.setattr(presets, "PRESETS", tmp_path)
    for name in ("a-first", "collapse-demo"):
        (tmp_path / f"{name}.yaml").write_text(f"# {name.title()}\n# One sentence.\nseed: 7\n")
    return tmp_path


def test_presets_are_found_by_name_the_demo_first(two):
    assert presets.preset_names() == ["collapse-demo", "a-first"]
    assert presets.load_preset("a-first").seed == 7
    assert presets.preset_words("a-first") == ("A-First", "One sentence.")
    with pytest.raises(UserError, match="preset 'colapse-demo' does not exist. Did you mean collapse-demo?"):
        presets.load_preset("colapse-demo")
    with pytest.raises(UserError, match="There are: collapse-demo, a-first"):
        presets.load_preset("../../etc/passwd")


def test_every_shipped_preset_loads_and_opens_with_two_lines_in_words():
    for path in sorted(presets.PRESETS.rglob("*.yaml")):
        assert NAME.fullmatch(path.stem)
        first, second, third = path.read_text(encoding="utf-8").splitlines()[:3]
        assert first.startswith("# ") and second.startswith("# ") and not third.startswith("#"), path.name
        title, sentence = presets.preset_words(path.stem)
        assert 0 < len(title) <= 40 and not title.endswith(".") and sentence.endswith("."), path.name
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
        loaded = presets.load_preset(path.stem)
        assert values and all(key in FIELDS for key in values)
        assert build(loaded.model_dump()) == loaded
