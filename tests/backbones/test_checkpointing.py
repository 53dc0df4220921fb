"""Gradient checkpointing: equal gradients and far fewer kept bytes on every kind of model, counted as autograd saves them."""

from __future__ import annotations

import models
import pytest
import torch

from core.backbones import checkpointing
from core.backbones.checkpointing import Saved
from core.config import MODELS, build
from core.loading import load_backbone


def load(name: str, kind: str | None, tmp_path_factory, **changes):
    folder = MODELS / name if kind is None else models.diffusion_folder(tmp_path_factory, kind)
    return load_backbone(build(models.settings(folder, dynamics="ddim" if name != "emoji-sd3" else "flow_sde", **changes)))


def velocity(backbone, pictures: int = 3, guidance: float = 1.0):
    schedule = backbone.schedule(4)
    x = torch.randn(pictures, *backbone.latent_shape, generator=torch.Generator().manual_seed(5))
    conditions = backbone.encode(["cat", "dog", "fox"][:pictures], guidance=guidance)
    return backbone.velocity(x, 1, schedule, conditions, guidance=guidance)


def gradients(backbone) -> tuple[torch.Tensor, dict[str, torch.Tensor], int]:
    """Velocity, gradients of the LoRA, and how many bytes were kept for them."""
    with Saved(backbone.denoiser) as kept:
        v = velocity(backbone)
    (v * torch.linspace(-1, 1, v.numel()).view_as(v)).sum().backward()
    return v.detach(), {name: p.grad.clone() for name, p in backbone.adapter().items()}, kept.bytes


@pytest.mark.parametrize(
    "name, kind, dtype, most",  # in a UNet attention and the changes of size stay outside
    [("emoji-sd3", None, "float32", 0.4), ("emoji-sd3", None, "bfloat16", 0.4), ("emoji-ddpm", None, "float32", 0.7), ("sd", "sd", "float32", 0.9)],
)
def test_gradients_are_equal_bit_by_bit_and_less_is_kept(name, kind, dtype, most, tmp_path_factory):
    plain, thrifty = (load(name, kind, tmp_path_factory, dtype=dtype, gradient_checkpointing=on) for on in (False, True))
    for backbone in (plain, thrifty):
        models.perturb(backbone, 0.05)
    v, expected, much = gradients(plain)
    v_again, found, little = gradients(thrifty)
    assert torch.equal(v, v_again)
    assert found.keys() == expected.keys() and max(g.abs().max() for g in expected.values()) > 0
    for each, gradient in expected.items():
        assert torch.equal(found[each], gradient), each
    assert 0 < little < most * much


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_one_plain_pass_foretells_what_checkpointing_keeps(tmp_path_factory, guidance):
    backbone = load("emoji-sd3", None, tmp_path_factory, guidance=guidance)
    told = checkpointing.measure(backbone.denoiser, lambda: velocity(backbone, guidance=guidance), on=False)
    for on, expected in ((False, told.plain), (True, told.between)):
        checkpointing.switch(backbone.denoiser, on)
        with Saved(backbone.denoiser) as kept:
            held = velocity(backbone, guidance=guidance)
        assert kept.bytes == pytest.approx(expected, rel=0.01)
        del held
    assert 0 < told.largest < told.plain - told.between and told.between + told.largest == pytest.approx(told.share * told.plain)
    # more pictures keep more, and the share stays
    one = checkpointing.measure(backbone.denoiser, lambda: velocity(backbone, 1, guidance), on=True)
    assert one.plain < 0.5 * told.plain and one.share == pytest.approx(told.share, abs=0.05)
    assert backbone.denoiser.is_gradient_checkpointing


def test_a_rollout_is_not_checkpointed(tmp_path_factory, monkeypatch):
    backbone = load("emoji-sd3", None, tmp_path_factory, gradient_checkpointing=True)
    blocks = []
    plain = backbone.denoiser._gradient_checkpointing_func
    backbone.denoiser.enable_gradient_checkpointing(lambda block, *args: blocks.append(block) or plain(block, *args))
    with torch.no_grad():
        velocity(backbone)
    assert blocks == []
    velocity(backbone)
    assert len(blocks) == len(backbone.denoiser.transformer_blocks)


def test_every_kind_of_unet_can_be_checkpointed(tmp_path_factory):
    for kind in ("sd2", "ddpm", "ldm-vq"):
        backbone = load(kind, kind, tmp_path_factory, gradient_checkpointing=True)
        assert backbone.denoiser.is_gradient_checkpointing and backbone.denoiser is backbone.unet
        assert checkpointing.measure(backbone.denoiser, lambda b=backbone: velocity(b), on=True).share < 1
