"""A run as a whole through the app's routes: rename, archive, delete, export."""

from __future__ import annotations

import os

from safetensors import safe_open
from safetensors.numpy import load
from shelf import URL, lora, put, studio, written  # noqa: F401

from core.runs.folder import Run

def test_rename(studio, put):
    put("a"), put("b")
    assert studio.post("runs/a/rename", to="cats-2").json() == {"run": "cats-2"}
    assert sorted(r["name"] for r in studio.get("runs/all")["runs"]) == ["b", "cats-2"] and studio.get("runs/cats-2/head")["iteration"] == 12
    assert studio.refused("runs/cats-2/rename", to="b") == "A run is called b already."
    for wrong in ("", "../x", "a b", "x" * 61, ".x", "<b>", "a/b"):
        assert "cannot carry" in studio.refused("runs/cats-2/rename", to=wrong)
    studio.begin("cats-2")
    assert "Stop it first" in studio.refused("runs/cats-2/rename", to="c")


def test_archive_and_back(studio, put):
    put("a")
    assert studio.post("runs/a/archive").json() == {"archived": "a"}
    found = studio.get("runs/all")
    assert found["runs"] == [] and [r["name"] for r in found["archived"]] == ["a"] and studio.client.get("/api/runs/a/head").status_code == 404
    put("a")  # its name is given away
    assert studio.post("runs/a/archive").json() == {"archived": "a-01"}
    put("a")
    assert studio.post("archived/a/restore").json() == {"run": "a-01"}
    assert studio.get("runs/a-01/head")["iteration"] == 12
    studio.begin("a")
    assert "Stop it first" in studio.refused("runs/a/archive")
    for wrong in ("nothing", "..%2Fa", "."):
        assert studio.client.post(f"/api/archived/{wrong}/restore", headers={"Origin": URL}).status_code in (404, 405)


def test_delete_needs_the_name(studio, put, tmp_path):
    run = put("a")
    (tmp_path / "precious").mkdir()
    (run.path / "link").symlink_to(tmp_path / "precious")
    for typed in ("", "A", "a ", None):
        assert studio.refused("runs/a/delete", typed=typed) == "Type a to delete it." and run.exists()
    studio.begin("a")
    assert "Stop it first" in studio.refused("runs/a/delete", typed="a") and run.exists()
    studio.end("a")
    assert studio.post("runs/a/delete", typed="a").json() == {"deleted": "a"}
    assert os.listdir(studio.runs) == [] and (tmp_path / "precious").is_dir()
    put("b")
    studio.post("runs/b/archive")
    assert studio.post("archived/b/delete", typed="b").status_code == 200 and studio.get("runs/all")["archived"] == []


def test_export_is_a_file_that_says_where_it_comes_from(studio, put):
    lora(put("a"), 5, 10)
    offered = studio.get("runs/a/lora")
    assert offered["saved"] == [5, 10] and set(offered["forms"]) == {"diffusers", "comfy"} and offered["licence"] == "Apache-2.0"
    answer = studio.client.get("/api/runs/a/lora/comfy.safetensors?iteration=5")
    assert 'filename="a-5-comfy.safetensors"' in answer.headers["content-disposition"]
    file = studio.runs / "x.safetensors"
    file.write_bytes(answer.content)
    with safe_open(file, "np") as found:
        assert found.metadata()["manymodes.iteration"] == "5"
        assert (found.get_tensor("lora_unet_joint_blocks_0_x_block_attn_qkv.lora_up.weight")[:8] == 64 / 32).all()
    weaker = studio.client.get("/api/runs/a/lora/comfy.safetensors?strength=0.5")
    assert 'filename="a-10-x0.5-comfy.safetensors"' in weaker.headers["content-disposition"]
    assert (load(weaker.content)["lora_unet_joint_blocks_0_x_block_attn_qkv.lora_up.weight"][:8] == 0.5 * 64 / 32).all()
    assert studio.client.get("/api/runs/a/lora/comfy.safetensors?strength=2").json()["field"] == "strength"
    assert studio.client.get("/api/runs/a/lora/pickle.safetensors").json()["field"] == "format"
    assert studio.client.get("/api/runs/a/lora/comfy.safetensors?iteration=7").status_code == 400
    put("bare")
    assert "nothing is saved" in studio.client.get("/api/runs/bare/lora/comfy.safetensors").json()["error"]
