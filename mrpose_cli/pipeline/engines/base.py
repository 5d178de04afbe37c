"""The protocol of what runs a network."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor

from mrpose_cli.pipeline.options import Dtype
from mrpose_cli.weights.manifest import DetectorEntry, PoseEntry

Checkpoint = PoseEntry | DetectorEntry
# Heatmaps (N, K, h, w), or SimCC's two distributions (N, K, bins), or a detector's boxes and their classes.
Output = Tensor | tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Input:
    """What an engine wants its images to be; ``size`` is height and width, None for any."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    memory_format: torch.memory_format = torch.contiguous_format
    size: tuple[int, int] | None = None


class Engine(Protocol):
    """A network, ready to be called.

    Attributes:
        name: What reports call the library that computes.
        dtypes: What it can be told to compute in.
        uses_torch: Whether torch computes, and so wants its threads.
        device: Where the network runs.
        dtype: What it computes in.
        input: What it wants its images to be.
        note: What users should know of how it runs, as the rest of a sentence; None if there is nothing.
    """

    name: str
    dtypes: tuple[Dtype, ...]
    uses_torch: bool
    device: torch.device
    dtype: torch.dtype
    input: Input
    note: str | None

    @classmethod
    def runs(cls, entry: Checkpoint, device: torch.device) -> bool:
        """Whether it can run a checkpoint on a device."""
        ...

    @classmethod
    def load(cls, entry: Checkpoint, path: Path, device: torch.device, dtype: torch.dtype) -> Self:
        """The network of a checkpoint, on the device and in the type if it can be had there.

        Raises:
            WeightsError: the file does not hold what the entry says.
        """
        ...

    def __call__(self, images: Tensor) -> Output:
        """The network's answer for images (N, 3, H, W) as ``input`` says."""
        ...
