"""Which backbone a model gets follows from its model_index.json; what cannot be tuned is refused with what can."""

import json
import shutil

import models
import pytest

from core.backbones.ddpm import DDPM
from core.backbones.names import PIPELINES, check_model
from core.backbones.sd import StableDiffusion
from core.backbones.sd3 import SD3
from core.config import build
from core.errors import UserError
from core.loading import BACKBONES, load_backbone


@pytest.mark.parametrize("kind, backbone", [("sd", StableDiffusion), ("sd2", StableDiffusion), ("ddpm", DDPM), ("ldm", DDPM)])
def test_backbone_follows_from_the_index(tmp_path_factory, kind, backbone):
    assert type(load_backbone(build(models.settings(models.diffusion_folder(tmp_path_factory, kind))))) is backbone


def test_sd3_is_still_sd3(sd3_folder):
    assert type(load_backbone(build(models.settings(sd3_folder)))) is SD3


def test_a_ddim_pipeline_is_a_ddpm(tmp_path_factory, tmp_path):
    copy = shutil.copytree(models.diffusion_folder(tmp_path_factory, "ddpm"), tmp_path / "model")
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps({**index, "_class_name": "DDIMPipeline"}))
    assert type(load_backbone(build(models.settings(copy)))) is DDPM


def test_every_class_that_is_accepted_has_a_backbone():
    assert set(BACKBONES) == set(PIPELINES)


def test_another_class_is_refused_with_all_that_would_do(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(UserError) as caught:
        load_backbone(build(models.settings(tmp_path)))
    assert str(caught.value) == f"model: {tmp_path} is FLUX (FluxPipeline), which cannot be tuned here. Use SD 3 and 3.5, SD 1 and 2, and models without a prompt (DDPM, DDIM, LDM)."


def test_hub_name_is_refused_in_one_line_where_there_is_no_network():
    with pytest.raises(UserError, match="model: .*nobody/nothing-of-this-name .*(network|Check the name)") as caught:
        load_backbone(build(models.settings("nobody/nothing-of-this-name")))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind, part", [("ddpm", "unet"), ("ddpm", "scheduler"), ("ldm", "vqvae"), ("sd", "tokenizer")])
def test_absent_part_is_named(tmp_path_factory, tmp_path, kind, part):
    copy = shutil.copytree(models.diffusion_folder(tmp_path_factory, kind), tmp_path / "model")
    shutil.rmtree(copy / part)
    with pytest.raises(UserError, match=f"lacks its part {part}"):
        check_model(str(copy))
