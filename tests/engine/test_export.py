"""An exported LoRA in stock diffusers draws the studio's picture."""

import models
import pytest
import torch
from diffusers import StableDiffusion3Pipeline

from core.runs import lora_folder
from core.training import SAMPLE

SEEDS = [11, 12, 13]
ROUNDING = 1e-4  # a level of an 8-bit picture is 4e-3


def stock(folder, lora=None, *, steps: int, guidance: float = 1.0) -> torch.Tensor:
    """Pictures of `cat` as anyone would make them, without a line of this project."""
    pipe = StableDiffusion3Pipeline.from_pretrained(folder, text_encoder_3=None, tokenizer_3=None)
    pipe.set_progress_bar_config(disable=True)
    if lora is not None:
        pipe.load_lora_weights(lora)
    generators = [torch.Generator().manual_seed(s) for s in SEEDS]
    return pipe(["cat"] * len(SEEDS), generator=generators, num_inference_steps=steps, guidance_scale=guidance, output_type="pt").images


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_stock_diffusers_draws_the_studio_s_picture(make_trainer, sd3_folder, tmp_path, guidance):
    trainer = make_trainer(prompts=["cat"], learning_rate=1e-2, lora_rank=32, lora_alpha=64, guidance=guidance)
    for number in (1, 2, 3):
        trainer.iterate(number)
    lora_folder.write(models.saved(tmp_path, trainer.backbone, trainer.config), 3, tmp_path)
    tuned = trainer.pictures(0, SEEDS, purpose=SAMPLE, base=False)
    base = trainer.pictures(0, SEEDS, purpose=SAMPLE, base=True)
    assert (tuned - base).abs().amax(dim=(1, 2, 3)).min() > 0.03  # enough was learned for the file to matter
    steps = trainer.config.steps
    assert (stock(sd3_folder, tmp_path, steps=steps, guidance=guidance) - tuned).abs().max() <= ROUNDING
    assert (stock(sd3_folder, steps=steps, guidance=guidance) - base).abs().max() <= ROUNDING
