"""Checkpoints of a run that is not finished: all it needs to continue as if nothing had happened."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from mrpose_cli.atomic import replacing
from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.models.checkpoint import open_pickle

STATE_FILE = "last.pt"
_FORMAT = 1


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A run between two steps.

    The order of the crops and all random numbers follow from the configuration and the step's number, so no
    generators need to be saved.

    Attributes:
        config: As :meth:`TrainConfig.to_plain` gives it.
        digest: Of the labels it trains on.
        ranks: How many processes share it.
        start: What the network started from.
        step: How many steps are done.
        total: How many there will be, as far as is known.
        seconds: How long they took.
        best: Highest validation figure so far; None before the first.
        best_step: After which step it was reached.
        meter: (2,) sums of loss and gradient norm since the last line of the log.
        metered: Over how many steps.
        network: State dict.
        average: State dict of the averaged weights.
        optimizer: State dict.
        scaler: State dict, empty unless precision is fp16.
    """

    config: dict[str, Any]
    digest: str
    ranks: int
    start: str
    step: int
    total: int
    seconds: float
    best: float | None
    best_step: int
    meter: Tensor
    metered: int
    network: dict[str, Tensor]
    average: dict[str, Tensor]
    optimizer: dict[str, Any]
    scaler: dict[str, Any]

    def save(self, folder: Path) -> None:
        """Write the state in place of the last one.

        Raises:
            OutputError: it could not be written; the last one is left.
        """
        fields = {name: getattr(self, name) for name in self.__slots__}
        with replacing(folder / STATE_FILE) as file:
            torch.save({"format": _FORMAT, **fields}, file)


def load_state(folder: Path) -> State:
    """Read what :meth:`State.save` wrote, onto the CPU.

    Raises:
        UsageError: there is nothing to resume.
        WeightsError: the file is damaged, or of another version.
    """
    path = folder / STATE_FILE
    if not path.exists():
        raise UsageError(f"there is nothing to resume in {folder}: it has no {STATE_FILE}")
    content = open_pickle(path)
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise WeightsError(f"{path} was not written by this version of mrpose train")
    try:
        return State(**content)
    except TypeError:  # fields are missing, or there are others
        raise WeightsError(f"{path} was not written by this version of mrpose train") from None
