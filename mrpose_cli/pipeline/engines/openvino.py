"""Networks compiled for the CPU by OpenVINO."""

from __future__ import annotations

import hashlib
import sys
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from mrpose_cli.atomic import write_atomically
from mrpose_cli.errors import OutputError, WeightsError
from mrpose_cli.models.onnx_file import check_alone
from mrpose_cli.pipeline.engines.base import Checkpoint, Input, Output, check_fits, installed, outputs_of
from mrpose_cli.pipeline.engines.centering import center
from mrpose_cli.pipeline.engines.torch import module_of, trace
from mrpose_cli.pipeline.options import Dtype
from mrpose_cli.pipeline.precision import computes_bf16
from mrpose_cli.weights.manifest import PoseEntry

_ANSWERS = ("answer", "answer 2")  # what the outputs of modules are called; they have one or two
_DEAD = 3600  # seconds after which a temporary file is one of a killed run
_HINTS = {torch.float32: "f32", torch.bfloat16: "bf16"}


class OpenVinoEngine:
    """A network that takes one image at a time, with as many images in flight as the cores can take.

    One core or a few compute an image: none waits for others within it, so that a single image costs as much
    as each of many, and the speed holds up where other work takes cores away.

    Args:
        compiled: An ``openvino.CompiledModel`` with one input.
        dtype: What it computes in; it takes and gives what the network says.
        outputs: Names of the outputs that are asked for, in this order; those that it lacks are left out.
    """

    name = "OpenVINO"
    dtypes: tuple[Dtype, ...] = ("fp32", "bf16")
    uses_torch = False
    note: str | None = None
    device = torch.device("cpu")

    def __init__(self, compiled: Any, dtype: torch.dtype, outputs: Sequence[str]) -> None:
        self.dtype = dtype
        sides = list(compiled.input(0).get_partial_shape())[2:]
        fixed = all(side.is_static for side in sides)
        size = (sides[0].get_length(), sides[1].get_length()) if fixed else None
        self.input = Input(self.device, size=size)
        self.parallel = compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._requests = [compiled.create_infer_request() for _ in range(self.parallel)]
        named = {name: output for output in compiled.outputs for name in output.get_names()}
        self._outputs = [named[name] for name in outputs if name in named]

    @classmethod
    def runs(cls, entry: Checkpoint, device: torch.device) -> bool:
        """Return True on the CPU."""
        return device.type == "cpu" and installed("openvino")

    @classmethod
    def best_dtype(cls, device: torch.device) -> Dtype:
        """Return bf16 where the CPU computes it; others emulate it, several times slower than float32."""
        return "bf16" if computes_bf16(device) else "fp32"

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
        asked = outputs_of(entry)
        config = _config(dtype, prompt=prompt)
        kept = _kept(cache, entry, config) if cache else None
        compiled = _compiled_before(kept, config) if kept else None
        if compiled is None:
            graph = _read(path, asked) if asked else _converted(entry, path)
            if dtype == torch.bfloat16:
                center(graph, core())
            compiled = core().compile_model(graph, "CPU", config)
            if kept:
                _keep(compiled, kept)
        engine = cls(compiled, dtype, asked or _ANSWERS)
        check_fits(entry, path, engine.input)
        return engine

    @classmethod
    def of(cls, graph: Any, dtype: torch.dtype, outputs: Sequence[str]) -> Self:
        """Compile an ``openvino.Model`` that takes one image at a time."""
        return cls(core().compile_model(graph, "CPU", _config(dtype)), dtype, outputs)

    def __call__(self, images: Tensor) -> Output:
        """Return the network's output for images (N, ...), which are computed side by side."""
        first, *others = (torch.cat(parts) for parts in zip(*self._answers(list(images)), strict=True))
        return (first, others[0]) if others else first

    def each(self, images: Sequence[Tensor]) -> list[Output]:
        """Return the network's outputs for images (...) of any sizes, which are computed side by side."""
        return [(first, others[0]) if others else first for first, *others in self._answers(images)]

    def _answers(self, images: Sequence[Tensor]) -> list[list[Tensor]]:
        """Return the outputs for every image, each (1, ...)."""
        answers = []
        ahead = len(self._requests)
        for index in range(len(images) + ahead):
            request = self._requests[index % ahead]
            request.wait()  # in the first round for what an interrupted call left under way
            if index >= ahead:
                outputs = (request.get_tensor(output).data.copy() for output in self._outputs)
                answers.append([torch.from_numpy(output) for output in outputs])
            if index < len(images):
                request.start_async({0: images[index][None].numpy()})
        return answers


