import models
import pytest

from core.backbones.sd3 import SD3
from core.config import build


@pytest.fixture(scope="session")
def sd3_folder(tmp_path_factory):
    return models.folders(tmp_path_factory)[0]


@pytest.fixture
def backbone(sd3_folder):
    return SD3(build(models.settings(sd3_folder)))
