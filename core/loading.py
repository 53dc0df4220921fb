"""From settings or a run folder to a trainer that is ready to sample: used by the worker and by every command."""

from __future__ import annotations

import json

import diffusers
import transformers

from .backbones.sd3 import SD3
from .config import MODELS, RunConfig
from .diversity import perceptual
from .rewards.registry import RewardSet
from .runs import checkpoints
from .runs.folder import Run
from .training import Trainer

CLIP_FOLDER = MODELS / "emoji-clip"


def build_trainer(config: RunConfig, *, arithmetic: str | None = None) -> Trainer:
    """Load the model, the rewards and the likeness measure of `config`. Raises UserError."""
    for library in (diffusers, transformers):  # a person sees the bar of the run, not one for every file
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()
    backbone = SD3(config, arithmetic=arithmetic)
    rewards = RewardSet(dict(config.rewards), clip_folder=CLIP_FOLDER, style=config.reward_style, own_file=config.reward_file, device=backbone.device)
    return Trainer(config, backbone, rewards, perceptual.load(config.perceptual, backbone.device, CLIP_FOLDER))


def restore(trainer: Trainer, run: Run, iteration: int) -> None:
    """Put a checkpoint's weights, optimizer and scales into `trainer`, which must have been built with its settings."""
    tensors, state = checkpoints.load(run, iteration)
    trainer.load(tensors, state["scalars"])


def open_run(run: Run, iteration: int | None = None) -> Trainer:
    """The trainer of a run as it was at a checkpoint (the newest if none is named), with the run's reward scale."""
    saved = checkpoints.all_of(run)
    iteration = saved[-1] if iteration is None and saved else iteration
    state = checkpoints.load(run, iteration)[1] if iteration else {"dials": {}}
    trainer = build_trainer(run.config().with_changes(**state["dials"]), arithmetic=state.get("arithmetic"))
    scale = run.path / "rewards.json"
    if scale.exists():
        trainer.rewards.load_state_dict(json.loads(scale.read_text()))
    if iteration:
        restore(trainer, run, iteration)
    return trainer
