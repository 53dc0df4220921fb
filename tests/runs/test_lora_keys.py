"""An exported LoRA is read by others: by diffusers from both files, and by ComfyUI's rule for names, written here anew."""

import json

import models
import numpy as np
import pytest
import torch
from diffusers import DDPMPipeline, StableDiffusion3Pipeline, StableDiffusionPipeline
from diffusers.loaders.single_file_utils import convert_sd3_transformer_checkpoint_to_diffusers
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors import safe_open
from safetensors.numpy import save_file
from safetensors.torch import load_file

from core.backbones.ddpm import DDPM
from core.backbones.sd import StableDiffusion
from core.backbones.sd3 import SD3
from core.cli import main
from core.config import build
from core.errors import UserError
from core.runs import checkpoints, compare, lora_header, lora_keys
from core.runs.folder import create

ROUNDING = 1e-5


def saved(place, backbone, config):
    """A run with the backbone's moved adapter as its checkpoint."""
    models.perturb(backbone)
    return models.saved(place, backbone, config)


@pytest.fixture(scope="module")
def sd3(tmp_path_factory):
    config = build(models.settings(models.folders(tmp_path_factory)[0], lora_rank=4, lora_alpha=12))
    backbone = SD3(config)
    return backbone, saved(tmp_path_factory.mktemp("runs"), backbone, config)


@pytest.fixture(scope="module")
def sd(tmp_path_factory):
    config = build(models.settings(models.diffusion_folder(tmp_path_factory, "sd"), lora_rank=4, lora_alpha=12))
    backbone = StableDiffusion(config)
    return backbone, saved(tmp_path_factory.mktemp("runs"), backbone, config)


