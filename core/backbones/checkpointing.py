"""Gradient checkpointing: keep only what goes into each block, and work out the rest again in the backward pass.

Chen et al. 2016 (arXiv 1604.06174). diffusers does so block by block in transformers and UNets, and only where gradients
are recorded, so that rollouts are as before. The second pass repeats the first one's operations, so gradients are equal.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from diffusers import ModelMixin


@dataclass(frozen=True)
class Kept:
    """Bytes that a forward pass leaves for the backward pass: `plain`; with checkpointing those `between` the blocks, and the `largest` block's."""

    plain: int
    between: int
    largest: int

    @property
    def share(self) -> float:
        """What checkpointing leaves of the plain peak: all between the blocks, and one block worked out again."""
        return (self.between + self.largest) / self.plain


class Saved(AbstractContextManager):
    """Counts what autograd saves inside it: distinct storages by address, without the weights of `model`."""

    def __init__(self, model: torch.nn.Module):
        self.sizes: dict[int, int] = {}
        self._weights = {w.untyped_storage().data_ptr() for w in model.parameters()}
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self.add, lambda tensor: tensor)

    def add(self, tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in self._weights:
            self.sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    @property
    def bytes(self) -> int:
        return sum(self.sizes.values())

    def __enter__(self) -> Saved:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error) -> None:
        self._hooks.__exit__(*error)


def measure(model: ModelMixin, forward: Callable[[], torch.Tensor], *, on: bool) -> Kept:
    """What `forward`, which passes once through `model` with gradients, keeps with and without checkpointing.

    One pass tells both: every block that would be checkpointed is run as it is, and counted apart. `on`: whether the model
    is to be checkpointed afterwards.
    """
    outside, entering, blocks = Saved(model), Saved(model), []
    held = []  # so that no address is used twice

    def counted(block: Callable, *args):
        for tensor in args:
            if isinstance(tensor, torch.Tensor):
                held.append(entering.add(tensor))
        with Saved(model) as inside:
            out = block(*args)
        blocks.append(inside.sizes)
        return out

    model.enable_gradient_checkpointing(counted)
    try:
        with outside, torch.enable_grad():
            held.append(forward())
    finally:
        switch(model, on)
    between = outside.sizes | entering.sizes
    plain = outside.sizes | {place: size for sizes in blocks for place, size in sizes.items()}
    largest = max((sum(size for place, size in sizes.items() if place not in between) for sizes in blocks), default=0)
    return Kept(sum(plain.values()), sum(between.values()), largest)


def switch(model: ModelMixin, on: bool) -> None:
    """Checkpoint the blocks of `model`, or do so no more."""
    if on:
        model.enable_gradient_checkpointing()
    else:
        model.disable_gradient_checkpointing()
