"""A process that helps with a run which another one, rank 0, carries out: it trains what it is told and writes nothing."""

from __future__ import annotations

import sys
import traceback
from dataclasses import dataclass

import numpy as np

from .backbones.device import free_memory
from .config import RunConfig
from .loading import build_trainer
from .ranks import END, Lost, Ranks
from .training import Trainer


@dataclass
class Build:
    """Load the model and take over rank 0's state."""

    config: RunConfig
    arithmetic: str
    tensors: dict[str, np.ndarray]
    scalars: dict
    rewards: dict
    scales: dict[int, float]

    @classmethod
    def of(cls, trainer: Trainer) -> Build:
        return cls(trainer.config, trainer.backbone.arithmetic, trainer.tensors(), trainer.scalars(), trainer.rewards.state_dict(), trainer.scales)

    def trainer(self, ranks: Ranks) -> Trainer:
        made = build_trainer(self.config, arithmetic=self.arithmetic)
        made.load(self.tensors, self.scalars)
        made.rewards.load_state_dict(self.rewards)
        made.scales, made.ranks = self.scales, ranks
        return made


@dataclass
class Iterate:
    """Do one's share of an iteration, with the dials as they are turned now."""

    iteration: int
    config: RunConfig


def follow(ranks: Ranks) -> int:
    """Carry out rank 0's orders until it ends; the exit code. A failure here is rank 0's to tell, this prints where it was."""
    trainer: Trainer | None = None
    while True:
        try:
            order = ranks.meet()[0]
            if order == END:
                return 0
            with ranks.united():
                if isinstance(order, Build):
                    trainer = None
                    free_memory()  # of the one before a roll back: two models may not fit
                    trainer = order.trainer(ranks)
                else:
                    if order.config != trainer.config:
                        trainer.adopt(order.config)
                    trainer.iterate(order.iteration)
        except Lost:
            return 1
        except Exception as error:
            if not ranks.knows(error):
                print(f"rank {ranks.rank}: {''.join(traceback.format_exception(error))[-4000:]}", file=sys.stderr)
