"""Models without a prompt: the whole stochastic chain against stock pipelines, the exported LoRA, rows without content, folders."""

import shutil

import models
import pytest
import torch
from diffusers import DDIMPipeline, DDIMScheduler, DDPMPipeline, LDMPipeline, UNet2DModel
from peft import PeftModel

from core.backbones.ddpm import DDPM
from core.config import build
from core.errors import UserError
from core.runs import lora_folder
from core.sampling.noise import draw, picture_generators
from core.sampling.rollout import rollout

SEEDS, STEPS = [1, 2], 6


@pytest.fixture
def folder(tmp_path_factory):
    return models.diffusion_folder(tmp_path_factory, "ddpm")


@pytest.fixture
def backbone(folder):
    return DDPM(build(models.settings(folder)))


def pictures(backbone, stochastic=()):
    schedule, conditions = backbone.schedule(STEPS), backbone.encode(["cat", "dog"], guidance=1.0)
    with torch.no_grad():
        path = rollout(
            lambda x, i: backbone.velocity(x, i, schedule, conditions, guidance=1.0),
            schedule, SEEDS, backbone.latent_shape, dynamics="ddim", level=1.0, stochastic=stochastic,
        )
    return backbone.decode(path.final)


def as_ours(images) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2)


@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_pictures_are_those_of_stock_diffusers_also_with_the_exported_lora(folder, backbone, tmp_path, eta):
    stochastic = tuple(range(STEPS - 1)) if eta else ()
    stock = DDPMPipeline.from_pretrained(folder)
    scheduler = DDIMScheduler.from_config(stock.scheduler.config, clip_sample=False)

    def drawn(unet):
        pipeline = DDIMPipeline(unet=unet, scheduler=scheduler)
        return as_ours(pipeline(2, generator=picture_generators(SEEDS), eta=eta, num_inference_steps=STEPS, output_type="np").images)

    base = pictures(backbone, stochastic)
    torch.testing.assert_close(drawn(stock.unet), base, atol=1e-4, rtol=0)
    models.perturb(backbone, by=0.1)
    assert lora_folder.write(models.saved(tmp_path, backbone, build(models.settings(folder))), 3, tmp_path / "lora") == tmp_path / "lora" / "adapter_model.safetensors"
    tuned = pictures(backbone, stochastic)
    assert (tuned - base).abs().max() > 0.05
    torch.testing.assert_close(drawn(PeftModel.from_pretrained(stock.unet, tmp_path / "lora").merge_and_unload()), tuned, atol=1e-4, rtol=0)


@pytest.mark.parametrize("kind", ["ldm", "ldm-vq"])
def test_latents_are_drawn_and_decoded_as_in_stock_diffusers(tmp_path_factory, kind):
    folder = models.diffusion_folder(tmp_path_factory, kind)
    stock = LDMPipeline.from_pretrained(folder)
    expected = as_ours(stock(2, generator=picture_generators(SEEDS), num_inference_steps=STEPS, output_type="np").images)
    backbone = DDPM(build(models.settings(folder)))
    assert backbone.latent_shape == (4, 8, 8)
    torch.testing.assert_close(pictures(backbone), expected, atol=1e-4, rtol=0)


def test_prompts_say_nothing_but_keep_their_rows(backbone):
    x, schedule = draw(picture_generators([1, 2, 3]), backbone.latent_shape), backbone.schedule(4)
    conditions = [backbone.encode(texts, guidance=1.0) for texts in (["cat", "dog", "cat"], ["", "", ""])]
    first, second = (backbone.velocity(x, 1, schedule, own, guidance=1.0) for own in conditions)
    assert torch.equal(first, second)
    rows = torch.tensor([2, 0])
    assert len(conditions[0].context) == 3 and len(conditions[0][rows].context) == len(conditions[0][rows].pooled) == 2
    assert conditions[0].negative_context is None


def test_lora_is_on_attention_and_on_residual_convolutions(backbone):
    layers = {name.split(".lora_")[0] for name in backbone.adapter()}
    attention = {n for n in layers if ".attentions." in n}
    convolutions = {n for n in layers if ".resnets." in n}
    assert layers == attention | convolutions and len(attention) == 4 * 4 and len(convolutions) == 2 * 8
    assert {n.rsplit(".", 1)[1] for n in convolutions} == {"conv1", "conv2"}


def test_pixels_end_without_the_noise_of_the_first_level(backbone):
    """The picture is not decoded; at abar_0 the noise of pure white would be seen. SD's latents end at abar_0, as in DDPO."""
    assert backbone.schedule(4).alpha_bar(4) == 1


def test_guidance_without_a_prompt_is_refused(folder):
    with pytest.raises(UserError, match="guidance: 3 asks to follow the prompt") as caught:
        DDPM(build(models.settings(folder, guidance=3.0)))
    assert caught.value.field == "guidance"


def test_old_folder_with_everything_at_its_root(folder, tmp_path):
    """google/ddpm-celebahq-256 and its kin have no folder for each part."""
    for part in ("unet", "scheduler"):
        shutil.copytree(folder / part, tmp_path, dirs_exist_ok=True)
    shutil.copy(folder / "model_index.json", tmp_path)
    flat, deep = (pictures(DDPM(build(models.settings(f)))) for f in (tmp_path, folder))
    assert torch.equal(flat, deep)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"num_class_embeds": 5}, "wants a class"),
        ({"out_channels": 6}, "takes 3 channels and gives 6"),
        ({"sample_size": None}, "resolution: this model does not say its picture size"),
    ],
)
def test_unet_of_another_kind_is_refused(folder, tmp_path, change, said):
    copy = shutil.copytree(folder, tmp_path / "model")
    UNet2DModel.from_config({**UNet2DModel.load_config(folder / "unet"), **change}).save_pretrained(copy / "unet")
    with pytest.raises(UserError, match=said):
        DDPM(build(models.settings(copy)))


def test_picture_that_is_not_square(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    UNet2DModel.from_config({**UNet2DModel.load_config(folder / "unet"), "sample_size": [16, 24]}).save_pretrained(copy / "unet")
    assert pictures(DDPM(build(models.settings(copy)))).shape == (2, 3, 16, 24)
