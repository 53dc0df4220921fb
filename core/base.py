"""The base measure: pictures of the untouched model, taken once, from which every later number is judged.

Per prompt on the map: looks, the PCA plane, the base level of variety. Over all: the scale of every reward. Kept in
base.npz (plain arrays), so that a resumed run is judged by the same yardstick.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from PIL import Image, ImageOps

from .config import RunConfig, window_at
from .diversity.looks import Looks
from .diversity.metrics import variety
from .diversity.projection import Pca
from .errors import UserError
from .pictures import to_uint8
from .runs.folder import write_atomically
from .training import BASE, Trainer


FRAMES, FRAME = 16, 96  # of a film: at most so many, so many pixels wide


@dataclass
class PromptBase:
    looks: Looks
    pca: Pca
    scale: float  # median distance between two base pictures

    def place(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(look per picture, PCA coordinates (N, 2)) of features (N, F)."""
        return self.looks.assign(features), self.pca.transform(features)


def mapped_prompts(config: RunConfig) -> list[int]:
    """Prompts for which looks and the map are fixed: evenly spread over the list when it is long."""
    n = len(config.prompts)
    return sorted({int(x) for x in np.linspace(0, n - 1, min(n, config.base_prompts))})


def picture_prompt(trainer: Trainer, prompt: int, count: int, done: Callable[[int], None]) -> tuple[list[int], torch.Tensor]:
    """`count` base pictures of one prompt, with their seeds, made in groups; `done` hears how many there are."""
    size = trainer.config.group_size
    seeds = trainer.seeds(BASE, 0, prompt, count)
    parts = []
    starts = range(0, count, size)
    for group, start in enumerate(starts):
        noised = noised_steps(trainer.config, group, len(starts))
        parts.append(trainer.pictures(prompt, seeds[start : start + size], purpose=BASE, base=True, noised=noised))
        done(min(count, start + size))
    return seeds, torch.cat(parts)


def noised_steps(config: RunConfig, group: int, groups: int) -> tuple[int, ...]:
    """Where the `group`-th of `groups` base groups gets noise: where an iteration does, at even distances through the run.

    Noise at fewer steps leaves pictures that differ more, also those of a model that was not trained. A training group is to be compared
    with its like. HRF's variety is that of finished pictures, which get noise at every step but the last.
    """
    if config.window.startswith("hrf"):
        return config.trainable_steps
    return window_at(config, group * config.iterations // groups).sde_steps


def film(trainer: Trainer, prompt: int) -> bytes:
    """What each denoising step leaves of the first base picture of `prompt`, from noise to clean: square frames side by side
    in one WebP, one for each of the T steps or, of many, FRAMES evenly spread ones with the first and the last.
    """
    with trainer.backbone.reference():
        path = trainer.sample(trainer.conditions([prompt], 1), trainer.seeds(BASE, 0, prompt, 1), stochastic=trainer.config.trainable_steps)
        left = torch.cat([path.next_latents[0], path.final])  # (T, C, H, W)
        steps = np.linspace(0, len(left) - 1, min(len(left), FRAMES)).round().astype(int)
        images = to_uint8(trainer.decode(left[torch.as_tensor(steps)]))
    strip = Image.new("RGB", (FRAME * len(images), FRAME))
    for n, image in enumerate(images):
        strip.paste(ImageOps.fit(Image.fromarray(image), (FRAME, FRAME)), (FRAME * n, 0))
    buffer = io.BytesIO()
    strip.save(buffer, "WEBP", quality=85)
    return buffer.getvalue()


def variety_at(distances: torch.Tensor, size: int, scale: float) -> float:
    """Mean variety over whole groups of `size`, comparable with a training group. (N, N) -> number."""
    groups = [distances[n : n + size, n : n + size] for n in range(0, len(distances) - size + 1, size)]
    return variety(torch.stack(groups), scale).mean().item()


def save(path: Path, prompts: dict[int, PromptBase]) -> None:
    arrays = {}
    for prompt, base in prompts.items():
        arrays |= {f"{prompt}/looks/{k}": v for k, v in base.looks.to_arrays().items()}
        arrays |= {f"{prompt}/pca/{k}": v for k, v in base.pca.to_arrays().items()}
        arrays[f"{prompt}/variety/scale"] = np.array(base.scale)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def load(path: Path) -> dict[int, PromptBase]:
    """What `save` wrote. Raises UserError if the file is damaged."""
    found: dict[int, dict[str, dict]] = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for key in arrays.files:
                prompt, part, name = key.split("/", 2)
                found.setdefault(int(prompt), {}).setdefault(part, {})[name] = arrays[key]
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise UserError(f"{path}: the base model's measure cannot be read ({error}). Copy the file again from where the run came from.") from None
    return {p: PromptBase(Looks.from_arrays(parts["looks"]), Pca.from_arrays(parts["pca"]), float(parts["variety"]["scale"])) for p, parts in found.items()}