def changes(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """What PEFT adds to the weight of each layer, by the layer's name."""
    return {name: layer.get_delta_weight("default").detach() for name, layer in model.named_modules() if isinstance(layer, LoraLayer)}


def applied(file, layers: list[str]) -> dict[str, torch.Tensor]:
    """What ComfyUI adds at strength 1 to the weights `diffusion_model.<layer>.weight` of a model: alpha / rank * up @ down."""
    tensors = load_file(file)
    found = {}
    for layer in layers:
        name = "lora_unet_" + layer.replace(".", "_")
        if f"{name}.lora_up.weight" in tensors:
            up, down, alpha = (tensors.pop(f"{name}.{part}") for part in ("lora_up.weight", "lora_down.weight", "alpha"))
            found[layer] = alpha.item() / len(down) * up @ down
    assert not tensors, f"names that ComfyUI does not know: {sorted(tensors)}"
    return found


class ZeroElsewhere(dict):
    """A checkpoint of changes: weights that are not changed give zeros to the converter."""

    def pop(self, key, default=None):
        return super().pop(key) if key in self else torch.zeros(6, 6)


def test_comfyui_changes_sd3_s_own_weights_as_trained(sd3, tmp_path, monkeypatch):
    backbone, run = sd3
    file = lora_keys.write(run, None, "comfy", tmp_path / "x.safetensors")
    blocks = len(backbone.transformer.transformer_blocks)
    own = [f"joint_blocks.{i}.{side}_block.attn.{part}" for i in range(blocks) for side in ("x", "context") for part in ("qkv", "proj")]
    native = ZeroElsewhere({f"{layer}.weight": change for layer, change in applied(file, own).items()})
    # diffusers reads SD3's original checkpoints by this function: it knows the names and the order of q, k and v by itself
    for helper in ("get_attn2_layers", "get_caption_projection_dim", "swap_scale_shift"):
        monkeypatch.setattr(f"diffusers.loaders.single_file_utils.{helper}", lambda *_, **__: [])
    back = convert_sd3_transformer_checkpoint_to_diffusers(native)
    trained = changes(backbone.transformer)
    assert len(trained) == 8 * blocks - 1 and min(change.abs().max() for change in trained.values()) > 0.1
    for layer, change in trained.items():
        torch.testing.assert_close(back[f"{layer}.weight"], change, atol=ROUNDING, rtol=0)


def test_comfyui_and_a1111_change_a_unet_as_trained(sd, tmp_path):
    backbone, run = sd
    trained = changes(backbone.unet)
    file = lora_keys.write(run, None, "comfy", tmp_path / "x.safetensors")
    found = applied(file, list(trained))
    assert found.keys() == trained.keys()
    for layer, change in trained.items():
        torch.testing.assert_close(found[layer], change, atol=ROUNDING, rtol=0)


def pictures(pipe) -> torch.Tensor:
    pipe.set_progress_bar_config(disable=True)
    seeds = [torch.Generator().manual_seed(s) for s in (5, 6)]
    return pipe(["cat", "dog"], generator=seeds, num_inference_steps=3, guidance_scale=1.0, output_type="pt").images


@pytest.mark.parametrize("form", ["comfy", "diffusers"])
def test_diffusers_draws_the_same_from_either_file_as_from_the_trained_unet(sd, tmp_path, form):
    backbone, run = sd
    stock = lambda: StableDiffusionPipeline.from_pretrained(run.config().model)
    pipe, tuned, plain = stock(), stock(), pictures(stock())
    pipe.load_lora_weights(lora_keys.write(run, 3, form, tmp_path / "x.safetensors"))
    weights = tuned.unet.state_dict()
    for layer, change in changes(backbone.unet).items():
        weights[f"{layer}.weight"] += change
    expected = pictures(tuned)
    assert (expected - plain).abs().max() > 0.05
    torch.testing.assert_close(pictures(pipe), expected, atol=1e-4, rtol=0)


def test_diffusers_reads_sd3_s_file_at_the_trained_strength(sd3, tmp_path):
    backbone, run = sd3
    file = lora_keys.write(run, None, "diffusers", tmp_path / "x.safetensors")
    pipe = StableDiffusion3Pipeline.from_pretrained(run.config().model, text_encoder_3=None, tokenizer_3=None)
    pipe.load_lora_weights(file)
    found, trained = ({n: m.get_delta_weight(a).detach() for n, m in model.named_modules() if isinstance(m, LoraLayer)}
                      for model, a in ((pipe.transformer, "default_0"), (backbone.transformer, "default")))  # fmt: skip
    assert found.keys() == trained.keys()
    for layer, change in trained.items():
        torch.testing.assert_close(found[layer], change, atol=ROUNDING, rtol=0)


def test_file_says_where_it_comes_from(sd, tmp_path):
    run = sd[1]
    with safe_open(lora_keys.write(run, None, "comfy", tmp_path / "x.safetensors", preset="DDPO"), "np") as file:
        said = file.metadata()
        alphas = {name: (file.get_tensor(name), file.get_slice(name.replace(".alpha", ".lora_down.weight")).get_shape()[0]) for name in file.keys() if name.endswith(".alpha")}
    assert (said["manymodes.run"], said["manymodes.preset"], said["manymodes.iteration"]) == ("demo", "DDPO", "3")
    assert json.loads(said["manymodes.prompts"]) == ["cat", "dog"]
    assert alphas and all(alpha == rank for alpha, rank in alphas.values())


def a1111_takes_it_for(said: dict[str, str]) -> str:
    """How A1111 and Forge tell a LoRA's model from its header (their NetworkOnDisk.detect_version), written anew."""
    if said.get("ss_base_model_version", "").startswith("sdxl_"):
        return "SDXL"
    return "SD2" if said.get("ss_v2") == "True" else "SD1" if said else "unknown"


def test_other_programs_read_the_header(sd, sd3, tmp_path):
    def header(run, form, **options):
        with safe_open(lora_keys.write(run, None, form, tmp_path / "x.safetensors", **options), "np") as file:
            return file.metadata()

    said = header(sd[1], "comfy", strength=0.7)
    assert json.loads(said["ss_tag_frequency"]) == {"demo": {"cat": 1, "dog": 1}}
    assert said["modelspec.title"] == "demo at 3, strength 0.7" and said["manymodes.strength"].startswith("0.7")
    assert said["modelspec.implementation"] != header(sd[1], "diffusers")["modelspec.implementation"] == "diffusers"
    third = header(sd3[1], "comfy")
    assert third["modelspec.architecture"] == "stable-diffusion-3/lora" and third["modelspec.title"] == "demo at 3"
    for width, expected in ((768, "SD1"), (1024, "SD2")):
        layer = "mid_block.attentions.0.transformer_blocks.0.attn2.to_k"
        made_of = lora_keys.made_of({layer: (np.ones((4, width), np.float32), np.ones((8, 4), np.float32))})
        told = lora_header.metadata("demo", sd[1].config(), 3, form="comfy", made_of=made_of, strength=1, made=0.0)
        assert a1111_takes_it_for(told) == expected and told["modelspec.date"] == "1970-01-01T00:00:00+00:00"


def test_header_has_the_recipe_but_no_path_of_this_computer(sd, tmp_path):
    folder = tmp_path / "my secret models" / "cat-base"
    folder.mkdir(parents=True)
    config = sd[1].config().with_changes(model=str(folder), reward_file=str(tmp_path / "reward.py"), creative_beta=0.5)
    said = lora_header.metadata("demo", config, 3, form="comfy", made_of=("unet", 768), strength=1, made=0.0)
    assert not [key for key, text in said.items() if str(tmp_path) in text or "secret" in text]
    assert said["manymodes.base_model"] == "cat-base" and lora_header.model_name(config.with_changes(model="org/name")) == "org/name"
    recipe = json.loads(said["manymodes.recipe"])
    assert (recipe["creative_beta"], recipe["model"], recipe["reward_file"], recipe["lora_rank"]) == (0.5, "cat-base", "reward.py", 4)
    assert "iterations" in recipe and "sa_reg_steps" not in recipe  # what is as by default is not told


def test_chosen_strength_is_what_others_call_one(sd3, tmp_path):
    run = sd3[1]
    full, weak = (load_file(lora_keys.write(run, 3, "comfy", tmp_path / f"{s}.safetensors", strength=s)) for s in (1.0, 0.7))
    for name, tensor in full.items():
        torch.testing.assert_close(weak[name], tensor * (0.7 if name.endswith("lora_up.weight") else 1.0))
    names = {lora_keys.file_name(run, 3, form, s) for form in lora_keys.FORMATS for s in (1.0, 0.7)}
    assert names == {"demo-3-diffusers.safetensors", "demo-3-comfy.safetensors", "demo-3-x0.7-diffusers.safetensors", "demo-3-x0.7-comfy.safetensors"}
    for wrong in (-0.05, 1.55, float("nan")):
        with pytest.raises(UserError, match="strength: .* is out of range. Use 0 to 1.5."):
            lora_keys.write(run, 3, "comfy", tmp_path / "y.safetensors", strength=wrong)


def test_weights_that_compare_took_are_exported_like_saved_ones(sd, tmp_path):
    run = create(tmp_path / "live", sd[1].config())
    taken = compare.weights_file(run, 7)
    taken.parent.mkdir()
    save_file(checkpoints.load(sd[1], 3, prefix="lora/")[0], taken)
    assert lora_keys.newest(run) == 7
    mine, theirs = (load_file(lora_keys.write(r, None, "comfy", tmp_path / "z.safetensors")) for r in (run, sd[1]))
    assert mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)
    taken.write_bytes(b"half a file")
    with pytest.raises(UserError, match="The weights after 7 of live are damaged"):
        lora_keys.write(run, 7, "comfy", tmp_path / "z.safetensors")


