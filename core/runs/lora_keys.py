"""A checkpoint's LoRA as a file for other programs: diffusers, or ComfyUI, A1111 and everything else that reads kohya's keys.

NumPy and safetensors only, so that the studio can write it without loading torch.

ComfyUI, Forge and A1111 name a layer by the original model's own name for it, dots turned into underscores, after
`lora_unet_` (ComfyUI's comfy/lora.py; kohya's sd-scripts write the same). For a UNet the names in diffusers' style are
among those that they know. SD3's original model holds query, key and value in one matrix, so three LoRAs of rank r
become one of rank 3r, which is the same change exactly.

None of these programs reads the settings in which diffusers keeps LoRA's alpha. So its scale, alpha / rank, goes into
the matrices, and the alpha that is written equals the rank: a reader that looks at it and a reader that does not both
apply at strength 1 what was trained.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from ..errors import UserError
from . import checkpoints, compare, lora_header
from .folder import Run, write_atomically

FORMATS = {"diffusers": "diffusers", "comfy": "ComfyUI, A1111"}
STRONGEST = compare.STRONGEST / 100  # as in Compare
_LAYER = re.compile(r"lora/(?P<layer>.+)\.lora_(?P<side>[AB])\.default\.weight")
_SD3_LAYER = re.compile(r"transformer_blocks\.(\d+)\.attn\.(.+)")
# layer in diffusers -> (its part of the original joint block, place among query, key, value)
_SD3_PARTS = {
    "to_q": ("x_block.attn.qkv", 0),
    "to_k": ("x_block.attn.qkv", 1),
    "to_v": ("x_block.attn.qkv", 2),
    "to_out.0": ("x_block.attn.proj", None),
    "add_q_proj": ("context_block.attn.qkv", 0),
    "add_k_proj": ("context_block.attn.qkv", 1),
    "add_v_proj": ("context_block.attn.qkv", 2),
    "to_add_out": ("context_block.attn.proj", None),
}

Factors = tuple[np.ndarray, np.ndarray]  # A (r, in) and B (out, r), the change of the weight is B @ A


def layers(run: Run, iteration: int, strength: float = 1.0) -> dict[str, Factors]:
    """Layer by diffusers' name -> (A, B) after an iteration, with LoRA's scale times `strength` in B. Raises UserError if it cannot be read."""
    sides: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in compare.weights(run, iteration).items():
        found = _LAYER.fullmatch(name)
        sides.setdefault(found["layer"], {})[found["side"]] = tensor
    alpha = run.config().lora_alpha
    return {layer: (both["A"], both["B"] * np.float32(strength * alpha / len(both["A"]))) for layer, both in sorted(sides.items())}


def family(names: list[str]) -> str:
    """'sd3', 'unet' (with a prompt) or 'plain' (without), from the names of the layers."""
    if all(_SD3_LAYER.fullmatch(name) for name in names):
        return "sd3"
    return "unet" if all(".transformer_blocks." in name for name in names) else "plain"


def made_of(found: dict[str, Factors]) -> tuple[str, int]:
    """(family, width of the text features) as lora_header.FAMILIES has them."""
    kind = family(list(found))
    return kind, 0 if kind == "sd3" else next((down.shape[1] for name, (down, _) in found.items() if name.endswith("attn2.to_k")), 0)


def is_prompted(run: Run, iteration: int) -> bool:
    """Whether the LoRA of a checkpoint is one that other programs open: that of a model with a prompt."""
    return family(list(layers(run, iteration))) != "plain"


def to_diffusers(found: dict[str, Factors]) -> dict[str, np.ndarray]:
    """Tensors by the keys that `load_lora_weights` reads. Raises UserError for a model without a prompt."""
    _check_prompted(found)
    prefix = "transformer" if family(list(found)) == "sd3" else "unet"
    return {f"{prefix}.{layer}.lora_{side}.weight": matrix for layer, pair in found.items() for side, matrix in zip("AB", pair)}


def to_comfy(found: dict[str, Factors]) -> dict[str, np.ndarray]:
    """Tensors by kohya's keys, as ComfyUI and A1111 read them. Raises UserError for a model without a prompt."""
    _check_prompted(found)
    native = _sd3_native(found) if family(list(found)) == "sd3" else found
    tensors = {}
    for layer, (down, up) in native.items():
        name = f"lora_unet_{layer.replace('.', '_')}"
        tensors |= {f"{name}.lora_down.weight": down, f"{name}.lora_up.weight": up, f"{name}.alpha": np.array(len(down), np.float32)}
    return tensors


