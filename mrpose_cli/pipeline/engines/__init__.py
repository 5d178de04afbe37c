"""What runs networks: one file and one row each."""

import sys

from torch import device as Device  # here `torch` is the file beside this one

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.pipeline.engines.base import Checkpoint, Engine
from mrpose_cli.pipeline.engines.onnx import OnnxEngine
from mrpose_cli.pipeline.engines.openvino import OpenVinoEngine
from mrpose_cli.pipeline.engines.torch import TorchEngine
from mrpose_cli.pipeline.options import EngineName

__all__ = ["ENGINES", "Checkpoint", "Engine", "engine_for"]

# By what users call them; the first one that runs a checkpoint on a device is taken.
ENGINES: dict[EngineName, type[Engine]] = {
    "openvino": OpenVinoEngine,
    "onnx": OnnxEngine,
    "torch": TorchEngine,
}
if sys.platform == "darwin":  # where OpenVINO does not use the matrix units
    ENGINES["openvino"] = ENGINES.pop("openvino")


def engine_for(entry: Checkpoint, device: Device, name: EngineName = "auto") -> EngineName:
    """Choose the engine for a checkpoint on a device, a key of :data:`ENGINES`.

    Args:
        entry: The checkpoint.
        device: Where it is to run.
        name: A key of :data:`ENGINES`, or ``"auto"``.

    Raises:
        UsageError: the named one does not, or nothing that is installed does.
    """
    if name not in ("auto", *ENGINES):
        raise UsageError(f"'{name}' is not an engine; use auto or {', '.join(ENGINES)}")
    able = [key for key, engine in ENGINES.items() if engine.runs(entry, device)]
    if name != "auto" and name not in able:
        raise UsageError(
            f"{entry.name} does not run in {name} on {device.type} here; leave {parameter('engine')} at auto"
            + (f" or take {' or '.join(able)}" if able else "")
        )
    if not able and device.type != "cpu" and any(e.runs(entry, Device("cpu")) for e in ENGINES.values()):
        raise UsageError(f"{entry.name} runs on the CPU alone; pass {parameter('device')} cpu")
    if not able:
        raise UsageError(f"{entry.name} needs OpenVINO or ONNX Runtime; `pip install openvino` brings one")
    return able[0] if name == "auto" else name
