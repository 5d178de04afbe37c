"""Float32 that is float32, and which devices compute bf16 themselves."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import backends

# What lets float32 be computed in less: owner, attribute, and the value that forbids it. Since 2.9 PyTorch
# has a switch for each kind of operation, warns of the former ones, and fails where both are used.
_FORMER: tuple[tuple[Any, str, Any], ...] = (
    (backends.cudnn, "allow_tf32", False),
    (backends.cuda.matmul, "allow_tf32", False),
)
_SWITCHES: tuple[tuple[Any, str, Any], ...] = _FORMER
if hasattr(backends.cudnn, "conv"):
    _onednn: Any = backends.mkldnn
    _operations = (backends.cudnn.conv, backends.cuda.matmul, _onednn.conv, _onednn.matmul)
    _SWITCHES = tuple((operation, "fp32_precision", "ieee") for operation in _operations)

_lock = threading.Lock()
_inside = 0
_outside: list[Any] = []


@contextmanager
def full_float32() -> Iterator[None]:
    """Compute float32 products and convolutions in float32, not in TF32 or bf16.

    On recent NVIDIA GPUs PyTorch convolves float32 in TF32, with 10 bits of mantissa in place of 23, and
    multiplies matrices so, too, where the program allows it. The switches belong to the whole process; the
    last thread to leave puts them back. Serves as a decorator, too.
    """
    global _inside, _outside
    with _lock:
        if _inside == 0:
            _outside = [getattr(owner, name) for owner, name, _ in _SWITCHES]
            for owner, name, exact in _SWITCHES:
                setattr(owner, name, exact)
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if _inside == 0:
                for (owner, name, _), value in zip(_SWITCHES, _outside, strict=True):
                    setattr(owner, name, value)


def computes_bf16(device: torch.device) -> bool:
    """Return whether a device has instructions for bf16; others emulate it, slower than float32."""
    if device.type == "cuda":
        with torch.cuda.device(device):
            return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return device.type == "cpu" and any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
