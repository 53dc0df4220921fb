"""A file that Runs or Compare hands out draws, in a stock pipeline of diffusers, the very pictures that Compare shows: equal in every level."""

import io

import models
import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusion3Pipeline, StableDiffusionPipeline
from PIL import Image
from working import work

from core import base, loading
from core.comparing import Comparer
from core.config import build
from core.runs import lora_keys
from core.runs.compare import BASE, SHOWN, Store, Want
from core.runs.folder import create

SEEDS = (3, 4, 5, 6)
LAST = 4  # iteration
STRENGTHS = (100, 65)  # hundredths


def compared(run) -> dict[tuple[int, int], np.ndarray]:
    """What Compare keeps of prompt 0: pictures of the base and of the last weights at both strengths, uint8 (N, H, W, 3)."""
    sides = [BASE, *((LAST, s) for s in STRENGTHS)]
    with Store(run) as store:
        comparer = Comparer(run, loading.open_run(run), store, base.load(run.path / "base.npz"))
        working = True
        while working:
            store.want("page", [Want(SHOWN, 0, *side, SEEDS) for side in sides])  # said again and again, as a page does: a wish ages
            working = comparer.step(lambda: False)
        found = {side: store.pictures(0, side, SEEDS) for side in sides}
        return {side: np.stack([np.asarray(Image.open(io.BytesIO(store.picture(rows[s]["id"])))) for s in SEEDS]) for side, rows in found.items()}


def stock(config, file=None) -> np.ndarray:
    """Pictures of the first prompt as anyone would make them, without a line of this project."""
    if config.dynamics == "ddim":
        pipe = StableDiffusionPipeline.from_pretrained(config.model, safety_checker=None)
        pipe.scheduler = DDIMScheduler.from_config(pipe.scheduler.config, clip_sample=False)
    else:
        pipe = StableDiffusion3Pipeline.from_pretrained(config.model, text_encoder_3=None, tokenizer_3=None)
    pipe.set_progress_bar_config(disable=True)
    if file is not None:
        pipe.load_lora_weights(file)
    drawn = pipe(
        [config.prompts[0]] * len(SEEDS), generator=[torch.Generator().manual_seed(s) for s in SEEDS], num_inference_steps=config.steps,
        guidance_scale=config.guidance,
    ).images  # fmt: skip
    return np.stack([np.asarray(picture) for picture in drawn])


def levels_off(found: np.ndarray, expected: np.ndarray) -> tuple[int, float]:
    """(largest difference of two levels, share of levels that differ)."""
    difference = np.abs(found.astype(int) - expected)
    return int(difference.max()), float((difference > 0).mean())


@pytest.mark.parametrize("kind, forms", [("sd3", ["diffusers"]), ("sd", ["diffusers", "comfy"])])
def test_stock_pipelines_draw_what_compare_shows_level_by_level(tmp_path_factory, tmp_path, kind, forms):
    model, more = (models.folders(tmp_path_factory)[0], {}) if kind == "sd3" else (models.diffusion_folder(tmp_path_factory, kind), {"dynamics": "ddim", "noise_level": 1.0})
    run = create(tmp_path / "demo", build(models.settings(model, learning_rate=0.01, lora_alpha=12, **more)))
    assert work(run) == 0
    seen, config = compared(run), run.config()
    assert min(np.abs(seen[LAST, s].astype(int) - seen[BASE]).max() for s in STRENGTHS) > 8  # levels; enough was learned for the file to matter
    off = {BASE: levels_off(stock(config), seen[BASE])}
    for form in forms:
        for strength in STRENGTHS:
            file = lora_keys.write(run, LAST, form, tmp_path / f"{form}-{strength}.safetensors", strength=strength / 100)
            off[form, strength] = levels_off(stock(config, file), seen[LAST, strength])
    # the same numbers but for the last bit of a float32, which may round a level the other way
    assert all(largest <= 1 and share < 2e-3 for largest, share in off.values()), off
    assert levels_off(seen[LAST, 65], seen[LAST, 100])[1] > 0.1  # a strength, or a file, that was mixed up would be seen
