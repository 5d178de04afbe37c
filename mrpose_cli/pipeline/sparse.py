"""Detecting on some frames only, and carrying boxes through the others.

The usual trick takes a frame's boxes from the joints of the frame before. That makes every frame wait for
the last one's poses, and crops can no longer be batched across frames. Here boxes are carried between two
detections instead: people are matched across, and their boxes move on the straight line from one place to
the other. A frame waits for at most ``every - 1`` further ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.pipeline.detectors.base import Detector
from mrpose_cli.poses import Detections, Frame
from mrpose_cli.tracking.assignment import pair_up
from mrpose_cli.tracking.similarity import nearness, overlap

_SIMILAR = 0.1


class SparseDetector:
    """Runs a detector on the first, and then on every Nth frame.

    The frames of one call are consecutive; their last one is always detected, so calls of ``every`` frames
    or multiples of it fit best. One sparse detector is good for one clip.

    Args:
        detector: Finds the boxes.
        every: How many frames apart.
    """

    def __init__(self, detector: Detector, every: int) -> None:
        self.name = f"{detector.name} on every {every}. frame"
        self.engine = detector.engine
        self._detector = detector
        self._every = every
        self._last: Detections | None = None
        self._velocity: NDArray[np.float32] | None = None  # (P, 2) of the last one's boxes, pixels a frame

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return the boxes of every frame, detected or carried."""
        places = sorted({*range(self._every - 1, len(frames), self._every), len(frames) - 1})
        if self._last is None:
            places = sorted({0, *places})
        found = self._detector.detect([frames[place] for place in places])
        boxes: list[Detections] = []
        for place, detections in zip(places, found, strict=True):
            boxes += self._carry(detections, place + 1 - len(boxes))
        return boxes

    def _carry(self, after: Detections, steps: int) -> list[Detections]:
        """Interpolate boxes from the frame after the last detection to the new one, ``steps`` frames on."""
        before, velocity = self._last, self._velocity
        self._last, self._velocity = after, np.zeros((len(after), 2), np.float32)
        if before is None or velocity is None or not steps:
            return [after]
        moved = before.boxes + np.tile(velocity * steps, 2)
        likeness = (overlap(moved, after.boxes) + nearness(moved, after.boxes)) / 2
        pairs = pair_up(likeness, _SIMILAR)
        here, there = np.array(pairs, np.intp).reshape(-1, 2).T
        step = (after.boxes[there] - before.boxes[here]) / steps
        self._velocity[there] = (step[:, :2] + step[:, 2:]) / 2
        gone = np.setdiff1d(np.arange(len(before)), here)
        new = np.setdiff1d(np.arange(len(after)), there)
        carried = []
        for number in range(1, steps):
            share = number / steps
            # Who is found on one side only was there for half of the time, as far as one knows.
            leaving = gone if share < 0.5 else gone[:0]
            coming = new if share >= 0.5 else new[:0]
            boxes = np.concatenate(
                [
                    before.boxes[here] + step * number,
                    before.boxes[leaving] + np.tile(velocity[leaving] * number, 2),
                    after.boxes[coming],
                ]
            )
            scores = np.concatenate(
                [
                    before.scores[here] * (1 - share) + after.scores[there] * share,
                    before.scores[leaving],
                    after.scores[coming],
                ]
            )
            order = np.argsort(-scores, kind="stable")
            carried.append(Detections(boxes[order].astype(np.float32), scores[order].astype(np.float32)))
        return [*carried, after]
