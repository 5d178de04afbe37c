"""The network at the beginning of a run."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import nn

from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.models.backbone import load_backbone, read_backbone
from mrpose_cli.models.identify import identify
from mrpose_cli.models.registry import canonical, create_model, model_info
from mrpose_cli.pipeline.factory import load_network
from mrpose_cli.skeletons import COCO17
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.weights.manifest import PoseEntry, find_backbone, find_pose, load_manifest
from mrpose_cli.weights.store import WeightsStore, file_sha256

_CONVENTIONS = "mrpose"


def describe(config: TrainConfig) -> PoseEntry:
    """What the trained checkpoint is and expects.

    Raises:
        UsageError: the network or the input size will not do.
    """
    arch = model_info(config.model).name
    height, width = config.size
    return PoseEntry(
        **load_manifest().conventions[_CONVENTIONS],
        conventions=_CONVENTIONS,
        name=arch,
        file=f"{arch}_coco_{height}x{width}.safetensors",
        about=f"{model_info(arch).family} trained with mrpose",
        arch=arch,
        input_size=config.size,
    )


def build(config: TrainConfig, store: WeightsStore) -> tuple[nn.Module, str]:
    """The network and, in words, what it starts from.

    Args:
        config: Which network, from what; its seed makes fresh weights the same each time.
        store: Where named weights are found.

    Raises:
        UsageError: unknown names, or a network that gives no heatmaps.
        WeightsError: weights cannot be had or do not fit.
    """
    info = model_info(config.model)
    torch.manual_seed(config.seed)
    network = create_model(info.name, len(COCO17.joints), config.size)
    with torch.no_grad():
        height, width = config.size
        answer = network.eval()(torch.zeros(1, 3, height, width))
    if not isinstance(answer, torch.Tensor) or answer.shape[2:] != (height // 4, width // 4):
        raise UsageError(f"{info.name} gives no heatmaps, and nothing else can be trained yet")
    wanted = config.init
    row = _imagenet_row(info.name)
    if wanted == "auto":
        wanted = "imagenet" if row else "random"
    if wanted == "random":
        return network, "random weights"
    if wanted == "imagenet":
        if row is None:
            raise UsageError(
                f"there are no ImageNet weights for {info.name}; pass a file with --init, or random"
            )
        path = store.resolve(find_backbone(row))
        count = load_backbone(network, read_backbone(path), origin=row)
        return network, f"{row} ({count} tensors), a fresh head"
    return _from_weights(network, wanted, store)


def _imagenet_row(name: str) -> str | None:
    """The manifest's row with the network's ResNet; None where there is none or it has another backbone."""
    depth = re.fullmatch(r".*-r(\d+)", name)
    rows = {row.arch: row.name for row in load_manifest().backbone}
    return rows.get(f"resnet{depth[1]}") if depth else None


def _from_weights(network: nn.Module, wanted: str, store: WeightsStore) -> tuple[nn.Module, str]:
    path = Path(wanted).expanduser()
    if not path.is_file():
        if path.suffix or path.parent != Path():
            raise WeightsError(f"there is no weights file at {path}")
        path = store.resolve(find_pose(canonical(wanted)))
    own = network.state_dict()
    try:
        entry = identify(path)
        state = load_network(entry, path, torch.device("cpu"), torch.float32)
    except (WeightsError, UsageError):
        count = load_backbone(network, read_backbone(path), origin=str(path))
        return network, f"the backbone in {path.name} ({count} tensors), a fresh head"
    if not isinstance(state, nn.Module):
        raise UsageError(f"{path.name} cannot be trained on: it is an ONNX file")
    weights = state.state_dict()
    if weights.keys() != own.keys() or any(weights[key].shape != own[key].shape for key in own):
        raise WeightsError(f"{path.name} holds {entry.name}, which is not the network to be trained")
    network.load_state_dict(weights)
    # A file that was trained further often keeps its name: only its hash tells the two apart.
    return network, f"{path.name} ({entry.name}, sha256 {file_sha256(path)[:12]}), all of it"
