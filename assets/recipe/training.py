"""What every stage of the recipe shares: resumable state, weight averaging, a log line, the schedule.

A stage is killed and started again at will: its state (weights, averaged weights, optimizer, step) is written
atomically every `SAVE_EVERY` steps, and batches are drawn from a generator seeded by (seed, step), so a resumed
run sees the same pictures as one that was never stopped.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import time
from pathlib import Path

import torch
from torch import nn

SAVE_EVERY = 250


def arguments(doc: str, *, steps: int, batch: int, rate: float) -> argparse.ArgumentParser:
    """What every stage is told on the command line."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parquet", type=Path)
    parser.add_argument("--scratch", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rate", type=float, default=rate)
    return parser


class Averaged:
    """Exponential moving average of a module's parameters, with the usual warm-up of the decay."""

    def __init__(self, module: nn.Module, decay: float = 0.999):
        self.module = copy.deepcopy(module).requires_grad_(False).eval()
        self.decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        decay = min(self.decay, (1 + step) / (10 + step))
        mine, theirs = list(self.module.parameters()), list(module.parameters())
        torch._foreach_lerp_(mine, theirs, 1 - decay)
        for a, b in zip(self.module.buffers(), module.buffers()):
            a.copy_(b)


class State:
    """Named modules and optimizers in one file, `scratch/<stage>.pt`; the recipe's own, never a user's."""

    def __init__(self, path: Path, **parts):
        self.path, self.parts, self.step = path, parts, 0

    def restore(self) -> "State":
        if self.path.exists():
            saved = torch.load(self.path, weights_only=True)
            self.step = saved.pop("step")
            for name, part in self.parts.items():
                part.load_state_dict(saved[name])
        return self

    def save(self, step: int) -> None:
        self.step = step
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_suffix(".tmp")
        torch.save({"step": step, **{n: p.state_dict() for n, p in self.parts.items()}}, draft)
        os.replace(draft, self.path)


def generator(seed: int, step: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed * 1_000_003 + step)


def batch_indices(n: int, size: int, seed: int, step: int) -> torch.Tensor:
    """Step `step`'s rows out of `n`, walking through a fresh permutation each epoch."""
    start = step * size
    rows = torch.arange(start, start + size)
    out = torch.empty(size, dtype=torch.long)
    for epoch in torch.unique(rows // n).tolist():
        permutation = torch.randperm(n, generator=generator(seed, -1 - epoch))
        mask = rows // n == epoch
        out[mask] = permutation[rows[mask] % n]
    return out


def rate(step: int, steps: int, peak: float, warmup: int = 200, floor: float = 0.02) -> float:
    """Linear warm-up, then flat, then a linear fall over the last 40 % to `floor` times the peak."""
    if step < warmup:
        return peak * (step + 1) / warmup
    remaining = (steps - step) / max(1, 0.4 * steps)
    return peak * max(floor, min(1.0, remaining))


def learn(loss: torch.Tensor, model: nn.Module, optimizer: torch.optim.Optimizer, averaged: Averaged, step: int) -> None:
    """One step down the loss's gradient, cut to length 1, and the running average of the weights after it."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    averaged.update(model, step)


class Log:
    """One line every `every` steps: step, seconds a step, the running mean of each loss."""

    def __init__(self, stage: str, every: int = 50):
        self.stage, self.every, self.sums, self.count, self.clock = stage, every, {}, 0, time.time()

    def __call__(self, step: int, **values: float) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums.get(name, 0.0) + float(torch.as_tensor(value).detach())
        self.count += 1
        if not all(math.isfinite(float(torch.as_tensor(v).detach())) for v in values.values()):
            raise SystemExit(f"{self.stage}: a loss is not a number at step {step}: {values}")
        if (step + 1) % self.every == 0:
            now = time.time()
            text = "  ".join(f"{n} {s / self.count:.4f}" for n, s in self.sums.items())
            print(f"{self.stage} {step + 1:6d}  {(now - self.clock) / self.count:.3f} s/step  {text}", flush=True)
            self.sums, self.count, self.clock = {}, 0, now


class Muon(torch.optim.Optimizer):
    """Muon (Jordan et al., 2024) for matrices and convolution kernels, AdamW for everything else, one optimizer.

    A kernel (out, in, h, w) is orthogonalised as (out, in*h*w). The update is scaled to AdamW's usual root mean
    square, 0.2 (Liu et al., 2502.16982, eq. 4), so that one learning rate serves both.
    """

    def __init__(self, parameters, lr: float, momentum: float = 0.95, weight_decay: float = 1e-4, longest: float = 100.0):
        """A matrix longer than `longest` times its width is AdamW's: it costs the most and gains the least."""
        parameters = [p for p in parameters if p.requires_grad]
        self.longest = longest
        super().__init__(parameters, dict(lr=lr, momentum=momentum, weight_decay=weight_decay))

    @staticmethod
    def _orthogonal(matrices: torch.Tensor) -> torch.Tensor:
        """Five Newton-Schulz steps towards the nearest semi-orthogonal matrices, (N, rows, columns)."""
        a, b, c = 3.4445, -4.7750, 2.0315
        tall = matrices.shape[1] > matrices.shape[2]
        x = (matrices.mT if tall else matrices).bfloat16()
        x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
        for _ in range(5):
            gram = x @ x.mT
            x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
        return (x.mT if tall else x).float()

    @torch.no_grad()
    def step(self) -> None:
        for group in self.param_groups:
            rate, beta, decay = group["lr"], group["momentum"], 1 - group["lr"] * group["weight_decay"]
            by_shape: dict[tuple, list[tuple[torch.Tensor, torch.Tensor]]] = {}
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "momentum" not in state:
                    state["momentum"], state["count"] = torch.zeros_like(p), torch.zeros(())
                if "square" not in state and not self._is_matrix(p):
                    state["square"] = torch.zeros_like(p)
                state["count"] += 1
                p.mul_(decay)
                if self._is_matrix(p):
                    state["momentum"].lerp_(p.grad, 1 - beta)
                    direction = p.grad.lerp(state["momentum"], beta).flatten(1)
                    by_shape.setdefault(tuple(direction.shape), []).append((p, direction))
                else:
                    count = state["count"].item()
                    state["momentum"].lerp_(p.grad, 0.1)
                    state["square"].lerp_(p.grad.square(), 0.01)
                    mean = state["momentum"] / (1 - 0.9**count)
                    p.sub_(mean / ((state["square"] / (1 - 0.99**count)).sqrt() + 1e-8), alpha=rate)
            for shape, members in by_shape.items():  # equal shapes in one batched product: many small ones are slow
                updates = self._orthogonal(torch.stack([d for _, d in members]))
                for (p, _), update in zip(members, updates):
                    p.sub_(update.view_as(p), alpha=rate * 0.2 * max(shape) ** 0.5)

    def _is_matrix(self, p: torch.Tensor) -> bool:
        if p.ndim < 2 or min(p.flatten(1).shape) < 16:
            return False
        return p.ndim > 2 or max(p.shape) < self.longest * min(p.shape)
