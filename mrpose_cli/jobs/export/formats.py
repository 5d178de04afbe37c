"""The formats of ``mrpose export``, one row of :data:`FORMATS` each.

All are written from one trace of the module. ONNX files come from PyTorch's exporter for traces, since
that takes the decoding rules as they are, is the same from PyTorch 2.6 on, and needs only the package onnx;
the newer one (``dynamo=True``) wants onnxscript besides and fails on UDP's rule.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpose_cli.pipeline.engines.base import Output
from mrpose_cli.pipeline.engines.onnx import OnnxEngine, in_batches
from mrpose_cli.pipeline.engines.openvino import core, graph_of

FormatName = Literal["onnx", "openvino", "torchscript"]
_CPU = torch.device("cpu")
_INPUT = "images"


@dataclass(frozen=True, slots=True, eq=False)
class Traced:
    """A traced network that is ready to be written.

    Attributes:
        module: The traced module.
        crops: What it was traced with.
        names: Of its outputs.
        shapes: Of the input and the outputs; the first side is None for any number of crops.
        metadata: What the file says of itself.
    """

    module: Any
    crops: Tensor
    names: tuple[str, ...]
    shapes: tuple[tuple[int | None, ...], ...]
    metadata: dict[str, str]


def _write_onnx(traced: Traced, path: Path) -> None:
    import onnx

    names = [_INPUT, *traced.names]
    exported = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it says that it is the former exporter
        torch.onnx.export(
            traced.module,
            (traced.crops,),
            exported,  # type: ignore[arg-type, unused-ignore]
            dynamo=False,
            opset_version=17,
            input_names=names[:1],
            output_names=names[1:],
            dynamic_axes={name: {0: "batch"} for name in names},
        )
    model = onnx.load_from_string(exported.getvalue())
    for info, shape in zip([*model.graph.input, *model.graph.output], traced.shapes, strict=True):
        for side, length in zip(info.type.tensor_type.shape.dim, shape, strict=True):
            side.Clear()
            if length is None:
                side.dim_param = "batch"
            else:
                side.dim_value = length
    onnx.helper.set_model_props(model, traced.metadata)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())


def _open_onnx(path: Path, traced: Traced) -> Callable[[Tensor], Output]:
    return OnnxEngine(path, _CPU, outputs=traced.names)


def _write_openvino(traced: Traced, path: Path) -> None:
    save_graph(openvino_graph(traced), traced, path)


def openvino_graph(traced: Traced) -> Any:
    """Convert what was traced into an ``openvino.Model`` for one crop at a time."""
    return graph_of(traced.module, traced.crops, (1, *traced.crops.shape[1:]), traced.names)


def save_graph(graph: Any, traced: Traced, path: Path) -> None:
    """Save an ``openvino.Model`` of what was traced, with the metadata."""
    import openvino

    graph.reshape(openvino.PartialShape([-1 if side is None else side for side in traced.shapes[0]]))
    graph.input(0).get_tensor().set_names({_INPUT})
    for key, value in traced.metadata.items():
        graph.set_rt_info(value, key)
    openvino.save_model(graph, path, compress_to_fp16=False)


def _open_openvino(path: Path, traced: Traced) -> Callable[[Tensor], Output]:
    compiled = core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def answer(crops: Tensor) -> list[NDArray[np.float32]]:
        found = compiled(crops.numpy())
        return [found[name] for name in traced.names]

    return lambda crops: in_batches(answer, crops, traced.shapes[0][0])


def _write_torchscript(traced: Traced, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch calls the format deprecated
        torch.jit.save(traced.module, path, _extra_files=traced.metadata)


def _open_torchscript(path: Path, traced: Traced) -> Callable[[Tensor], Output]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as above
        module: Callable[[Tensor], Output] = torch.jit.load(path, map_location="cpu")
    return module


@dataclass(frozen=True, slots=True)
class Format:
    """A format: one row of :data:`FORMATS`.

    Attributes:
        suffix: Of its files.
        entry: What the manifest calls it.
        packages: What writing and comparing needs besides mrpose's own.
        write: Writes what was traced, with the metadata.
        open: Runs a written file in the format's own library.
    """

    suffix: str
    entry: str
    packages: tuple[str, ...]
    write: Callable[[Traced, Path], None]
    open: Callable[[Path, Traced], Callable[[Tensor], Output]]


FORMATS: dict[FormatName, Format] = {
    "onnx": Format(".onnx", "onnx", ("onnx", "onnxruntime"), _write_onnx, _open_onnx),
    "openvino": Format(".xml", "openvino", ("openvino",), _write_openvino, _open_openvino),
    "torchscript": Format(".torchscript", "torch", (), _write_torchscript, _open_torchscript),
}
