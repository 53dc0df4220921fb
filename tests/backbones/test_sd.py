"""Stable Diffusion 1 and 2: the exported LoRA draws the same pictures in stock diffusers; guidance, conditions, folders."""

import json
import shutil

import models
import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, StableDiffusionPipeline
from safetensors import safe_open

from core.backbones.sd import StableDiffusion
from core.config import build
from core.errors import UserError
from core.runs import lora_folder
from core.sampling.noise import draw, picture_generators
from core.sampling.rollout import rollout

SEEDS, GUIDANCE, STEPS = [1, 2], 3.0, 6


@pytest.fixture(params=["sd", "sd2"])
def folder(tmp_path_factory, request):
    return models.diffusion_folder(tmp_path_factory, request.param)


@pytest.fixture
def backbone(folder):
    return StableDiffusion(build(models.settings(folder)))


def pictures(backbone, guidance=GUIDANCE):
    schedule, conditions = backbone.schedule(STEPS), backbone.encode(["cat", "dog"], guidance=guidance)
    with torch.no_grad():
        path = rollout(
            lambda x, i: backbone.velocity(x, i, schedule, conditions, guidance=guidance),
            schedule, SEEDS, backbone.latent_shape, dynamics="ddim", level=1.0, stochastic=(),
        )
    return backbone.decode(path.final)


def test_exported_lora_draws_the_same_pictures_in_stock_diffusers(folder, backbone, tmp_path):
    base = pictures(backbone)
    models.perturb(backbone)
    file = lora_folder.write(models.saved(tmp_path, backbone, build(models.settings(folder))), 3, tmp_path)
    with safe_open(file, "pt") as read:
        assert len(read.keys()) == 64 and all(name.startswith("unet.") for name in read.keys())
    stock = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    stock.scheduler = DDIMScheduler.from_config(stock.scheduler.config, clip_sample=False)  # which PNDM leaves unsaid

    def drawn():
        latents = draw(picture_generators(SEEDS), backbone.latent_shape)
        return stock(["cat", "dog"], latents=latents, num_inference_steps=STEPS, guidance_scale=GUIDANCE, output_type="pt").images

    torch.testing.assert_close(drawn(), base, atol=1e-4, rtol=0)
    stock.load_lora_weights(tmp_path)
    tuned = pictures(backbone)
    assert (tuned - base).abs().max() > 0.02
    torch.testing.assert_close(drawn(), tuned, atol=1e-4, rtol=0)


def test_lora_is_on_the_attention_projections_alone(backbone):
    layers = {name.split(".lora_")[0] for name in backbone.adapter()}
    assert len(layers) == 4 * 2 * 4  # q, k, v, out of self and cross attention in four blocks
    assert {name.split(".attn")[1][2:] for name in layers} == {"to_q", "to_k", "to_v", "to_out.0"}


def test_guidance_is_the_line_through_the_empty_and_the_full_prompt(backbone):
    x, schedule = draw(picture_generators(SEEDS), backbone.latent_shape), backbone.schedule(STEPS)

    def velocity(texts, guidance):
        with torch.no_grad():
            return backbone.velocity(x, 2, schedule, backbone.encode(texts, guidance=guidance), guidance=guidance)

    led, free = velocity(["cat", "dog"], 1.0), velocity(["", ""], 1.0)
    assert (led - free).abs().max() > 1e-4
    torch.testing.assert_close(velocity(["cat", "dog"], 5.0), free + 5.0 * (led - free), atol=1e-6, rtol=1e-5)


def test_embedding_of_a_prompt_depends_on_no_neighbour_and_is_made_once(folder, backbone, monkeypatch):
    together = backbone.encode(["cat", "a dog", "cat"], guidance=2.0)
    alone = StableDiffusion(build(models.settings(folder))).encode(["cat"], guidance=1.0)
    assert together.context.shape == together.negative_context.shape == (3, models.WORDS, 16)
    assert together.pooled.shape == together.negative_pooled.shape == (3, 0)
    assert torch.equal(together.context[0], alone.context[0]) and torch.equal(together.context[2], alone.context[0])
    assert not torch.equal(together.context[0], together.context[1]) and alone.negative_context is None
    picked = together[torch.tensor([1, 0])]
    assert torch.equal(picked.context[0], together.context[1]) and picked.pooled.shape == (2, 0)
    monkeypatch.setattr(backbone.pipeline, "encode_prompt", lambda *a, **k: pytest.fail("encoded again"))
    backbone.encode(["a dog", "cat"], guidance=2.0)


def test_rollout_ends_at_the_first_level_whatever_the_scheduler_says(backbone):
    """DDPO's clamp: Euler's config does not say where to end, so DDIM would take 1."""
    backbone.pipeline.scheduler = euler = EulerDiscreteScheduler(timestep_spacing="leading", steps_offset=1)
    assert backbone.schedule(4).alpha_bar(4) == euler.alphas_cumprod[0]


def test_safety_checker_is_neither_needed_nor_loaded(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "model")
    index = json.loads((copy / "model_index.json").read_text())
    index |= {"safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"], "feature_extractor": ["transformers", "CLIPImageProcessor"]}
    (copy / "model_index.json").write_text(json.dumps(index))
    assert StableDiffusion(build(models.settings(copy))).pipeline.safety_checker is None


@pytest.mark.parametrize(
    "change, said",
    [
        ({"in_channels": 9}, "takes 9 channels and gives 4"),
        ({"time_cond_proj_dim": 8}, "is distilled"),
    ],
)
def test_unet_that_wants_more_than_a_latent_is_refused(folder, tmp_path, change, said):
    copy = shutil.copytree(folder, tmp_path / "model")
    stock = StableDiffusionPipeline.from_pretrained(folder, safety_checker=None)
    type(stock.unet).from_config({**stock.unet.config, **change}).save_pretrained(copy / "unet")
    with pytest.raises(UserError, match=said):
        StableDiffusion(build(models.settings(copy)))
