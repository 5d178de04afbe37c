"""Bridging gaps: people whom the detector missed for a few frames are put where they must have been."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.poses import Frame, Poses

F = TypeVar("F", bound=Frame)

_HELD_BYTES = 256 * 2**20


@dataclass(slots=True, eq=False)
class _Held(Generic[F]):
    frame: F
    poses: Poses
    time: float
    number: int


@dataclass(frozen=True, slots=True, eq=False)
class _Sight:
    """The last sight of a person: that person alone, and the frame's time and number."""

    poses: Poses
    time: float
    number: int


class Bridge(Generic[F]):
    """Holds frames back until it is known whether people who are missing in them return.

    Those who do are interpolated linearly between the last and the next place, joint by joint, and marked
    in ``bridged``.

    Args:
        frames: The longest gap that is bridged, which is also how many frames are held back; fewer where
            they are large.
        seconds: Likewise.
    """

    def __init__(self, frames: int = 5, seconds: float = 0.6) -> None:
        self._frames = frames
        self._seconds = seconds
        self._held: deque[_Held[F]] = deque()
        self._sights: dict[int, _Sight] = {}
        self._number = 0

    def add(self, frame: F, poses: Poses, time: float) -> Iterator[tuple[F, Poses, float]]:
        """Take the next frame, with ``track_ids``, and yield those of which everything is known."""
        ids = np.zeros(len(poses), np.int64) if poses.track_ids is None else poses.track_ids
        poses = replace(poses, bridged=np.zeros(len(poses), bool))
        for person, who in enumerate(ids.tolist()):
            if who:
                now = _Sight(poses.take([person]), time, self._number)
                before = self._sights.get(who)
                if before is not None and time - before.time <= self._seconds:
                    self._fill(before, now)
                self._sights[who] = now
        self._held.append(_Held(frame, poses, time, self._number))
        self._number += 1
        self._sights = {
            who: sight
            for who, sight in self._sights.items()
            if self._number - sight.number <= self._frames + 1
        }
        while len(self._held) > self._frames or self._bytes() > _HELD_BYTES:
            held = self._held.popleft()
            yield held.frame, held.poses, held.time

    def finish(self) -> Iterator[tuple[F, Poses, float]]:
        """Yield the frames that are still held back."""
        while self._held:
            held = self._held.popleft()
            yield held.frame, held.poses, held.time

    def _bytes(self) -> int:
        return sum(held.frame.image.nbytes for held in self._held)

    def _fill(self, before: _Sight, after: _Sight) -> None:
        for held in self._held:
            if before.number < held.number:
                share = (held.time - before.time) / (after.time - before.time)
                held.poses = held.poses.append(_between(before.poses, after.poses, share))


def _between(before: Poses, after: Poses, share: float) -> Poses:
    """Place somebody, alone in both, as bridged at this share of the way from before to after."""

    def mix(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(first * (1 - share) + second * share, np.float32)

    return replace(
        after,
        keypoints=mix(before.keypoints, after.keypoints),
        scores=np.minimum(before.scores, after.scores),
        boxes=mix(before.boxes, after.boxes),
        box_scores=np.minimum(before.box_scores, after.box_scores),
        person_scores=np.minimum(before.person_scores, after.person_scores),
        bridged=np.ones(1, bool),
    )
