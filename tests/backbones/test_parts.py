"""Each part of a pipeline is told before diffusers loads it; the bar that tells it is put back."""

import models
import pytest
from diffusers.utils import logging

from core.backbones import parts
from core.config import MODELS, build
from core.errors import UserError
from core.loading import load_backbone


@pytest.mark.parametrize(("name", "count"), [("emoji-sd3", 7), ("sd", 5), ("emoji-ddpm", 2), ("ldm", 3)])
def test_every_part_is_told_in_order(name, count, tmp_path_factory):
    shipped = name.startswith("emoji")
    folder = MODELS / name if shipped else models.diffusion_folder(tmp_path_factory, name)
    config = build(models.settings(folder, dynamics="flow_sde" if name == "emoji-sd3" else "ddim"))
    told, plain = [], logging.tqdm
    with parts.heard(lambda number, of: told.append((number, of))):
        load_backbone(config)
    assert told == [(number, count) for number in range(1, count + 1)]
    assert logging.tqdm is plain


def test_the_bar_is_put_back_where_loading_fails_and_others_are_left_alone(tmp_path):
    plain, told = logging.tqdm, []
    with pytest.raises(UserError), parts.heard(lambda *part: told.append(part)):
        assert list(logging.tqdm([3, 4], desc="Loading checkpoint shards", disable=True)) == [3, 4]
        load_backbone(build(models.settings(tmp_path)))
    assert logging.tqdm is plain and told == []
