"""Every iteration is measured by the yardstick of the base, also after a resume; and after window or noise are turned, by base
pictures that are drawn as the iterations are."""

import numpy as np
import pytest
import torch
from working import events, metrics, pictures, reading, same_weights, send, status, work

from core import base, worker
from core.alarms import Reader
from core.config import build
from core.diversity.distance import pairwise
from core.diversity.metrics import base_scale, variety
from core.loading import open_run
from core.runs.branch import branch
from core.runs.database import unpack
from core.training import BASE
from core.yardstick import Yardstick, drawn

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


# --- turned while the run goes on ------------------------------------------------------------------------------------
def levels(run) -> list:
    return [row.get("yardstick", 1.0) for row in metrics(run)]


def test_what_draws_alike_is_known_without_drawing(settings):
    begun = drawn(settings(steps=6))
    assert drawn(settings(steps=6, learning_rate=1e-5, creative_beta=0.5)) == begun
    assert drawn(settings(steps=6, window="hrf_early", hrf_anchors_per_prompt=2)) == begun  # its finished pictures get noise at every step
    different = [{"noise_level": 0.3}, {"window": "mix_progressive", "window_size": 1}, {"window": "mix_progressive", "window_size": 2}, {"window": "fast_random", "window_size": 2}]
    assert len({str(drawn(settings(steps=6, **changes))) for changes in different} | {str(begun)}) == 5


def test_a_turn_is_measured_once_and_undone_with_it(new_run, at_iteration, monkeypatch):
    said, plain = [], worker.Worker._drawing
    monkeypatch.setattr(worker.Worker, "_drawing", lambda self, *told: said.append(told) or plain(self, *told))
    run = new_run(iterations=6, prompts=("cat", "dog"), prompts_per_iteration=2)
    G, groups = run.config().group_size, 3  # six over two prompts
    for number, level in ((2, 0.2), (4, 0.7), (5, 0.2)):
        at_iteration(number, lambda level=level: send(run, "set", changes={"noise_level": level}))
    assert work(run) == 0 and status(run)["state"] == "finished"
    (event,) = events(run, "yardstick")
    assert levels(run) == [1, 1, 1, event["level"], event["level"], 1, event["level"]] and event["iteration"] == 3
    assert said == [(0, 6 * G), *((n, 6 * G) for n in range(G, 6 * G + 1, G))]

    # the same by hand
    trainer = open_run(run)
    assert trainer.config.noise_level == 0.2
    known, ratio = base.load(run.path / "base.npz"), [0.0, 0.0]
    for prompt in (0, 1):
        with reading(run) as db:
            rows = db.rows("SELECT seed, embedding FROM pictures WHERE kind = 'base' AND prompt = ? ORDER BY position LIMIT ?", prompt, groups * G)
        seeds = [int(row["seed"]) for row in rows]
        assert seeds == trainer.seeds(BASE, 0, prompt, groups * G)
        images = [trainer.pictures(prompt, seeds[n : n + G], purpose=BASE, base=True, noised=trainer.config.trainable_steps) for n in range(0, groups * G, G)]
        fresh = np.concatenate([trainer.perceptual.embed(part).numpy() for part in images])
        for i, features in enumerate((unpack(row["embedding"] for row in rows), fresh)):
            distances = pairwise(trainer.perceptual.embed(images[0]).new_tensor(features))
            ratio[i] += base.variety_at(distances, G, known[prompt].scale)
    assert event["level"] == pytest.approx(ratio[1] / ratio[0], rel=1e-4) and abs(event["level"] - 1) > 0.01


def test_it_changes_nothing_that_is_learned_and_survives_resume_and_branch(new_run, at_iteration, monkeypatch, tmp_path):
    def turned(name):
        run = new_run(name, iterations=4, checkpoint_every=2)
        at_iteration(3, lambda: send(run, "set", changes={"noise_level": 0.2}))
        assert work(run) == 0
        return run

    one = turned("one")
    with monkeypatch.context() as patch:
        patch.setattr(Yardstick, "level", lambda self, iteration: 1.0)
        other = turned("other")
    assert same_weights(one, other, 4) and len(pictures(one)) == len(pictures(other))
    assert levels(other) == [1] * 5

    level = events(one, "yardstick")[0]["level"]
    monkeypatch.setattr(Yardstick, "_measured", None)  # nothing is drawn any more
    one.config_file.write_text(build({**one.config().model_dump(), "iterations": 6}).to_yaml())
    assert work(one, resume=True) == 0
    assert levels(one) == [1] * 4 + [level] * 3
    new = branch(one, tmp_path / "new", 2, {"noise_level": 0.2})  # from before the turn
    assert work(new, resume=True) == 0
    assert levels(new) == [1] * 3 + [level] * 4


def test_variety_is_judged_by_the_base_that_is_drawn_alike():
    reader = Reader(per_iteration=96)
    reader.next({"iteration": 0, "vendi": 8.0, "vendi_by_prompt": {"0": 6.0, "1": 10.0}})
    before = reader.next({"iteration": 1, "vendi": 3.0, "vendi_by_prompt": {"0": 3.0}})
    after = reader.next({"iteration": 2, "vendi": 3.0, "vendi_by_prompt": {"0": 3.0}, "yardstick": 0.75})
    assert (before.q, before.variety, before.base) == (0.5, 4.0, 8.0)
    assert (after.q, after.variety, after.base) == (pytest.approx(3 / 4.5), pytest.approx(8 * 3 / 4.5), 8.0)
