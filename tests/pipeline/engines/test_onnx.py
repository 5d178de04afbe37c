"""Where ONNX networks run, and what is said of it."""

from collections.abc import Callable
from pathlib import Path

import onnxruntime
import pytest
import torch

from mrpose_cli import load_pipeline
from mrpose_cli.jobs.common import conditions
from mrpose_cli.pipeline.engines.onnx import OnnxEngine, device_of, wanted_providers

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 1)
BUILT_WITH_CUDA = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"]


def test_cuda_is_asked_for_on_the_right_card_and_in_full_float32() -> None:
    assert wanted_providers(CPU, BUILT_WITH_CUDA) == ["CPUExecutionProvider"]
    assert wanted_providers(torch.device("mps"), BUILT_WITH_CUDA) == ["CPUExecutionProvider"]
    assert wanted_providers(CUDA, ["CPUExecutionProvider"]) == ["CPUExecutionProvider"]
    (name, given), last = wanted_providers(CUDA, BUILT_WITH_CUDA)
    assert (name, last) == ("CUDAExecutionProvider", "CPUExecutionProvider")
    assert given == {"device_id": 1, "use_tf32": 0}


def test_a_session_says_where_it_runs() -> None:
    assert device_of(["CUDAExecutionProvider", "CPUExecutionProvider"], CUDA) == CUDA
    assert device_of(["CPUExecutionProvider"], CUDA) == CPU


@pytest.mark.skipif(
    "CUDAExecutionProvider" in onnxruntime.get_available_providers(), reason="this ONNX Runtime has CUDA"
)
def test_a_network_that_falls_back_to_the_cpu_says_so(weights: Callable[[str], Path]) -> None:
    network = OnnxEngine(weights("rtmpose-s"), CUDA, outputs=("simcc_x", "simcc_y"))
    assert network.device == CPU
    assert network.input.size == (256, 192)
    assert network.input.device == CPU
    assert network.note is not None
    assert network.note.startswith("runs on the CPU") and "onnxruntime-gpu" in network.note
    assert "\n" not in network.note
    x, y = network(torch.zeros(1, 3, 256, 192))
    assert (x.shape[-1], y.shape[-1]) == (384, 512)


def test_the_json_says_where_the_network_ran() -> None:
    pipeline = load_pipeline("mrfea2-cspnext-s", "whole-image", device="cpu", engine="torch")
    info = conditions(pipeline)
    assert (info["engine"], info["device"], info["dtype"]) == ("PyTorch", "cpu", "float32")
    assert (info["boxes"], info["boxes_engine"]) == ("whole-image", None)


@pytest.mark.parametrize("device", [CPU, torch.device("mps")])
def test_a_network_that_runs_where_it_can_says_nothing(
    weights: Callable[[str], Path], device: torch.device
) -> None:
    network = OnnxEngine(weights("rtmpose-s"), device, outputs=("simcc_x", "simcc_y"))
    assert (network.device, network.note) == (CPU, None)
