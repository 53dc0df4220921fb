import models
import pytest

from core import loading
from core.config import build


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
        trainer.rewards.load_state_dict({f"{name}.{part}": value for name in trainer.config.rewards for part, value in (("mean", 0.5), ("std", 0.01))})
        return trainer

    return make
