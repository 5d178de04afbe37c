"""ImageNet weights of ResNet backbones, where training starts from."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.checkpoint import read_state_dict
from mrpose_cli.models.layouts import State

_BODY = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")


def read_backbone(path: Path) -> State:
    """A ResNet's tensors without its classifier, by torchvision's keys.

    Args:
        path: As for :func:`~mrpose_cli.models.checkpoint.read_state_dict`.

    Raises:
        WeightsError: the file is missing, damaged, or holds code or something else.
    """
    body = {key: value for key, value in read_state_dict(path).items() if key.startswith(_BODY)}
    if "conv1.weight" not in body:
        raise WeightsError(f"{path} does not hold a ResNet: it has no conv1.weight")
    return body


def load_backbone(network: nn.Module, body: Mapping[str, Tensor], *, origin: str) -> int:
    """Give a network on a ResNet the backbone's weights; its head stays as it is.

    Args:
        network: The network to fill.
        body: What :func:`read_backbone` gave.
        origin: What it is called in an error.

    Returns:
        How many tensors were loaded.

    Raises:
        WeightsError: it is not this network's backbone.
    """
    own = {key: value for key, value in network.state_dict().items() if key.startswith(_BODY)}
    counters = {key for key in own if key.endswith("num_batches_tracked")}
    same = own.keys() - counters == body.keys() - counters
    if not same or any(own[key].shape != body[key].shape for key in body):
        raise WeightsError(f"{origin} is not the backbone of this network")
    network.load_state_dict(dict(body), strict=False)
    return len(body)
