"""What jobs that run networks share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import torch

from mrpose_cli.errors import MrposeError
from mrpose_cli.pipeline.engines.base import Engine
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.version import __version__


def conditions(pipeline: Pipeline) -> dict[str, Any]:
    """Return the conditions of the run, for the JSON."""
    estimator = pipeline.estimator
    return {
        "description": f"Human poses estimated by mrpose {__version__}",
        "version": __version__,
        "coordinates": "pixels of the upright image (EXIF applied); (0, 0) is the first pixel's center",
        "model": estimator.entry.name,
        "joints": estimator.skeleton.name,
        "input_size": list(estimator.entry.input_size),
        "codec": estimator.entry.codec,
        "flip_test": estimator.flip,
        "dtype": dtype_name(estimator.engine),
        "device": device_name(estimator.engine.device),
        "engine": estimator.engine.name,
        "boxes": pipeline.detector.name,
        "boxes_engine": pipeline.detector.engine and pipeline.detector.engine.name,
    }


def dtype_name(engine: Engine) -> str:
    """Return the type that an engine computes in, for reports: ``"bfloat16"``."""
    return str(engine.dtype).removeprefix("torch.")


def device_name(device: torch.device) -> str:
    """Return where a network runs, for reports: ``"cpu"`` or ``"cuda (NVIDIA L4)"``."""
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else device.type


@contextmanager
def few_threads(pipeline: Pipeline) -> Iterator[None]:
    """Leave the cores to the networks.

    A crop is too small to be shared among OpenCV's threads (it takes three times as long on two). And where
    only other engines compute, torch has little to do, but its threads go on spinning for a while after each
    operation and take the cores from other engines': a fifth of the wall time on two cores.
    """
    usual, usual_opencv = torch.get_num_threads(), cv2.getNumThreads()
    cv2.setNumThreads(1)
    engines = (pipeline.estimator.engine, pipeline.detector.engine)
    if not any(engine and engine.uses_torch for engine in engines):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)
        cv2.setNumThreads(usual_opencv)


def reason_of(error: BaseException | None) -> str:
    """Describe an error to the user in one line."""
    if isinstance(error, MrposeError):
        return str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return "not enough memory for this picture"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
