"""What networks are trained in."""

from __future__ import annotations

import torch

from mrpose_cli.pipeline.precision import computes_bf16
from mrpose_cli.training.config import Precision

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_type(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type that autocast lowers to; float32 for none."""
    if precision != "auto":
        return _TYPES[precision]
    if computes_bf16(device):
        return torch.bfloat16
    return torch.float16 if device.type == "cuda" else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """Make the context that a network runs in."""
    lowered = dtype != torch.float32
    return torch.autocast(device.type, dtype if lowered else None, enabled=lowered)
