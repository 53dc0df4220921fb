import models
import pytest

from core import loading


@pytest.fixture(scope="session")
def sd3_folder(tmp_path_factory):
    return models.folders(tmp_path_factory)[0]


@pytest.fixture
def tiny_clip(tmp_path_factory, monkeypatch):
    """The tiny CLIP in place of the embedded one."""
    folder = models.folders(tmp_path_factory)[1]
    monkeypatch.setattr(loading, "CLIP_FOLDER", folder)
    return folder
