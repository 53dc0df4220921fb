"""Every shipped preset, two iterations on a miniature of its model's class: it trains, and does what its plan says."""

import models
import numpy as np
import pytest

from core import loading
from core.presets import PRESET_GROUPS, load_preset, preset_names

NAMES = [name for group in PRESET_GROUPS for name in preset_names(group)]
# what the miniatures cannot carry: size, time and the places where things are
SMALL = {"resolution": None, "device": "cpu", "dtype": "float32", "clip_model": "emoji-clip", "group_size": 6, "micro_batch": 12, "lora_rank": 4, "lora_alpha": 8}


@pytest.fixture
def miniature(tmp_path_factory, sd3_folder):
    """miniature(name of a model): the folder of a tiny one of the same class."""

    def find(model: str) -> str:
        kind = "ddpm" if "ddpm" in model else "sd" if "stable-diffusion-v1" in model else None
        return str(models.diffusion_folder(tmp_path_factory, kind) if kind else sd3_folder)

    return find


@pytest.mark.parametrize("name", NAMES)
def test_preset_trains_two_iterations_by_its_plan(name, miniature):
    preset = load_preset(name)
    fewer = {"steps": 6, "updates_per_iteration": 2, "subset_k": 4, "hrf_anchors_per_prompt": 2, "hrfd_num_eval": 2, "prompts_per_iteration": 1}
    fewer = {name: min(value, getattr(preset, name)) for name, value in fewer.items()}
    config = preset.with_changes(**SMALL, **fewer, model=miniature(preset.model), prompts=preset.prompts[:4])
    trainer = loading.build_trainer(config)
    trainer.rewards.load_state_dict({f"{r}.{part}": value for r in config.rewards for part, value in (("mean", 0.0), ("std", 0.1))})
    before = {n: p.detach().clone() for n, p in trainer.adapter.items()}
    for number in (1, 2):
        made = trainer.iterate(number)
        window = made.metrics["window"]
        assert window == [planned.start, list(planned.trained)] if not (planned := trainer.plan(number, trainer.start)).chosen else window[0] == trainer.start
        assert made.metrics["first_ratio"] <= config.clip_epsilon and all(np.isfinite(made.metrics[key]) for key in ("loss", "grad_norm", "reward", "vendi"))
        assert len(made.group.images) == 6 * len(made.group.prompts)
    assert any(not before[n].equal(p) for n, p in trainer.adapter.items())
