"""What runs networks: one file and one row each."""

from torch import device as Device  # here `torch` is the file beside this one

from mrpose_cli.pipeline.engines.base import Checkpoint, Engine
from mrpose_cli.pipeline.engines.onnx import OnnxEngine
from mrpose_cli.pipeline.engines.torch import TorchEngine

__all__ = ["ENGINES", "Checkpoint", "Engine", "engine_for"]

# The first one that runs a checkpoint on a device is taken.
ENGINES: tuple[type[Engine], ...] = (OnnxEngine, TorchEngine)


def engine_for(entry: Checkpoint, device: Device) -> type[Engine]:
    """What runs a checkpoint on a device."""
    return next(engine for engine in ENGINES if engine.runs(entry, device))
