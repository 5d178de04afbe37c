"""Networks as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from mrpose_cli.pipeline.engines.base import Checkpoint, Input, Output
from mrpose_cli.pipeline.options import Dtype
from mrpose_cli.weights.manifest import PoseEntry


class TorchEngine:
    """A module, which is on the device and in the type already, or another function of tensors."""

    name = "PyTorch"
    dtypes: tuple[Dtype, ...] = ("fp32", "fp16", "bf16")
    parallel = 1
    uses_torch = True
    note: str | None = None

    def __init__(
        self, network: Callable[[Tensor], Output], device: torch.device, dtype: torch.dtype = torch.float32
    ) -> None:
        self.device, self.dtype = device, dtype
        self.input = Input(device, dtype, torch.channels_last)
        self._network = network

    @classmethod
    def runs(cls, entry: Checkpoint, device: torch.device) -> bool:
        """What is in files for torch, and RTMPose, of whose ONNX files it takes the weights."""
        if isinstance(entry, PoseEntry) and entry.format == "onnx":
            return entry.codec == "simcc"
        return entry.format == "torch"

    @classmethod
    def best_dtype(cls, device: torch.device) -> Dtype:
        """Fp16 on CUDA."""
        return "fp16" if device.type == "cuda" else "fp32"

    @classmethod
    def load(
        cls,
        entry: Checkpoint,
        path: Path,
        device: torch.device,
        dtype: torch.dtype,
        cache: Path | None = None,
    ) -> Self:
        """The network of a checkpoint; see :meth:`Engine.load`."""
        network = module_of(entry, path)
        if not isinstance(entry, PoseEntry) and dtype == torch.bfloat16:
            dtype = torch.float32  # a box's corners want more than its 8 bits
        network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, device, dtype)

    def __call__(self, images: Tensor) -> Output:
        """The module's answer for images."""
        return self._network(images)

    def each(self, images: Sequence[Tensor]) -> list[Output]:
        """The network's answers for images (...) of any sizes, one after the other."""
        return [self(image[None]) for image in images]


def module_of(entry: Checkpoint, path: Path) -> nn.Module:
    """The module of a checkpoint, for inference, in float32.

    Raises:
        WeightsError: the file does not hold what the entry says.
    """
    if isinstance(entry, PoseEntry):
        from mrpose_cli.models import load_checkpoint

        return load_checkpoint(entry.arch, path, entry.joints, entry.input_size).requires_grad_(False)
    from mrpose_cli.pipeline.detectors.yolo_network import load_people

    return load_people(path)
