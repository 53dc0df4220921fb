"""The SD3 backbone on a miniature of the real classes: reference, LoRA, guidance, conditions, and folders that cannot be used."""

import json
import pickle
import shutil

import models
import pytest
import torch
from diffusers import StableDiffusion3Pipeline
from models import perturb
from safetensors.torch import load_file

from core.backbones.names import check_model, model_path
from core.backbones.sd3 import SD3
from core.config import build
from core.errors import UserError
from core.sampling.noise import draw, picture_generators


@pytest.fixture
def probe(backbone):
    """(backbone, x, schedule): x is the same noise every time."""
    return backbone, draw(picture_generators([1, 2]), backbone.latent_shape), backbone.schedule(4)


def velocity(probe, texts=("cat", "dog"), guidance=1.0, i=1):
    backbone, x, schedule = probe
    with torch.no_grad():
        return backbone.velocity(x, i, schedule, backbone.encode(list(texts), guidance=guidance), guidance=guidance)


@pytest.fixture(scope="session")
def plain(sd3_folder):
    """The folder in stock diffusers, without any adapter."""
    return StableDiffusion3Pipeline.from_pretrained(sd3_folder, text_encoder_3=None, tokenizer_3=None)


def stock_velocity(plain, x, timestep, texts):
    with torch.no_grad():
        context, _, pooled, _ = plain.encode_prompt(texts, texts, texts, do_classifier_free_guidance=False)
        return plain.transformer(
            hidden_states=x, timestep=timestep.expand(len(x)), encoder_hidden_states=context, pooled_projections=pooled, return_dict=False
        )[0]


def test_velocity_is_deterministic_and_that_of_stock_diffusers(probe, plain):
    _, x, schedule = probe
    first = velocity(probe)
    assert torch.equal(first, velocity(probe)) and first.dtype == torch.float32 and first.shape == x.shape
    torch.testing.assert_close(first, stock_velocity(plain, x, schedule.timesteps[1], ["cat", "dog"]), atol=1e-5, rtol=1e-4)
    assert (first[0] - first[1]).abs().max() > 1e-3


def test_fresh_lora_changes_nothing_and_a_perturbed_one_does(probe):
    backbone = probe[0]
    with backbone.reference():
        base = velocity(probe)
    assert torch.equal(velocity(probe), base)
    perturb(backbone)
    assert (velocity(probe) - base).abs().max() > 1e-3


def test_reference_is_the_model_without_adapter_also_after_an_exception(probe, plain):
    backbone, x, schedule = probe
    perturb(backbone)
    tuned = velocity(probe)
    with pytest.raises(ZeroDivisionError), backbone.reference():
        torch.testing.assert_close(velocity(probe), stock_velocity(plain, x, schedule.timesteps[1], ["cat", "dog"]), atol=1e-5, rtol=1e-4)
        1 / 0
    assert torch.equal(velocity(probe), tuned)


def test_base_within_the_base_does_not_end_it(probe):
    backbone = probe[0]
    perturb(backbone)
    tuned = velocity(probe)
    with backbone.reference():
        base = velocity(probe)
        with backbone.reference():
            assert torch.equal(velocity(probe), base)
        assert torch.equal(velocity(probe), base)
    assert torch.equal(velocity(probe), tuned) and not torch.equal(tuned, base)


def test_strength_scales_the_lora_from_nothing_to_as_trained(probe):
    backbone = probe[0]
    perturb(backbone)
    tuned = velocity(probe)
    with backbone.reference():
        base = velocity(probe)
    backbone.set_strength(0.0)
    assert torch.equal(velocity(probe), base)
    backbone.set_strength(0.5)
    half = velocity(probe)
    backbone.set_strength(1.0)
    assert torch.equal(velocity(probe), tuned)
    assert 0 < (half - base).norm() < (tuned - base).norm()


