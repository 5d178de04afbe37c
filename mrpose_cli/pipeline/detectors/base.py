"""The protocol of detectors, and the two that need no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from mrpose_cli.pipeline.options import WHOLE_IMAGE
from mrpose_cli.poses import Detections, Frame

if TYPE_CHECKING:  # plans of jobs name detectors, and need no torch
    from mrpose_cli.pipeline.engines.base import Engine


class Detector(Protocol):
    """Finds people; the pipeline knows no more of it than this.

    Attributes:
        name: What it is called in reports.
    """

    name: str

    @property
    def engine(self) -> Engine | None:
        """What runs its network; None if that is nothing of mrpose's."""
        ...

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return the boxes of every frame, in the frames' order, best first."""
        ...


class FileBoxes:
    """Boxes that were found before, by frame name.

    Args:
        boxes: Detections by the frame's name; a frame that is not named has no people.
        name: What the boxes are called in reports, usually the file's name.
    """

    engine = None

    def __init__(self, boxes: Mapping[str, Detections], name: str) -> None:
        self.name = name
        self._boxes = boxes

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Look up the boxes of the frames."""
        return [self._boxes.get(frame.name) or Detections.none() for frame in frames]


class WholeImage:
    """Every picture is one person, as in crops that somebody else made."""

    name = WHOLE_IMAGE
    engine = None

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return one box per frame, the frame itself, with score 1."""
        ones = np.ones(1, np.float32)
        sizes = [frame.image.shape[:2] for frame in frames]
        return [Detections(np.array([[0, 0, width, height]], np.float32), ones) for height, width in sizes]
