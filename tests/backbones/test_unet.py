"""What every UNet backbone promises, on miniatures of the real classes: Stable Diffusion 1 and 2, DDPM in pixels and in latents."""

import pickle
import shutil

import models
import pytest
import torch
from diffusers import DiffusionPipeline, FlowMatchEulerDiscreteScheduler
from models import perturb
from safetensors.torch import load_file

from core.backbones.ddpm import DDPM
from core.backbones.sd import StableDiffusion
from core.config import build
from core.errors import UserError
from core.sampling.dynamics import step
from core.sampling.noise import draw, picture_generators
from core.sampling.rollout import rollout

KINDS = {"sd": StableDiffusion, "sd2": StableDiffusion, "ddpm": DDPM, "ldm": DDPM}
pytestmark = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def folder(tmp_path_factory, kind):
    return models.diffusion_folder(tmp_path_factory, kind)


@pytest.fixture
def backbone(folder, kind):
    return KINDS[kind](build(models.settings(folder)))


@pytest.fixture
def plain(folder):
    """The folder in stock diffusers, without any adapter."""
    return DiffusionPipeline.from_pretrained(folder)


def noise(backbone, seeds=(1, 2)):
    return draw(picture_generators(seeds), backbone.latent_shape)


def velocity(backbone, i=1, texts=("cat", "dog"), guidance=1.0):
    with torch.no_grad():
        return backbone.velocity(noise(backbone), i, backbone.schedule(4), backbone.encode(list(texts), guidance=guidance), guidance=guidance)


def stock_velocity(plain, x, timestep):
    with torch.no_grad():
        if not hasattr(plain, "text_encoder"):
            return plain.unet(x, timestep).sample
        context, _ = plain.encode_prompt(["cat", "dog"], "cpu", 1, False)
        return plain.unet(x, timestep, encoder_hidden_states=context).sample


def test_base_within_the_base_does_not_end_it(backbone, kind):
    """A pause serves Compare, which may ask for the base while the trainer draws with it."""
    models.perturb(backbone)
    x, schedule, conditions = torch.zeros(1, *backbone.latent_shape), backbone.schedule(4), backbone.encode(["cat"], guidance=1.0)
    with torch.no_grad():
        said = lambda: backbone.velocity(x, 0, schedule, conditions, guidance=1.0)
        tuned = said()
        with backbone.reference():
            base = said()
            with backbone.reference():
                assert torch.equal(said(), base)
            assert torch.equal(said(), base) and backbone.referring
        assert torch.equal(said(), tuned) and not torch.equal(tuned, base) and not backbone.referring


def test_prediction_is_deterministic_and_that_of_stock_diffusers(backbone, plain):
    first = velocity(backbone)
    assert torch.equal(first, velocity(backbone)) and first.dtype == torch.float32
    schedule = backbone.schedule(4)
    assert schedule.prediction == plain.scheduler.config.prediction_type
    torch.testing.assert_close(first, stock_velocity(plain, noise(backbone), schedule.timesteps[1]), atol=1e-5, rtol=1e-4)
    assert (first - velocity(backbone, i=3)).abs().max() > 1e-3


def test_reference_is_the_model_without_adapter_also_after_an_exception(backbone, plain):
    fresh, stock = velocity(backbone), stock_velocity(plain, noise(backbone), backbone.schedule(4).timesteps[1])
    perturb(backbone)
    tuned = velocity(backbone)
    assert (tuned - fresh).abs().max() > 1e-3
    with pytest.raises(ZeroDivisionError), backbone.reference():
        assert torch.equal(velocity(backbone), fresh)
        torch.testing.assert_close(velocity(backbone), stock, atol=1e-5, rtol=1e-4)
        1 / 0
    assert torch.equal(velocity(backbone), tuned)


def test_strength_scales_the_lora_from_nothing_to_as_trained(backbone):
    def at(strength):
        backbone.set_strength(strength)
        return velocity(backbone)

    base = velocity(backbone)
    perturb(backbone)
    tuned = velocity(backbone)
    assert torch.equal(at(0.0), base) and torch.equal(at(1.0), tuned)
    assert min((at(0.5) - base).norm(), (at(0.5) - tuned).norm()) > 0.05 * (tuned - base).norm()