def test_gradient_reaches_the_lora_and_nothing_else(probe):
    backbone, x, schedule = probe
    backbone.velocity(x, 0, schedule, backbone.encode(["cat", "dog"], guidance=1.0), guidance=1.0).square().sum().backward()
    adapter = backbone.adapter()
    assert len(adapter) == 2 * (8 + 7)  # A and B of eight projections; the last layer gives no context out
    idle = {n for n, p in adapter.items() if "lora_B" in n and (p.grad is None or not p.grad.any())}
    assert idle == {"transformer_blocks.1.attn.add_q_proj.lora_B.default.weight"}  # asks for that context
    frozen = [p for n, p in backbone.transformer.named_parameters() if n not in adapter]
    assert frozen and all(p.grad is None and not p.requires_grad for p in frozen)


def test_guidance_is_the_line_through_the_empty_and_the_full_prompt(probe):
    led, free = velocity(probe), velocity(probe, ["", ""])
    torch.testing.assert_close(velocity(probe, guidance=3.5), free + 3.5 * (led - free), atol=1e-6, rtol=1e-5)
    assert torch.equal(velocity(probe, guidance=1.0), led)


def test_embedding_of_a_prompt_depends_on_no_neighbour(sd3_folder, backbone):
    long = "dog " * 40  # is cut at the model's length
    together = backbone.encode(["cat", long, "cat", ""], guidance=1.0)
    alone = SD3(build(models.settings(sd3_folder))).encode(["cat"], guidance=1.0)
    assert together.context.shape == (4, models.WORDS + 1, 32)  # all zero tokens folded into one
    for row in (0, 2):
        assert torch.equal(together.context[row], alone.context[0]) and torch.equal(together.pooled[row], alone.pooled[0])
    assert not together.context[:, -1].any() and together.negative_context is None
    picked = together[torch.tensor([3, 1])]
    assert torch.equal(picked.context[1], together.context[1]) and len(picked.pooled) == 2


def test_each_prompt_is_encoded_once(backbone, monkeypatch):
    backbone.encode(["cat", "cat"], guidance=2.0)
    monkeypatch.setattr(backbone.pipeline, "encode_prompt", lambda *a, **k: pytest.fail("encoded again"))
    assert backbone.encode(["cat", ""], guidance=2.0).negative_pooled.shape == (2, 16)


def test_decode_is_the_stock_pipeline_s(backbone, plain):
    latents = draw(picture_generators([3, 4, 5]), backbone.latent_shape)
    with torch.no_grad():
        z = latents / plain.vae.config.scaling_factor + plain.vae.config.shift_factor
        expected = plain.image_processor.postprocess(plain.vae.decode(z, return_dict=False)[0], output_type="pt")
    pictures = backbone.decode(latents)
    assert pictures.shape == (3, 3, models.SIDE, models.SIDE) and 0 <= pictures.min() and pictures.max() <= 1
    torch.testing.assert_close(pictures, expected, atol=1e-5, rtol=0)


def test_equal_seeds_start_equal_loras(sd3_folder, backbone):
    again = SD3(build(models.settings(sd3_folder))).adapter()
    other = SD3(build(models.settings(sd3_folder, seed=1))).adapter()
    first = backbone.adapter()
    assert list(first) == list(again) and all(torch.equal(first[n], again[n]) for n in first)
    assert not all(torch.equal(first[n], other[n]) for n in first)


# --- folders that cannot be used ---------------------------------------------------------------------------------
def refused(**changes) -> str:
    with pytest.raises(UserError) as caught:
        SD3(build(models.settings(**changes)))
    assert "\n" not in str(caught.value) and caught.value.field
    return str(caught.value)


@pytest.fixture
def copy(sd3_folder, tmp_path):
    return shutil.copytree(sd3_folder, tmp_path / "model")


