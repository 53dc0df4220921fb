"""What turning the window or the noise alone does to variety, told by the base model.

Noise at other steps, or more or less of it, makes pictures differ more or less without any learning: to a person it would
look as if the dial had cured a collapse, or brought it about. So after such a turn a few base pictures are drawn as the
iterations now draw theirs, from the seeds that the first ones had, and later variety is judged by these (alarms.Reader).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from .base import PromptBase, noised_steps, picture_prompt, variety_at
from .config import RunConfig
from .diversity.distance import pairwise
from .runs.database import Database, unpack
from .training import Trainer

GROUPS = 6  # of base pictures after a turn, over all prompts; each has one at least
LOOKS = 8  # at the noise of so many iterations, evenly spread over the run
DIALS = ("noise_level", "window", "window_size", "window_interval", "window_stride")


def drawn(config: RunConfig) -> list:
    """What about the noise decides how much pictures differ: its level, and the steps that get it through the run. Plain lists."""
    return [config.noise_level, *(list(noised_steps(config, look, LOOKS)) for look in range(LOOKS))]


class Yardstick:
    """The base model's variety as an iteration now draws its pictures, over its variety as the first base pictures were drawn."""

    def __init__(self, db: Database, trainer: Trainer, prompts: Mapping[int, PromptBase], tell: Callable[[int, int], object]):
        """tell(made, of how many): hears how far new base pictures are."""
        self.db, self.trainer, self.tell = db, trainer, tell
        n = min(len(prompts), GROUPS)
        chosen = np.linspace(0, len(prompts) - 1, n).astype(int)
        self.prompts = {p: prompts[p] for p in np.array(sorted(prompts))[chosen].tolist()}
        self.groups = max(1, GROUPS // n)
        began = json.loads(db.row("SELECT metrics FROM iterations WHERE iteration = 0")["metrics"]).get("dials", {})
        self.began: dict[str, Any] = {name: value for name, value in began.items() if name in DIALS}
        self._last: tuple[list, float] = ([], 1.0)

    def level(self, iteration: int) -> float:
        """The ratio for the trainer's settings, 1 as long as they draw as at the start. Measured once and kept as an event from `iteration` on."""
        config = self.trainer.config
        now = drawn(config)
        if now != self._last[0]:
            same = now == drawn(config.model_copy(update=self.began))
            self._last = (now, 1.0 if same else self._known(now) or self._measured(now, iteration))
        return self._last[1]

    def _known(self, now: list) -> float | None:
        return next((e["level"] for e in self.db.events() if e["kind"] == "yardstick" and e["drawn"] == now), None)

    def _measured(self, now: list, iteration: int) -> float:
        size = self.trainer.config.group_size
        groups = min(self.groups, self.trainer.config.base_pictures // size)
        count, before, after = groups * size, 0.0, 0.0
        total = count * len(self.prompts)
        self.tell(0, total)
        for turn, (prompt, known) in enumerate(self.prompts.items()):
            rows = self.db.rows("SELECT embedding FROM pictures WHERE kind = 'base' AND prompt = ? ORDER BY id LIMIT ?", prompt, count)
            first = torch.from_numpy(unpack(row["embedding"] for row in rows))
            images = picture_prompt(self.trainer, prompt, count, lambda n, turn=turn: self.tell(turn * count + n, total))[1]
            before += variety_at(pairwise(first), size, known.scale)
            after += variety_at(pairwise(self.trainer.perceptual.embed(images)), size, known.scale)
        self.db.add_event("yardstick", iteration, drawn=now, level=after / before)
        return after / before
