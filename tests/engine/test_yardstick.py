"""Every iteration is measured by the yardstick of the base, also after a resume."""

import pytest
import torch
from working import metrics, reading, work

from core import base
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


@pytest.mark.parametrize("window", [{"window": "fast_random", "window_size": 1}, {"window": "full"}, {"window": "hrf_latter", "window_size": 2}])
def test_base_groups_get_noise_where_the_iterations_do(make_trainer, window):
    """Noise at other steps makes pictures that differ more, or less: variety would be measured against another kind of picture."""
    trainer = make_trainer(steps=6, group_size=4, iterations=9, base_pictures=24, seed=3, **window)
    seeds, images = base.picture_prompt(trainer, 0, 12, lambda n: None)
    for group, iteration in enumerate((1, 4, 7)):
        noised = trainer.config.trainable_steps if "hrf" in window["window"] else trainer.plan(iteration).stochastic
        own = seeds[4 * group : 4 * group + 4]
        with trainer.backbone.reference():
            expected = trainer.decode(trainer.sample(trainer.conditions([0], 4), own, stochastic=noised).final)
        assert torch.equal(images[4 * group : 4 * group + 4], expected)
    if window["window"] == "fast_random":
        assert len({trainer.plan(i).stochastic for i in (1, 4, 7)}) > 1