def test_name_that_is_nothing_is_refused(tmp_path):
    assert refused(model=tmp_path / "none").endswith(f"on this computer. {tmp_path} is there.")
    assert "is neither an embedded model nor a folder here nor a hub name. Use emoji-sd3, a folder, or owner/name." in refused(model="dalle")
    assert "holds no model_index.json" in refused(model=tmp_path)


@pytest.mark.parametrize(
    "index, said",
    [
        ({"_class_name": "FluxPipeline"}, "is FLUX .FluxPipeline., which cannot be tuned here. Use SD 3"),
        ({}, "names no class"),
        ({"_class_name": ["evil", "StableDiffusion3Pipeline"]}, "names no class"),
        ([], "cannot be read. Copy the model again."),
    ],
)
def test_folder_of_another_kind_is_refused_before_anything_is_loaded(tmp_path, index, said):
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=said):
        check_model(str(tmp_path))


def test_index_that_is_no_json_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_bytes(b"\xff\x00{")
    with pytest.raises(UserError, match="cannot be read. Copy the model again."):
        check_model(str(tmp_path))


def test_hub_name_is_kept_and_refused_where_there_is_no_network():
    assert model_path("stabilityai/stable-diffusion-3.5-medium") == "stabilityai/stable-diffusion-3.5-medium"
    assert "nobody/nothing-of-this-name" in refused(model="nobody/nothing-of-this-name")


@pytest.mark.parametrize("part", ["transformer", "vae", "text_encoder"])
@pytest.mark.parametrize("honest", [True, False])
def test_pickled_weights_are_refused_and_never_opened(copy, tmp_path, part, honest):
    class Trap:
        def __reduce__(self):
            return (open, (str(tmp_path / "sprung"), "w"))

    (file,) = (copy / part).glob("*.safetensors")
    if honest:
        torch.save(load_file(file), file.with_suffix(".bin"))
    else:
        file.with_suffix(".bin").write_bytes(pickle.dumps(Trap()))
    file.unlink()
    if part == "text_encoder":
        (copy / part / "model.bin").rename(copy / part / "pytorch_model.bin")
    assert "only safetensors weights are read" in refused(model=copy)
    assert not (tmp_path / "sprung").exists()


def cut(file):
    file.write_bytes(file.read_bytes()[:1000])


@pytest.mark.parametrize(
    "damage",
    [
        lambda m: shutil.rmtree(m / "vae"),
        lambda m: shutil.rmtree(m / "tokenizer"),
        lambda m: cut(m / "transformer" / "diffusion_pytorch_model.safetensors"),
        lambda m: cut(m / "text_encoder" / "model.safetensors"),
        lambda m: (m / "transformer" / "config.json").write_text("{"),
        lambda m: (m / "scheduler" / "scheduler_config.json").unlink(),
        lambda m: (m / "model_index.json").write_text(
            json.dumps({**json.loads((m / "model_index.json").read_text()), "vae": ["os", "system"]})
        ),
        lambda m: (m / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusion3Pipeline"})),
    ],
    ids=["no vae", "no tokenizer", "cut transformer", "cut text encoder", "config no json", "no scheduler", "foreign part", "no parts"],
)
def test_damaged_folder_is_refused_in_one_line(copy, damage):
    damage(copy)
    assert refused(model=copy).startswith("model: ")


def test_scheduler_of_another_kind_is_refused(copy):
    file = copy / "scheduler" / "scheduler_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "invert_sigmas": True}))
    with pytest.raises(UserError, match="model: its scheduler cannot be used"):
        SD3(build(models.settings(copy))).schedule(4)


@pytest.mark.parametrize("resolution, said", [(64, "up to 16"), (32, "up to 16")])
def test_resolution_that_the_model_cannot_draw_is_refused(sd3_folder, resolution, said):
    assert said in refused(model=sd3_folder, resolution=resolution)


def test_device_that_is_not_there_is_refused(sd3_folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert refused(model=sd3_folder, device="cuda") == "device: cuda is not available on this computer. Use auto or cpu."