def test_gradient_reaches_the_lora_and_nothing_else(backbone):
    with backbone.reference():  # a leash is laid between the policy's forward and its backward
        velocity(backbone)
    out = backbone.velocity(noise(backbone), 0, backbone.schedule(4), backbone.encode(["cat", "dog"], guidance=1.0), guidance=1.0)
    with backbone.reference():
        velocity(backbone)
    out.square().sum().backward()
    adapter = backbone.adapter()
    assert all(p.grad is not None and p.grad.any() for n, p in adapter.items() if "lora_B" in n) and len(adapter) == 64
    assert all(p.dtype == torch.float32 for p in adapter.values())
    frozen = [p for n, p in backbone.unet.named_parameters() if n not in adapter]
    assert frozen and all(p.grad is None and not p.requires_grad for p in frozen)
    assert backbone.vae is None or not any(p.requires_grad for p in backbone.vae.parameters())


def test_equal_seeds_start_equal_loras(folder, kind):
    first, again, other = (KINDS[kind](build(models.settings(folder, seed=s))).adapter() for s in (0, 0, 1))
    assert list(first) == list(again) and all(torch.equal(first[n], again[n]) for n in first)
    assert not all(torch.equal(first[n], other[n]) for n in first)


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16"])
def test_ratio_is_exactly_one_before_the_first_update(folder, kind, arithmetic):
    guidance = 3.0 if KINDS[kind] is StableDiffusion else 1.0
    backbone = KINDS[kind](build(models.settings(folder, dtype=arithmetic)))
    perturb(backbone, by=0.05)
    schedule, conditions = backbone.schedule(6), backbone.encode(["cat", "dog", "cat"], guidance=guidance)
    model = lambda x, i: backbone.velocity(x, i, schedule, conditions, guidance=guidance)
    path = rollout(model, schedule, [1, 2, 3], backbone.latent_shape, dynamics="ddim", level=1.0, stochastic=tuple(range(5)))
    for i in range(5):
        x = path.latents[:, i]
        now = step(model(x, i), x, i, schedule, dynamics="ddim", level=1.0, x_next=path.next_latents[:, i])
        assert now.log_prob.requires_grad and now.log_prob.dtype == torch.float32
        assert torch.equal((now.log_prob - path.log_probs[:, i]).exp(), torch.ones(3))


def test_decode_is_the_stock_pipeline_s(backbone, plain):
    latents = noise(backbone, (3, 4, 5))
    vae = getattr(plain, "vae", None) or getattr(plain, "vqvae", None)
    with torch.no_grad():
        expected = latents if vae is None else vae.decode(latents / vae.config.scaling_factor).sample
    pictures = backbone.decode(latents)
    assert pictures.shape == (3, 3, models.SIDE, models.SIDE) and pictures.dtype == torch.float32
    torch.testing.assert_close(pictures, (expected / 2 + 0.5).clamp(0, 1), atol=1e-5, rtol=0)


def test_another_picture_size_is_drawn_or_refused(folder, kind):
    larger = KINDS[kind](build(models.settings(folder, resolution=48)))
    assert larger.decode(velocity(larger)).shape == (2, 3, 48, 48)
    with pytest.raises(UserError, match="resolution: 49 does not fit this model. Use a multiple of "):
        larger._sides(49)


def test_arithmetic_is_measured_where_none_is_named(folder, kind):
    assert KINDS[kind](build(models.settings(folder, dtype="auto"))).arithmetic in ("float32", "bfloat16")
    assert KINDS[kind](build(models.settings(folder, dtype="auto")), arithmetic="bfloat16").arithmetic == "bfloat16"


def test_scheduler_of_another_family_is_refused(backbone):
    backbone.pipeline.scheduler = FlowMatchEulerDiscreteScheduler()
    with pytest.raises(UserError, match="model: its scheduler cannot be used .FlowMatchEulerDiscreteScheduler has no alphas_cumprod"):
        backbone.schedule(4)


@pytest.mark.parametrize("honest", [True, False])
def test_pickled_weights_are_refused_and_never_opened(folder, kind, tmp_path, honest):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    weights = sorted(folder.glob("*/*.safetensors"))
    assert weights
    for number, file in enumerate(weights):
        copy = shutil.copytree(folder, tmp_path / str(number))
        pickled = copy / file.parent.name / ("pytorch_model.bin" if file.parent.name == "text_encoder" else "diffusion_pytorch_model.bin")
        if honest:
            torch.save(load_file(file), pickled)
        else:
            pickled.write_bytes(pickle.dumps(Trap()))
        (copy / file.relative_to(folder)).unlink()
        with pytest.raises(UserError, match="only safetensors weights are read") as caught:
            KINDS[kind](build(models.settings(copy)))
        assert "\n" not in str(caught.value) and caught.value.field == "model" and not (tmp_path / "sprung").exists()
