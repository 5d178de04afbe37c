"""What is supervised when a network is trained: its output, and what it predicts on the way there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn


@dataclass(frozen=True, slots=True)
class Supervision:
    """How one of a network's predictions is learned.

    Attributes:
        spread: Sigma of its targets, in multiples of the output's.
        weight: Of its loss, before all are averaged.
        hardest: Only the joints of a person with the highest losses count, this many; None for all.
    """

    spread: float = 1.0
    weight: float = 1.0
    hardest: int | None = None


@runtime_checkable
class Intermediate(Protocol):
    """A network that predicts more than its output while it is trained.

    Attributes:
        supervision: Of each of :meth:`predictions`.
    """

    supervision: Sequence[Supervision]

    def predictions(self, x: Tensor) -> list[Tensor]:
        """Return heatmaps (N, K, H/4, W/4) of crops (N, 3, H, W), coarse to fine, the output last."""
        ...


class Trainable(nn.Module):
    """A network in training: it returns all its predictions, not only the last.

    Every parameter has a part in one of them, as data-parallel training wants it.

    Args:
        network: Any that gives heatmaps.

    Attributes:
        supervision: Of each prediction.
    """

    supervision: Sequence[Supervision]

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self._predictions = network.predictions if isinstance(network, Intermediate) else None
        self.supervision = network.supervision if isinstance(network, Intermediate) else (Supervision(),)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Return heatmaps (N, K, H/4, W/4) of normalized crops (N, 3, H, W), the output last."""
        return [self.network(x)] if self._predictions is None else self._predictions(x)
