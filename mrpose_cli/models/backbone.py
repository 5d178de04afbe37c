"""ImageNet weights of ResNet backbones, where training starts from.

They come as torch.save wrote them, as safetensors, or as a plain pickle of a state dict. The last cannot be
opened with ``weights_only=True``; it is read by an unpickler that knows three names and refuses any other.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.checkpoint import read_state_dict
from mrpose_cli.models.layouts import State

_PLAIN = (b"\x80\x03", b"\x80\x04", b"\x80\x05")  # pickle's protocols; torch.save writes a zip, or protocol 2
_BODY = ("conv1.", "bn1.", "layer1.", "layer2.", "layer3.", "layer4.")


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
    """A ResNet's tensors without its classifier, by torchvision's keys.

    Args:
        path: A state dict in any of the forms above.

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
    body = {key: value for key, value in state.items() if key.startswith(_BODY)}
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
