"""Opening ONNX files with ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from mrpose_cli.errors import WeightsError


def open_session(path: Path, device: str, *, outputs: tuple[str, ...]) -> Any:
    """An inference session on ``device`` (``"cpu"`` or ``"cuda"``).

    CUDA is used where the installed ONNX Runtime has it (package ``onnxruntime-gpu``), the CPU
    otherwise.

    Raises:
        WeightsError: the file is not a network with these outputs.
    """
    # Read once, when the library is loaded: without it recent versions keep a device id in the user's
    # cache folder and send usage data. Their disable_telemetry_events() comes too late for both.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    import onnxruntime

    onnxruntime.set_default_logger_severity(3)  # its warnings speak of graph internals
    options = onnxruntime.SessionOptions()
    # Its threads would otherwise burn the cores between two runs, which are the other stages' turn.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    providers = ["CPUExecutionProvider"]
    if device == "cuda" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, "CUDAExecutionProvider")
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
    return session
