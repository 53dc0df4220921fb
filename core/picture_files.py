"""Pictures as files, a folder for each prompt: drawn once from fixed seeds, and read back for whoever measures them.

Metrics of one set are only comparable if all were taken of the same files (methods of the field differ in resizing and rounding).
"""

from __future__ import annotations

import io
import json
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from .config import RunConfig
from .errors import UserError
from .pictures import to_uint8
from .runs.folder import write_atomically
from .sampler import SAMPLE
from .sampling.noise import derive_seed
from .training import Trainer

FACTS = "set.json"


@dataclass(frozen=True)
class DrawnSet:
    """`count` pictures of each prompt in `folder`, of the base or of the tuned model.

    stream: which seeds; sets of equal stream share them, picture by picture. facts: all that the pictures follow from beside
    their prompts and seeds; pictures that were made from other facts are removed and made anew.
    """

    folder: Path
    config: RunConfig
    prompts: tuple[int, ...]
    count: int
    base: bool
    stream: int
    facts: Mapping[str, object]

    def files(self) -> dict[str, dict[int, Path]]:
        """Name of the prompt's folder -> seed -> file, there or not."""
        found = {}
        for prompt in self.prompts:
            text = self.config.prompts[prompt]
            name = f"{prompt:04d}-{re.sub(r'[^A-Za-z0-9]+', '-', text)[:40].strip('-') or 'prompt'}"
            seeds = [derive_seed(self.config.seed, SAMPLE, self.stream, prompt, g) for g in range(self.count)]
            found[name] = {seed: self.folder / name / f"{g:04d}-{seed}.png" for g, seed in enumerate(seeds)}
        return found

    def missing(self) -> int:
        """How many pictures are not there yet; those of other facts are removed first."""
        kept, wanted = self.folder / FACTS, json.loads(json.dumps(dict(self.facts)))
        try:
            fits = json.loads(kept.read_text(encoding="utf-8")) == wanted
        except (OSError, ValueError):
            fits = False
        if not fits:
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.mkdir(parents=True)
            write_atomically(kept, json.dumps(wanted, indent=1))
        return sum(not path.exists() for files in self.files().values() for path in files.values())

    def draw(self, trainer: Trainer, done: Callable[[int], None]) -> None:
        """Make what is missing, by the deterministic sampler. `trainer` holds the weights; `done` hears of every few pictures."""
        for prompt, (name, files) in zip(self.prompts, self.files().items()):
            (self.folder / name).mkdir(exist_ok=True)
            left = [seed for seed, path in files.items() if not path.exists()]
            for start in range(0, len(left), self.config.micro_batch):
                seeds = left[start : start + self.config.micro_batch]
                images = to_uint8(trainer.pictures(prompt, seeds, purpose=SAMPLE, base=self.base))
                for seed, image in zip(seeds, images):
                    write_atomically(files[seed], _png(image, {"prompt": self.config.prompts[prompt], "seed": str(seed), **self.facts}))
                done(len(seeds))


def _png(image: np.ndarray, facts: Mapping[str, object]) -> bytes:
    chunk = PngInfo()
    for key, value in facts.items():
        chunk.add_itxt(f"manymodes:{key}", str(value).encode(errors="replace").decode())
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", pnginfo=chunk)
    return buffer.getvalue()


class Pile(Mapping[str, torch.Tensor]):
    """Prompt -> (N, 3, H, W) float32 in [0, 1], read from files each time it is asked for: a set of large pictures exceeds memory.

    Raises UserError for a file that is no picture or has another size than the first.
    """

    def __init__(self, files: Mapping[str, list[Path]]):
        self._files = files
        self.first = next(iter(files.values()))[0]
        self.size = _read(self.first).shape[:2]  # (H, W)

    def __iter__(self) -> Iterator[str]:
        return iter(self._files)

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, prompt: str) -> torch.Tensor:
        images = []
        for path in self._files[prompt]:
            image = _read(path)
            if image.shape[:2] != self.size:
                (h, w), (height, width) = image.shape[:2], self.size
                raise UserError(f"{path}: the picture is {w} x {h}, but {self.first.name} is {width} x {height}. Give all the same size.")
            images.append(image)
        return torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float().div(255)


def _read(path: Path) -> np.ndarray:
    """(H, W, 3) uint8."""
    try:
        with Image.open(path) as image:
            return np.array(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"{path}: this is no picture that can be read ({type(error).__name__}). Remove or replace it.") from None
