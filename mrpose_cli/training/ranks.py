"""Training with the processes that ``torchrun`` starts, one a GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from mrpose_cli.pipeline.factory import resolve_device
from mrpose_cli.ranks import Ranks

_PATIENCE = timedelta(hours=2)  # the first process validates while the others wait


@contextmanager
def joined(device: str) -> Iterator[tuple[Ranks, torch.device]]:
    """The processes of this run and this one's device.

    Args:
        device: A name; ``auto`` and ``cuda`` become the GPU of the process's number.

    Raises:
        UsageError: this machine has no such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    place = resolve_device(device)
    if size == 1 or "MASTER_ADDR" not in os.environ:
        yield Ranks(), place
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    if place.type == "cuda":
        place = resolve_device(f"cuda:{local}")
        torch.cuda.set_device(place)
    # Gradients go by nccl where they are on GPUs, messages by gloo.
    dist.init_process_group("cpu:gloo,cuda:nccl" if place.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield Ranks(dist.get_rank(), size, local), place
    finally:
        dist.destroy_process_group()


def united(ranks: Ranks, names: set[str]) -> set[str]:
    """What any of the processes names."""
    if ranks.size == 1:
        return names
    boxes: list[set[str]] = [set() for _ in range(ranks.size)]
    dist.all_gather_object(boxes, names)
    return set().union(*boxes)
