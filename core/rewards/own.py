"""A user's own reward: a Python file with one function.

    def score(images, prompts):      # images: uint8 (B, H, W, 3), prompts: list of B strings
        return [...]                 # B numbers, higher is better; None or NaN where a picture cannot be scored
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import UserError
from .images import to_bytes


def _error(sentence: str) -> UserError:
    return UserError(f"reward_file: {sentence}", "reward_file")


class OwnReward:
    """The function `score` of a Python file. Whatever goes wrong in the file becomes a UserError with name and line."""

    def __init__(self, path: str | Path):
        self._path = Path(path).absolute()
        if not self._path.is_file():
            raise _error(f"{path} does not exist. Name a Python file with a function score(images, prompts).")
        names: dict[str, Any] = {"__name__": "own_reward", "__file__": str(self._path)}
        try:
            exec(compile(self._path.read_bytes(), str(self._path), "exec"), names)
        except (Exception, SystemExit) as error:  # a stranger's file may raise anything
            raise self._broken(error) from None
        self._score = names.get("score")
        if not callable(self._score):
            raise _error(f"{self._path.name} has no function score. Write: def score(images, prompts).")

    def __call__(self, images: Tensor, prompts: list[str]) -> Tensor:
        """(B, 3, H, W) in [0, 1] and B prompts -> (B,) float32, NaN where the file gave None or NaN."""
        pixels = to_bytes(images)
        try:
            values = list(self._score(pixels, list(prompts)))
            numbers = [float("nan") if v is None else float(v) for v in values]
        except (Exception, SystemExit) as error:
            raise self._broken(error) from None
        if len(numbers) != len(pixels):
            raise _error(f"score in {self._path.name} gave {len(numbers)} numbers for {len(pixels)} pictures. Give one each.")
        scores = torch.tensor(numbers, dtype=torch.float32, device=images.device)
        if scores.isinf().any():
            raise _error(f"score in {self._path.name} gave an infinite number. Use None for a picture without a score.")
        return scores

    def _broken(self, error: BaseException) -> UserError:
        """The error with the deepest line of the user's file that took part in it."""
        lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if Path(f.filename) == self._path]
        if isinstance(error, SyntaxError) and error.filename == str(self._path):
            lines = [error.lineno]
        place = f"{self._path.name}, line {lines[-1]}" if lines else self._path.name
        reason = (str(error).splitlines() or [""])[0][:200]
        return _error(f"{place}: {type(error).__name__}: {reason}. Correct the file and start again.")
