"""The creative bonus of DiverseGRPO (arXiv 2512.21514) and how it is added to quality."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor



def creative_bonus(labels: Tensor, ceiling: float | None = None) -> Tensor:
    """E = sqrt(G / n), n the size of a picture's cluster: labels (P, G) or (G,) -> float32 of the same shape.

    Range 1 (one cluster) to sqrt(G) (a singleton); `ceiling` cuts it, so that a lone outlier is not overpaid.
    """
    alike = (labels[..., :, None] == labels[..., None, :]).sum(dim=-1)
    bonus = (labels.shape[-1] / alike).sqrt()
    return bonus if ceiling is None else bonus.clamp(max=ceiling)


@dataclass
class RunningScale:
    """Moving averages of the spread of quality and of bonus within a group; 0 until first seen.

    Groups without any spread are left out: otherwise a stretch of one-cluster groups would drive the bonus's scale
    to 0, and the next rare picture would be paid without bound.
    """

    decay: float = 0.9
    quality: float = 0.0
    bonus: float = 0.0

    def update(self, quality: Tensor, bonus: Tensor) -> None:
        """Take in the groups of one iteration, both (P, G)."""
        for name, values in (("quality", quality), ("bonus", bonus)):
            spread = _spread(values)
            spread = spread[spread > 0]
            if len(spread):
                old, new = getattr(self, name), float(spread.mean())
                setattr(self, name, self.decay * old + (1 - self.decay) * new if old else new)

    def state_dict(self) -> dict[str, float]:
        return {"quality": self.quality, "bonus": self.bonus}

    def load_state_dict(self, state: dict[str, float]) -> None:
        self.quality, self.bonus = float(state["quality"]), float(state["bonus"])


@dataclass(frozen=True)
class Combined:
    """`values` (P, G) float32: what advantages are made of. `warning`: a sentence for a person, or None.

    `unit`: what counts as one spread of the quality in `values`, for whatever else is added to them.
    `least` (P,): the least spread by which the values of a group may be divided once more; 1 where its quality nearly ties
    and so has a spread below 1 on purpose, else 0.
    """

    values: Tensor
    warning: str | None = None
    unit: float = 1.0
    least: Tensor | None = None


def _spread(values: Tensor) -> Tensor:
    """Population standard deviation of each group (P, G) -> (P,) float64; rounding noise of a constant counts as 0."""
    values = values.double()
    spread = values.std(dim=-1, correction=0)
    return torch.where(spread > 1e-7 * values.abs().amax(dim=-1), spread, 0)


def _z_scores(values: Tensor, floor: float = 0.0) -> Tensor:
    """Per group: centred, divided by max(spread, floor), in float64. A constant group is 0."""
    spread = _spread(values)[..., None]
    centred = values.double() - values.double().mean(dim=-1, keepdim=True)
    return torch.where(spread > 0, centred / spread.clamp(min=max(floor, torch.finfo(torch.float64).tiny)), 0)


def combine(quality: Tensor, bonus: Tensor, *, beta: float, mode: str, gate: str, running: RunningScale, floor: float = 0.1, within_group: bool = True) -> Combined:
    """Quality Q and bonus E, both (P, G) and finite, into one value per picture. Updates `running`.

    zscore_sum  z(Q) + beta z(E), z within each group. z(Q) divides by at least `floor` times the past running spread, so that near-ties do not become signal.
                Where advantages are not taken within the group (not `within_group`), Q + beta s_Q z(E) with the running
                spread s_Q: a z-score would take away the group's own mean and spread, which the prompt's past rewards
                (DDPO), the spread of all groups (Flow-GRPO) or no spread at all (GARDO) are there to replace.
    raw_sum     Q + beta E, the paper's formula to the letter; warns when the bonus drowns the quality.
    scaled_sum  Q + beta E s_Q / s_E with the running spreads s.
    `gate` 'above_mean' pays only pictures whose quality reaches their group's mean, and pays them E less the bonus
    of the commonest cluster, so that a group without rare pictures pays nothing (after DRIVE's gated potential).
    """
    if gate == "above_mean":
        deserved = quality.double() >= quality.double().mean(dim=-1, keepdim=True)
        bonus = torch.where(deserved, bonus - bonus.amin(dim=-1, keepdim=True), 0)
    elif gate != "none":
        raise ValueError(f"gate {gate!r} is none of 'none', 'above_mean'")

    narrow = floor * running.quality  # of the past only: the groups of one iteration stay independent
    running.update(quality, bonus)
    warning, unit, least = None, 1.0, None
    if mode == "zscore_sum" and within_group:
        values = _z_scores(quality, narrow) + beta * _z_scores(bonus)
        least = (_spread(quality) < narrow).double()
    elif mode == "zscore_sum":
        unit = running.quality or 1.0
        values = quality.double() + beta * unit * _z_scores(bonus)
    elif mode == "raw_sum":
        values = quality.double() + beta * bonus.double()
        paid, earned = beta * float(_spread(bonus).mean()), float(_spread(quality).mean())
        if paid > 3 * earned:
            warning = (
                f"The diversity bonus outweighs the reward (spread {paid:.2g} against {earned:.2g}), so quality has almost no say. "
                "Lower the bonus, or set creative_combine to zscore_sum."
            )
    elif mode == "scaled_sum":
        scale = running.quality / running.bonus if running.bonus else 0.0
        values = quality.double() + beta * scale * bonus.double()
    else:
        raise ValueError(f"mode {mode!r} is none of 'zscore_sum', 'raw_sum', 'scaled_sum'")
    return Combined(values.float(), warning, unit, least)
