"""The size of a network, counted on shapes alone: nothing is allocated, no weights are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from mrpose_cli.models.registry import create_model


@dataclass(frozen=True, slots=True)
class ModelSummary:
    """What a network costs.

    Attributes:
        parameters: Trainable numbers.
        gmacs: Billions of multiply-accumulates for one crop, of convolutions and matrix products.
    """

    parameters: int
    gmacs: float


def describe(name: str, joints: int = 17, input_size: tuple[int, int] = (256, 192)) -> ModelSummary:
    """Count a network's parameters and operations.

    Args:
        name: A name of :func:`~mrpose_cli.models.registry.list_models`.
        joints: Number of joints K.
        input_size: Height and width of the crop in pixels.

    Raises:
        UsageError: unknown name, or an input size the network cannot take.
    """
    from torch.utils.flop_counter import FlopCounterMode  # imports Triton, which nothing else needs

    with torch.device("meta"), torch.no_grad():
        model = create_model(name, joints, input_size).eval()
        with FlopCounterMode(display=False) as counter:
            model(torch.empty(1, 3, *input_size))
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return ModelSummary(parameters, counter.get_total_flops() / 2 / 1e9)


@dataclass(frozen=True, slots=True)
class Layer:
    """One part of a network.

    Attributes:
        name: Its attribute in the network.
        kind: Its class.
        shape: (C, h, w) of what it gives for one crop; None where that is not a single tensor, or where
            it runs more than once.
        parameters: Trainable numbers in it.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None
    parameters: int


def layers(name: str, joints: int = 17, input_size: tuple[int, int] = (256, 192)) -> list[Layer]:
    """List a network's parts, in the order they are defined, with the shapes of their outputs.

    Args:
        name: A name of :func:`~mrpose_cli.models.registry.list_models`.
        joints: Number of joints K.
        input_size: Height and width of the crop in pixels.

    Raises:
        UsageError: unknown name, or an input size the network cannot take.
    """
    given: dict[str, list[object]] = {}

    def note(part: str) -> Callable[[nn.Module, object, object], None]:
        return lambda module, inputs, output: given.setdefault(part, []).append(output)

    with torch.device("meta"), torch.no_grad():
        model = create_model(name, joints, input_size).eval()
        for part, module in model.named_children():
            module.register_forward_hook(note(part))
        model(torch.empty(1, 3, *input_size))
    found = []
    for part, module in model.named_children():
        outputs = given.get(part, [])
        single = len(outputs) == 1 and isinstance(outputs[0], torch.Tensor)
        shape = tuple(outputs[0].shape[1:]) if single else None  # type: ignore[attr-defined]
        count = sum(parameter.numel() for parameter in module.parameters())
        found.append(Layer(part, type(module).__name__, shape, count))
    return found
