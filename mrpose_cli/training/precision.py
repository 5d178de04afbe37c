"""What networks are trained in."""

from __future__ import annotations

import torch

from mrpose_cli.training.config import Precision

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def autocast_type(precision: Precision, device: torch.device) -> torch.dtype:
    """The type that autocast lowers to; float32 for none."""
    if precision != "auto":
        return _TYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if device.type == "cpu" and _cpu_computes_bf16() else torch.float32


def autocast(dtype: torch.dtype, device: torch.device) -> torch.autocast:
    """The context a network runs in."""
    lowered = dtype != torch.float32
    return torch.autocast(device.type, dtype if lowered else None, enabled=lowered)


def _cpu_computes_bf16() -> bool:
    # CPUs without such instructions emulate them, slower than float32.
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
