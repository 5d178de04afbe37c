"""The tensors of an ONNX file, for networks that this package can build itself.

ONNX Runtime runs such files and does not give their weights away. It comes with protobuf, which reads them
once it is told the few fields of ONNX's messages that matter here (onnx.proto3 has them all).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mrpose_cli.models.layouts import State

_FLOAT = 1  # TensorProto.DataType
# Message -> field, number in onnx.proto, type, whether it is repeated.
_MESSAGES = {
    "Tensor": (
        ("dims", 1, "INT64", True), ("data_type", 2, "INT32", False), ("float_data", 4, "FLOAT", True),
        ("name", 8, "STRING", False), ("raw_data", 9, "BYTES", False),
    ),
    "Node": (("input", 1, "STRING", True),),
    "Graph": (("node", 1, "Node", True), ("initializer", 5, "Tensor", True)),
    "Model": (("graph", 7, "Graph", False),),
}  # fmt: skip


def read_initializers(path: Path) -> State:
    """The float32 weights of an ONNX file by their names there, in the order in which the graph uses them.

    Raises:
        OSError: the file cannot be read.
        google.protobuf.message.DecodeError: it is no ONNX file.
    """
    model = _model_class()()
    model.ParseFromString(path.read_bytes())
    stored = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == _FLOAT}
    used = dict.fromkeys(name for node in model.graph.node for name in node.input if name in stored)
    return {name: _tensor(stored[name]) for name in used}


def _tensor(stored: Any) -> torch.Tensor:
    raw = np.frombuffer(stored.raw_data, "<f4") if stored.raw_data else np.asarray(stored.float_data, "f4")
    return torch.from_numpy(raw.astype(np.float32)).reshape(tuple(stored.dims))


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
