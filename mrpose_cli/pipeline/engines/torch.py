"""Networks as PyTorch modules."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from mrpose_cli.pipeline.engines.base import Checkpoint, Input, Output
from mrpose_cli.pipeline.options import Dtype
from mrpose_cli.weights.manifest import PoseEntry


class TorchEngine:
    """A module, already on the device and in the type, or another function of tensors."""

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
        """Return True for files for torch, and RTMPose, of whose ONNX files it takes the weights."""
        if isinstance(entry, PoseEntry) and entry.format == "onnx":
            return entry.codec == "simcc"
        return entry.format == "torch"

    @classmethod
    def best_dtype(cls, device: torch.device) -> Dtype:
        """Return fp16 on CUDA, fp32 elsewhere."""
        return "fp16" if device.type == "cuda" else "fp32"

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
        """Load the network of a checkpoint; see :meth:`Engine.load`."""
        network = module_of(entry, path)
        if not isinstance(entry, PoseEntry) and dtype == torch.bfloat16:
            dtype = torch.float32  # a box's corners want more than its 8 bits
        network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, device, dtype)

    def __call__(self, images: Tensor) -> Output:
        """Return the module's output for images."""
        return self._network(images)

    def each(self, images: Sequence[Tensor]) -> list[Output]:
        """Return the network's outputs for images (...) of any sizes, one after the other."""
        return [self(image[None]) for image in images]


def module_of(entry: Checkpoint, path: Path) -> nn.Module:
    """Load the module of a checkpoint, for inference, in float32.

    Raises:
        WeightsError: the file does not hold what the entry says.
    """
    if isinstance(entry, PoseEntry):
        from mrpose_cli.models import load_checkpoint

        return load_checkpoint(entry.arch, path, entry.joints, entry.input_size).requires_grad_(False)
    from mrpose_cli.pipeline.detectors.yolo_network import load_boxes

    return load_boxes(path, entry.classes)


def trace(module: nn.Module, example: Tensor) -> Any:
    """Record what a module does with an example, as a graph that other libraries read."""
    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about branches that the shape decides, and of a deprecated way
        return torch.jit.trace(module, example, check_trace=False)
