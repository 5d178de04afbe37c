"""What an ONNX file says of itself, and its tensors, for networks that this package can build itself.

ONNX Runtime runs such files and does not give their weights away. It comes with protobuf, which reads them
once it is told the few fields of ONNX's messages that matter here (onnx.proto3 has them all).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.layouts import State
from mrpose_cli.weights.store import check_file

_FLOAT = 1  # TensorProto.DataType
# Message -> field, number in onnx.proto, type, whether it is repeated.
_MESSAGES = {
    "Tensor": (
        ("dims", 1, "INT64", True), ("data_type", 2, "INT32", False), ("float_data", 4, "FLOAT", True),
        ("name", 8, "STRING", False), ("raw_data", 9, "BYTES", False), ("external_data", 13, "BYTES", True),
        ("data_location", 14, "INT32", False),
    ),
    "SparseTensor": (("values", 1, "Tensor", False), ("indices", 2, "Tensor", False)),
    "Attribute": (
        ("t", 5, "Tensor", False), ("g", 6, "Graph", False), ("tensors", 10, "Tensor", True),
        ("graphs", 11, "Graph", True), ("sparse_tensor", 22, "SparseTensor", False),
        ("sparse_tensors", 23, "SparseTensor", True),
    ),
    "Node": (("input", 1, "STRING", True), ("attribute", 5, "Attribute", True)),
    "Graph": (
        ("node", 1, "Node", True), ("initializer", 5, "Tensor", True),
        ("sparse_initializer", 15, "SparseTensor", True),
    ),
    "Function": (("node", 7, "Node", True), ("attribute_proto", 11, "Attribute", True)),
    "Property": (("key", 1, "STRING", False), ("value", 2, "STRING", False)),
    "Model": (
        ("graph", 7, "Graph", False), ("metadata_props", 14, "Property", True),
        ("functions", 25, "Function", True),
    ),
}  # fmt: skip


def read_initializers(path: Path) -> State:
    """Read the float32 weights of an ONNX file by name, in the order in which the graph uses them.

    Raises:
        OSError: the file cannot be read.
        google.protobuf.message.DecodeError: it is no ONNX file.
    """
    model = _parsed(path)
    stored = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == _FLOAT}
    used = dict.fromkeys(name for node in model.graph.node for name in node.input if name in stored)
    return {name: _tensor(stored[name]) for name in used}


def read_properties(path: Path) -> dict[str, str]:
    """Read the metadata of an ONNX file; errors as for :func:`read_initializers`."""
    return {item.key: item.value for item in _parsed(path).metadata_props}


def check_alone(path: Path) -> None:
    """Check that an ONNX file holds its weights itself: it may name other files to be read as such.

    Raises:
        WeightsError: it does not, or it is no ONNX file.
    """
    from google.protobuf.message import DecodeError

    check_file(path)
    try:
        model = _parsed(path)
    except DecodeError as error:
        raise WeightsError(f"{path} is not a readable ONNX network (it is no ONNX file)") from error
    if _names_files(model):
        raise WeightsError(f"{path} is not a readable ONNX network (its weights lie in other files)")


def _names_files(message: Any) -> bool:
    """Return whether a tensor somewhere in a message has its values in another file."""
    if message.DESCRIPTOR.name == "Tensor":
        return bool(message.external_data) or message.data_location != 0
    for field, value in message.ListFields():
        if field.message_type is not None:
            parts = value if isinstance(value, Sequence) else [value]
            if any(map(_names_files, parts)):
                return True
    return False


def _tensor(stored: Any) -> torch.Tensor:
    raw = np.frombuffer(stored.raw_data, "<f4") if stored.raw_data else np.asarray(stored.float_data, "f4")
    return torch.from_numpy(raw.astype(np.float32)).reshape(tuple(stored.dims))


def _parsed(path: Path) -> Any:
    model = _model_class()()
    model.ParseFromString(path.read_bytes())
    return model


@cache
def _model_class() -> Any:
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(name="mrpose/onnx.proto", package="mrpose", syntax="proto2")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind, repeated in fields:
            label = kinds.LABEL_REPEATED if repeated else kinds.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            if kind in _MESSAGES:
                added.type, added.type_name = kinds.TYPE_MESSAGE, f".mrpose.{kind}"
            else:
                added.type = getattr(kinds, f"TYPE_{kind}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("mrpose.Model"))
