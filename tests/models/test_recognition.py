"""Recognizing networks by keys and shapes, and saying what else a file looks like."""

from __future__ import annotations

import pytest
import torch
import torchvision
from network_parity import load_fixture
from torch import Tensor

from mrpose_cli.errors import WeightsError
from mrpose_cli.models import create_model, list_models, recognize


def _state(name: str, joints: int = 17, size: tuple[int, int] = (256, 192)) -> dict[str, Tensor]:
    with torch.device("meta"):
        return create_model(name, joints, size).state_dict()


@pytest.mark.parametrize("name", [*list_models("*r18*"), *list_models("*-s101"), *list_models("rtmpose-*")])
def test_own_checkpoints_are_recognized(name: str) -> None:
    found = recognize(_state(name, joints=16, size=(384, 288)))
    assert (found.name, found.joints) == (name, 16)


def test_refined_and_plain_rsn_are_told_apart() -> None:
    assert recognize(_state("2xrsn-18-prm")).name == "2xrsn-18-prm"
    assert recognize(_state("2xrsn-18")).name == "2xrsn-18"


def test_layouts() -> None:
    assert recognize(_state("rsn-18")).layout == "mrpose"
    assert recognize(_state("rtmpose-t")).layout == "mrpose"
    assert recognize(_state("hrnet-w32")).layout == "authors"


@pytest.mark.parametrize(
    "fixture",
    [
        "mmpose-simplebaseline-res50-17kpt-256x192",
        "mmpose-rsn18-17kpt-256x192",
        "mmpose-hourglass52-17kpt-256x256",
    ],
)
def test_heads_as_mmpose_called_them_before_1_0(fixture: str) -> None:
    reference = load_fixture(fixture)
    state = {
        key.replace("head.", "keypoint_head."): torch.empty(shape, device="meta")
        for key, shape in reference.shapes.items()
    }
    found = recognize(state)
    assert (found.name, found.layout) == (reference.network, "mmpose")


def test_input_size_of_a_coordinate_classifier() -> None:
    assert recognize(_state("rtmpose-s", size=(384, 288))).input_size == (384, 288)


def test_nearly_right_names_the_network_and_the_keys() -> None:
    state = _state("mrfea2-r50")
    del state["deconv12.0.weight"]
    with pytest.raises(WeightsError) as caught:
        recognize(state, origin="best.pth")
    assert str(caught.value) == (
        "best.pth is no network of this package; mrfea2-r50 is nearest: 1 missing (deconv12.0.weight)"
    )


def test_sizes_no_network_takes() -> None:
    state = _state("rtmpose-s") | {"cls_x.weight": torch.zeros(99, 256)}
    with pytest.raises(WeightsError, match="this checkpoint is no"):
        recognize(state)


def test_classifier() -> None:
    with torch.device("meta"):
        state = torchvision.models.resnet50().state_dict()
    with pytest.raises(WeightsError, match="looks like a torchvision ResNet classifier"):
        recognize(state)


@pytest.mark.parametrize("key", ["weight", "final_layer.weight", "stages.0.up.3.predict.1.conv.weight"])
def test_something_else(key: str) -> None:
    with pytest.raises(WeightsError, match=f"none of the networks of this package .*{key}"):
        recognize({key: torch.zeros(())})
