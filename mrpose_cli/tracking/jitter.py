"""How much poses tremble, as one number."""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.poses import Poses

_SEEN = 0.3
_LONGEST = 0.25  # seconds between two frames; across a longer gap there is no acceleration to speak of


class Jitter:
    """Mean acceleration of joints, in box sides per second squared.

    It counts every joint that is seen in three frames of the same person in a row.
    """

    def __init__(self) -> None:
        self._past: dict[int, deque[tuple[float, NDArray[np.float32], NDArray[np.bool_]]]] = {}
        self._sum = 0.0
        self._count = 0

    def add(self, poses: Poses, time: float) -> None:
        """Add the next frame's people, with ``track_ids``."""
        ids = [] if poses.track_ids is None else poses.track_ids.tolist()
        self._past = {number: past for number, past in self._past.items() if time - past[-1][0] <= _LONGEST}
        for person, number in enumerate(ids):
            if not number:
                continue
            past = self._past.setdefault(number, deque(maxlen=3))
            past.append((time, poses.keypoints[person], poses.scores[person] >= _SEEN))
            if len(past) == 3:
                self._count_one(past, poses.boxes[person])

    def _count_one(
        self,
        past: deque[tuple[float, NDArray[np.float32], NDArray[np.bool_]]],
        box: NDArray[np.float32],
    ) -> None:
        (t0, p0, s0), (t1, p1, s1), (t2, p2, s2) = past
        seen = s0 & s1 & s2
        change = (p2 - p1) / (t2 - t1) - (p1 - p0) / (t1 - t0)
        side = max(float(box[2] - box[0]), float(box[3] - box[1]), 1.0)
        acceleration = np.linalg.norm(change[seen], axis=1) / ((t2 - t0) / 2) / side
        self._sum += float(acceleration.sum())
        self._count += int(seen.sum())

    @property
    def mean(self) -> float | None:
        """The mean so far; None without joints to count."""
        return self._sum / self._count if self._count else None