@cache
def core() -> Any:
    """Return OpenVINO's core, which loads the CPU plugin once."""
    # Its import would tell its makers, if it found the package for that.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()


def _config(dtype: torch.dtype, *, prompt: bool = False) -> dict[str, str]:
    aim = "LATENCY" if prompt else "THROUGHPUT"  # all cores for one image, or one for each
    return {"INFERENCE_PRECISION_HINT": _HINTS[dtype], "PERFORMANCE_HINT": aim}


def _read(path: Path, outputs: tuple[str, ...]) -> Any:
    """Read the graph in an ONNX file or in one of OpenVINO's own, for one image at a time."""
    kind = "ONNX" if path.suffix == ".onnx" else "OpenVINO"
    if kind == "ONNX":
        check_alone(path)
    try:
        graph = core().read_model(path)
        shape = graph.input(0).get_partial_shape()
        shape[0] = 1
        graph.reshape(shape)
    except Exception as error:  # it raises RuntimeError with a page of text
        reason = (str(error).splitlines() or [type(error).__name__])[-1][:160]
        raise WeightsError(f"{path} is not a readable {kind} network ({reason})") from error
    names = {name for output in graph.outputs for name in output.get_names()}
    if not names.issuperset(outputs):
        raise WeightsError(
            f"{path} has the outputs {', '.join(sorted(names))}; expected {', '.join(outputs)}"
        )
    return graph


def _converted(entry: Checkpoint, path: Path) -> Any:
    """Convert a torch module to a graph, for one image at a time: crops of one size, photos of any."""
    example, shape = torch.zeros(1, 64, 64, 3, dtype=torch.uint8), [1, -1, -1, 3]
    if isinstance(entry, PoseEntry):
        example = torch.zeros(1, 3, *entry.input_size)
        shape = list(example.shape)
    return graph_of(trace(module_of(entry, path), example), example, shape, _ANSWERS)


def graph_of(module: Any, example: Tensor, shape: Sequence[int], names: Sequence[str]) -> Any:
    """Convert a traced module to a graph.

    Args:
        module: From :func:`~mrpose_cli.pipeline.engines.torch.trace`.
        example: What it was traced with.
        shape: Of its input, -1 for sides of any length.
        names: Of its outputs; there may be more names than outputs.
    """
    core()
    import openvino

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's about tracing
        graph = openvino.convert_model(module, example_input=example)
    graph.reshape(openvino.PartialShape(list(shape)))
    for output, name in zip(graph.outputs, names, strict=False):
        output.get_tensor().set_names({name})
    return graph


def _kept(folder: Path, entry: Checkpoint, config: dict[str, str]) -> Path:
    """Return the file for the compiled model, named by everything that it depends on."""
    runtime = core()
    conditions = [
        entry.sha256,
        getattr(entry, "classes", None),
        runtime.get_property("CPU", "FULL_DEVICE_NAME"),
    ]
    for name in ("openvino", "torch", "ultralytics"):
        with suppress(PackageNotFoundError):  # ultralytics is not needed for every detector
            conditions.append(version(name))
    for room in ("models", "pipeline"):  # who works on them must not get what was compiled before
        sources = sorted((Path(__file__).parents[2] / room).rglob("*.py"))
        conditions += [
            (path.name, stat.st_size, stat.st_mtime_ns) for path in sources if (stat := path.stat())
        ]
    key = hashlib.sha256(repr(conditions).encode()).hexdigest()[:16]
    return folder / f"{entry.name}-{'-'.join(config.values()).lower()}-{key}.blob"


def _compiled_before(kept: Path, config: dict[str, str]) -> Any:
    """Load an earlier compiled model; None if there is none, or it cannot be read."""
    with suppress(OSError, RuntimeError):
        return core().import_model(kept.read_bytes(), "CPU", config)
    return None


def _keep(compiled: Any, kept: Path) -> None:
    """Keep a compiled model for the next run, in place of those that other versions made of the file."""
    with suppress(OutputError, OSError):  # the next run compiles it again
        write_atomically(kept, compiled.export_model().getvalue())
        killed = (
            part for part in kept.parent.glob(".mrpose-*.part") if part.stat().st_mtime < time.time() - _DEAD
        )
        same = kept.parent.glob(f"{kept.name.rpartition('-')[0]}-*.blob")
        for other in (*killed, *same):
            if other != kept:
                other.unlink(missing_ok=True)
