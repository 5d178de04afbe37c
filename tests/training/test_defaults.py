"""Defaults that depend on the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

from mrpose_cli.models.registry import create_model
from mrpose_cli.skeletons import COCO17, Skeleton, from_document
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.defaults import SMALL, settle
from mrpose_cli.training.start import Start

LEARNED = Start(create_model("mrfea2-cspnext-t"), "somebody's weights")
MANY = 10 * SMALL


def _settled(
    crops: int,
    start: Start = LEARNED,
    joints: Skeleton = COCO17,
    explicit: tuple[str, ...] = (),
    **fields: Any,
) -> TrainConfig:
    return settle(TrainConfig(data=(Path("a"),), **fields), explicit, crops, joints, start)


def test_much_data_keeps_the_defaults() -> None:
    assert _settled(MANY) == TrainConfig(data=(Path("a"),), epochs=30.0)
    assert _settled(MANY, minutes=1.0).epochs is None


def test_few_photos_spare_the_backbone_and_stop_early() -> None:
    small = _settled(100)
    assert small.freeze_norms and small.backbone_lr < 1 and small.patience and small.holdout > 0.04
    assert small.flip == 0.5
    for fresh in (
        Start(create_model("mrfea2-cspnext-t"), "random weights"),
        Start(nn.Conv2d(3, 3, 1), "a file"),
    ):
        config = _settled(100, fresh)
        assert not config.freeze_norms and config.backbone_lr == 1


def test_a_run_on_few_photos_sees_enough_of_them_and_does_not_take_forever() -> None:
    seen = [_settled(crops).epochs * crops for crops in (20, 50, 200, 500, 1000, SMALL)]  # type: ignore[operator]
    assert seen == sorted(seen) and seen[0] >= 3000 and seen[-1] <= 20_000


def test_what_is_given_stays() -> None:
    config = _settled(100, lr=5e-4, explicit=("holdout", "backbone_lr"))
    assert (config.lr, config.holdout, config.backbone_lr) == (5e-4, 0.04, 1.0)
    timed = _settled(100, samples=64)
    assert timed.epochs is None and timed.patience is None and timed.val_every == 1


@pytest.mark.parametrize(
    ("joints", "flip"),
    [
        (["left_hip", "right_hip", "nose"], 0.5),
        (["left_hip", "right_hip", "left_knee"], 0.0),  # a mirror makes it a right knee
        (["a", "b"], 0.0),  # who knows
    ],
)
def test_pictures_are_mirrored_where_a_mirror_keeps_the_joints(joints: list[str], flip: float) -> None:
    own = from_document({"name": "own", "joints": joints}, "a test")
    assert _settled(100, joints=own).flip == _settled(MANY, joints=own).flip == flip
    assert _settled(100, joints=own, flip=0.3).flip == 0.3
    assert _settled(100, joints=own, explicit=("flip",)).flip == 0.5
