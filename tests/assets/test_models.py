"""The embedded models: small, in stock formats, and really trained."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, LDMPipeline, StableDiffusion3Pipeline

from core.backbones.ddpm import DDPM
from core.backbones.sd3 import SD3
from core.clip import load_clip
from core.config import MODELS, ROOT, build
from core.rewards.style import StyleProbe
from core.sampling.noise import picture_generators
from core.sampling.rollout import rollout

MEGABYTE = 10**6


def size(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


@pytest.fixture(scope="module")
def stock() -> StableDiffusion3Pipeline:
    pipeline = StableDiffusion3Pipeline.from_pretrained(MODELS / "emoji-sd3", text_encoder_3=None, tokenizer_3=None)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def backbone() -> SD3:
    return SD3(build({"model": "emoji-sd3", "dtype": "float32", "device": "cpu"}))


@pytest.fixture(scope="module")
def sixteen(backbone):
    """word -> its pictures of seeds 0 to 15, each drawn once."""
    return functools.cache(lambda word: drawn(backbone, word, list(range(16))))


@torch.no_grad()
def drawn(backbone: SD3, prompt: str, seeds: list[int]) -> torch.Tensor:
    """Pictures of the base model by the deterministic sampler, 10 steps, no guidance."""
    schedule, conditions = backbone.schedule(10), backbone.encode([prompt] * len(seeds), guidance=1.0)
    with backbone.reference():
        path = rollout(lambda x, i: backbone.velocity(x, i, schedule, conditions, guidance=1.0), schedule, seeds, backbone.latent_shape,
                       dynamics="flow_sde", level=0.7, stochastic=())
    return backbone.decode(path.final)


def test_they_are_small_and_hold_no_pickle():
    assert sum(size(MODELS / name) for name in ("emoji-clip", "emoji-sd3", "emoji-style")) < 35 * MEGABYTE
    assert size(MODELS / "emoji-ddpm") < 10 * MEGABYTE
    assert size(ROOT / "assets") < 48 * MEGABYTE
    weights = {f.suffix for f in MODELS.rglob("*") if f.is_file()}
    assert weights <= {".json", ".safetensors", ".txt"}


def test_stock_diffusers_draws_what_the_studio_draws(stock, backbone):
    """The stock call, with its 256 zero tokens spelled out, against our folded attention and our sampler."""
    theirs = stock("cat", num_inference_steps=10, guidance_scale=1.0, generator=torch.Generator().manual_seed(5), output_type="np").images[0]
    ours = drawn(backbone, "cat", [5])[0].permute(1, 2, 0).numpy()
    assert theirs.shape == (64, 64, 3)
    assert np.abs(theirs - ours).max() < 2 / 255
    assert theirs.std() > 0.05  # not a blank


def test_the_plain_call_works(stock):
    picture = stock("fruit", num_inference_steps=2).images[0]
    assert picture.size == (64, 64)


def test_pictures_are_of_their_prompt(sixteen):
    """emoji-clip, asked which of these words a picture shows, mostly answers with the prompt; chance is one in eight."""
    words = ["cat", "dog", "fish", "owl", "grinning face", "pizza", "red heart", "evergreen tree"]
    clip = load_clip(MODELS / "emoji-clip", "cpu")
    text = torch.nn.functional.normalize(clip.texts(words), dim=-1)
    right = []
    for number, word in enumerate(words[:5]):
        image = torch.nn.functional.normalize(clip.images(sixteen(word)), dim=-1)
        right.append(((image @ text.T).argmax(1) == number).float().mean().item())
    assert np.mean(right) > 0.6, dict(zip(words, right))


def test_a_short_prompt_is_many_valued(sixteen):
    """Sixteen pictures of a word come in several of the five drawing styles."""
    probe = StyleProbe.load(MODELS / "emoji-style", "cpu")
    found = {}
    for word in ("cat", "dog", "fish", "owl", "grinning face"):
        kinds = probe(sixteen(word)).argmax(1)
        found[word] = sum(style in kinds for style in range(5))
    assert min(found.values()) >= 2 and np.mean(list(found.values())) >= 3.4, found


def test_stock_diffusers_draws_what_the_studio_draws_without_a_prompt():
    """emoji-ddpm with emoji-sd3's autoencoder, as its README says, against our sampler."""
    stock = LDMPipeline.from_pretrained(MODELS / "emoji-ddpm", vqvae=AutoencoderKL.from_pretrained(MODELS / "emoji-sd3", subfolder="vae"))
    stock.set_progress_bar_config(disable=True)
    theirs = stock(3, generator=picture_generators([1, 2, 3]), num_inference_steps=10, output_type="np").images
    model = DDPM(build({"model": "emoji-ddpm", "dynamics": "ddim", "dtype": "float32", "device": "cpu"}))
    schedule, conditions = model.schedule(10), model.encode(["anything"] * 3, guidance=1.0)
    with model.reference():
        path = rollout(lambda x, i: model.velocity(x, i, schedule, conditions, guidance=1.0), schedule, [1, 2, 3], model.latent_shape,
                       dynamics="ddim", level=1.0, stochastic=())
    ours = model.decode(path.final).permute(0, 2, 3, 1).numpy()
    assert np.abs(theirs - ours).max() < 2 / 255
    between = np.abs(ours[0] - ours[1]).mean(), np.abs(ours[0] - ours[2]).mean()
    assert min(between) > 0.02  # not one picture for every seed


def test_the_recipe_says_what_they_reach():
    measured = json.loads((ROOT / "assets" / "recipe" / "measured.json").read_text())
    assert measured["autoencoder PSNR (dB)"] >= 27 and measured["autoencoder SSIM"] >= 0.93
    assert measured["emoji-clip R@1"] >= 0.5 and measured["emoji-clip R@5"] >= 0.75
    assert measured["emoji-sd3, 44 animals, top-5 share"] >= 0.75 and measured["prompts with at least 4 of 5 styles"] >= 0.8
