"""Sharing one job among the processes that ``torchrun`` starts."""

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
        """Return this process's part of the work."""
        return items[self.rank :: self.size]

    def wait(self) -> None:
        """Wait until all processes have come here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()

    def agree(self, decide: Callable[[], T]) -> T:
        """Return the first process's decision, on all of them."""
        if self.size == 1:
            return decide()
        import torch.distributed as dist

        decision = [decide() if self.first else None]
        dist.broadcast_object_list(decision, src=0)
        return decision[0]  # type: ignore[return-value]

    def gathered(self, item: T) -> list[T]:
        """Return what each process has, on all of them."""
        items = [item] * self.size
        if self.size > 1:
            import torch.distributed as dist

            dist.all_gather_object(items, item)
        return items


def local_rank() -> int | None:
    """Return this process's number on its machine; None if ``torchrun`` has not started several."""
    if os.environ.get("WORLD_SIZE", "1") == "1" or "MASTER_ADDR" not in os.environ:
        return None
    return int(os.environ.get("LOCAL_RANK", "0"))


@contextmanager
def joined(backend: str = "gloo", patience: timedelta = _PATIENCE) -> Iterator[Ranks]:
    """Yield the ranks of this run: those of ``torchrun``, or this process alone.

    Args:
        backend: What carries tensors between them. For short messages gloo suffices, on any machine.
        patience: How long a process waits for another.
    """
    local = local_rank()
    if local is None:
        yield Ranks()
        return
    import torch.distributed as dist

    dist.init_process_group(backend, timeout=patience)
    try:
        yield Ranks(dist.get_rank(), dist.get_world_size(), local)
    finally:
        dist.destroy_process_group()
