"""What flows through the pipeline: frames in, boxes between, poses out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.skeletons import COCO17, Skeleton


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture on its way through the pipeline.

    Attributes:
        image: (H, W, 3) uint8, RGB, upright as a viewer shows it.
        name: What the picture is called in boxes files and messages.
    """

    image: NDArray[np.uint8]
    name: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Person boxes of one frame.

    Attributes:
        boxes: (P, 4) float32, x1 y1 x2 y2 in image pixels.
        scores: (P,) float32, 0..1.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]

    @classmethod
    def none(cls) -> Detections:
        """Return the detections of a frame without people."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32))

    def __len__(self) -> int:
        return len(self.boxes)


@dataclass(frozen=True, slots=True, eq=False)
class PersonHeatmaps:
    """A network's heatmaps, one map per person: the highest value over all joints.

    Attributes:
        maps: (P, h, w) float32; the scale of the values is the network's own.
        affines: (P, 2, 3) float64, from image pixels to crop pixels.
        crop_size: Height and width of the crop the maps cover.
    """

    maps: NDArray[np.float32]
    affines: NDArray[np.float64]
    crop_size: tuple[int, int]


@dataclass(frozen=True, slots=True, eq=False)
class Poses:
    """The people of one frame.

    Attributes:
        keypoints: (P, K, 2) float32, x y in image pixels; (0, 0) is the center of the top left pixel.
        scores: (P, K) float32, how sure the network is of each joint; about 0..1.
        boxes: (P, 4) float32, x1 y1 x2 y2 in image pixels.
        box_scores: (P,) float32, 0..1.
        person_scores: (P,) float32: box score times the mean joint score, as COCO results rank people.
        skeleton: Names and limbs of the K joints.
        heatmaps: Only if the pipeline was asked to keep them.
        seconds: Detector and pose network time spent on the frame, its share of shared batches.
        track_ids: (P,) int64, who is who from frame to frame, counted from 1; 0 for people of whom that
            is not known. None if nobody asked.
        bridged: (P,) bool, people who were not found in this frame and were put between their places in
            the frames around it. None if nobody asked.
    """

    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    boxes: NDArray[np.float32]
    box_scores: NDArray[np.float32]
    person_scores: NDArray[np.float32]
    skeleton: Skeleton = COCO17
    heatmaps: PersonHeatmaps | None = None
    seconds: float = 0.0
    track_ids: NDArray[np.int64] | None = None
    bridged: NDArray[np.bool_] | None = None

    @classmethod
    def empty(cls, skeleton: Skeleton = COCO17) -> Poses:
        """Return the poses of a frame without people."""
        joints, none = len(skeleton.joints), np.zeros(0, np.float32)
        scores, boxes = np.zeros((0, joints), np.float32), np.zeros((0, 4), np.float32)
        return cls(np.zeros((0, joints, 2), np.float32), scores, boxes, none, none, skeleton)

    def __len__(self) -> int:
        return len(self.keypoints)

    def take(self, people: Sequence[int] | NDArray[np.intp] | NDArray[np.bool_]) -> Poses:
        """Return some of the people, by their indices or by a mask (P,), in that order."""
        index = np.arange(len(self))[np.asarray(people, None if len(people) else np.intp)]
        heatmaps = self.heatmaps
        if heatmaps is not None:
            heatmaps = replace(heatmaps, maps=heatmaps.maps[index], affines=heatmaps.affines[index])
        taken = {name: values[index] for name, values in self._arrays().items()}
        return replace(self, heatmaps=heatmaps, **taken)

    def append(self, others: Poses) -> Poses:
        """Return these people, then others of the same frame, without the others' heatmaps.

        Raises:
            ValueError: the skeletons differ, or only one of the two has ids or tells who is bridged.
        """
        mine, theirs = self._arrays(), others._arrays()
        if self.skeleton != others.skeleton or mine.keys() != theirs.keys():
            raise ValueError("poses of different skeletons or with different fields cannot be joined")
        joined: dict[str, Any] = {name: np.concatenate([mine[name], theirs[name]]) for name in mine}
        return replace(self, **joined)

    def _arrays(self) -> dict[str, Any]:
        """Return the arrays that have a row for each person, without heatmaps."""
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: value for name, value in values if isinstance(value, np.ndarray)}
