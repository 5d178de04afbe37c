"""Where the time goes, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum


class Stage(StrEnum):
    """What a run spends its time on, as profiles and reports call it."""

    WAIT_FOR_PHOTOS = "wait for photos"
    WAIT_FOR_IMAGES = "wait for images"
    READ_FRAMES = "read frames"
    LETTERBOX = "letterbox"
    DETECTOR = "detector"
    CROP = "crop"
    NORMALIZE = "normalize"
    POSE_NETWORK = "pose network"
    DECODE = "decode"
    COLLECT = "collect"
    DRAW = "draw"
    WAIT_FOR_OVERLAYS = "wait for overlays"
    ENCODE = "encode"
    WRITE = "write"
    WRITE_POSES = "write poses"
    WRITE_JSON = "write JSON"


# What the stages are to the user where they run side by side; the slowest one sets the speed.
_PARTS = {
    "reading": (Stage.READ_FRAMES,),
    "detector": (Stage.LETTERBOX, Stage.DETECTOR),
    "pose network": (Stage.CROP, Stage.NORMALIZE, Stage.POSE_NETWORK, Stage.DECODE, Stage.COLLECT),
    "drawing": (Stage.DRAW,),
    "writing": (Stage.ENCODE, Stage.WRITE_POSES),
}


class StageClock:
    """Adds up wall time by stage; a CUDA device is waited for only when ``synchronize`` is set.

    Attributes:
        seconds: Wall time spent in each stage so far, in the order the stages first ran.
    """

    def __init__(self, *, synchronize: bool = False) -> None:
        self.seconds: dict[str, float] = {}
        self._synchronize = synchronize

    @contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        """Time the block as ``stage``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            if self._synchronize:
                import torch

                if torch.cuda.is_initialized():
                    torch.cuda.synchronize()
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start


def busy_seconds(stages: Mapping[str, float]) -> dict[str, float]:
    """Return the seconds that each part of the work was busy, by the name that users see."""
    return {name: sum(stages.get(stage, 0.0) for stage in members) for name, members in _PARTS.items()}


def slowest(stages: Mapping[str, float]) -> str:
    """Return the part of the work that sets the speed; empty before anything was done."""
    busy = busy_seconds(stages)
    name = max(busy, key=lambda part: busy[part])
    return name if busy[name] else ""
