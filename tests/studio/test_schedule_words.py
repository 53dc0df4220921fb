"""The sentence and the lanes of the schedule map, run by Node as the browser runs them."""

from __future__ import annotations

import json
from pathlib import Path

from node import run_node

from core.config import build
from studio.data import schedule

STATIC = Path(__file__).parents[2] / "studio" / "static" / "views" / "schedule"


def run(code: str):
    script = f"import {{ inWords }} from '{(STATIC / 'words.js').as_uri()}'; import {{ scene }} from '{(STATIC / 'map.js').as_uri()}'; import {{ spans, held, cells }} from '{(STATIC / 'steps.js').as_uri()}'; console.log(JSON.stringify({code}))"
    done = run_node("--input-type=module", "-e", script)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_sentences():
    """One sentence for each situation, by the schedule that the server gives."""
    cases = {
        "Training steps 0 to 8; the leash is off.": ({}, 1, ""),
        "Training steps 2 to 5 for now; the leash holds steps 2 to 3 of them.": ({"window": "mix_progressive", "window_interval": 1, "sa_reg_steps": 4}, 3, ""),
        "From iteration 5: training steps 4 to 7 for now; the leash holds none of them now.": ({"window": "mix_progressive", "window_interval": 1, "sa_reg_steps": 2}, 5, "from"),
        "At iteration 2: trained steps 0 to 3; the leash held steps 0 to 2 of them; the prompt was noisy in steps 0 to 3.": (
            {"window": "mix_frozen", "sa_reg_steps": 3, "prompt_noise_scale": 0.1}, 2, "past",
        ),
        "Training the steps from a start that is chosen live; the leash is off.": ({"window": "hrf_dynamic"}, 1, ""),
        "Training steps 0 to 8; the leash has no strength.": ({"sa_reg_steps": 3, "sa_reg_weight": 0.0}, 1, ""),
    }  # fmt: skip
    asked = []
    for settings, at, when in cases.values():
        config = build({"iterations": 20, **settings})
        asked.append([schedule.schedule(schedule.Course(((1, config),), 20, {}), at), when])
    said = run(f"{json.dumps(asked)}.map(([drawn, when]) => {{ const s = scene(drawn, {{ when }}); return inWords(s.lane, s.now, when) }})")
    assert said == list(cases)


def test_leash_is_dark_where_it_meets_a_trained_step_and_many_steps_merge():
    assert run("held({leash: 4, strength: 1}, {trained: [2, 3, 5]})") == [[2, 3], [0, 1]]
    assert run("held({leash: 4, strength: 0}, {trained: [2, 3, 5]})") == [[], [0, 1, 2, 3]]
    assert run("spans([2, 3, 5])") == [[2, 4], [5, 6]]
    assert run("cells([2, 3, 5], 20, 200, 0, 9, {}).match(/<rect/g).length") == 3
    assert run("cells([2, 3, 5], 21, 200, 0, 9, {}).match(/<rect/g).length") == 2
