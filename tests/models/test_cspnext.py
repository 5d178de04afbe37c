"""CSPNeXt with the weights of RTMPose's ONNX file: as RTMPose, and as another network's backbone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from mrpose_cli.errors import WeightsError
from mrpose_cli.models import convert, create_model, identify, load_model
from mrpose_cli.models.backbone import backbone_norms, load_backbone, read_backbone, settle_norms
from mrpose_cli.models.checkpoint import read_state_dict
from mrpose_cli.models.recognition import recognize
from mrpose_cli.models.rtmpose import RTMPose
from mrpose_cli.pipeline.engines.onnx import OnnxEngine

NAME = "mrfea2-cspnext-s"


@pytest.fixture(scope="module")
def file(weights: Callable[[str], Path]) -> Path:
    return weights("rtmpose-s")


@pytest.fixture(scope="module")
def crops() -> Tensor:
    """Smooth pictures, normalized: (4, 3, 256, 192)."""
    random = torch.randn(4, 3, 16, 12, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(random, (256, 192), mode="bicubic")


@pytest.fixture(scope="module")
def rtmpose(file: Path) -> RTMPose:
    network = load_model(file)
    assert isinstance(network, RTMPose)
    return network


def test_the_onnx_file_is_rtmpose_as_a_torch_network(file: Path, crops: Tensor, rtmpose: RTMPose) -> None:
    found = recognize(read_state_dict(file))
    assert found == ("rtmpose-s", 26, "mmpose", (256, 192))
    expected = OnnxEngine(file, torch.device("cpu"), outputs=("simcc_x", "simcc_y"))(crops)
    with torch.inference_mode():
        answer = rtmpose(crops)
    for one, other in zip(expected, answer, strict=True):
        assert one.abs().max() > 0.1
        assert (one - other).abs().max() < 1e-5


def test_the_converted_file_is_the_same_network(
    file: Path, crops: Tensor, rtmpose: RTMPose, tmp_path: Path
) -> None:
    written = convert(file, tmp_path / "rtmpose.safetensors")
    assert (written.name, written.format, written.codec) == ("rtmpose-s", "torch", "simcc")
    assert identify(tmp_path / "rtmpose.safetensors") == written
    with torch.inference_mode():
        assert torch.equal(load_model(tmp_path / "rtmpose.safetensors")(crops)[0], rtmpose(crops)[0])


def test_its_backbone_fits_other_networks_and_its_norms_get_statistics(
    file: Path, crops: Tensor, rtmpose: RTMPose
) -> None:
    network = create_model(NAME)
    head = network.get_parameter("final_layer.weight").clone()
    assert load_backbone(network, read_backbone(file), origin="rtmpose-s") == 203
    assert torch.equal(network.get_parameter("final_layer.weight"), head)
    with torch.inference_mode():
        expected = rtmpose.features(crops)
        settle_norms(network.eval(), crops.split(2))
        settled = network.features(crops)  # type: ignore[operator]
        trained = network.train().features(crops)  # type: ignore[operator]
    for one, other, third in zip(expected, settled, trained, strict=True):
        assert (one - other).abs().max() < 1e-5 * one.abs().max()
        # The statistics of the batch are those that the norms were given.
        assert (one - third).abs().max() < 2e-2 * one.abs().max()
    assert all(
        norm.running_var is not None and norm.running_var.ne(1).any() for norm in backbone_norms(network)
    )


def test_mmposes_own_checkpoints_have_the_backbone_too(tmp_path: Path) -> None:
    state = {f"backbone.{key}": value for key, value in create_model("rtmpose-t").state_dict().items()}
    save_file(state, tmp_path / "rtmpose-t.safetensors")
    network = create_model("mrfea2-cspnext-t")
    load_backbone(network, read_backbone(tmp_path / "rtmpose-t.safetensors"), origin="rtmpose-t")
    stem = "stem.0.conv.weight"
    assert torch.equal(network.get_parameter(stem), state[f"backbone.{stem}"])
    with pytest.raises(WeightsError, match="not the backbone of this network"):
        load_backbone(create_model(NAME), read_backbone(tmp_path / "rtmpose-t.safetensors"), origin="it")


def test_a_damaged_file_is_refused(file: Path, tmp_path: Path) -> None:
    cut, noise = tmp_path / "cut.onnx", tmp_path / "noise.onnx"
    cut.write_bytes(file.read_bytes()[:1_000_000])
    noise.write_bytes(b"\x08not an ONNX file")
    for path in (cut, noise, tmp_path / "none.onnx"):
        with pytest.raises(WeightsError, match=r"not a readable checkpoint|no weights file|no state dict"):
            load_model(path)
