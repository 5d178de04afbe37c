"""Telling which network a checkpoint belongs to, from the keys and shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.models.checkpoint import input_size_of, joints_of, misfit
from mrpose_cli.models.layouts import Remap, State, without_prefixes
from mrpose_cli.models.registry import ModelInfo, create_model, list_models, model_info

Layout = Literal["mrpose", "authors", "mmpose"]


class Recognized(NamedTuple):
    """What a checkpoint turned out to be.

    Attributes:
        name: The network's name in the registry.
        joints: Number of joints K.
        layout: Whose names the keys are; "authors" also for this package's own files of networks whose
            keys it took over from their authors.
        input_size: Height and width of the crops where the shapes tell, else None.
    """

    name: str
    joints: int
    layout: Layout
    input_size: tuple[int, int] | None


def recognize(state: Mapping[str, Tensor], *, origin: str = "this checkpoint") -> Recognized:
    """Find the network that a state dict fits exactly, and its number of joints.

    Args:
        state: As :func:`~mrpose_cli.models.checkpoint.read_state_dict` gives it.
        origin: What the state is called in an error, usually the file's path.

    Raises:
        WeightsError: it fits none; the message says what it looks like.
    """
    remapped: dict[Remap, State] = {}
    nearest, nearest_shared, nearest_problems = "", 0.0, ""
    # Backwards by that key, an RSN of four stages comes before those that are its beginning.
    for info in sorted(map(model_info, list_models()), key=lambda info: info.joints_key, reverse=True):
        if info.remap not in remapped:
            remapped[info.remap] = info.remap(state)
        own = remapped[info.remap]
        joints, input_size = joints_of(info, own), input_size_of(info, own)
        if not joints or (input_size is None and info.input_size is not None):
            continue
        try:
            shapes = _shapes(info.name, joints, input_size or (256, 192))
        except UsageError:  # an input size that no network takes
            continue
        problems = misfit(shapes, own)
        if not problems:
            return Recognized(info.name, joints, _layout(info, state, own), input_size)
        shared = sum(shapes.get(k) == v.shape for k, v in own.items()) / len(shapes.keys() | own.keys())
        if shared > nearest_shared:
            nearest, nearest_shared, nearest_problems = info.name, shared, problems
    if foreign := _foreign(state):
        raise WeightsError(f"{origin} looks like {foreign}, not like a network of this package")
    if nearest_shared < 0.25:
        some = ", ".join(list(state)[:3])
        raise WeightsError(f"{origin} is none of the networks of this package (its keys begin with {some})")
    raise WeightsError(f"{origin} is no network of this package; {nearest} is nearest: {nearest_problems}")


@lru_cache(maxsize=256)
def _shapes(name: str, joints: int, input_size: tuple[int, int]) -> dict[str, torch.Size]:
    with torch.device("meta"):
        model = create_model(name, joints, input_size)
    return {key: value.shape for key, value in model.state_dict().items()}


def _layout(info: ModelInfo, state: Mapping[str, Tensor], own: State) -> Layout:
    if any(key.startswith("backbone.") for key in state):
        return "mmpose"
    return "authors" if info.remap is without_prefixes or state.keys() != own.keys() else "mrpose"


def _foreign(state: Mapping[str, Tensor]) -> str | None:
    """Return a name for well-known networks of other kinds."""
    if any(re.match(r"(model\.)*\d+\.(conv|cv1|m\.0)\.", key) for key in state):
        return "a YOLO detector"
    if "fc.weight" in state and "layer1.0.conv1.weight" in state:
        return "a torchvision ResNet classifier"
    if any(re.match(r"(backbone\.)?blocks\.0\.attn\.", key) for key in state):
        return "a vision transformer"
    return None
