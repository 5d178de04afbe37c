"""Backbones within networks, and the weights of a ResNet or a CSPNeXt that training starts from.

They come as torch.save wrote them, as safetensors, as RTMPose's ONNX files, or as a plain pickle of a state
dict. The last cannot be opened with ``weights_only=True``; it is read by an unpickler that knows three names
and refuses any other.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
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

_PLAIN = (b"\x80\x03", b"\x80\x04", b"\x80\x05")  # pickle's protocols; torch.save writes a zip, or protocol 2
_RESNET = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")
_CSPNEXT = ("stem.", "stage1.", "stage2.", "stage3.", "stage4.")
_BODY = _RESNET + _CSPNEXT


class _TensorsOnly(pickle.Unpickler):
    """Rebuilds ordered dictionaries of tensors; every other name in the file is an error."""

    def find_class(self, module: str, name: str) -> Any:
        """One of three functions."""
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
            ("torch.storage", "_load_from_bytes"): _load_storage,
        }
        if (module, name) not in known:
            raise pickle.UnpicklingError(f"it holds code ({module}.{name}), which is never run")
        return known[module, name]


def _load_storage(data: bytes) -> Any:
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def read_backbone(path: Path) -> State:
    """The tensors of a ResNet, by torchvision's keys, or of a CSPNeXt, by RTMPose's, without what follows it.

    Args:
        path: A state dict in any of the forms above, of the backbone or of a network on it.

    Raises:
        WeightsError: the file is missing, damaged, or holds code or something else.
    """
    try:
        with path.open("rb") as file:
            plain = file.read(2) in _PLAIN
            file.seek(0)
            content = _TensorsOnly(file).load() if plain else read_state_dict(path)
    except FileNotFoundError:
        raise WeightsError(f"there is no weights file at {path}") from None
    except WeightsError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise WeightsError(f"{path} was not opened: {error}") from error
    items = content.items() if isinstance(content, Mapping) else ()
    state = {str(key): value for key, value in items if isinstance(value, Tensor)}
    body = {key: value for key, value in remap(state).items() if key.startswith(_BODY)}
    if "conv1.weight" not in body and "stem.0.conv.weight" not in body:
        raise WeightsError(f"{path} holds neither a ResNet nor a CSPNeXt: it has no conv1.weight and no stem")
    return body


def load_backbone(network: nn.Module, body: Mapping[str, Tensor], *, origin: str) -> int:
    """Give a network its backbone's weights; its head stays as it is.

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
    """The children of a network that make up its backbone; none if it is not built on one."""
    if not isinstance(network, ResNetBackbone | ResNeStBackbone | CSPNeXt):
        return []
    return [child for name, child in network.named_children() if f"{name}.".startswith(_BODY)]


def backbone_norms(network: nn.Module) -> list[nn.BatchNorm2d]:
    """The batch norms of its backbone."""
    parts = (module for part in backbone_parts(network) for module in part.modules())
    return [module for module in parts if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def settle_norms(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Give the backbone's norms the statistics of what they see; what the network computes stays the same.

    An ONNX file has its norms folded into the convolutions. Here each gets back a mean and a variance, and a
    weight and a bias that undo them, so that training mode, which takes those of the batch, starts from the
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
