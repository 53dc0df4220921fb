"""Several processes on one run, one for each GPU: `python -m core train ... --processes 4`, or under `accelerate launch`.

Every process holds the whole policy, draws its share of an iteration's pictures, learns from them, and takes the same
step as the others. The first (rank 0) alone has the run folder and decides; the others follow (core/follower.py).

They meet at a few points of an iteration. Whoever fails or is stopped between two meetings says so at the next one, which
ends the iteration on every rank as if it had not begun: nobody waits for one that is not coming.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import torch

from .errors import UserError

LONGEST_PAUSE = timedelta(days=30)  # a run may be paused that long; torch gives up after minutes otherwise


class Lost(UserError):
    """A process of the run is gone."""

    def __init__(self):
        super().__init__("Another process of this run ended without a word. Resume from the last checkpoint; its own output says why.")


class Elsewhere(RuntimeError):
    """A fault of the program on another rank, or its end."""


class Ranks:
    """This process among the `count` of a run. One alone, the default, meets nobody: all of this is free."""

    def __init__(self, rank: int = 0, count: int = 1, device: torch.device | str = "cpu"):
        self.rank, self.count, self.device = rank, count, torch.device(device)
        self.interrupted = False  # from the keyboard, or by who runs the cluster
        self._known: BaseException | None = None  # what a meeting ended with: all ranks know it

    # --- meetings -----------------------------------------------------------------------------------------------
    def meet(self, value: Any = None, *, error: BaseException | None = None) -> list:
        """What every rank brought, in the order of the ranks. Raises if one of the others brought an error: MemoryError or
        UserError as there, else Elsewhere; and Lost if one is gone.
        """
        if self.count == 1:
            return [value]
        from accelerate.utils import gather_object

        try:
            found = gather_object([(value, error and _told(error))])
        except RuntimeError as gone:
            self._known = Lost()
            raise self._known from gone
        for rank, (_, told) in enumerate(found):
            if told and rank != self.rank and error is None:
                self._known = _again(rank, *told)
                raise self._known
        return [brought for brought, _ in found]

    def first(self, value: Any) -> Any:
        """Rank 0's value, on every rank."""
        if self.count == 1:
            return value
        from accelerate.utils import send_to_device

        told = self.meet(send_to_device(value, "cpu") if self.rank == 0 else None)[0]
        return value if self.rank == 0 else send_to_device(told, self.device)

    @contextmanager
    def united(self) -> Iterator[None]:
        """What is raised inside ends the block on every rank."""
        try:
            yield
        except BaseException as error:
            if self.count > 1 and not self.knows(error):
                self.meet(error=error)
            raise

    def knows(self, error: BaseException) -> bool:
        """Whether every rank has heard of `error`, because a meeting ended with it."""
        return error is self._known

    # --- sharing ------------------------------------------------------------------------------------------------
    def own(self, rows: torch.Tensor) -> torch.Tensor:
        """This rank's share of `rows` (n,), every count-th."""
        return rows[self.rank :: self.count]

    def gather(self, rows: torch.Tensor, values: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """values (n, ...) of this rank's `rows` (n,) of a batch -> the whole batch (B, ...), in the order of the rows."""
        if self.count == 1:
            return values
        found = self.meet((rows, {name: value.cpu() for name, value in values.items()}))
        order = torch.cat([theirs for theirs, _ in found]).argsort()
        return {name: torch.cat([theirs[name] for _, theirs in found])[order].to(value.device) for name, value in values.items()}

    def add_up(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its sum over the ranks."""
        if self.count == 1:
            return
        from accelerate.utils import reduce

        self.meet()  # one that failed is heard here, and not waited for below
        parameters = list(parameters)
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters])
        total = reduce(flat.to(self.device), "sum").to(flat.device)
        for parameter, part in zip(parameters, total.split([p.numel() for p in parameters])):
            parameter.grad = part.view_as(parameter).clone()

    # --- the end ------------------------------------------------------------------------------------------------
    def end(self) -> None:
        """Rank 0: let the others go. What one of them failed with meanwhile is of no interest any more."""
        while self.count > 1:
            try:
                self.meet(END)
            except Lost:
                pass
            except (UserError, MemoryError, Elsewhere):  # a void meeting: the others wait for the order still
                continue
            self.count = 1


END = "end"  # rank 0's last order


def join() -> Ranks:
    """This process among those that `torchrun` or `accelerate launch` started; alone if nobody did.

    The others leave signals to rank 0, which ends the run in order.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return Ranks()
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available(), timeout=LONGEST_PAUSE)
    ranks = Ranks(state.process_index, state.num_processes, state.device)

    def heard(*_: object) -> None:
        ranks.interrupted = True

    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, heard)
    return ranks


def out_of_memory(error: BaseException) -> bool:
    """torch on a CPU or on Apple's GPU says so only in words."""
    words = ("out of memory", "not enough memory", "can't allocate memory")
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or isinstance(error, RuntimeError) and any(w in str(error) for w in words)


def _told(error: BaseException) -> tuple[str, str, str | None]:
    """Kind, words and field: an exception itself may not survive the way."""
    kind = "memory" if out_of_memory(error) else "user" if isinstance(error, UserError) else "fault"
    return kind, str(error) if kind == "user" else f"{type(error).__name__}: {error}", getattr(error, "field", None)


def _again(rank: int, kind: str, words: str, field: str | None) -> BaseException:
    if kind == "memory":
        return MemoryError(words)
    return UserError(words, field) if kind == "user" else Elsewhere(f"rank {rank}: {words}")