def _sd3_native(found: dict[str, Factors]) -> dict[str, Factors]:
    """The same changes by SD3's own names: query, key and value as one layer."""
    native: dict[str, Factors] = {}
    joined: dict[str, dict[int, Factors]] = {}
    for layer, pair in found.items():
        block, part = _SD3_LAYER.fullmatch(layer).groups()
        name, place = _SD3_PARTS[part]
        name = f"joint_blocks.{block}.{name}"
        if place is None:
            native[name] = pair
        else:
            joined.setdefault(name, {})[place] = pair
    return native | {name: _stacked(parts) for name, parts in joined.items()}


def _stacked(parts: dict[int, Factors]) -> Factors:
    """LoRAs on thirds of one matrix's rows as one LoRA: A's one below the other, B's on the diagonal. Absent thirds stay unchanged."""
    rows, ranks = len(parts[min(parts)][1]), {place: len(down) for place, (down, _) in sorted(parts.items())}
    up, before = np.zeros((3 * rows, sum(ranks.values())), np.float32), 0
    for place, rank in ranks.items():
        up[place * rows : (place + 1) * rows, before : before + rank] = parts[place][1]
        before += rank
    return np.concatenate([parts[place][0] for place in ranks]), up


def _check_prompted(found: dict[str, Factors]) -> None:
    if family(list(found)) == "plain":
        raise UserError("format: this model takes no prompt, and neither ComfyUI, A1111 nor diffusers opens a LoRA for it. Use peft on the folder export/ of the run.", "format")


def check_strength(strength: float) -> None:
    """Raises UserError for a strength that Compare does not draw. 0 is allowed: a file that changes nothing, to compare with."""
    if not 0 <= strength <= STRONGEST:
        raise UserError(f"strength: {strength:g} is out of range. Use 0 to {STRONGEST:g}.", "strength")


def write(run: Run, iteration: int | None, form: str, target: Path, *, strength: float = 1.0, preset: str = "") -> Path:
    """Write the LoRA after an iteration (None: the newest) in one of FORMATS to the file `target`. Raises UserError.

    strength: what other programs shall call strength 1; 1 is as trained.
    """
    if form not in FORMATS:
        raise UserError(f"format: {form!r} is unknown. Use {' or '.join(FORMATS)}.", "format")
    check_strength(strength)
    iteration = newest(run) if iteration is None else iteration
    if iteration is None:
        raise UserError(f"{run.name}: nothing is saved yet, so there is no LoRA to export. Train it first.", "iteration")
    found = layers(run, iteration, strength)
    return save_with_header(run, iteration, (to_comfy if form == "comfy" else to_diffusers)(found), target, form=form, made_of=made_of(found), strength=strength, preset=preset)


def save_with_header(run: Run, iteration: int, tensors: dict[str, np.ndarray], target: Path, *, form: str, made_of: tuple[str, int], strength: float, preset: str = "") -> Path:
    """Write the file with what it says of itself, see lora_header."""
    said = lora_header.metadata(
        run.name, run.config(), iteration, form=form, made_of=made_of, strength=strength, made=compare.weights_made(run, iteration), preset=preset
    )
    write_atomically(target, save({name: np.ascontiguousarray(t) for name, t in tensors.items()}, said))
    return target


def newest(run: Run) -> int | None:
    """The last iteration whose weights are there: that of a checkpoint, else one that Compare took from the trainer."""
    there = checkpoints.all_of(run) or compare.taken(run)
    return there[-1] if there else None


def file_name(run: Run, iteration: int, form: str, strength: float = 1.0) -> str:
    """What the file is best called, so that two exports of one run can be told apart in another program's list."""
    return f"{run.name}-{iteration}{'' if strength == 1 else f'-x{strength:g}'}-{form}.safetensors"
