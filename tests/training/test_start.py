"""What networks start from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.models.identify import convert, load_model, write_safetensors
from mrpose_cli.models.registry import create_model
from mrpose_cli.pipeline.checkpoints import SHIPPED_MODEL
from mrpose_cli.skeletons import COCO17, Skeleton, from_document, get_skeleton
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.start import build, describe
from mrpose_cli.weights.store import WeightsStore

STORE = WeightsStore(offline=True)
R18 = "mrfea2-r18"


def _same(one: nn.Module, other: nn.Module, prefix: str = "") -> bool:
    first, second = one.state_dict(), other.state_dict()
    return all(torch.equal(first[key], second[key]) for key in first if key.startswith(prefix))


def _body_file(path: Path, network: nn.Module) -> Path:
    heads = ("deconv", "final")
    body = {key: value for key, value in network.state_dict().items() if not key.startswith(heads)}
    save_file({**body, "fc.weight": torch.zeros(1000, 512), "fc.bias": torch.zeros(1000)}, path)
    return path


def test_fresh_weights_are_the_seeds() -> None:
    first = build(TrainConfig(model=R18, init="random"), COCO17, STORE)
    assert first.words == "random weights"
    assert _same(first.network, build(TrainConfig(model=R18, init="random"), COCO17, STORE).network)
    other = build(TrainConfig(model=R18, init="random", seed=1), COCO17, STORE).network
    assert not _same(first.network, other, "final_layer.weight")


def test_imagenet_gives_the_backbone_and_the_seed_the_head(weights: Callable[[str], Path]) -> None:
    weights("resnet18-imagenet")
    start = build(TrainConfig(model=R18), COCO17, STORE)
    assert start.words == "the backbone in resnet18-imagenet (120 tensors), a fresh head"
    assert not start.folded
    other = build(TrainConfig(init="imagenet", model="simplebaseline-r18"), COCO17, STORE).network
    assert _same(start.network, other, "layer4.") and _same(start.network, other, "bn1.")
    fresh = build(TrainConfig(model=R18, init="random"), COCO17, STORE).network
    assert _same(start.network, fresh, "deconv11.")
    assert not _same(start.network, fresh, "layer1.0.conv1")


def test_rtmpose_gives_its_backbone(weights: Callable[[str], Path], tmp_path: Path) -> None:
    path = weights("rtmpose-s")
    model, other = "mrfea2-cspnext-s", "mrfea2-cspnext-t"
    auto = build(TrainConfig(model=model, init="rtmpose-s"), COCO17, STORE)
    assert auto.words == f"the backbone in {path.name} (203 tensors), a fresh head"
    assert auto.folded
    convert(path, tmp_path / "converted.safetensors")
    for init in (str(path), str(tmp_path / "converted.safetensors")):
        start = build(TrainConfig(model=model, init=init), COCO17, STORE)
        assert _same(auto.network, start.network) and start.folded
    with pytest.raises(UsageError, match="no ImageNet weights for mrfea2-cspnext-s"):
        build(TrainConfig(model=model, init="imagenet"), COCO17, STORE)
    assert build(TrainConfig(model=other, init="random"), COCO17, STORE).words == "random weights"


def test_without_a_backbone_there_is_nothing_to_treat_apart() -> None:
    for config in (TrainConfig(backbone_lr=0.1), TrainConfig(freeze_norms=True)):
        config = replace(config, model="hrnet-w32", init="random", input_size="64x64")
        with pytest.raises(UsageError, match="hrnet-w32 has no backbone"):
            build(config, COCO17, STORE)


def test_where_there_are_no_imagenet_weights_nothing_is_pretended() -> None:
    assert build(TrainConfig(model="hrnet-w32", input_size="64x64"), COCO17, STORE).words == "random weights"
    with pytest.raises(UsageError, match="no ImageNet weights for hrnet-w32"):
        build(TrainConfig(model="hrnet-w32", init="imagenet", input_size="64x64"), COCO17, STORE)


def test_a_trained_checkpoint_is_taken_whole(tmp_path: Path) -> None:
    trained = create_model("mrfea2-r18")
    write_safetensors(tmp_path / "trained.safetensors", trained, describe(TrainConfig(model=R18), COCO17))
    start = build(TrainConfig(model=R18, init=str(tmp_path / "trained.safetensors")), COCO17, STORE)
    digest = hashlib.sha256((tmp_path / "trained.safetensors").read_bytes()).hexdigest()
    assert _same(start.network, trained)
    assert start.words == f"trained.safetensors (mrfea2-r18, sha256 {digest[:12]}), all of it"
    with pytest.raises(WeightsError, match="holds mrfea2-r18, which is not the network"):
        build(TrainConfig(model="mrfea1-r18", init=str(tmp_path / "trained.safetensors")), COCO17, STORE)


def test_of_a_classifier_the_backbone_is_taken(tmp_path: Path) -> None:
    other = create_model("mrfea2-r18")
    path = _body_file(tmp_path / "resnet18.safetensors", other)
    start = build(TrainConfig(model=R18, init=str(path)), COCO17, STORE)
    assert _same(start.network, other, "layer")
    assert "the backbone in resnet18.safetensors" in start.words
    with pytest.raises(WeightsError, match="not the backbone of this network"):
        build(TrainConfig(model="mrfea2-r34", init=str(path)), COCO17, STORE)
    with pytest.raises(WeightsError, match="no weights file at"):
        build(TrainConfig(model=R18, init=str(tmp_path / "none.pth")), COCO17, STORE)


def test_networks_without_heatmaps_are_refused() -> None:
    with pytest.raises(UsageError, match="gives no heatmaps"):
        build(TrainConfig(model="rtmpose-t", init="random"), COCO17, STORE)


def test_the_entry_is_complete() -> None:
    entry = describe(TrainConfig(model="mrfea1-res50", input_size="384x288"), COCO17)
    assert entry.name == entry.arch == "mrfea1-r50" and entry.input_size == (384, 288)
    assert entry.file == "mrfea1-r50_coco17_384x288.safetensors"
    assert (entry.joints, entry.color, entry.codec, entry.flip_test) == (17, "rgb", "udp", True)
    with pytest.raises(UsageError, match="height x width"):
        describe(TrainConfig(input_size="256"), COCO17)


def _own(*joints: str) -> Skeleton:
    return from_document({"name": "own", "joints": list(joints)}, "a test")


def test_any_joints_start_from_the_weights_that_come_with_mrpose() -> None:
    assert TrainConfig.model == SHIPPED_MODEL
    shipped = load_model(SHIPPED_MODEL).state_dict()
    start = build(TrainConfig(), COCO17, STORE)
    assert start.words.endswith("all of it") and _same(start.network, load_model(SHIPPED_MODEL))
    joints = _own("Tail", "LeftKnee", "NOSE", "hoof_l", "hip")
    start = build(TrainConfig(), joints, STORE)
    assert start.words.endswith("with a new last layer: LeftKnee, NOSE by name, Tail, hoof_l, hip fresh")
    assert start.learned and not start.folded
    own = start.network.state_dict()
    for key in shipped.keys() - {"final_layer.weight", "final_layer.bias"}:
        assert torch.equal(own[key], shipped[key]), key
    for kind in ("weight", "bias"):
        layer, theirs = own[f"final_layer.{kind}"], shipped[f"final_layer.{kind}"]
        assert len(layer) == 5
        assert torch.equal(layer[1], theirs[13]) and torch.equal(layer[2], theirs[0])
    assert own["final_layer.weight"][0].abs().max() < 0.01  # fresh


def test_a_number_of_joints_does_not_tell_what_they_are() -> None:
    joints = get_skeleton("ap10k")  # 17, as COCO has
    start = build(TrainConfig(), joints, STORE)
    own, shipped = start.network.state_dict(), load_model(SHIPPED_MODEL).state_dict()
    for place, joint in enumerate(joints.joints):
        there = COCO17.joints.index(joint) if joint in COCO17.joints else None
        same = there is not None and torch.equal(
            own["final_layer.weight"][place], shipped["final_layer.weight"][there]
        )
        assert same == (there is not None), joint


def test_what_a_checkpoint_expects_follows_from_its_joints() -> None:
    one_sided = _own("nose", "left_hip", "left_knee")
    entry = describe(TrainConfig(flip=0.0), one_sided)
    assert (entry.joints, entry.skeleton, entry.flip_test) == (3, one_sided, False)
    assert entry.file == "mrfea2-cspnext-s_own_256x192.safetensors"
    assert describe(TrainConfig(flip=0.0), COCO17).flip_test
    assert describe(TrainConfig(flip=0.5), _own("a", "b")).flip_test  # as its user said
