"""What networks start from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.models.identify import write_safetensors
from mrpose_cli.models.registry import create_model
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.start import build, describe
from mrpose_cli.weights.store import WeightsStore

STORE = WeightsStore(offline=True)


def _same(one: nn.Module, other: nn.Module, prefix: str = "") -> bool:
    first, second = one.state_dict(), other.state_dict()
    return all(torch.equal(first[key], second[key]) for key in first if key.startswith(prefix))


def _body_file(path: Path, network: nn.Module) -> Path:
    heads = ("deconv", "final")
    body = {key: value for key, value in network.state_dict().items() if not key.startswith(heads)}
    save_file({**body, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path)
    return path


def test_fresh_weights_are_the_seeds() -> None:
    first, words = build(TrainConfig(init="random"), STORE)
    assert words == "random weights"
    assert _same(first, build(TrainConfig(init="random"), STORE)[0])
    assert not _same(first, build(TrainConfig(init="random", seed=1), STORE)[0], "final_layer.weight")


def test_imagenet_gives_the_backbone_and_the_seed_the_head(weights: Callable[[str], Path]) -> None:
    weights("resnet18-imagenet")
    network, words = build(TrainConfig(), STORE)
    assert words == "resnet18-imagenet (120 tensors), a fresh head"
    other, _ = build(TrainConfig(init="imagenet", model="simplebaseline-r18"), STORE)
    assert _same(network, other, "layer4.") and _same(network, other, "bn1.")
    assert _same(network, build(TrainConfig(init="random"), STORE)[0], "deconv11.")
    assert not _same(network, build(TrainConfig(init="random"), STORE)[0], "layer1.0.conv1")


def test_where_there_are_no_imagenet_weights_nothing_is_pretended() -> None:
    assert build(TrainConfig(model="hrnet-w32", input_size="64x64"), STORE)[1] == "random weights"
    with pytest.raises(UsageError, match="no ImageNet weights for hrnet-w32"):
        build(TrainConfig(model="hrnet-w32", init="imagenet", input_size="64x64"), STORE)


def test_a_trained_checkpoint_is_taken_whole(tmp_path: Path) -> None:
    trained = create_model("mrfea2-r18")
    write_safetensors(tmp_path / "trained.safetensors", trained, describe(TrainConfig()))
    network, words = build(TrainConfig(init=str(tmp_path / "trained.safetensors")), STORE)
    digest = hashlib.sha256((tmp_path / "trained.safetensors").read_bytes()).hexdigest()
    assert _same(network, trained)
    assert words == f"trained.safetensors (mrfea2-r18, sha256 {digest[:12]}), all of it"
    with pytest.raises(WeightsError, match="holds mrfea2-r18, which is not the network"):
        build(TrainConfig(model="mrfea1-r18", init=str(tmp_path / "trained.safetensors")), STORE)


def test_of_a_classifier_the_backbone_is_taken(tmp_path: Path) -> None:
    other = create_model("mrfea2-r18")
    path = _body_file(tmp_path / "resnet18.safetensors", other)
    network, words = build(TrainConfig(init=str(path)), STORE)
    assert _same(network, other, "layer") and "the backbone in resnet18.safetensors" in words
    with pytest.raises(WeightsError, match="not the backbone of this network"):
        build(TrainConfig(model="mrfea2-r34", init=str(path)), STORE)
    with pytest.raises(WeightsError, match="no weights file at"):
        build(TrainConfig(init=str(tmp_path / "none.pth")), STORE)


def test_networks_without_heatmaps_are_refused() -> None:
    with pytest.raises(UsageError, match="gives no heatmaps"):
        build(TrainConfig(model="rtmpose-t", init="random"), STORE)


def test_the_entry_is_complete() -> None:
    entry = describe(TrainConfig(model="mrfea1-res50", input_size="384x288"))
    assert entry.name == entry.arch == "mrfea1-r50" and entry.input_size == (384, 288)
    assert entry.file == "mrfea1-r50_coco_384x288.safetensors"
    assert (entry.joints, entry.color, entry.codec, entry.flip_test) == (17, "rgb", "udp", True)
    with pytest.raises(UsageError, match="height x width"):
        describe(TrainConfig(input_size="256"))
