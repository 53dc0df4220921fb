"""The comparison of all methods: every one of them exists, and the table says what the tracks say."""

import json

import pytest

from core.cli import pareto
from core.config import load_preset
from core.errors import UserError
from core.evaluation import Measure


def track(*pairs) -> list[Measure]:
    return [Measure(i, reward, clip, 2 * clip) for i, (reward, clip) in enumerate(pairs)]


def test_every_method_is_a_preset_with_settings_that_go_together():
    for preset, against, changes in pareto.METHODS.values():
        for rewards in pareto.REWARDS[against].values():
            config = load_preset(preset).with_changes(**changes, rewards=rewards)
        baseline = load_preset(pareto.METHODS[against][0])
        # equal budgets: the same model, pictures and steps
        for field in ("model", "steps", "learning_rate", "updates_per_iteration"):
            assert getattr(config, field) == getattr(baseline, field), (preset, field)


def test_methods_are_chosen_with_their_baselines():
    assert list(pareto.chosen(["hrf"])) == ["ddpo", "hrf"]
    with pytest.raises(UserError, match="'hfr' is unknown"):
        pareto.chosen(["hfr"])


def test_quick_is_a_part():
    assert set(pareto.QUICK) <= set(pareto.METHODS) and pareto.QUICK[0] == next(iter(pareto.METHODS)) == "flow-grpo"


def test_table_and_results_say_what_was_measured(tmp_path):
    plain, diverse = track((0, 8), (2, 4), (4, 2)), track((0, 8), (2, 7), (3, 6))
    methods = {name: pareto.METHODS[name] for name in ("flow-grpo", "diverse-grpo")}
    pareto.write({"style": {"flow-grpo": [plain, plain], "diverse-grpo": [diverse, plain]}}, methods, tmp_path)
    row = json.loads((tmp_path / "results.json").read_text())["rows"][1]
    assert row["more_looks_clip"] == pytest.approx([1.0, 0.0]) and row["more_reward_pixels"] == pytest.approx([2.0, 0.0])
    assert row["gain"] == [3, 4] and row["kept"] == [0.75, 0.25]
    table = (tmp_path / "table.md").read_text().splitlines()
    assert "| style | diverse-grpo | flow-grpo | 2 | 3.50 | 50% (25% to 75%) | 50% (0% to 100%) |" in table[3]
    assert "effective number of looks" in (tmp_path / "style.html").read_text()
