"""RunConfig: every dial of a run, validated before anything is loaded.

A preset is a RunConfig on disk (YAML). The description of a field is the help of the command line and the tooltip
of the studio. Names follow methods.md section 13; letters follow the studio: beta and K are always bonus and leash,
the KL weight is the pull.
"""

from __future__ import annotations

import difflib
import functools
import io
import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from . import prompt_files
from .errors import UserError
from .sampling.windows import HrfStart, Window, WindowKind, window

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "assets" / "models"
MODEL_TITLES = {"emoji-sd3": "Emoji SD3", "emoji-ddpm": "Emoji DDPM"}  # of the models that ship there
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,59}")


def dial(default: Any, help: str, *, group: str, label: str, symbol: str = "", live: bool = False, **bounds) -> Any:
    """A field with its words: `label` and `symbol` for the screen, `live` if it may change while a run goes on."""
    extra = {"group": group, "label": label, "symbol": symbol, "live": live}
    return Field(default, description=help, json_schema_extra=extra, **bounds)


Prompt = Annotated[str, Field(max_length=10_000)]
RewardName = Annotated[str, Field(min_length=1)]


class RunConfig(BaseModel):
    """Every dial of a run. Immutable; a live change makes a new one with `with_changes`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    # what to tune, on what
    model: str = dial("emoji-sd3", "The model to tune: emoji-sd3, a diffusers folder or a hub name.", group="model", label="Model", min_length=1)
    prompts: tuple[Prompt, ...] = dial(("cat",), "The prompts to train on. Duplicates are kept and counted apart.", group="prompts", label="Prompts", min_length=1, max_length=5000)
    prompts_per_iteration: int = dial(1, "How many prompts each update learns from.", group="prompts", label="Prompts per iteration", symbol="P", ge=1, le=64)
    group_size: int = dial(24, "Pictures per prompt: the group that competes. Below 8, looks cannot be counted well.", group="prompts", label="Pictures per prompt", symbol="G", ge=4, le=64)
    rewards: dict[RewardName, Annotated[float, Field(ge=-10, le=10)]] = dial({"clip_score": 1.0}, "Rewards by name with their weights. Each is brought to the same scale before it is weighed.", group="reward", label="Reward", min_length=1, max_length=6)
    reward_style: Literal["noto", "twemoji", "fluent-3d", "fluent-color", "fluent-flat"] = dial("fluent-3d", "The drawing style that the reward style_preference likes.", group="reward", label="Preferred style")
    reward_file: str | None = dial(None, "A Python file of your own with one function score(images, prompts); it is then the reward `own`.", group="reward", label="Own reward")
    iterations: int = dial(400, "How many updates to make. You can stop or add more at any time.", group="run", label="Iterations", ge=1, le=100_000)
    seed: int = dial(0, "Every random number of the run follows from it.", group="run", label="Seed", ge=0, le=2**31 - 1)

    # diversity
    creative_beta: float = dial(0.0, "Pays a picture extra when its look is rare in the group. 0 is reward alone, 1 weighs both alike, at 3 variety mostly decides.", group="dials", label="Diversity bonus", symbol="β", live=True, ge=0, le=3)
    creative_combine: Literal["zscore_sum", "raw_sum", "scaled_sum"] = dial("zscore_sum", "How bonus and reward are added (our choice: z-scores; the paper's scale is not stated).", group="dials", label="Bonus and reward")
    creative_max: float | None = dial(3.5, "Ceiling of the bonus, so that a lone outlier is not overpaid (our choice; none is the paper).", group="dials", label="Bonus ceiling", gt=1)
    creative_gate: Literal["none", "above_mean"] = dial("none", "Pay the bonus to all, or only to pictures whose reward is above the group's mean.", group="dials", label="Bonus paid to")
    sa_reg_steps: int = dial(0, "Holds the first K denoising steps near the base model. Early steps decide layout, so they decide variety. 0 lets go.", group="dials", label="Leash length", symbol="K", live=True, ge=0, le=1000)
    sa_reg_weight: Union[Literal["auto"], Annotated[float, Field(ge=0, le=100)]] = dial("auto", "Strength of the leash as a multiple of its automatic weight, which spends what a KL of sa_reg_budget would spend over all steps; auto is 1.", group="dials", label="Leash strength", symbol="w", live=True)
    sa_reg_budget: float = dial(0.04, "The KL weight whose penalty the automatic leash strength matches (equal budget, our choice).", group="dials", label="Leash budget", ge=0, le=10)
    sa_reg_space: Literal["w2_latent", "v_mse"] = dial("w2_latent", "Measure the leash on latent means (the paper) or on velocities.", group="dials", label="Leash measured on")
    cluster_k: Union[Literal["eigengap"], Annotated[int, Field(ge=1, le=12)]] = dial("eigengap", "Number of clusters in a group: found by the eigengap between 2 and 6, or fixed.", group="sampling", label="Clusters")
    cluster_sigma: Literal["median", "self_tuning"] = dial("median", "Width of the affinity kernel: the median distance, or each picture's own neighbourhood.", group="sampling", label="Affinity width")
    cluster_min_spread: float = dial(0.02, "A group whose pictures are all closer than this is one cluster.", group="sampling", label="Smallest spread", ge=0, le=1)
    perceptual: Literal["clip", "dreamsim"] = dial("clip", "The likeness measure in which pictures are compared: CLIP, or DreamSim (not available: its weights come as pickle only).", group="sampling", label="Likeness measure")
    clip_model: str = dial("emoji-clip", "The CLIP behind the likeness measure and the reward clip_score: emoji-clip, a folder of a transformers CLIP, or a hub name. Emoji-clip knows emoji only.", group="sampling", label="CLIP model", min_length=1)

    # sampling
    steps: int = dial(10, "Denoising steps of a rollout.", group="sampling", label="Steps", symbol="T", ge=4, le=50)
    dynamics: Literal["flow_sde", "cps", "dance_sde", "ddim"] = dial("flow_sde", "How noise is added on the way. Flow models: Flow-SDE, coefficients-preserving (cleaner pictures) or Dance-SDE. Diffusion models (SD 1, DDPM): DDIM.", group="sampling", label="Noise kind")
    noise_level: float = dial(0.7, "How much the sampler explores. 0 is not allowed while training: equal pictures teach nothing.", group="sampling", label="Noise level", symbol="a", live=True, gt=0, le=1.2)
    guidance: float = dial(1.0, "Classifier-free guidance, the same in sampling and training. The embedded model needs none.", group="sampling", label="Guidance", ge=1, le=12)
    resolution: int | None = dial(None, "Picture size in pixels; empty takes the model's own.", group="sampling", label="Picture size", ge=16, le=2048, multiple_of=16)

    # which steps are stochastic and trained
    window: WindowKind = dial("full", "Which denoising steps are noisy and trained: all but the last, a few that are drawn or move on (Flow-GRPO-Fast, DanceGRPO, MixGRPO), or all from a later start on (HRF).", group="window", label="Training window", live=True)
    window_size: int = dial(4, "Steps in a moving or drawn window.", group="window", label="Window size", symbol="w", live=True, ge=1, le=49)
    window_interval: int = dial(25, "Iterations before a moving window goes on, and of each phase of hrf_scheduled.", group="window", label="Window moves every", symbol="τ", live=True, ge=1, le=100_000)
    window_stride: int = dial(1, "Steps by which a moving window goes on.", group="window", label="Window stride", symbol="d", live=True, ge=1, le=49)
    window_roll_back: bool = dial(True, "A moving window that reaches the end begins again; off, it stays there.", group="window", label="Window begins again")
    window_low: int = dial(0, "First step of the range from which fast_random draws.", group="window", label="Range from", ge=0, le=49)
    window_high: int | None = dial(None, "First step after that range; empty is half of the steps.", group="window", label="Range to", ge=1, le=49)
    window_fraction: float = dial(0.6, "Share of the steps that random_fraction trains (DanceGRPO).", group="window", label="Trained share", gt=0, le=1)
    hrf_start: HrfStart = dial("anchor_renoise", "HRF begins late from finished pictures with new noise, or rolls out in full and trains the end only.", group="window", label="Late start")
    hrf_anchors_per_prompt: int = dial(1, "Finished pictures per prompt from which HRF goes on; each is a group of its own (our choice for flow models).", group="window", label="Anchors", ge=1, le=16)
    hrfd_beta: float = dial(0.5, "HRF-D: how much a start is marked down for moving the picture (the public code's value).", group="window", label="Start against moving", ge=0, le=10)
    hrfd_distance: Literal["pixel_cosine", "perceptual"] = dial("pixel_cosine", "HRF-D: how far a picture moved, in pixels (the public code) or in the likeness measure.", group="window", label="Moving measured in")
    hrfd_num_eval: int = dial(5, "HRF-D: pictures by which each start is judged (our choice).", group="window", label="Pictures per start", ge=1, le=64)
    hrfd_stride: int = dial(2, "HRF-D: every which step is a possible start.", group="window", label="Starts every", ge=1, le=25)
    hrfd_refresh_every: int = dial(1, "HRF-D: iterations before a start is chosen anew; more is cheaper (our choice).", group="window", label="Choose anew every", ge=1, le=1000)

    # DRIFT-style: subset, prompt noise, shaping; each works alone
    subset_mode: Literal["off", "min_variance", "band", "median_k", "trim"] = dial("off", "Learn only from pictures whose rewards lie close together (DRIFT-style; the rule is our choice).", group="drift", label="Subset")
    subset_k: int = dial(16, "Pictures kept of each group by min_variance and median_k (our choice).", group="drift", label="Kept pictures", ge=2, le=64)
    subset_band: float = dial(1.0, "Half width of the band in spreads of the group (our choice).", group="drift", label="Band", gt=0, le=5)
    subset_low: int = dial(4, "Worst pictures that trim leaves out (our choice).", group="drift", label="Worst left out", ge=0, le=32)
    subset_high: int = dial(4, "Best pictures that trim leaves out (our choice).", group="drift", label="Best left out", ge=0, le=32)
    subset_stats_scope: Literal["subset", "full"] = dial("subset", "Advantages are relative to the kept pictures or to the whole group (our choice).", group="drift", label="Relative to")
    subset_fallback: Literal["full", "skip"] = dial("full", "When all kept rewards are equal: learn from the whole group, or skip it (our choice).", group="drift", label="If all kept tie")
    prompt_noise_scale: float = dial(0.0, "Blurs the prompt early in each picture, so that one prompt means many things. 0 is off; 0.1 is mild (CADS).", group="drift", label="Prompt noise", symbol="s", live=True, ge=0, le=1)
    prompt_noise_tau1: float = dial(0.6, "Below this part of the way to noise the prompt is clean (CADS; our choice here).", group="drift", label="Clean from", symbol="τ1", live=True, ge=0, le=1)
    prompt_noise_tau2: float = dial(0.9, "Above this part of the way to noise the prompt is noise alone (CADS; our choice here).", group="drift", label="Noise alone from", symbol="τ2", live=True, ge=0, le=1)
    prompt_noise_psi: float = dial(1.0, "How far the noisy prompt is brought back to the size of the clean one (CADS).", group="drift", label="Rescaling", symbol="ψ", ge=0, le=1)
    prompt_noise_clock: Literal["step", "sigma"] = dial("step", "Measure the way to noise in steps or in noise level (our choice).", group="drift", label="Measured in")
    prompt_noise_resample: Literal["per_step", "per_trajectory"] = dial("per_step", "New noise at every step, or one for the whole picture (our choice).", group="drift", label="New noise")
    prompt_noise_targets: Literal["both", "sequence", "pooled"] = dial("both", "Which embedding is blurred (our choice).", group="drift", label="Blurred")
    prompt_noise_uncond: bool = dial(False, "Blur the empty prompt of the guidance too (our choice).", group="drift", label="Blur the empty prompt")
    prompt_noise_iter_decay: Literal["none", "linear"] = dial("none", "Let prompt noise fade over the run (our choice).", group="drift", label="Fades over the run", live=True)
    shaping_alpha: float = dial(0.0, "Weight of the potential that pays a picture for being unlike its group (DRIFT-style). 0 is off.", group="drift", label="Shaping", symbol="α", live=True, ge=0, le=5)
    shaping_potential: Literal["mean_group", "nn_group", "nn_memory"] = dial("mean_group", "Unlike the group on average, its nearest picture, or the nearest of earlier ones (our choice).", group="drift", label="Potential")
    shaping_gate: Literal["above_mean", "none", "sigmoid"] = dial("above_mean", "Which pictures are paid (our choice).", group="drift", label="Shaping paid to")
    shaping_gamma: float = dial(1.0, "Discount of the shaping per step (our choice).", group="drift", label="Discount", symbol="γ", gt=0, le=1)
    shaping_delta: float = dial(0.02, "Smallest spread of distances that counts as variety (our choice).", group="drift", label="Smallest difference", gt=0, le=1)
    shaping_dense: bool = dial(False, "Pay at every step, by the picture as foreseen there; one decoding a step (our choice).", group="drift", label="Pay every step")
    shaping_terminal_zero: bool = dial(False, "The strictly invariant form: moves credit between steps and adds nothing in total.", group="drift", label="Adds nothing in total")

    # learning
    learning_rate: float = dial(3e-4, "Step size of AdamW on the LoRA.", group="learning", label="Learning rate", live=True, ge=1e-6, le=1e-2)
    lora_rank: int = dial(32, "Rank of the LoRA: how much it can change.", group="learning", label="LoRA rank", ge=1, le=256)
    lora_alpha: int = dial(64, "Scale of the LoRA; usually twice the rank.", group="learning", label="LoRA alpha", ge=1, le=1024)
    clip_epsilon: float = dial(1e-4, "How far a ratio may move before its gradient is cut.", group="learning", label="Clip", symbol="ε", ge=1e-6, le=1e-1)
    advantage_clip: float = dial(5.0, "Largest advantage that is learned from.", group="learning", label="Advantage clip", gt=0, le=100)
    advantage: Literal["group", "history", "novelty"] = dial("group", "A picture's rank within its group, against the past rewards of its prompt (DDPO), or within its group with more for what is new (GARDO).", group="learning", label="Advantage")
    adv_std_scope: Literal["group", "global", "none"] = dial("group", "Divide advantages by the spread of the group, of all groups of the update, or not at all.", group="learning", label="Advantage spread")
    adv_history_size: int = dial(32, "Past rewards kept per prompt for the advantage history (DDPO).", group="learning", label="Past rewards kept", ge=2, le=10_000)
    adv_history_min: int = dial(16, "Below so many past rewards, the batch's own mean and spread count (DDPO).", group="learning", label="Past rewards needed", ge=2, le=10_000)
    objective: Literal["clipped", "guard"] = dial("clipped", "The clipped ratio, or GRPO-Guard's, which is even over the steps (Flow-SDE and Dance-SDE; needs a clip near 2e-6 on big models).", group="learning", label="Objective")
    guard_step_reweight: Literal["inv_dt", "none"] = dial("inv_dt", "GRPO-Guard: let every step push the velocity equally hard.", group="learning", label="Guard's step weight")
    adv_std_floor: float = dial(0.1, "Smallest spread to divide by, as a share of the running spread of all rewards.", group="learning", label="Spread floor", ge=0, le=1)
    updates_per_iteration: int = dial(2, "Optimizer steps on each batch of pictures.", group="learning", label="Updates per iteration", ge=1, le=8)
    micro_batch: int = dial(24, "Pictures in flight: fewer need less memory and more time.", group="learning", label="Pictures in flight", ge=1, le=256)
    gradient_checkpointing: bool = dial(False, "Keeps less of each picture while learning and works the rest out again: much less memory, and learning takes about a third longer. The result is the same.", group="learning", label="Gradient checkpointing")
    pull: float = dial(0.0, "Weight of the KL to the base model on all trained steps.", group="learning", label="Pull to base", live=True, ge=0, le=10)
    kl_include_dt: bool = dial(True, "Divide the KL by |dt| as published; off is the form in the public code.", group="learning", label="KL as published")
    max_grad_norm: float = dial(1.0, "Gradients are scaled down to this norm.", group="learning", label="Gradient clip", gt=0, le=100)
    weight_decay: float = dial(1e-4, "Weight decay of AdamW.", group="learning", label="Weight decay", ge=0, le=1)

    # what the run says, and does, by itself when variety is lost
    alarm_warn: float | None = dial(45.0, "Warn when variety falls below this percentage of the base model's; empty is off.", group="alarms", label="Warn below", symbol="%", ge=10, le=90)
    alarm_pause: float | None = dial(None, "Pause by itself when variety falls below this percentage of the base model's; empty is off.", group="alarms", label="Pause below", symbol="%", ge=10, le=90)
    alarm_parting: bool = dial(True, "Warn when reward climbs while variety falls, before it is low.", group="alarms", label="Reward up, variety down")
    alarm_action: Literal["none", "pause", "raise_beta", "branch"] = dial("none", "What a warning does by itself: nothing more, pause, raise the diversity bonus by a step, or roll back to the last healthy checkpoint as a branch with a raised bonus.", group="alarms", label="A warning also")
    alarm_beta_step: float = dial(0.25, "By how much a warning raises the diversity bonus.", group="alarms", label="Bonus raised by", ge=0.05, le=1)

    # saving and watching
    base_pictures: int = dial(120, "Pictures of the base model per prompt from which looks and the map are fixed once.", group="saving", label="Base pictures", ge=24, le=2000)
    base_prompts: int = dial(8, "For how many prompts, at most, looks and the map are fixed.", group="saving", label="Prompts on the map", ge=1, le=200)
    checkpoint_every: int = dial(20, "Save weights and optimizer every so many iterations.", group="saving", label="Checkpoint every", ge=1, le=100_000)
    keep_checkpoints: int = dial(5, "Keep this many newest checkpoints.", group="saving", label="Keep last", ge=1, le=10_000)
    device: Literal["auto", "cpu", "cuda", "mps"] = dial("auto", "Where to compute; auto takes cuda, then mps, then cpu.", group="saving", label="Device")
    dtype: Literal["auto", "float32", "bfloat16"] = dial("auto", "Arithmetic of the big model; log-probabilities are always float32.", group="saving", label="Arithmetic")

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_for_a_number(cls, value, info: ValidationInfo):
        if isinstance(value, bool) and cls.model_fields[info.field_name].annotation is not bool:
            raise PydanticCustomError("truth_for_a_number", "true and false are no numbers")
        return value

    @field_validator("prompts", mode="before")
    @classmethod
    def _prompt_lines(cls, value):
        lines = value.splitlines() if isinstance(value, str) else value
        if not isinstance(lines, (list, tuple)):
            return value
        lines = [x.strip() if isinstance(x, str) else x for x in lines]
        if isinstance(value, str):
            lines = [x for x in lines if x]
        if "" in lines:
            raise ValueError(f"prompt {lines.index('') + 1} of {len(lines)} is empty. Write a text or remove it")
        return tuple(lines)

    @model_validator(mode="after")
    def _belong_together(self):
        if self.sa_reg_steps > self.steps:
            raise ValueError(f"sa_reg_steps: Leash length is {self.sa_reg_steps}, the run has {self.steps} steps. Use 0 to {self.steps}.")
        if self.dynamics in ("cps", "ddim") and self.noise_level > 1:
            raise ValueError(f"noise_level: Noise level is {self.noise_level:g}; with {self.dynamics} use above 0 to 1.")
        if self.prompts_per_iteration > len(self.prompts):
            raise ValueError(f"prompts_per_iteration: {self.prompts_per_iteration} is more than the {len(self.prompts)} prompts. Use 1 to {len(self.prompts)}, or add prompts.")
        clash = _clash(self)
        if clash:
            raise ValueError(clash)
        if "own" in self.rewards and not self.reward_file:
            raise ValueError("reward_file: the reward `own` needs a Python file. Name it in reward_file.")
        return self

    @property
    def trainable_steps(self) -> tuple[int, ...]:
        """Indices of the steps that a window may train: all but the last (methods.md 9.4)."""
        return tuple(range(self.steps - 1))

    def with_changes(self, **changes: Any) -> "RunConfig":
        """A validated copy. Raises UserError."""
        return build({**self.model_dump(), **changes})

    def placed(self) -> "RunConfig":
        """A copy that names its folders and files in full: a trainer works in another folder than the person who named them."""
        full = {}
        for name in PLACES:
            text = getattr(self, name)
            place = os.path.expanduser(text or "")
            if text and os.path.exists(place) and not os.path.isdir(MODELS / text):  # of names that no file system holds Path raises
                full[name] = os.path.abspath(place)
        return self.with_changes(**full) if any(full[name] != getattr(self, name) for name in full) else self

    def to_yaml(self) -> str:
        values = self.model_dump(mode="json")
        text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
        if any(end in text for end in "\x85\u2028\u2029"):  # PyYAML writes these as they are and reads them as line ends
            text = yaml.safe_dump(values, sort_keys=False, allow_unicode=False)
        return text


def _clash(config: RunConfig) -> str | None:
    """Settings that make no sense together, as `field: sentence with the reason and the remedy`; None if all do."""
    c = config
    if c.window == "hrf_latter" and c.hrf_start == "anchor_renoise" and c.creative_beta > 0:
        return "creative_beta: pictures that go on late from one anchor are all alike, so there is no rare look to pay. Set it to 0, or use an earlier window."
    if c.objective == "guard" and c.dynamics not in ("flow_sde", "dance_sde"):
        return f"objective: guard is derived for Flow-SDE and Dance-SDE, not for {c.dynamics}. Use clipped, or another noise kind."
    if c.shaping_alpha > 0 and c.creative_combine != "zscore_sum":
        return f"shaping_alpha: shaping is paid on z-scored rewards, and creative_combine is {c.creative_combine}. Use zscore_sum."
    if c.shaping_terminal_zero and not c.shaping_dense:
        return "shaping_terminal_zero: without payment at every step there would be nothing left. Switch shaping_dense on too."
    if c.advantage == "novelty" and c.shaping_alpha > 0:
        return "advantage: novelty and shaping_alpha pay for the same distance twice. Use one of them."
    if c.advantage == "history" and c.adv_history_min > c.adv_history_size:
        return f"adv_history_min: {c.adv_history_min} are needed, but only {c.adv_history_size} are kept. Use 2 to {c.adv_history_size}."
    if c.subset_mode in ("min_variance", "median_k") and c.subset_k > c.group_size:
        return f"subset_k: Kept pictures is {c.subset_k}, a group has {c.group_size}. Use 2 to {c.group_size}."
    if c.base_pictures < c.group_size:
        return f"base_pictures: {c.base_pictures} are fewer than one group of {c.group_size}, which they are compared with. Use at least {c.group_size}."
    if c.subset_mode == "trim" and c.subset_low + c.subset_high > c.group_size - 2:
        return f"subset_low: {c.subset_low} and {c.subset_high} left out leave fewer than 2 of {c.group_size} pictures. Leave out fewer."
    if c.prompt_noise_scale > 0 and c.prompt_noise_tau1 >= c.prompt_noise_tau2:
        return f"prompt_noise_tau1: {c.prompt_noise_tau1:g} is not below tau2, {c.prompt_noise_tau2:g}. The prompt fades between the two."
    if c.window == "hrf_dynamic" and c.hrfd_stride > c.steps - 2:
        return f"hrfd_stride: {c.hrfd_stride} of {c.steps} steps leaves one start only, so there is none to choose. Use 1 to {c.steps - 2}."
    try:
        window_at(c, 0)
    except ValueError as error:
        return f"window: {error}"
    return None


def fewest_base_pictures(group_size: int) -> int:
    """As few base pictures as looks can be found in, and a whole group."""
    return max(24, group_size)


def window_at(config: RunConfig, iteration: int, start: int | None = None) -> Window:
    """The window of iteration `iteration` (0-based); `start` is the choice of hrf_dynamic, step 0 until it is made. Raises ValueError."""
    c = config
    return window(
        c.window, iteration, c.steps, seed=c.seed, size=c.window_size, low=c.window_low, high=c.window_high, fraction=c.window_fraction,
        stride=c.window_stride, interval=c.window_interval, roll_back=c.window_roll_back, hrf_start=c.hrf_start, start=start or 0,
    )


FIELDS = RunConfig.model_fields
LIVE = tuple(name for name, f in FIELDS.items() if f.json_schema_extra["live"])
ALARMS = tuple(name for name, f in FIELDS.items() if f.json_schema_extra["group"] == "alarms")
RESUMABLE = ("iterations", "checkpoint_every", "keep_checkpoints", "micro_batch", "gradient_checkpointing", *ALARMS)  # beside the live dials
PLACES = ("model", "clip_model", "reward_file")  # a folder, a file, or a name that means one
TEXT = (*PLACES, "prompts")  # fields in which 3e-4 is a text, not a number


def _amount(number: float) -> str:
    """1e-06, 0.04, 24, 100000: a bound as a person would type it."""
    return str(int(number)) if float(number).is_integer() else f"{number:g}"


def _shown(value: Any) -> str:
    """A wrong value in at most 60 characters of one line."""
    if value is None or isinstance(value, (str, list, tuple, dict)) and not value:
        return "empty"
    try:
        text = repr(value)
    except (ValueError, RecursionError):  # an integer of thousands of digits; lists nested without end
        return f"a {type(value).__name__} too large to show"
    return text if len(text) <= 60 else text[:57] + "..."


@functools.cache
def _bounds(name: str) -> str:
    """What the field allows, in words."""
    schema = RunConfig.model_json_schema()["properties"][name]
    parts = schema.get("anyOf", [schema])
    words = []
    for part in parts:
        if "enum" in part:
            words.append((" or " if len(part["enum"]) < 6 else ", ").join(str(x) for x in part["enum"]))
        elif "const" in part:
            words.append(str(part["const"]))
        elif part.get("type") in ("integer", "number"):
            kind = "whole number" if part["type"] == "integer" else "number"
            low = part.get("minimum", part.get("exclusiveMinimum"))
            high = part.get("maximum")
            if low is not None and high is not None:
                step = f" in steps of {_amount(part['multipleOf'])}" if "multipleOf" in part else ""
                words.append(f"{'above ' if 'exclusiveMinimum' in part else ''}{_amount(low)} to {_amount(high)}{step}")
            else:
                words.append(f"a {kind}" + (f" above {_amount(low)}" if low is not None else ""))
        elif part.get("type") == "null":
            words.append("nothing")
        elif part.get("type") == "boolean":
            words.append("true or false")
        elif part.get("type") == "array":
            words.append("1 to 5,000 lines of text, each of at most 10,000 characters")
        elif part.get("type") == "object":
            words.append("1 to 6 reward names, each with a weight from -10 to 10")
        else:
            words.append("a text")
    return " or ".join(words)


def _sentence(error: dict) -> UserError:
    """One pydantic error as the line that a person reads."""
    place = [str(x) for x in error["loc"]]
    name = place[0] if place else ""
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(name, FIELDS, n=1)
        hint = f" Did you mean {near[0]}?" if near else " `python -m core train --help` lists them."
        return UserError(f"{name if name.isidentifier() and len(name) <= 60 else _shown(name)}: there is no such setting.{hint}", name)
    if error["type"] == "value_error":
        text = str(error["ctx"]["error"])
        if not name and ": " in text:
            name = text.split(": ", 1)[0]
            return UserError(text, name)
        return UserError(f"{name}: {text}.", name)
    label = FIELDS[name].json_schema_extra["label"] if name in FIELDS else name
    return UserError(f"{name}: {label} is {_shown(error['input'])}. Use {_bounds(name)}.", name)


def build(values: dict[str, Any]) -> RunConfig:
    """Validate `values`. Raises UserError that names the first wrong field."""
    _names_with_values(values)
    try:
        return RunConfig(**values)
    except ValidationError as error:
        raise _sentence(error.errors()[0]) from None


def _names_with_values(values: Any) -> None:
    wrong = [values] if not isinstance(values, dict) else [key for key in values if not isinstance(key, str)]
    if wrong:
        raise UserError(f"settings must be names with values, got {_shown(wrong[0])}.")


def problems(values: dict[str, Any]) -> dict[str, str]:
    """Every wrong field with its sentence, for a form that checks as one types."""
    try:
        _names_with_values(values)
        RunConfig(**values)
        return {}
    except UserError as error:
        return {"": str(error)}
    except ValidationError as error:
        found = [_sentence(e) for e in error.errors()]
        return {e.field or "": str(e) for e in reversed(found)}


# What yaml.safe_load raises: beside its own errors, a date without such a day, and brackets nested without end.
UNREADABLE = (yaml.YAMLError, ValueError, RecursionError)


def parse_assignments(pairs: list[str]) -> dict[str, Any]:
    """`key=value` strings of the command line; values are YAML. Raises UserError."""
    changes = {}
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not equals or not key:
            raise UserError(f"--set {pair!r}: write it as key=value, for example --set creative_beta=0.5.")
        if key.strip() == "prompts" and text.startswith("@"):
            changes["prompts"] = prompt_files.listed(text[1:])
            continue
        if key.strip() == "prompts" and not text.lstrip().startswith(("[", "'", '"')):
            changes["prompts"] = text.strip()  # as it is: YAML would end it at ` #`, and take `cat: black` apart
            continue
        try:
            changes[key.strip()] = _plain(key.strip(), yaml.safe_load(io.StringIO(text)))
        except UNREADABLE:
            raise UserError(f"{key if key.isidentifier() else _shown(key)}: {_shown(text)} cannot be read. Quote text that holds : or [ or {{.", key) from None
    return changes


def _plain(name: str, value: Any) -> Any:
    """YAML 1.1 reads 3e-4 as text and off as false; a person means a number and a word."""
    if value is False and name in FIELDS and "off" in get_args(FIELDS[name].annotation):
        return "off"
    if name not in TEXT and isinstance(value, str) and re.fullmatch(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+", value):
        return float(value)
    return value


def load(path: Path) -> RunConfig:
    """A RunConfig from a YAML file. Raises UserError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unreadable(path, getattr(error, "strerror", None)) from None
    return read(text, path)


def read(text: str, source: Path | str) -> RunConfig:
    """A RunConfig from YAML; `source` names it in errors. Raises UserError."""
    try:
        values = yaml.safe_load(text)
    except UNREADABLE:
        raise _unreadable(source) from None
    if not isinstance(values, dict):
        raise UserError(f"{source}: settings must be a list of `name: value` lines.")
    return build({k: _plain(k, v) for k, v in values.items()})


def _unreadable(source: Path | str, reason: str | None = None) -> UserError:
    return UserError(f"{source}: the settings cannot be read ({reason or 'it is not YAML'}). Name a preset or a YAML file.")
