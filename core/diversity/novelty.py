"""How far each picture is from the others of its group, or from earlier pictures of its prompt. All in float64."""

from __future__ import annotations

import operator
from collections.abc import Sequence

import torch
from torch import Tensor


def mean_distance(distances: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean distance of each picture to the others of its group: (P, G, G) -> (P, G) float64; 0 where there is no other.

    mask: bool (P, G), the pictures that count as others; each picture gets a number, whether it counts or not.
    """
    others = _others(distances, mask)
    return torch.where(others, distances.double(), 0).sum(-1) / others.sum(-1).clamp(min=1)


def nearest_distance(distances: Tensor, mask: Tensor | None = None) -> Tensor:
    """Distance of each picture to the nearest other of its group: (P, G, G) -> (P, G) float64; 0 where there is no other.

    The novelty of GARDO (arXiv 2512.24138). mask as in `mean_distance`.
    """
    nearest = distances.double().masked_fill(~_others(distances, mask), torch.inf).amin(-1)
    return nearest.masked_fill(nearest.isinf(), 0)


def _others(distances: Tensor, mask: Tensor | None) -> Tensor:
    """Entry (p, a, b): b counts and is not a. Bool, (P, G, G)."""
    others = ~torch.eye(distances.shape[-1], dtype=torch.bool, device=distances.device).expand(distances.shape)
    return others if mask is None else others & mask[:, None, :]


class Memory:
    """The last pictures of each prompt, as unit features, to ask how far a new one is from all of them.

    A prompt is known by its index. size: how many pictures of a prompt are remembered (our choice: 64). Lives on the CPU.
    """

    def __init__(self, size: int = 64):
        if size < 1:
            raise ValueError(f"size is {size}; remember 1 picture or more.")
        self.size = size
        self._features: dict[int, Tensor] = {}

    def nearest(self, features: Tensor, prompts: Sequence[int]) -> Tensor:
        """1 - <e, m> to the nearest remembered m of the prompt: unit features (P, G, F) -> (P, G) float64, >= 0.

        Row p is of prompt prompts[p]; inf where nothing is remembered. Ask before you `remember` the same pictures.
        """
        rows = []
        for prompt, group in _rows(features, prompts):
            known = self._features.get(prompt, group[:0])
            closest = (group.double() @ known.double().mT).amax(-1) if len(known) else group.new_full((len(group),), -torch.inf).double()
            rows.append((1 - closest).clamp(min=0))
        return torch.stack(rows)

    def remember(self, features: Tensor, prompts: Sequence[int]) -> None:
        """Take in unit features (P, G, F), row p of prompt prompts[p]; the oldest beyond `size` are forgotten."""
        for prompt, group in _rows(features, prompts):
            self._features[prompt] = torch.cat([self._features.get(prompt, group[:0]), group])[-self.size :]

    def of(self, prompt: int) -> Tensor | None:
        """What is remembered of a prompt, (n, F) float32, oldest first; None if nothing is."""
        return self._features.get(prompt)

    def clear(self) -> None:
        self._features.clear()

    def state_dict(self) -> dict[str, Tensor]:
        """Prompt index as text -> features (n, F) float32, oldest first."""
        return {str(prompt): known.clone() for prompt, known in self._features.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self._features = {int(prompt): known[-self.size :].clone() for prompt, known in state.items()}


def _rows(features: Tensor, prompts: Sequence[int]) -> list[tuple[int, Tensor]]:
    """(prompt, features (G, F) float32 on the CPU) of each group. Raises ValueError if there is not one prompt per group."""
    if features.ndim != 3 or len(prompts) != len(features):
        raise ValueError(f"features must be (P, G, F) with one prompt per group, got {tuple(features.shape)} and {len(prompts)} prompts.")
    return list(zip(map(operator.index, prompts), features.detach().to("cpu", torch.float32)))
