import models
import pytest

from core import control, loading, training
from core.config import build
from core.runs import folder
from core.training import Trainer


@pytest.fixture(scope="session")
def sd3_folder(tmp_path_factory):
    return models.folders(tmp_path_factory)[0]


@pytest.fixture(autouse=True)
def tiny_clip(tmp_path_factory, monkeypatch):
    """The tiny CLIP in place of the embedded one."""
    folder = models.folders(tmp_path_factory)[1]
    monkeypatch.setattr(loading, "CLIP_FOLDER", folder)
    return folder


@pytest.fixture
def settings(sd3_folder):
    """settings(**changes): a RunConfig on the tiny model."""
    return lambda **changes: build(models.settings(sd3_folder, **changes))


@pytest.fixture
def make_trainer(settings):
    """make_trainer(**changes): a trainer whose rewards are on a plain scale."""

    def make(**changes):
        trainer = loading.build_trainer(settings(**changes))
        trainer.rewards.load_state_dict(
            {f"{name}.{part}": value for name in trainer.config.rewards for part, value in (("mean", 0.5), ("std", 0.01))}
        )
        return trainer

    return make


@pytest.fixture
def prompt_answers(monkeypatch):
    monkeypatch.setattr(control, "POLL_EVERY", 0.0)
    monkeypatch.setattr(control, "PAUSED_POLL", 0.01)


@pytest.fixture
def new_run(settings, tmp_path):
    def new(name: str = "demo", **changes) -> folder.Run:
        return folder.create(tmp_path / name, settings(**changes))

    return new


@pytest.fixture
def at_iteration(monkeypatch):
    """at_iteration(number, act): call act() when that iteration begins."""
    plain, acts = Trainer.iterate, {}

    def iterate(self, iteration):
        acts.pop(iteration, lambda: None)()
        return plain(self, iteration)

    monkeypatch.setattr(Trainer, "iterate", iterate)
    return lambda number, act: acts.update({number: act})


@pytest.fixture
def at_micro_step(monkeypatch):
    """at_micro_step(number, act): call act() after that many losses, counted from now."""
    plain = training.clipped_objective
    acts, calls = {}, [0]

    def watched(*args, **options):
        calls[0] += 1
        acts.pop(calls[0], lambda: None)()
        return plain(*args, **options)

    monkeypatch.setattr(training, "clipped_objective", watched)
    return lambda number, act: acts.update({calls[0] + number: act})
