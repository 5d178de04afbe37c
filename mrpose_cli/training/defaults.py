"""Defaults that depend on the data: how few hundreds of photos are trained on."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from typing import Any

from mrpose_cli.skeletons import Skeleton
from mrpose_cli.training.config import LENGTHS, TrainConfig
from mrpose_cli.training.parts import survives_mirrors
from mrpose_cli.training.start import Start

SMALL = 2000
"""Data of at most so many crops are small."""

_EPOCHS = 30.0
_VALIDATIONS = 25  # of a run on small data, about
_SEEN = (3_000, 8_000)  # crops that a run on small data sees, at least and at most
_SMALL_EPOCHS = 60.0
# Tried on 50, 200 and 1,000 crops, see docs/training.md.
ON_SMALL_DATA: dict[str, Any] = {
    "batch_size": 16,
    "lr": 2e-3,
    "warmup": 30,
    "holdout": 0.2,
    "patience": 8,
    "log_every": 10,
    "rotation": 30.0,
    "rotated": 0.4,
    "half_body": 0.2,
    "cutout": 0.2,
    "blur": 0.05,
    "noise": 0.05,
}
# Where the backbone has learned something that few photos would spoil.
FROZEN: dict[str, Any] = {"backbone_lr": 0.1, "freeze_norms": True}


def settle(
    config: TrainConfig, explicit: Collection[str], crops: int, skeleton: Skeleton, start: Start
) -> TrainConfig:
    """Return a run's configuration with the defaults for its data.

    Args:
        config: As it was given.
        explicit: Fields that stay as they are; so do those that differ from their defaults.
        crops: How many there are, held-out ones included.
        skeleton: Of their joints.
        start: What the network starts from.
    """
    chosen: dict[str, Any] = {} if survives_mirrors(skeleton) else {"flip": 0.0}
    if crops <= SMALL:
        chosen |= ON_SMALL_DATA | (FROZEN if start.learned else {})
        epochs = min(max(_SMALL_EPOCHS, _SEEN[0] / crops), max(1.0, _SEEN[1] / crops))
        chosen["epochs"] = round(epochs, 1)
        chosen["val_every"] = max(1.0, round(epochs / _VALIDATIONS, 1))
    else:
        chosen["epochs"] = _EPOCHS
    given = {one.name for one in fields(config) if getattr(config, one.name) != one.default} | set(explicit)
    if given & LENGTHS:
        given |= {"epochs", "val_every", "patience"}  # who says how long means it
    return replace(config, **{name: value for name, value in chosen.items() if name not in given})
