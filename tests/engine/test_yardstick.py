"""Every iteration is measured by the yardstick of the base, also after a resume."""

import pytest
import torch
from working import metrics, reading, work

from core.diversity.distance import pairwise
from core.diversity.metrics import base_scale, variety
from core.runs.database import unpack

pytestmark = pytest.mark.usefixtures("prompt_answers")


def test_variety_is_measured_by_the_base_distances(new_run):
    run = new_run(prompts=["cat"], iterations=2)
    assert work(run) == 0
    with run.database() as db:
        db.write("UPDATE status SET state = 'stopped'")
    run.config_file.write_text(run.config_file.read_text().replace("iterations: 2", "iterations: 3"))
    assert work(run, resume=True) == 0
    with reading(run) as db:
        features = {n: torch.from_numpy(unpack(r["embedding"] for r in db.rows("SELECT embedding FROM pictures WHERE iteration = ? ORDER BY position", n))) for n in range(4)}
    scale = base_scale(pairwise(features[0]))
    for row in metrics(run)[1:]:
        expected = variety(pairwise(features[row["iteration"]])[None], scale).item()
        assert row["vendi_by_prompt"]["0"] == pytest.approx(expected, rel=0.02)
        assert row["vendi"] != pytest.approx(variety(pairwise(features[row["iteration"]])[None], None).item(), rel=0.02)
