"""From settings or a run folder to a trainer that is ready to sample: used by the worker and by every command."""

from __future__ import annotations

from collections.abc import Callable

import diffusers
import torch
import transformers

from .backbones import hub, parts
from .backbones.base import Backbone
from .backbones.ddpm import DDPM
from .backbones.names import check_kind, check_model, load_path
from .backbones.sd import StableDiffusion
from .backbones.sd3 import SD3
from .clip_names import EMBEDDED, clip_source
from .config import MODELS, RunConfig
from .diversity import perceptual
from .errors import UserError
from .rewards.registry import RewardSet
from .runs import checkpoints
from .runs.folder import Run, yardstick
from .training import Trainer

CLIP_FOLDER = MODELS / "emoji-clip"
STYLE_FOLDER = MODELS / "emoji-style"
BACKBONES = {"StableDiffusion3Pipeline": SD3, "StableDiffusionPipeline": StableDiffusion, "DDPMPipeline": DDPM, "DDIMPipeline": DDPM, "LDMPipeline": DDPM}


def load_backbone(config: RunConfig, *, arithmetic: str | None = None) -> Backbone:
    """The model of `config` behind the backbone that its model_index.json asks for. Raises UserError."""
    check_model(config.model)
    try:
        kind = diffusers.DiffusionPipeline.load_config(load_path(config.model)).get("_class_name")
    except Exception as error:  # only a hub name gets here
        known = hub.unreachable("model", config.model, error)
        if known:
            raise known from None
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"model: {config.model} cannot be loaded ({reason}). Check the name, the network and the model's licence.", "model") from None
    check_kind(config.model, kind)
    return BACKBONES[kind](config, arithmetic=arithmetic)


def _clip(config: RunConfig) -> str:
    """Where the CLIP of `config` is: a folder or a hub name."""
    return str(CLIP_FOLDER) if config.clip_model == EMBEDDED else clip_source(config.clip_model)


def load_perceptual(config: RunConfig, device: torch.device) -> perceptual.Perceptual:
    """The likeness measure of `config`. Raises UserError."""
    return perceptual.load(config.perceptual, device, _clip(config))


def load_rewards(config: RunConfig, device: torch.device) -> RewardSet:
    """The rewards of `config` with their weights. Raises UserError."""
    return RewardSet(dict(config.rewards), clip_folder=_clip(config), style_folder=STYLE_FOLDER, style=config.reward_style, own_file=config.reward_file, device=device)


def hush() -> None:
    """A person sees the bar of the run, not one for every file."""
    for library in (diffusers, transformers):
        library.utils.logging.disable_progress_bar()
        library.utils.logging.set_verbosity_error()


def build_trainer(
    config: RunConfig,
    *,
    arithmetic: str | None = None,
    part: Callable[[int, int], None] = lambda number, of: None,
    loaded: Callable[[str], None] = lambda what: None,
) -> Trainer:
    """Load the model, the rewards and the likeness measure of `config`. Raises UserError.

    part(1, 2, ... of how many): hears of each part of the model before it is loaded. loaded: of what is there, "model" and "judges".
    """
    hush()
    with parts.heard(part):
        backbone = load_backbone(config, arithmetic=arithmetic)
    loaded("model")
    rewards, likeness = load_rewards(config, backbone.device), load_perceptual(config, backbone.device)
    loaded("judges")
    return Trainer(config, backbone, rewards, likeness)


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
    if (run.path / "rewards.json").exists():
        trainer.rewards.load_state_dict(yardstick(run))
    if iteration:
        restore(trainer, run, iteration)
    return trainer
