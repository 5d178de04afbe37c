"""Which engine runs what, and that all of them give the same answer."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from mrpose_cli import load_pipeline
from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.jobs.common import few_threads
from mrpose_cli.pipeline.detectors import WholeImage
from mrpose_cli.pipeline.engines import ENGINES, Engine, engine_for
from mrpose_cli.pipeline.engines.onnx import OnnxEngine
from mrpose_cli.pipeline.engines.openvino import OpenVinoEngine
from mrpose_cli.pipeline.engines.torch import TorchEngine
from mrpose_cli.pipeline.options import EngineName
from mrpose_cli.pipeline.sparse import SparseDetector
from mrpose_cli.weights.manifest import find_detector, find_pose

CPU, CUDA, MPS = torch.device("cpu"), torch.device("cuda"), torch.device("mps")


def test_the_first_engine_that_can_runs_a_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    rtmpose, other, yolox = find_pose("rtmpose-s"), find_pose("mrfea2-cspnext-s"), find_detector("yolox-tiny")
    monkeypatch.setattr(OpenVinoEngine, "runs", lambda entry, device: False)
    assert [engine_for(rtmpose, device) for device in (CPU, CUDA, MPS)] == [
        "onnx",
        "torch",
        "torch",
    ]
    assert [engine_for(other, device) for device in (CPU, CUDA)] == ["torch", "torch"]
    assert [engine_for(yolox, device) for device in (CPU, CUDA)] == ["onnx", "onnx"]
    monkeypatch.setattr(OnnxEngine, "runs", lambda entry, device: False)
    with pytest.raises(UsageError, match="yolox-tiny needs OpenVINO or ONNX Runtime"):
        engine_for(yolox, CPU)


@pytest.fixture(scope="module", params=ENGINES.values(), ids=lambda engine: engine.name)
def engine(request: pytest.FixtureRequest, weights: Callable[[str], Path]) -> Engine:
    loaded: Engine = request.param.load(find_pose("rtmpose-s"), weights("rtmpose-s"), CPU, torch.float32)
    return loaded


def test_engines_give_the_same_answer(engine: Engine, weights: Callable[[str], Path]) -> None:
    expected = TorchEngine.load(find_pose("rtmpose-s"), weights("rtmpose-s"), CPU, torch.float32)
    crops = torch.rand(2, 3, 256, 192)
    with torch.inference_mode():
        wanted = crops.to(engine.input.device, engine.input.dtype, memory_format=engine.input.memory_format)
        for one, other in zip(engine(wanted), expected(crops), strict=True):
            assert (one - other).abs().max() < 1e-5


def test_engines_say_how_they_run(engine: Engine) -> None:
    assert (engine.device, engine.dtype, engine.note) == (CPU, torch.float32, None)
    assert "fp32" in engine.dtypes
    assert engine.input.size in (None, (256, 192))


def test_an_onnx_file_of_another_size_is_turned_away(weights: Callable[[str], Path], tmp_path: Path) -> None:
    mine = Path(shutil.copy(weights("rtmpose-s"), tmp_path / "mine.onnx"))
    other = find_pose("rtmpose-s").model_copy(update={"input_size": (384, 288)})
    with pytest.raises(WeightsError, match="takes crops of 256x192, rtmpose-s of 384x288"):
        OnnxEngine.load(other, mine, CPU, torch.float32)


@pytest.mark.parametrize(
    ("model", "detector", "engine", "with_torch"),
    [
        ("rtmpose-s", "whole-image", "onnx", False),
        ("rtmpose-s", "yolox-tiny", "onnx", False),
        ("rtmpose-s", "yolo26n", "openvino", False),
        ("mrfea2-cspnext-s", "yolox-tiny", "torch", True),
        ("rtmpose-s", "yolo26n", "torch", True),
    ],
)
def test_torch_gets_threads_where_it_computes(
    weights: Callable[[str], Path], model: str, detector: str, engine: EngineName, with_torch: bool
) -> None:
    for name in (model, detector):
        if name != "whole-image":
            weights(name)  # skips where they cannot be had
    pipeline = load_pipeline(model, detector, device="cpu", engine=engine)
    sparse = pipeline.with_detector(SparseDetector(pipeline.detector, 3), 6)
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        for one in (pipeline, sparse):
            with few_threads(one):
                assert torch.get_num_threads() == (3 if with_torch else 1)
            assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(usual)


def test_a_pipeline_with_another_detector_is_otherwise_the_same() -> None:
    pipeline = load_pipeline("mrfea2-cspnext-s", "whole-image", device="cpu", batch_size=3, frame_batch=2)
    other = WholeImage()
    same, more = pipeline.with_detector(other), pipeline.with_detector(other, 5)
    assert same.detector is more.detector is other
    assert same.estimator is pipeline.estimator and same.clock is pipeline.clock
    assert (same.batch_size, same.frame_batch, more.frame_batch) == (3, 2, 5)
