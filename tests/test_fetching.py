"""Fetching from a hub on this computer, through the real huggingface_hub: what it takes, what comes, going on, and every refusal."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import namedtuple

import fake_hub
import models
import pytest
from huggingface_hub import constants

from core import cli, fetching
from core.backbones import hub as places_of
from core.backbones.names import check_folder, load_path
from core.config import build
from core.errors import UserError

NAME = "a/tiny"
BIG = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with one repository, taken for the real one, and an empty cache."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("DOWNLOAD_CHUNK_SIZE", "HF_HUB_DISABLE_TELEMETRY"):
        monkeypatch.setattr(constants, name, getattr(constants, name))  # what `quiet` changes is put back
    monkeypatch.setattr(fetching, "CHUNK", 2**16)
    fetching.quiet()
    with fake_hub.serve(repositories={NAME: fake_hub.tiny_sd3(1)}) as served:
        monkeypatch.setattr(constants, "ENDPOINT", served.url)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", served.url + "/{repo_id}/resolve/{revision}/{filename}")
        yield served


def refused(field: str = "model", name: str = NAME) -> str:
    with pytest.raises(UserError) as error:
        fetching.get(field, name)
    assert error.value.field == field and "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{field}: ")


def wanted(hub) -> dict[str, bytes]:
    return {path: data for path, data in hub.repositories[NAME].items() if path not in fake_hub.NOT_NEEDED}


def bodies(hub) -> set[str]:
    return {path.partition("/resolve/")[2].partition("/")[2] for method, path, _ in hub.asked if method == "GET" and "/resolve/" in path}


# --- asking ----------------------------------------------------------------------------------------------------------
def test_asking_counts_what_is_needed_and_leaves_nothing_behind(hub, tmp_path):
    offer = fetching.ask("model", NAME)
    assert {f.path: f.size for f in offer.files} == {path: len(data) for path, data in wanted(hub).items()}
    facts = offer.facts()
    assert facts["bytes"] == sum(map(len, wanted(hub).values())) and facts["here"] == 0 and facts["kind"] == "SD 3, SD 3.5"
    assert (facts["licence"], facts["link"], facts["gated"], facts["refused"]) == ("tiny-licence", "https://example.org/licence", False, None)
    assert bodies(hub) == {"model_index.json"} and not (tmp_path / "hub").exists()
    # the hub was asked for this model, and about nothing else
    assert all(path.startswith(f"/api/models/{NAME}") or path.startswith(f"/{NAME}/resolve/") for _, path, _ in hub.asked)


@pytest.mark.parametrize(
    "card, licence, link",
    [
        ({"license": "apache-2.0"}, "apache-2.0", None),
        ({"license": ["mit", "gpl"]}, "mit, gpl", None),
        ({"license_name": "own", "license_link": "javascript:alert(1)"}, "own", None),
        ({}, "", None),
        ({"license": "x" * 500}, "x" * 100, None),
    ],
)
def test_the_licence_is_what_the_card_says(hub, card, licence, link):
    hub.card = card
    offer = fetching.ask("model", NAME)
    assert (offer.licence, offer.link) == (licence, link or f"{hub.url}/{NAME}")


def test_a_disk_that_is_too_small_is_told_before_anything_is_fetched(hub, monkeypatch, tmp_path):
    size = sum(map(len, wanted(hub).values()))
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(0, 0, fetching.SPARE + size - 1))
    said = refused()
    assert said.startswith(f"{NAME} needs 0.5 GB of free disk, but {tmp_path / 'hub'} has 0.5 GB. Free some space, or set HF_HUB_CACHE")
    assert bodies(hub) == {"model_index.json"}
    monkeypatch.setattr(shutil, "disk_usage", lambda place: usage(0, 0, fetching.SPARE + size))
    assert fetching.ask("model", NAME).refused is None


# --- fetching --------------------------------------------------------------------------------------------------------
def test_what_is_needed_comes_and_nothing_else_and_is_then_loaded_from_here(hub):
    heard = []
    hub.slow = 0.2  # a second for the large file
    assert load_path(NAME) == NAME
    offer = fetching.get("model", NAME, heard.append)
    folder = places_of.snapshot(NAME)
    assert {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()} == wanted(hub)
    check_folder(NAME, folder)
    assert load_path(NAME) == str(folder) and bodies(hub) == set(wanted(hub))
    came = [line["bytes"] for line in heard]
    assert came == sorted(came) and any(0 < size < offer.size for size in came) and {line["total"] for line in heard} == {offer.size}
    # once more: all is here
    before = dict(hub.sent)
    assert fetching.get("model", NAME).here() == offer.size
    assert {path: hub.sent[path] - before[path] for path in before if path != "model_index.json"} == {path: 0 for path in before if path != "model_index.json"}


def test_a_model_that_came_is_trained_on_without_asking_the_hub_again(hub, tmp_path_factory):
    from core.loading import load_backbone

    folder = models.folders(tmp_path_factory)[0]
    hub.repositories["a/real"] = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    fetching.get("model", "a/real")
    asked = len(hub.asked)
    backbone = load_backbone(build({**models.settings(folder), "model": "a/real"}))
    assert backbone.encode(["cat"], guidance=1.0).context.isfinite().all() and len(hub.asked) == asked


def test_a_large_file_goes_on_where_it_stopped(hub):
    data = hub.repositories[NAME][BIG]
    part = places_of.store(NAME) / "blobs" / f"{hashlib.sha256(data).hexdigest()}.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(data[:700_000])
    assert fetching.ask("model", NAME).here() == 700_000
    fetching.get("model", NAME)
    assert hub.sent[BIG] == len(data) - 700_000 and not part.exists()
    assert (places_of.snapshot(NAME) / BIG).read_bytes() == data


def test_what_came_damaged_is_thrown_away_and_comes_anew(hub):
    data = hub.repositories[NAME][BIG]
    part = places_of.store(NAME) / "blobs" / f"{hashlib.sha256(data).hexdigest()}.incomplete"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 700_000)
    assert refused() == f"{BIG} of {NAME} came damaged and was thrown away. Download once more."
    assert not part.exists()
    fetching.get("model", NAME)
    assert (places_of.snapshot(NAME) / BIG).read_bytes() == data


def test_a_clip_is_fetched_without_its_pickles(hub):
    name, weights = "a/clip", fake_hub.weights(0.2)
    needed = {"config.json": b'{"model_type": "clip"}', "model.safetensors": weights, "tokenizer.json": b"{}", "preprocessor_config.json": b"{}", "merges.txt": b"a"}
    hub.repositories[name] = needed | {"pytorch_model.bin": b"x" * 30_000, "tf_model.h5": b"x" * 30_000}
    assert fetching.get("clip_model", name).kind == "CLIP"
    assert {p.name for p in places_of.snapshot(name).iterdir()} == set(needed)
    hub.repositories[name].pop("model.safetensors")
    assert refused("clip_model", name) == f"{name} has pickled weights only in its part model (pytorch_model.bin), which could run code and are never opened. Name another, with safetensors."
    hub.repositories[name]["config.json"] = b'{"model_type": "siglip"}'
    assert "is a siglip, not a clip" in refused("clip_model", name)


# --- refusals --------------------------------------------------------------------------------------------------------
def test_a_gated_model_tells_size_and_licence_and_how_to_get_it(hub):
    hub.gated.add(NAME)
    facts = fetching.ask("model", NAME).facts()
    assert facts["gated"] and facts["licence"] == "tiny-licence" and facts["bytes"] > 10**6
    assert facts["refused"] == f"{NAME} asks you to accept its licence first. Open huggingface.co/{NAME}, accept it there, then log in here with `hf auth login`."
    assert refused() == facts["refused"] and not hub.sent


@pytest.mark.parametrize("code, said", [(401, "does not know the login"), (429, "(it answered 429)"), (500, "(it answered 500)")])
def test_a_hub_that_refuses(hub, code, said):
    hub.broken = code
    assert said in refused()


def test_no_network_no_model_and_no_leave(hub, monkeypatch):
    assert refused(name="a/none").startswith("there is no model a/none on the hub, or it is private.")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "the hub cannot be reached. Check the network" in refused()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert "HF_HUB_OFFLINE forbids it" in refused() and f"python -m core fetch {NAME}" in refused()
    for wrong in ("emoji-sd3", "../x", "https://huggingface.co/a/b", "a/b/c"):
        assert "is not a name on the hub. Write owner/name." in refused(name=wrong)


@pytest.mark.parametrize(
    "change, said",
    [
        ({"model_index.json": b'{"_class_name": "FluxPipeline"}'}, "is FLUX (FluxPipeline), which cannot be tuned here"),
        ({"model_index.json": b"[]"}, "model_index.json of a/tiny on the hub cannot be read"),
        ({"model_index.json": None}, "is on the hub, but not in a form that is read here"),
        ({"vae/diffusion_pytorch_model.safetensors": None, "vae/diffusion_pytorch_model.fp16.safetensors": None}, "has pickled weights only in its part vae (diffusion_pytorch_model.bin)"),
        ({"vae/diffusion_pytorch_model.safetensors": None}, "has the weights of its part vae only as diffusion_pytorch_model.fp16.safetensors"),
        ({f"tokenizer/{name}": None for name in ("merges.txt", "vocab.json")}, "lacks its part tokenizer on the hub"),
    ],
)
def test_what_cannot_be_tuned_is_not_fetched(hub, change, said):
    files = hub.repositories[NAME]
    for path, data in change.items():
        files.pop(path) if data is None else files.update({path: data})
    assert said in refused()
    assert not any(path.endswith(".safetensors") for path in hub.sent)


def test_no_path_and_no_hash_of_the_hub_leads_out_of_the_cache(hub, tmp_path):
    index = json.loads(hub.repositories[NAME]["model_index.json"])
    evil = {"../../evil/config.json": b"{}", "/etc/x.json": b"{}", "..": b"{}"}
    hub.repositories[NAME] |= evil | {"model_index.json": json.dumps(index | {"../../evil": ["a", "B"]}).encode()}
    assert "lacks its part ../../evil on the hub" in refused()
    assert not (tmp_path / "evil").exists()


# --- the command -----------------------------------------------------------------------------------------------------
def test_the_command_says_what_it_takes_and_fetches(hub, capsys):
    assert cli.main(["fetch", NAME, "--ask"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{NAME}: 13 files, 2 MB, 0 MB of it here. Licence: tiny-licence, https://example.org/licence\n") and places_of.snapshot(NAME) is None
    assert cli.main(["fetch", NAME]) == 0
    assert capsys.readouterr().out.endswith(f"{NAME} is here. Use it with --set model={NAME}\n") and places_of.snapshot(NAME)
    assert cli.main(["fetch", "a/none"]) == 2
    assert capsys.readouterr().err.startswith("model: there is no model a/none")
