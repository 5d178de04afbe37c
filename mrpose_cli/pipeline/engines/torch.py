"""Networks as PyTorch modules."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from mrpose_cli.pipeline.engines.base import Checkpoint, Input, Output
from mrpose_cli.pipeline.options import Dtype
from mrpose_cli.weights.manifest import PoseEntry


class TorchEngine:
    """A module, which is on the device and in the type already, or another function of tensors."""

    name = "PyTorch"
    dtypes: tuple[Dtype, ...] = ("fp32", "fp16", "bf16")
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
        """Every pose network; of ONNX files it takes the weights."""
        return isinstance(entry, PoseEntry)

    @classmethod
    def load(cls, entry: Checkpoint, path: Path, device: torch.device, dtype: torch.dtype) -> Self:
        """The network of a checkpoint; see :meth:`Engine.load`."""
        from mrpose_cli.models import load_checkpoint

        assert isinstance(entry, PoseEntry)
        network = load_checkpoint(entry.arch, path, entry.joints, entry.input_size).requires_grad_(False)
        network.to(device=device, dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]
        return cls(network, device, dtype)

    def __call__(self, images: Tensor) -> Output:
        """The module's answer for images (N, 3, H, W)."""
        return self._network(images)
