"""Backbones within networks, and the weights of a ResNet or a CSPNeXt that training starts from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.checkpoint import read_state_dict
from mrpose_cli.models.cspnext import CSPNeXt
from mrpose_cli.models.layouts import State
from mrpose_cli.models.resnest import ResNeStBackbone
from mrpose_cli.models.resnet import ResNetBackbone
from mrpose_cli.models.rtmpose import remap

_RESNET = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
_CSPNEXT = ("stem.", "stage1.", "stage2.", "stage3.", "stage4.")
_BODY = _RESNET + _CSPNEXT


def read_backbone(path: Path) -> State:
    """Read the tensors of a ResNet, by torchvision's keys, or of a CSPNeXt, by RTMPose's, without heads.

    Args:
        path: As for :func:`~mrpose_cli.models.checkpoint.read_state_dict`; of the backbone or of a network
            on it.

    Raises:
        WeightsError: the file is missing, damaged, or holds code or something else.
    """
    body = {key: value for key, value in remap(read_state_dict(path)).items() if key.startswith(_BODY)}
    if "conv1.weight" not in body and "stem.0.conv.weight" not in body:
        raise WeightsError(f"{path} holds neither a ResNet nor a CSPNeXt: it has no conv1.weight and no stem")
    return body


def load_backbone(network: nn.Module, body: Mapping[str, Tensor], *, origin: str) -> int:
    """Load the weights of a network's backbone; its head stays as it is.

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


def backbone_parts(network: nn.Module) -> list[nn.Module]:
    """Return the children of a network that make up its backbone; none if it is not built on one."""
    if not isinstance(network, ResNetBackbone | ResNeStBackbone | CSPNeXt):
        return []
    return [child for name, child in network.named_children() if f"{name}.".startswith(_BODY)]


def backbone_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """Return the batch norms of a network's backbone."""
    parts = (module for part in backbone_parts(network) for module in part.modules())
    return [module for module in parts if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def settle_norms(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Set the backbone's norms to the statistics of some inputs; the network still computes the same.

    An ONNX file has its norms folded into the convolutions. This gives each a mean and a variance again, and
    a weight and a bias that undo them, so that training mode, which uses those of the batch, starts from the
    same function.

    Args:
        network: In evaluation mode; it is filled in place.
        batches: Inputs (B, 3, H, W), a few hundred in all.
    """
    norms = backbone_norms(network)
    sums = [torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms]  # 1, x, x squared

    def watch(into: Tensor) -> Any:
        def add(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            x = inputs[0].double().transpose(0, 1).flatten(1)  # (C, B * h * w)
            into.add_(torch.stack([torch.ones_like(x).sum(1), x.sum(1), x.square().sum(1)]).cpu())

        return add

    hooks = [norm.register_forward_pre_hook(watch(into)) for norm, into in zip(norms, sums, strict=True)]
    for batch in batches:
        network(batch)
    for hook in hooks:
        hook.remove()
    for norm, (count, total, squares) in zip(norms, sums, strict=True):
        mean = total / count
        variance = (squares / count - mean.square()).clamp(min=0)
        assert norm.running_mean is not None and norm.running_var is not None
        old_mean, old_variance = norm.running_mean.cpu().double(), norm.running_var.cpu().double()
        gain = norm.weight.cpu().double() / (old_variance + norm.eps).sqrt()
        norm.bias.add_((gain * (mean - old_mean)).to(norm.bias))
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
