"""What is missing of a model, in the words that a person reads: each case that one meets on the way from a download to a run."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys

import pytest
from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, OfflineModeIsEnabled, RemoteEntryNotFoundError, RepositoryNotFoundError

from core.backbones import hub, missing
from core.backbones.names import check_model
from core.config import MODELS
from core.errors import UserError

PARTS = {
    "_class_name": "StableDiffusion3Pipeline", "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"], "transformer": ["diffusers", "SD3Transformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"], "text_encoder_3": [None, None],
}  # fmt: skip


def safetensors(size: int = 8) -> bytes:
    head = json.dumps({"__metadata__": {"format": "pt"}, "w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(head)) + head + bytes(size)


@pytest.fixture
def model(tmp_path):
    """A folder whose parts are whole, as far as headers tell."""
    folder = tmp_path / "mine"
    for part in ("scheduler", "transformer", "vae"):
        (folder / part).mkdir(parents=True)
    (folder / "scheduler" / "scheduler_config.json").write_text("{}")
    for part in ("transformer", "vae"):
        (folder / part / "config.json").write_text("{}")
        (folder / part / "diffusion_pytorch_model.safetensors").write_bytes(safetensors())
    (folder / "model_index.json").write_text(json.dumps(PARTS))
    return folder


def said(name) -> str:
    with pytest.raises(UserError) as caught:
        check_model(str(name))
    assert caught.value.field == "model" and str(caught.value).startswith("model: ") and "\n" not in str(caught.value)
    return str(caught.value).removeprefix("model: ")


def weights(model):
    return model / "transformer" / "diffusion_pytorch_model.safetensors"


def test_a_whole_folder_and_the_embedded_models_are_fine(model):
    check_model(str(model))
    for name in ("emoji-sd3", "emoji-ddpm"):
        check_model(name)
        check_model(str(MODELS / name))


def test_pickled_weights_only(model):
    weights(model).rename(weights(model).with_suffix(".bin"))
    assert said(model) == (
        f"the part transformer of {model} has pickled weights only (diffusion_pytorch_model.bin), which could run code and are never opened. "
        "Get the model's .safetensors, or save it anew with diffusers: only safetensors weights are read."
    )


@pytest.mark.parametrize(
    "damage, words",
    [
        (lambda file: file.unlink(), "lacks the weights of its part transformer (a .safetensors file). Copy the model again."),
        (lambda file: file.write_bytes(safetensors(5_000_000)[:2_000_000]), "is cut short: it has 2 of 5 MB. Copy the model again."),
        (lambda file: file.write_bytes(b""), "is cut short or damaged. Copy the model again."),
        (lambda file: file.write_bytes(b"<html>not found</html>"), "is cut short or damaged. Copy the model again."),
        (lambda file: file.write_bytes(struct.pack("<Q", 4) + b"oops"), "is damaged. Copy the model again."),
        (lambda file: file.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n"), "is only a pointer of git-lfs. Run git lfs pull in its folder."),
        (lambda file: file.rename(file.with_name("diffusion_pytorch_model.fp16.safetensors")), "Rename diffusion_pytorch_model.fp16.safetensors to diffusion_pytorch_model.safetensors."),
        (lambda file: (file.unlink(), file.symlink_to("nowhere")), "cannot be opened. Check its permissions, or copy the model again."),
    ],
)
def test_weights_that_are_not_whole(model, damage, words):
    damage(weights(model))
    assert said(model).endswith(words)
    assert "transformer" in said(model)


def test_an_absent_file_of_several(model):
    index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (model / "vae" / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    (model / "vae" / "model-00001-of-00002.safetensors").write_bytes(safetensors())
    assert said(model) == f"{model} lacks 1 of the files of its part vae, such as model-00002-of-00002.safetensors. Copy the model again."
    (model / "vae" / "model-00002-of-00002.safetensors").write_bytes(safetensors())
    check_model(str(model))


def test_a_folder_that_is_beside_the_model(model, tmp_path):
    assert said(model / "transformer") == f"{model / 'transformer'} is one part of a model. Name the folder above it: {model}."
    assert said(tmp_path) == f"{tmp_path} holds a model in the folder mine. Name that: {model}."
    (tmp_path / "also").mkdir()
    (tmp_path / "also" / "model_index.json").write_text("{}")
    assert said(tmp_path) == f"{tmp_path} holds several models: also, mine. Name one of them, such as {tmp_path / 'also'}."
    lone = tmp_path / "lone"
    lone.mkdir()
    assert said(lone) == f"{lone} holds no model_index.json, so it is not a diffusers folder. Name the folder that holds it."
    (lone / "v1-5-pruned.safetensors").write_bytes(b"")
    assert said(lone).startswith(f"{lone} holds a model in one file (v1-5-pruned.safetensors), without model_index.json.")
    (lone / "my_LoRA.safetensors").write_bytes(b"")
    assert said(lone) == f"{lone} holds a LoRA, not a model. Name the model that it was made for."


@pytest.mark.parametrize("file, words", [("a.safetensors", "in one file"), ("a.ckpt", "never opened"), ("notes.txt", "is a file"), ("model_index.json", "is part of a model")])
def test_a_file_is_no_model(tmp_path, file, words):
    (tmp_path / file).write_bytes(b"")
    assert said(tmp_path / file).startswith(file) and words in said(tmp_path / file)


@pytest.mark.parametrize(
    "name, words",
    [
        ("https://huggingface.co/stabilityai/stable-diffusion-3.5-medium/tree/main", "Write stabilityai/stable-diffusion-3.5-medium."),
        ("huggingface.co/google/ddpm-celebahq-256", "Write google/ddpm-celebahq-256."),
        ("https://civitai.com/models/1", "only the hub's are fetched"),
        ("runwayml/stable-diffusion-v1-5/", "Write runwayml/stable-diffusion-v1-5."),
        ("emoji-sd", "Did you mean emoji-sd3?"),
        ("C:\\models\\sd15", "there is no folder"),
        ("./none", "there is no folder './none' on this computer."),
    ],
)
def test_names_that_are_nearly_right(name, words):
    assert words in said(name)


def test_a_wrong_path_says_what_of_it_is_there(model):
    told = said(model.parent / "mime")
    assert told.startswith("there is no folder '") and told.endswith(f"on this computer. {model.parent} is there; did you mean {model}?")
    assert said(f"{model.parent}/zzz/y").endswith(f"on this computer. {model.parent} is there.")
    assert said(f'"{model}"').endswith(f"has signs too many. Write {model}.")


@pytest.mark.parametrize("kind, called", [("StableDiffusionXLPipeline", "SDXL ("), ("QwenImagePipeline", "Qwen-Image ("), ("WanPipeline", "a video model ("), ("OddPipeline", "a OddPipeline,")])
def test_other_families_are_called_by_their_name(model, kind, called):
    (model / "model_index.json").write_text(json.dumps({**PARTS, "_class_name": kind}))
    assert said(model).startswith(f"{model} is {called}") and said(model).endswith(f"cannot be tuned here. Use {missing.TUNED}.")


@pytest.mark.parametrize("name, called", [("black-forest-labs/FLUX.1-dev", "FLUX"), ("stabilityai/stable-diffusion-xl-base-1.0", "SDXL"), ("stabilityai/sdxl-turbo", "SDXL"), ("stabilityai/stable-diffusion-3.5-medium", None), ("google/ddpm-celebahq-256", None)])
def test_a_hub_name_may_sound_like_another_family(name, called):
    assert missing.sounds_like(name) == called


# --- hub --------------------------------------------------------------------------------------------------------------
def behind(cause: BaseException) -> Exception:
    try:
        try:
            raise cause
        except Exception:
            raise OSError("There was a specific connection error:\nwhatever the library says")
    except OSError as error:
        return error


class Answer:
    headers, request, status_code = {}, None, 403


@pytest.mark.parametrize(
    "cause, words",
    [
        (GatedRepoError("403", response=Answer()), "Open huggingface.co/a/b, accept it there"),
        (RepositoryNotFoundError("404", response=Answer()), "there is no model a/b on the hub"),
        (LocalEntryNotFoundError("offline"), "the hub cannot be reached"),
        (OfflineModeIsEnabled("offline"), "the hub cannot be reached"),
        (RemoteEntryNotFoundError("404", response=Answer()), "not in a form that is read here"),
    ],
)
def test_why_a_hub_model_cannot_be_had(cause, words, tmp_path):
    error = hub.unreachable("model", "a/b", behind(cause))
    assert words in str(error) and error.field == "model" and "\n" not in str(error)
    assert hub.unreachable("model", str(tmp_path), behind(cause)) is None  # a folder is not fetched
    assert hub.unreachable("model", "a/b", ValueError("a shape")) is None


@pytest.mark.parametrize(
    "variables, place",
    [
        ({}, "~/.cache/huggingface/hub"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/huggingface/hub"),
        ({"HF_HOME": "~/h", "XDG_CACHE_HOME": "/x"}, "~/h/hub"),
        ({"HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/h"}, "/old"),
        ({"HF_HUB_CACHE": "$HF_HOME/c", "HUGGINGFACE_HUB_CACHE": "/old", "HF_HOME": "/h"}, "/h/c"),
    ],
)
def test_the_cache_is_where_huggingface_hub_has_it(monkeypatch, variables, place):
    names = ("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME")
    for name in names:
        monkeypatch.setenv(name, variables[name]) if name in variables else monkeypatch.delenv(name, raising=False)
    code = "from huggingface_hub import constants; print(constants.HF_HUB_CACHE)"
    theirs = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert str(hub.cache()) == theirs == os.path.expanduser(place)


def test_a_fetched_model_is_found_in_the_hubs_own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    place = tmp_path / "models--a--b"
    assert hub.snapshot("a/b") is None
    (place / "refs").mkdir(parents=True)
    (place / "refs" / "main").write_text("123abc")
    assert hub.snapshot("a/b") is None
    (place / "snapshots" / "123abc").mkdir(parents=True)
    assert hub.snapshot("a/b") == place / "snapshots" / "123abc"
    (place / "snapshots" / "123abc" / "model_index.json").write_text("{}")
    assert said(place) == f"{place} is the hub's cache of a model. Write a/b."
