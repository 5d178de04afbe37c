"""Sharing one evaluation among the processes that ``torchrun`` starts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")

_PATIENCE = timedelta(days=2)  # the slowest rank's work, not a network's latency, is what is waited for


@dataclass(frozen=True, slots=True)
class Ranks:
    """One process among ``size`` that share the work.

    Attributes:
        rank: This process's number, from 0.
        size: How many there are.
        local: Its number on this machine, which is also that of its GPU.
    """

    rank: int = 0
    size: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that reports."""
        return self.rank == 0

    def share(self, items: Sequence[T]) -> Sequence[T]:
        """This process's part of the work."""
        return items[self.rank :: self.size]

    def wait(self) -> None:
        """Go on when all processes have come here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()

    def total(self, number: int) -> int:
        """The sum over all processes."""
        if self.size == 1:
            return number
        import torch
        import torch.distributed as dist

        numbers = torch.tensor([number])
        dist.all_reduce(numbers)
        return int(numbers)

    def agree(self, decide: Callable[[], T]) -> T:
        """What the first process decides, on all of them."""
        if self.size == 1:
            return decide()
        import torch.distributed as dist

        decision = [decide() if self.first else None]
        dist.broadcast_object_list(decision, src=0)
        return decision[0]  # type: ignore[return-value]


@contextmanager
def joined() -> Iterator[Ranks]:
    """The ranks of this run: those of ``torchrun``, or this process alone."""
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1 or "MASTER_ADDR" not in os.environ:
        yield Ranks()
        return
    import torch.distributed as dist

    # Only short messages pass between ranks, so gloo does on any machine, with or without GPUs.
    dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), size, int(os.environ.get("LOCAL_RANK", "0")))
    finally:
        dist.destroy_process_group()
