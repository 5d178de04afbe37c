"""The network at the beginning of a run."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from mrpose_cli.errors import UsageError, WeightsError, parameter
from mrpose_cli.models.backbone import backbone_norms, backbone_parts, load_backbone, read_backbone
from mrpose_cli.models.checkpoint import load_checkpoint
from mrpose_cli.models.identify import file_name, identify
from mrpose_cli.models.registry import canonical, create_model, model_info
from mrpose_cli.pipeline.checkpoints import SHIPPED_MODEL
from mrpose_cli.skeletons import Skeleton
from mrpose_cli.skeletons.names import same_joint
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.parts import survives_mirrors
from mrpose_cli.weights.manifest import BackboneEntry, Entry, PoseEntry, find_pose, load_manifest
from mrpose_cli.weights.store import WeightsStore, file_sha256

_CONVENTIONS = "mrpose"
_RANDOM = "random weights"


def describe(config: TrainConfig, skeleton: Skeleton) -> PoseEntry:
    """Describe the trained checkpoint and what it expects.

    Args:
        config: Which network, and how it is trained.
        skeleton: Of its joints.

    Raises:
        UsageError: the network or the input size cannot be used.
    """
    arch = model_info(config.model).name
    height, width = config.size
    fields = {
        **load_manifest().conventions[_CONVENTIONS],
        "conventions": _CONVENTIONS,
        "name": arch,
        "file": file_name(Path(f"{arch}_{skeleton.name}_{height}x{width}.safetensors")),
        "about": f"{model_info(arch).family} trained with mrpose",
        "arch": arch,
        "joints": len(skeleton.joints),
        "skeleton": skeleton,
        "input_size": config.size,
        "flip_test": config.flip > 0 or survives_mirrors(skeleton),
    }
    return PoseEntry(**fields)


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """A network at the beginning of a run.

    Attributes:
        network: In evaluation mode, on the CPU.
        words: What it starts from, in words.
        folded: Whether its backbone's norms have no statistics yet, see
            :func:`~mrpose_cli.models.backbone.settle_norms`.
    """

    network: nn.Module
    words: str
    folded: bool = False

    @property
    def learned(self) -> bool:
        """Whether it has a backbone that has learned something."""
        return self.words != _RANDOM and bool(backbone_parts(self.network))


def build(config: TrainConfig, skeleton: Skeleton, store: WeightsStore) -> Start:
    """Build the network with the weights it starts from.

    Args:
        config: Which network and which weights; its seed makes fresh weights the same each time.
        skeleton: Its joints.
        store: Where named weights are found.

    Raises:
        UsageError: unknown names, or a network that gives no heatmaps.
        WeightsError: weights cannot be had or do not fit.
    """
    info = model_info(config.model)
    torch.manual_seed(config.seed)
    network = create_model(info.name, len(skeleton.joints), config.size)
    with torch.no_grad():
        height, width = config.size
        answer = network.eval()(torch.zeros(1, 3, height, width))
    if not isinstance(answer, torch.Tensor) or answer.shape[2:] != (height // 4, width // 4):
        raise UsageError(f"{info.name} gives no heatmaps, and nothing else can be trained yet")
    if not backbone_parts(network) and (config.freeze_norms or config.backbone_lr != 1):
        raise UsageError(
            f"{info.name} has no backbone; leave {parameter('backbone_lr')} and {parameter('freeze_norms')} "
            "out"
        )
    if config.init not in ("auto", "imagenet", "random"):
        return _from_weights(network, config, config.init, skeleton, store)
    if config.init == "auto" and info.name == SHIPPED_MODEL:
        return _from_weights(network, config, SHIPPED_MODEL, skeleton, store)
    row = _backbone_row(info.name)
    if config.init == "imagenet" and not isinstance(row, BackboneEntry):
        raise UsageError(
            f"there are no ImageNet weights for {info.name}; pass a file with {parameter('init')}, or random"
        )
    if config.init == "random" or row is None:
        return Start(network, _RANDOM)
    return _from_backbone(network, store.resolve(row), row.name)


def _backbone_row(name: str) -> Entry | None:
    """Return the manifest's row with the network's backbone; None where there is none.

    A ResNet's is trained on ImageNet, a CSPNeXt's is part of an RTMPose.
    """
    manifest = load_manifest()
    if depth := re.fullmatch(r".*-r(\d+)", name):
        return next((row for row in manifest.backbone if row.arch == f"resnet{depth[1]}"), None)
    if size := re.fullmatch(r".*-cspnext-(\w)", name):
        return next((row for row in manifest.pose if row.arch == f"rtmpose-{size[1]}"), None)
    return None


def _from_backbone(network: nn.Module, path: Path, origin: str) -> Start:
    count = load_backbone(network, read_backbone(path), origin=origin)
    means = [norm.running_mean for norm in backbone_norms(network)]
    folded = all(mean is not None and not mean.any() for mean in means)
    return Start(network, f"the backbone in {origin} ({count} tensors), a fresh head", folded)


def _from_weights(
    network: nn.Module, config: TrainConfig, wanted: str, skeleton: Skeleton, store: WeightsStore
) -> Start:
    path = Path(wanted).expanduser()
    if not path.is_file():
        if path.suffix or path.parent != Path():
            raise WeightsError(f"there is no weights file at {path}")
        path = store.resolve(find_pose(canonical(wanted)))
    own = network.state_dict()
    try:
        entry = identify(path)
        weights = load_checkpoint(entry.arch, path, entry.joints, entry.input_size).state_dict()
    except (WeightsError, UsageError):
        return _from_backbone(network, path, path.name)
    by_joint = _rows_by_joint(own, config, len(skeleton.joints))
    if weights.keys() != own.keys() or any(
        weights[key].shape != own[key].shape for key in own.keys() - by_joint
    ):
        if entry.codec == "simcc":  # nothing but its backbone is of use to a network of heatmaps
            return _from_backbone(network, path, path.name)
        raise WeightsError(f"{path.name} holds {entry.name}, which is not the network to be trained")
    # A file that was trained further often keeps its name: only its hash tells the two apart.
    origin = f"{path.name} ({entry.name}, sha256 {file_sha256(path)[:12]})"
    known = max((entry.skeleton, *entry.also), key=lambda one: len(one.joints)).joints
    if known == skeleton.joints and entry.joints == len(known):
        network.load_state_dict(weights)
        return Start(network, f"{origin}, all of it")
    taken = _adopt(own, weights, by_joint, skeleton.joints, known)
    fresh = [joint for joint in skeleton.joints if joint not in taken]
    words = f"{origin}, with a new last layer"
    if taken:
        words += f": {', '.join(taken)} by name, {', '.join(fresh) or 'none'} fresh"
    return Start(network, words)


def _rows_by_joint(own: Mapping[str, Tensor], config: TrainConfig, joints: int) -> set[str]:
    """Return the tensors whose shapes follow from the number of joints."""
    with torch.device("meta"):
        larger = create_model(config.model, joints + 1, config.size).state_dict()
    return {key for key, value in own.items() if larger[key].shape != value.shape}


@torch.no_grad()
def _adopt(
    network: Mapping[str, Tensor],
    weights: Mapping[str, Tensor],
    by_joint: Collection[str],
    own: Sequence[str],
    other: Sequence[str],
) -> list[str]:
    """Fill a network with the weights of one of its kind for other joints.

    What has a row a joint keeps its fresh rows, but for joints that both have by name.

    Args:
        network: The tensors to be filled.
        weights: Of the other network.
        by_joint: Tensors whose shapes follow from the number of joints.
        own: The network's joints.
        other: The first of those that the weights are for.

    Returns:
        The joints that both have.
    """
    rows = {}
    for place, joint in enumerate(own):
        theirs = next((i for i, name in enumerate(other) if same_joint(joint, name)), None)
        if theirs is not None:
            rows[place] = theirs
    for key, value in network.items():
        if key not in by_joint:
            value.copy_(weights[key])
        elif weights[key].shape[1:] == value.shape[1:]:
            for place, theirs in rows.items():
                value[place] = weights[key][theirs]
    return [own[place] for place in rows]
