"""Ids for people, from frame to frame.

Association in two rounds, as ByteTrack does it (Zhang et al., "ByteTrack: Multi-Object Tracking by
Associating Every Detection Box", ECCV 2022): sure detections are matched first, and unsure ones may then
continue the tracks that are left over, but not begin any at once. Unlike theirs, similarity is of boxes and
poses together, and time is in seconds, so that a rate that varies does no harm.

The numbers below were chosen on the sample clip at 10, 5 and 3.3 frames a second with two detectors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.poses import Poses
from mrpose_cli.tracking.assignment import pair_up
from mrpose_cli.tracking.similarity import nearness, overlap, pose_similarity

_SURE = 0.5  # box score from which a detection begins a track by itself
_SIMILAR = 0.15  # of a sure detection to a track
_UNSURE_SIMILAR = 0.4  # of an unsure one
_SAME = 0.7  # overlap from which a leftover detection is a person found twice
_HITS = 3  # frames in a row after which unsure detections are a person, too
_MEMORY = 1.5  # seconds that a person may be out of sight and keep the id
_COASTING = 1.0  # seconds for which somebody out of sight is taken to walk on
_INERTIA = 0.5  # seconds over which velocity is averaged


@dataclass(slots=True, eq=False)
class _Track:
    number: int  # the id, 0 until it is sure to be somebody
    box: NDArray[np.float64]  # (4,)
    keypoints: NDArray[np.float64]  # (K, 2)
    scores: NDArray[np.float32]  # (K,)
    time: float
    velocity: NDArray[np.float64]  # (2,) pixels a second
    hits: int = 1

    def moved(self, time: float) -> NDArray[np.float64]:
        """Estimate how far the person has moved since last seen, (2,)."""
        return self.velocity * min(time - self.time, _COASTING)

    def see(self, poses: Poses, person: int, time: float) -> None:
        box = poses.boxes[person].astype(np.float64)
        step = (box[:2] + box[2:] - self.box[:2] - self.box[2:]) / 2
        elapsed = max(time - self.time, 1e-6)
        # The first step is all that is known; later ones are averaged.
        weight = 1.0 if self.hits == 1 else 1 - np.exp(-elapsed / _INERTIA)
        self.velocity = self.velocity + weight * (step / elapsed - self.velocity)
        self.box, self.time, self.hits = box, time, self.hits + 1
        self.keypoints, self.scores = poses.keypoints[person].astype(np.float64), poses.scores[person]


class Tracker:
    """Gives people persistent ids; one tracker per clip.

    Attributes:
        count: How many ids were given.
    """

    def __init__(self) -> None:
        self.count = 0
        self._tracks: list[_Track] = []

    def update(self, poses: Poses, time: float) -> NDArray[np.int64]:
        """Assign ids to the people of the next frame.

        Args:
            poses: The people.
            time: Seconds, growing from call to call.

        Returns:
            (P,), from 1; 0 for somebody who is too unsure to be told from a mistake.
        """
        ids = np.zeros(len(poses), np.int64)
        self._tracks = [track for track in self._tracks if time - track.time <= _MEMORY]
        likeness = self._likeness(poses, time)
        sure = poses.box_scores >= _SURE
        known = np.array([track.number > 0 for track in self._tracks], bool)
        free = np.ones(len(self._tracks), bool)
        left = np.ones(len(poses), bool)
        for tracks, people, minimum in (
            (known, sure, _SIMILAR),
            (known, ~sure, _UNSURE_SIMILAR),
            (~known, left, _SIMILAR),
        ):
            rows, columns = np.flatnonzero(tracks & free), np.flatnonzero(people & left)
            for row, column in pair_up(likeness[np.ix_(rows, columns)], minimum):
                track, person = self._tracks[rows[row]], columns[column]
                track.see(poses, person, time)
                free[rows[row]] = left[person] = False
                if not track.number and (sure[person] or track.hits >= _HITS):
                    track.number = self._next()
                ids[person] = track.number
        # Who is not yet sure to be somebody must go on from frame to frame.
        self._tracks = [t for t, unseen in zip(self._tracks, free, strict=True) if t.number or not unseen]
        for person in np.flatnonzero(left):
            others = poses.boxes[~left]
            if len(others) and overlap(poses.boxes[person][None], others).max() > _SAME:
                continue
            ids[person] = self._begin(poses, int(person), time, sure=bool(sure[person]))
            left[person] = False
        return ids

    def _begin(self, poses: Poses, person: int, time: float, *, sure: bool) -> int:
        number = self._next() if sure else 0
        self._tracks.append(
            _Track(
                number,
                poses.boxes[person].astype(np.float64),
                poses.keypoints[person].astype(np.float64),
                poses.scores[person],
                time,
                np.zeros(2),
            )
        )
        return number

    def _next(self) -> int:
        self.count += 1
        return self.count

    def _likeness(self, poses: Poses, time: float) -> NDArray[np.float64]:
        """Return the similarity of tracks and people, (tracks, P), 0..1."""
        if not self._tracks or not len(poses):
            return np.zeros((len(self._tracks), len(poses)))
        moved = np.stack([track.moved(time) for track in self._tracks])
        boxes = np.stack([track.box for track in self._tracks]) + np.tile(moved, 2)
        points = np.stack([track.keypoints for track in self._tracks]) + moved[:, None]
        scores = np.stack([track.scores for track in self._tracks])
        sizes = poses.boxes[:, 2:] - poses.boxes[:, :2]
        alike = pose_similarity(points, scores, poses.keypoints, poses.scores, sizes.prod(1), poses.skeleton)
        return 0.4 * overlap(boxes, poses.boxes) + 0.3 * alike + 0.3 * nearness(boxes, poses.boxes)
