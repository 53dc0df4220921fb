"""The comparison of all methods: every one of them exists, and the table says what the tracks say."""

import argparse
import json

import pytest

from core.cli import pareto
from core.errors import UserError
from core.evaluation import Measure
from core.presets import load_preset


def track(*pairs) -> list[Measure]:
    return [Measure(i, reward, clip, 2 * clip) for i, (reward, clip) in enumerate(pairs)]


def test_every_method_is_a_preset_with_settings_that_go_together():
    for preset, against, changes in pareto.METHODS.values():
        for rewards in pareto.REWARDS[against].values():
            config = load_preset(preset).with_changes(**changes, rewards=rewards)
        baseline = load_preset(pareto.METHODS[against][0])
        # equal budgets: the same model, pictures and steps
        pictures = lambda c: c.group_size * c.prompts_per_iteration * (c.hrf_anchors_per_prompt if c.window.startswith("hrf") else 1)
        assert pictures(config) == pictures(baseline), preset
        for field in ("model", "steps", "learning_rate", "updates_per_iteration"):
            assert getattr(config, field) == getattr(baseline, field), (preset, field)


def test_methods_are_chosen_with_their_baselines():
    assert list(pareto.chosen(["hrf"])) == ["ddpo", "hrf"]
    with pytest.raises(UserError, match="'hfr' is unknown"):
        pareto.chosen(["hfr"])


def test_each_family_has_rewards_of_its_own():
    methods = pareto.chosen(["diverse-grpo", "hrf"])
    assert pareto.trained_on(methods, pareto.KINDS) == {
        "style": ["flow-grpo", "diverse-grpo"], **{kind: ["flow-grpo", "diverse-grpo", "ddpo", "hrf"] for kind in ("colour", "size")},
    }
    assert pareto.trained_on(methods, pareto.KINDS, only_first=True) == {"style": ["flow-grpo", "diverse-grpo"], "colour": ["ddpo", "hrf"]}
    with pytest.raises(UserError, match="none of ddpo, hrf is trained on style.*ddpo: colour or size"):
        pareto.trained_on(pareto.chosen(["hrf"]), ["style"])


def test_quick_is_a_part():
    assert set(pareto.QUICK) <= set(pareto.METHODS) and pareto.QUICK[0] == next(iter(pareto.METHODS)) == "flow-grpo"


def test_table_and_results_say_what_was_measured(tmp_path):
    plain, diverse = track((0, 8), (2, 4), (4, 2)), track((0, 8), (2, 7), (3, 6))
    pareto.write({"style": {"flow-grpo": [plain, plain], "diverse-grpo": [diverse, plain]}}, tmp_path)
    row = json.loads((tmp_path / "results.json").read_text())["rows"][1]
    assert row["more_looks_clip"] == pytest.approx([1.0, 0.0]) and row["more_reward_pixels"] == pytest.approx([2.0, 0.0])
    assert row["gain"] == [3, 4] and row["kept"] == [0.75, 0.25]
    table = (tmp_path / "table.md").read_text().splitlines()
    assert "| style | diverse-grpo | flow-grpo | 2 | 3.50 | 50% (25% to 75%) | 50% (0% to 100%) |" in table[3]
    assert "effective number of looks" in (tmp_path / "style.html").read_text()


def test_a_later_comparison_adds_to_the_earlier_one(tmp_path):
    assert pareto.earlier(tmp_path) == {}
    found = {"colour": {"ddpo": [track((0, 8), (2, 4))], "hrf": [track((0, 8), (2, 6))]}}
    pareto.write(found, tmp_path)
    assert pareto.earlier(tmp_path) == found


def test_a_track_that_never_comes_so_far_is_said_and_not_averaged(tmp_path):
    base = track((0, 10), (1, 8), (3, 4))
    near, never = track((0, 10), (1, 9), (2, 8)), track((0, 10), (1, 9), (1, 9))
    assert pareto.compare("colour", {"ddpo": [base, base], "hrf": [near, never]})[1]["kept_clip"][0] == pytest.approx(0.865)
    pareto.write({"colour": {"ddpo": [base, base], "hrf": [near, never]}}, tmp_path)
    lines = (tmp_path / "table.md").read_text().splitlines()
    assert lines[3].endswith("| 86% (86% to 86%), 1 of 2 | 86% (86% to 86%), 1 of 2 |")
    pareto.write({"colour": {"ddpo": [track((0, 10), (1, 9))], "hrf": [near]}}, tmp_path)
    assert "not reached" in (tmp_path / "table.md").read_text()


def test_fewer_seeds_leave_the_other_seeds_as_they_were(tmp_path, monkeypatch, capsys):
    """The baseline of two methods compared one after the other, the second on one seed only."""
    from core import proof

    tracks = {"ddpo-0": track((0, 8), (2, 4)), "ddpo-1": track((0, 9), (2, 5)), "hrf-0": track((0, 8), (2, 6)), "hrf-1": track((0, 9), (2, 7)), "hrf-d-0": track((0, 8), (1, 6))}
    monkeypatch.setattr(proof, "trained", lambda place, config: place)
    monkeypatch.setattr(proof, "measured", lambda place, scale, until: tracks[place.path.name])
    for methods, seeds in ((["hrf"], 2), (["hrf-d"], 1)):
        args = {"methods": methods, "seeds": seeds, "quick": False, "rewards": ["colour"], "assignments": [], "run_dir": tmp_path}
        assert pareto.run(argparse.Namespace(**args)) == 0
    found = pareto.earlier(tmp_path)["colour"]
    assert {name: len(seeds) for name, seeds in found.items()} == {"ddpo": 2, "hrf": 2, "hrf-d": 1} and found["ddpo"] == [tracks["ddpo-0"], tracks["ddpo-1"]]
    assert "| colour | hrf | ddpo | 2 | 2.00 |" in capsys.readouterr().out


def test_one_seed_out_of_all_measure_does_not_carry_the_others():
    assert pareto._spread([0.09, 43.22, 0.15]) == "15% (9% to 4322%)"
    assert pareto._spread([0.1, float("nan"), 0.3, 0.2]) == "20% (10% to 30%), 3 of 4"
