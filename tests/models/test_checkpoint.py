"""Checkpoint files: what is read from them, and how the wrong ones are turned away."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from network_parity import filled
from safetensors.torch import save_file
from torch import Tensor

from mrpose_cli.errors import WeightsError
from mrpose_cli.models import create_model, load_checkpoint, read_state_dict, recognize


@pytest.fixture(scope="module")
def weights() -> dict[str, Tensor]:
    """The authors' layout of MRFeaNet1 on ResNet-18, 16 joints."""
    return filled(lambda: create_model("mrfea1-r18", joints=16)).state_dict()


class Code:
    """Pickled, it is a command that leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (f"echo ran > '{self.trace}'",)


def _assert_loaded(path: Path, weights: dict[str, Tensor]) -> None:
    model = load_checkpoint("mrfea1-r18", path)
    own = model.state_dict()
    assert not model.training
    assert own["final_layer.bias"].shape == (16,)
    for key, value in weights.items():
        assert torch.equal(own[key], value), key


def test_plain_state_dict(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "final_state.pth")
    _assert_loaded(tmp_path / "final_state.pth", weights)


def test_safetensors(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    save_file({k: v.contiguous() for k, v in weights.items()}, tmp_path / "mrfea.safetensors")
    _assert_loaded(tmp_path / "mrfea.safetensors", weights)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "model_state_dict"])
def test_training_checkpoint(tmp_path: Path, weights: dict[str, Tensor], wrapper: str) -> None:
    parallel = {f"module.{key}": value for key, value in weights.items()}
    torch.save({"epoch": 140, wrapper: parallel, "optimizer": {"state": {}}}, tmp_path / "checkpoint.pth")
    _assert_loaded(tmp_path / "checkpoint.pth", weights)


def test_mmpose_checkpoint_with_numpy_in_its_metadata(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    head = ("deconv", "final_layer")
    state = {f"{'head' if key.startswith(head) else 'backbone'}.{key}": v for key, v in weights.items()}
    state["data_preprocessor.mean"] = torch.zeros(3, 1, 1)
    meta = {"dataset_meta": {"sigmas": np.array([0.026, 0.025]), "num_keypoints": np.int64(16)}}
    torch.save({"meta": meta, "state_dict": state}, tmp_path / "td-hm.pth")
    _assert_loaded(tmp_path / "td-hm.pth", weights)


def test_heads_before_mmpose_1(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    head = ("deconv", "final_layer")
    state = {f"{'keypoint_head' if k.startswith(head) else 'backbone'}.{k}": v for k, v in weights.items()}
    torch.save({"state_dict": state}, tmp_path / "old.pth")
    _assert_loaded(tmp_path / "old.pth", weights)


def test_half_precision_files_and_missing_counters(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    floats = {key: value.half() for key, value in weights.items() if value.is_floating_point()}
    torch.save(floats, tmp_path / "half.pth")
    model = load_checkpoint("mrfea1-r18", tmp_path / "half.pth")
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.equal(model.state_dict()["conv1.weight"], floats["conv1.weight"].float())
    assert model.state_dict()["bn1.num_batches_tracked"] == 0


def test_no_tensor_is_left_on_the_meta_device(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "w.pth")
    model = load_checkpoint("mrfea1-r18", tmp_path / "w.pth")
    tensors = [*model.parameters(), *model.buffers()]
    assert {tensor.device.type for tensor in tensors} == {"cpu"}


def test_input_size_is_read_where_shapes_tell(tmp_path: Path) -> None:
    weights = filled(lambda: create_model("rtmpose-t", joints=17, input_size=(128, 96))).state_dict()
    torch.save(weights, tmp_path / "rtm.pth")
    with torch.inference_mode():
        x, y = load_checkpoint("rtmpose-t", tmp_path / "rtm.pth")(torch.zeros(1, 3, 128, 96))
    assert (x.shape, y.shape) == ((1, 17, 192), (1, 17, 256))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "bare"])
def test_code_in_a_pickle_is_never_run(tmp_path: Path, protocol: int, zipped: bool) -> None:
    trace, path = tmp_path / "trace", tmp_path / "evil.pth"
    content = {"meta": Code(trace), "state_dict": {"a": torch.zeros(2)}}
    if zipped:
        torch.save(content, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(content, protocol=protocol))
    with pytest.raises(WeightsError, match=r"evil\.pth .*holds code \(\w+\.system\)"):
        read_state_dict(path)
    assert not trace.exists()
    # The same payload does run where pickles are trusted, so the line above would notice.
    pickle.loads(pickle.dumps(Code(trace), protocol=protocol))
    assert trace.exists()


def test_objects_in_a_pickle_are_named(tmp_path: Path) -> None:
    torch.save({"state_dict": {"a": torch.zeros(1)}, "where": Path("x")}, tmp_path / "object.pth")
    with pytest.raises(WeightsError, match=r"holds code \(pathlib"):
        read_state_dict(tmp_path / "object.pth")


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"there is no weights file at .*nowhere\.pth"):
        read_state_dict(tmp_path / "nowhere.pth")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [0, 100, 20_000_000])
def test_truncated_file(tmp_path: Path, weights: dict[str, Tensor], suffix: str, kept: int) -> None:
    whole, cut = tmp_path / f"whole{suffix}", tmp_path / f"cut{suffix}"
    if suffix == ".pth":
        torch.save(weights, whole)
    else:
        save_file(weights, whole)
    cut.write_bytes(whole.read_bytes()[:kept])
    with pytest.raises(WeightsError, match=r"cut\.\w+ is not a readable checkpoint \(.+\)$"):
        read_state_dict(cut)


def test_two_wrapped_tensors_for_one_key_are_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save({**weights, "module.conv1.weight": weights["conv1.weight"]}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"1 unexpected \(module\.conv1\.weight\)"):
        load_checkpoint("mrfea1-r18", tmp_path / "w.pth")


def test_files_that_are_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "notes.pth").write_text("these are not weights")
    with pytest.raises(WeightsError, match="not a readable checkpoint"):
        read_state_dict(tmp_path / "notes.pth")
    with pytest.raises(WeightsError, match="not a readable checkpoint"):
        read_state_dict(tmp_path)
    torch.save({"state_dict": {}, "epoch": 3}, tmp_path / "empty.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_state_dict(tmp_path / "empty.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    with pytest.raises(WeightsError, match="holds no state dict"):
        read_state_dict(tmp_path / "tensor.pth")


def test_another_depth_is_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(WeightsError) as caught:
        load_checkpoint("mrfea1-r34", tmp_path / "w.pth")
    assert "w.pth does not fit this network: 80 missing (layer1.2.conv1.weight, " in str(caught.value)
    assert "\n" not in str(caught.value)


def test_other_joints_than_asked_for_are_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"2 of another shape \(final_layer.weight: \(16, 64, 1, 1\) for"):
        load_checkpoint("mrfea1-r18", tmp_path / "w.pth", joints=17)


def test_another_family_is_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save(weights, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w\.pth does not fit rsn-18: it has no stages\.0"):
        load_checkpoint("rsn-18", tmp_path / "w.pth")


def test_left_over_tensors_are_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    torch.save({**weights, "layer5.weight": torch.zeros(2)}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"1 unexpected \(layer5\.weight\)"):
        load_checkpoint("mrfea1-r18", tmp_path / "w.pth")


def test_two_tensors_for_one_key_are_refused(tmp_path: Path, weights: dict[str, Tensor]) -> None:
    twice = {**weights, "backbone.conv1.weight": weights["conv1.weight"]}
    torch.save(twice, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"1 unexpected \(backbone\.conv1\.weight\)"):
        load_checkpoint("mrfea1-r18", tmp_path / "w.pth")


def test_yolo_file_is_called_by_its_name(tmp_path: Path) -> None:
    from ultralytics.nn.tasks import DetectionModel

    detector = DetectionModel("yolo11n.yaml", verbose=False)
    torch.save({"epoch": -1, "model": detector}, tmp_path / "yolo.pt")
    with pytest.raises(WeightsError, match=r"yolo\.pt is a YOLO detector \(ultralytics"):
        read_state_dict(tmp_path / "yolo.pt")
    torch.save(detector.state_dict(), tmp_path / "tensors.pt")
    with pytest.raises(WeightsError, match="looks like a YOLO detector"):
        recognize(read_state_dict(tmp_path / "tensors.pt"))
