import models
import pytest
import yaml

from core import loading
from core.runs.folder import Run


@pytest.fixture(scope="session")
def train_tiny(tmp_path_factory):
    """train_tiny(**settings): a finished run of the tiny models, trained by the command line."""

    def train(**settings) -> Run:
        from core.cli import main

        sd3, clip = models.folders(tmp_path_factory)
        root = tmp_path_factory.mktemp("runs")
        (root / "tiny.yaml").write_text(yaml.safe_dump(models.settings(sd3, **settings)))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(loading, "CLIP_FOLDER", clip)
            assert main(["train", str(root / "tiny.yaml"), "--run-dir", str(root / "first"), "--no-map"]) == 0
        return Run(root / "first")

    return train


@pytest.fixture(scope="session")
def sd3_folder(tmp_path_factory):
    return models.folders(tmp_path_factory)[0]


@pytest.fixture
def tiny_clip(tmp_path_factory, monkeypatch):
    """The tiny CLIP in place of the embedded one."""
    folder = models.folders(tmp_path_factory)[1]
    monkeypatch.setattr(loading, "CLIP_FOLDER", folder)
    return folder
