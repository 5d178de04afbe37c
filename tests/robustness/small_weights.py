"""Small weights files of every kind that is read, made on the spot."""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from mrpose_cli.models import create_model
from mrpose_cli.models.identify import METADATA_KEY
from mrpose_cli.weights.manifest import find_pose

_KEPT = 30_000  # values a tensor may have


def small_state() -> OrderedDict[str, Tensor]:
    """The smaller tensors of a real network, so that its family is recognized and most of it is missing."""
    torch.manual_seed(0)
    state = create_model("mrfea2-cspnext-s").state_dict()
    return OrderedDict((key, value) for key, value in state.items() if value.numel() <= _KEPT)


def small_files() -> dict[str, bytes]:
    """By file name: safetensors with metadata, PyTorch's zip and legacy forms, a plain pickle, ONNX."""
    state = small_state()
    entry = find_pose("mrfea2-cspnext-s").model_dump_json(exclude_defaults=True)
    zipped, legacy = io.BytesIO(), io.BytesIO()
    # As training scripts nest it, with what they keep beside it.
    torch.save({"meta": {"epoch": 1, "best": np.float64(0.5)}, "state_dict": state}, zipped)
    torch.save({"state_dict": state}, legacy, _use_new_zipfile_serialization=False)
    return {
        "net.safetensors": save(state, {"format": "pt", METADATA_KEY: entry}),
        "zip.pth": zipped.getvalue(),
        "legacy.pth": legacy.getvalue(),
        "plain.pkl": pickle.dumps(state, 4),
        "net.onnx": simcc_network(),
    }


def simcc_network(joints: int = 26, location: str | None = None) -> bytes:
    """An ONNX network that takes images (N, 3, H, W) and gives ``simcc_x`` (N, K, 2W) and ``simcc_y``.

    Args:
        joints: K.
        location: Where its weights are said to lie, relative to the file; None to have them in it.
    """
    weight = np.linspace(-1, 1, joints * 3, dtype=np.float32).tobytes()
    # TensorProto: dims, data_type (1 is float32), name, raw_data; or external_data and data_location.
    tensor = _field(1, joints) + _field(1, 3) + _field(2, 1) + _field(8, b"weight")
    if location is None:
        tensor += _field(9, weight)
    else:
        tensor += _field(13, _field(1, b"location") + _field(2, location.encode())) + _field(14, 1)
    nodes = b""
    for output, axis in (("simcc_x", 2), ("simcc_y", 3)):
        axes = _field(1, b"axes") + _field(8, axis) + _field(20, 7)  # INTS
        flat = _field(1, b"keepdims") + _field(3, 0) + _field(20, 2)  # INT
        last = _field(1, b"axis") + _field(3, 2) + _field(20, 2)
        nodes += _node("ReduceMean", ["images"], f"{output}_mean", axes, flat)
        nodes += _node("MatMul", ["weight", f"{output}_mean"], f"{output}_half")
        nodes += _node("Concat", [f"{output}_half"] * 2, output, last)
    graph = nodes + _field(2, b"small") + _field(5, tensor) + _field(11, _value("images", 4))
    graph += _field(12, _value("simcc_x", 3)) + _field(12, _value("simcc_y", 3))
    return _field(1, 8) + _field(7, graph) + _field(8, _field(1, b"") + _field(2, 13))


def _node(kind: str, inputs: list[str], output: str, *attributes: bytes) -> bytes:
    body = b"".join(_field(1, name.encode()) for name in inputs) + _field(2, output.encode())
    body += _field(4, kind.encode()) + b"".join(_field(5, attribute) for attribute in attributes)
    return _field(1, body)


def _value(name: str, ndim: int) -> bytes:
    """ValueInfoProto of a float32 tensor whose sizes have names."""
    shape = b"".join(_field(1, _field(2, f"{name}_{i}".encode())) for i in range(ndim))
    return _field(1, name.encode()) + _field(2, _field(1, _field(1, 1) + _field(2, shape)))


def _field(number: int, value: int | bytes) -> bytes:
    """One field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    parts = bytearray()
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])
