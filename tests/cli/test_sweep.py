"""python -m core bench sweep: a dial at several values, trained once, drawn against the value."""

import json

import models
import pytest

from core import proof
from core.cli import main, sweep
from core.errors import UserError
from core.evaluation import Measure
from core.presets import load_preset
from core.runs.folder import Run


@pytest.fixture
def bench(sd3_folder, tiny_clip, tmp_path):
    """bench(*arguments): the command on the tiny model, 2 iterations."""
    settings = models.settings(sd3_folder, iterations=2, prompts=["cat"], learning_rate=1e-2, checkpoint_every=1)
    fixed = [x for key, value in settings.items() for x in ("--set", f"{key}={json.dumps(value)}")]
    place = ["--preset", "diverse-grpo", "--run-dir", str(tmp_path / "sweep")]
    return lambda *arguments: main(["bench", "sweep", *place, *fixed, *arguments])


@pytest.mark.parametrize(("field", "values", "slugs"), [("creative_beta", "0, 0.4", ("0_0", "0_4")), ("sa_reg_steps", "0,2", ("0", "2"))])
def test_each_value_is_trained_once_and_drawn(bench, tmp_path, capsys, monkeypatch, field, values, slugs):
    assert bench("--field", field, "--values", values, "--seeds", "1") == 0
    where = tmp_path / "sweep" / f"diverse-grpo-{field}"
    assert sorted(p.name for p in where.iterdir() if p.is_dir()) == [f"{slug}-0" for slug in slugs]
    configs = [Run(where / f"{slug}-0").config() for slug in slugs]
    numbers = [float(v) for v in values.split(",")]
    assert [getattr(c, field) for c in configs] == numbers
    assert all(getattr(c, name) == getattr(configs[0], name) for c in configs for name in ("cluster_k", "seed", "iterations", "sa_reg_weight"))
    results = json.loads((where / "results.json").read_text())
    assert [row["value"] for row in results["rows"]] == numbers and results["seeds"] == 1
    kept = json.loads((where / f"{slugs[1]}-0" / "evaluation.json").read_text())["measures"]
    assert [m["iteration"] for m in kept] == [0, 1, 2]
    assert results["rows"][1]["reward"] == [kept[-1]["reward"]] and results["rows"][1]["pixels"] == [kept[-1]["pixels"]]
    assert (where / "table.md").read_text() in capsys.readouterr().out and "Plotly.newPlot" in (where / "sweep.html").read_text()

    monkeypatch.setattr(proof, "carry_out", lambda *a, **k: pytest.fail("trained again"))
    monkeypatch.setattr(proof, "trajectory", lambda *a, **k: pytest.fail("measured again"))
    assert bench("--field", field, "--values", values, "--seeds", "1") == 0
    assert json.loads((where / "results.json").read_text()) == results


def test_an_interrupted_training_ends_the_sweep_with_its_code_and_goes_on(bench, tmp_path, monkeypatch, capsys):
    plain = proof.carry_out
    calls = []
    monkeypatch.setattr(proof, "carry_out", lambda run, **k: calls.append(run.name) or (130 if len(calls) == 2 else plain(run, **k)))
    assert bench("--field", "creative_beta", "--values", "0,0.4", "--seeds", "1") == 130
    assert bench("--field", "creative_beta", "--values", "0,0.4", "--seeds", "1") == 0
    assert calls == ["0_0-0", "0_4-0", "0_4-0"]
    capsys.readouterr()
    assert bench("--field", "creative_beta", "--values", "0,0.4", "--seeds", "1", "--set", "learning_rate=0.001") == 2
    assert "0_0-0: the run there has learning_rate 0.01, not 0.001. Choose another --run-dir" in capsys.readouterr().err


def track(*pairs) -> list[Measure]:
    return [Measure(i, reward, clip, 2 * clip) for i, (reward, clip) in enumerate(pairs)]


def test_table_says_what_was_measured():
    tracks = {0.0: [track((0, 8), (4, 2)), track((0, 8), (2, 6))], 0.4: [track((0, 8), (3, 6), (2.5, 7)), track((0, 8), (-1, 9))]}
    found = sweep.summary("diverse-grpo", "creative_beta", tracks)
    assert found["equal_reward"] == [3, 0]  # the second seed of 0.4 never got beyond the base
    plain, paid = found["rows"]
    assert plain["clip_at_equal_reward"] == pytest.approx([8 - 6 * 3 / 4, 8]) and paid["clip_at_equal_reward"] == pytest.approx([6, 8])
    assert paid["gain"] == [2.5, -1] and paid["pixels"] == [14, 18]
    table = sweep.text(found).splitlines()
    assert "| 0.0 | 3.00 (2.00 to 4.00) | 4.00 (2.00 to 6.00) | 5.75 (3.50 to 8.00) |" in table[4]
    assert json.loads(json.dumps(found, allow_nan=False)) == found


@pytest.mark.parametrize(
    ("field", "values", "words"),
    [
        (None, "1,2", "name a setting and its values"),
        ("creative_beta", None, "name a setting and its values"),
        ("creative_bta", "1,2", "Did you mean creative_beta?"),
        ("creative_beta", "0,9", "Diversity bonus is 9. Use 0 to 3."),
        ("creative_beta", "0.2,0.20", "is a single value"),
        ("seed", "0,1", "seed is used by the sweep itself"),
        ("prompts", "cat,dog", "prompts is not a single number or word"),
        ("sa_reg_steps", "0,11", "Leash length is 11, the run has 10 steps"),
    ],
)
def test_values_are_checked_before_anything_is_trained(field, values, words):
    with pytest.raises(UserError, match=words):
        sweep.values_of(load_preset("diverse-grpo"), field, values)


def test_names_of_values_differ():
    values = [0.2, 2, -0.2, 1e-5, 1e5, "flow_sde", None, True]
    assert len({sweep._slug(v) for v in values}) == len(values)