def test_licence_is_the_model_card_s(sd, tmp_path):
    config = sd[1].config()
    copy = tmp_path / "model"
    copy.mkdir()
    words = lambda card: ((copy / "README.md").write_text(card), lora_header.licence(config.with_changes(model=str(copy))))[1]
    assert lora_header.licence(config) == ""
    assert words("---\nlicense: creativeml-openrail-m\n---\nA model.") == "creativeml-openrail-m"
    assert words("---\nlicense: other\nlicense_name: stabilityai-ai-community\n---") == "stabilityai-ai-community"
    assert words("no front matter") == "" and words("---\n[\n---") == ""
    assert lora_header.licence(config.with_changes(model="emoji-sd3")) == "Apache-2.0"
    assert lora_header.licence(config.with_changes(model="nobody/nothing")) == ""


def test_what_nobody_could_open_is_refused_in_words(sd, tmp_path):
    run = sd[1]
    for wrong, words in (
        (dict(iteration=None, form="pickle"), "format: 'pickle' is unknown"),
        (dict(iteration=9, form="comfy"), "checkpoint 9 of demo cannot be read"),
    ):
        with pytest.raises(UserError, match=words):
            lora_keys.write(run, wrong["iteration"], wrong["form"], tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="nothing is saved yet"):
        lora_keys.write(create(tmp_path / "new", run.config()), None, "comfy", tmp_path / "x.safetensors")
    plain = {"down_blocks.0.resnets.0.conv1": (np.ones((2, 3, 3, 3), np.float32), np.ones((3, 2, 1, 1), np.float32))}
    for convert in (lora_keys.to_comfy, lora_keys.to_diffusers):
        with pytest.raises(UserError, match="takes no prompt"):
            convert(plain)
    assert list(tmp_path.glob("*.safetensors")) == []


