"""The protocol of what runs a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, Self

import torch
from torch import Tensor

from mrpose_cli.errors import WeightsError, parameter
from mrpose_cli.pipeline.options import Dtype
from mrpose_cli.weights.manifest import DetectorEntry, PoseEntry

Checkpoint = PoseEntry | DetectorEntry
# Heatmaps (N, K, h, w), or SimCC's two distributions (N, K, bins), or a detector's boxes and their classes.
Output = Tensor | tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Input:
    """The input images that an engine expects; ``size`` is height and width, None for any."""

    device: torch.device
    dtype: torch.dtype = torch.float32
    memory_format: torch.memory_format = torch.contiguous_format
    size: tuple[int, int] | None = None


class Engine(Protocol):
    """A network, ready to be called.

    Attributes:
        name: What reports call the library that computes.
        dtypes: The types it can compute in.
        uses_torch: Whether torch computes, and so wants its threads.
        device: Where the network runs.
        dtype: What it computes in.
        input: What it wants its images to be.
        parallel: How many images it computes side by side, each for itself; 1 if it computes a batch as one.
        note: A note for users on how it runs, as the rest of a sentence; None if there is none.
    """

    name: str
    dtypes: tuple[Dtype, ...]
    uses_torch: bool
    device: torch.device
    dtype: torch.dtype
    input: Input
    parallel: int
    note: str | None

    @classmethod
    def runs(cls, entry: Checkpoint, device: torch.device) -> bool:
        """Return whether it can run a checkpoint on a device."""
        ...

    @classmethod
    def best_dtype(cls, device: torch.device) -> Dtype:
        """Return what it computes in on a device by default."""
        ...

    @classmethod
    def load(
        cls,
        entry: Checkpoint,
        path: Path,
        device: torch.device,
        dtype: torch.dtype,
        cache: Path | None = None,
        *,
        prompt: bool = False,
    ) -> Self:
        """Load the network of a checkpoint, on the device and in the type if it can be had there.

        Args:
            entry: The checkpoint.
            path: Its file.
            device: Where it is to run.
            dtype: What it is to compute in.
            cache: A folder for compiled models, which take long to make; None for a file that may change
                between runs.
            prompt: Answer one image as soon as can be rather than many a second.

        Raises:
            WeightsError: the file does not hold what the entry says.
        """
        ...

    def __call__(self, images: Tensor) -> Output:
        """Return the output for images (N, 3, H, W), as ``input`` says or as the module expects them."""
        ...

    def each(self, images: Sequence[Tensor]) -> list[Output]:
        """Return the outputs for images of different sizes, without N; with it, each output has N = 1."""
        ...


def installed(package: str) -> bool:
    """Return whether a package can be imported, without importing it."""
    return find_spec(package) is not None


def outputs_of(entry: Checkpoint) -> tuple[str, ...] | None:
    """Return the outputs that are requested of files that hold a graph; None for files of other formats."""
    if entry.format == "torch":
        return None
    return answers_of(entry) if isinstance(entry, PoseEntry) else ("dets", "labels")


def answers_of(entry: PoseEntry) -> tuple[str, ...]:
    """Return the names of a pose network's outputs in files that hold its graph."""
    return ("simcc_x", "simcc_y") if entry.codec == "simcc" else ("heatmaps",)


def check_fits(entry: Checkpoint, path: Path, wanted: Input) -> None:
    """Check that the network in a file takes the crops that its entry says.

    Raises:
        WeightsError: it takes others.
    """
    if entry.kind == "pose" and wanted.size not in (None, entry.input_size):
        sizes = "crops of {}x{}, {} of {}x{}".format(*wanted.size, entry.name, *entry.input_size)
        raise WeightsError(f"{path} takes {sizes}; name the model that it is with {parameter('model')}")
