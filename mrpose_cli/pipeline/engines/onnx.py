"""Networks in ONNX files, run by ONNX Runtime."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.onnx_file import check_alone
from mrpose_cli.pipeline.engines.base import Checkpoint, Input, Output, check_fits, installed, outputs_of
from mrpose_cli.pipeline.engines.torch import TorchEngine
from mrpose_cli.pipeline.options import Dtype

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"


class OnnxEngine:
    """A network in an ONNX file with one input. It takes and gives float32 in host memory.

    CUDA is used where the installed ONNX Runtime can use it (package ``onnxruntime-gpu`` and its
    libraries), the CPU otherwise.

    Args:
        path: The file.
        device: Where it should run.
        outputs: Names of the one or two that are asked for.

    Raises:
        WeightsError: the file is not a network with these outputs.
    """

    name = "ONNX Runtime"
    dtypes: tuple[Dtype, ...] = ("fp32",)
    parallel = 1
    uses_torch = False
    note: str | None = None

    def __init__(self, path: Path, device: torch.device, *, outputs: Sequence[str]) -> None:
        # Read once, when the library is loaded: without it recent versions keep a device id in the user's
        # cache folder and send usage data. Their disable_telemetry_events() comes too late for both.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        import onnxruntime

        onnxruntime.set_default_logger_severity(3)  # its warnings speak of graph internals
        options = onnxruntime.SessionOptions()
        # Its threads would otherwise burn the cores between two runs, which are the other stages' turn.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        providers = wanted_providers(device, onnxruntime.get_available_providers())
        check_alone(path)
        try:
            session = onnxruntime.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # the runtime's exception classes are not part of its public interface
            reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise WeightsError(f"{path} is not a readable ONNX network ({reason})") from error
        names = {output.name for output in session.get_outputs()}
        if not names.issuperset(outputs):
            raise WeightsError(
                f"{path} has the outputs {', '.join(sorted(names))}; expected {', '.join(outputs)}"
            )
        self.device, self.dtype = device_of(session.get_providers(), device), torch.float32
        if device.type == "cuda" and self.device.type != "cuda":
            self.note = (
                "runs on the CPU, since ONNX Runtime cannot use CUDA here; install onnxruntime-gpu in place "
                "of onnxruntime, with the CUDA and cuDNN that it needs"
            )
        self._session, self._outputs, self._path = session, list(outputs), path
        images = session.get_inputs()[0]
        count, _, height, width = images.shape
        self._count = count if isinstance(count, int) else None
        fixed = isinstance(height, int) and isinstance(width, int)
        self.input = Input(torch.device("cpu"), size=(height, width) if fixed else None)
        self._input_name = images.name

    @classmethod
    def runs(cls, entry: Checkpoint, device: torch.device) -> bool:
        """Return True for ONNX files; those that torch runs, too, only on the CPU: elsewhere it is faster."""
        wanted = entry.format == "onnx" and (device.type == "cpu" or not TorchEngine.runs(entry, device))
        return wanted and installed("onnxruntime")

    @classmethod
    def best_dtype(cls, device: torch.device) -> Dtype:
        """Return fp32, the type of the files."""
        return "fp32"

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
        engine = cls(path, device, outputs=outputs_of(entry) or ())
        check_fits(entry, path, engine.input)
        return engine

    def __call__(self, images: Tensor) -> Output:
        """Return the outputs, in the order they were requested."""
        return in_batches(self._run, images, self._count)

    def each(self, images: Sequence[Tensor]) -> list[Output]:
        """Return the network's outputs for images (...) of any sizes, one after the other."""
        return [self(image[None]) for image in images]

    def _run(self, images: Tensor) -> list[NDArray[np.float32]]:
        try:
            answer: list[NDArray[np.float32]]
            answer = self._session.run(self._outputs, {self._input_name: images.numpy()})
        except Exception as error:  # as above
            reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise WeightsError(
                f"{self._path} cannot be run on {tuple(images.shape[2:])} pixels ({reason})"
            ) from error
        return answer


def in_batches(
    run: Callable[[Tensor], Sequence[NDArray[np.float32]]], images: Tensor, count: int | None
) -> Output:
    """Return the one or two outputs for any number of images, from a function that takes limited batches.

    Args:
        run: Gives its outputs for images.
        images: (N, ...).
        count: How many images ``run`` takes, no more and no fewer; None for any number.
    """
    parts = images.split(count) if count else (images,)
    missing = (count or 0) - len(parts[-1])
    if missing > 0:
        parts = (*parts[:-1], torch.cat([parts[-1], parts[-1].new_zeros(missing, *images.shape[1:])]))
    answers = zip(*map(run, parts), strict=True)
    first, *others = (torch.from_numpy(np.concatenate(answer)[: len(images)]) for answer in answers)
    return (first, others[0]) if others else first


def wanted_providers(device: torch.device, available: Sequence[str]) -> list[Any]:
    """List the providers that ONNX Runtime is asked to run a network with, best first.

    Args:
        device: Where it should run.
        available: What the installed package was built with.
    """
    if device.type != "cuda" or _CUDA not in available:
        return [_CPU]
    # Float32 is to be float32; by default it computes in TF32.
    return [(_CUDA, {"device_id": device.index or 0, "use_tf32": 0}), _CPU]


def device_of(providers: Sequence[str], device: torch.device) -> torch.device:
    """Return where a network runs: a package may be built with CUDA and not find CUDA's libraries.

    Args:
        providers: What its session says it runs with, best first.
        device: Where it should run.
    """
    return device if providers[0] == _CUDA else torch.device("cpu")