def test_third_that_was_not_trained_stays(tmp_path):
    down, up = np.ones((2, 4), np.float32), np.full((4, 2), 3, np.float32)
    tensors = lora_keys.to_comfy({"transformer_blocks.0.attn.to_v": (down, up)})
    name = "lora_unet_joint_blocks_0_x_block_attn_qkv"
    change = tensors[f"{name}.lora_up.weight"] @ tensors[f"{name}.lora_down.weight"]
    assert tensors[f"{name}.alpha"] == 2 and (change[:8] == 0).all() and (change[8:] == up @ down).all()


@pytest.mark.parametrize("kind, pipeline", [("sd3", StableDiffusion3Pipeline), ("sd", StableDiffusionPipeline)])
def test_command_line_s_file_at_a_strength_draws_what_the_unscaled_one_draws_at_that_weight(request, tmp_path, capsys, kind, pipeline):
    run = request.getfixturevalue(kind)[1]
    files = {}
    for strength in (1, 0.6, 0):
        assert main(["export", str(run.path), "--to", str(tmp_path), "--strength", str(strength)]) == 0
        files[strength] = capsys.readouterr().out.strip()
    assert files[1] == str(tmp_path / "pytorch_lora_weights.safetensors") and files[0.6] == str(tmp_path / "demo-3-x0.6-diffusers.safetensors")

    def drawn(file: str | None, weight: float = 1.0) -> torch.Tensor:
        none = dict(text_encoder_3=None, tokenizer_3=None) if kind == "sd3" else dict(safety_checker=None)
        pipe = pipeline.from_pretrained(run.config().model, **none)
        if file:
            pipe.load_lora_weights(file, adapter_name="own")
            pipe.set_adapters("own", weight)
        return pictures(pipe)

    weak, full = drawn(files[0.6]), drawn(files[1])
    torch.testing.assert_close(weak, drawn(files[1], 0.6), atol=1e-4, rtol=0)  # a level of 8 bits is 4e-3
    assert (weak - full).abs().max() > 0.02  # so that a strength that is not applied would be seen
    assert torch.equal(drawn(files[0]), drawn(None))
    with safe_open(files[0.6], "np") as file:
        said = file.metadata()
    assert said["manymodes.strength"].startswith("0.6") and said["modelspec.title"] == "demo at 3, strength 0.6"
    assert json.loads(said["manymodes.recipe"])["lora_alpha"] == 12 and said["manymodes.iteration"] == "3"


@pytest.mark.parametrize("strength", [1.0, 0.5])
def test_model_without_a_prompt_gets_a_folder_that_peft_loads(tmp_path_factory, tmp_path, capsys, strength):
    config = build(models.settings(models.diffusion_folder(tmp_path_factory, "ddpm"), lora_rank=4, lora_alpha=12))
    trained = DDPM(config)
    run = saved(tmp_path, trained, config)
    assert main(["export", str(run.path), "--strength", str(strength)]) == 0
    file = run.export / "adapter_model.safetensors"
    assert capsys.readouterr().out.strip() == str(file)
    read = PeftModel.from_pretrained(DDPMPipeline.from_pretrained(config.model).unet, run.export)
    found = changes(read.base_model.model)
    expected = changes(trained.unet)
    assert found.keys() == expected.keys() and min(change.abs().max() for change in expected.values()) > 0.1
    for layer, change in expected.items():
        torch.testing.assert_close(found[layer], strength * change, atol=ROUNDING, rtol=0)
    with safe_open(file, "np") as header:
        assert header.metadata()["manymodes.strength"].startswith(f"{strength:g},") and "lora_rank" in header.metadata()["manymodes.recipe"]


@pytest.mark.parametrize("wrong", ["-0.1", "1.51", "nan"])
def test_command_line_refuses_a_strength_that_compare_does_not_draw(sd, capsys, wrong):
    before = sorted(sd[1].export.iterdir())
    assert main(["export", str(sd[1].path), "--strength", wrong]) == 2
    assert capsys.readouterr().err == f"strength: {float(wrong):g} is out of range. Use 0 to 1.5.\n" and sorted(sd[1].export.iterdir()) == before


def test_command_line_writes_the_file_for_comfyui(sd, tmp_path, capsys):
    run = sd[1]
    assert main(["export", str(run.path), "--format", "comfy", "--to", str(tmp_path)]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "demo-3-comfy.safetensors")
    assert "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.alpha" in load_file(tmp_path / "demo-3-comfy.safetensors")
