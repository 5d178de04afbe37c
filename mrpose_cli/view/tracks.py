"""The people of a clip, one by one: when they are there, and which moments look wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.motion.clean import stretches
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD
from mrpose_cli.tracking.tracker import Tracker
from mrpose_cli.view.result import Result

MOMENTS = {
    "gap": "not found for a while",
    "low": "unsure joints",
    "jump": "jumps",
    "swap": "left and right exchanged",
    "identity": "may be somebody else",
}
"""Kinds of suspicious moments."""

_JUMP = 0.35  # box sides from one frame to the next
_JUMP_RATIO = 6.0  # and so many times the track's usual step
_SWAP = 0.5  # how far a mirrored pose must be from the frame before, as a share of how far the plain one is
_SWAP_STEP = 0.12  # box sides that the plain one must have gone at least, in the mean of the pair
_SWAP_PAIRS = 2  # pairs of joints that must agree
_NEAR = 0.6  # box sides between the end of a track and the start of another that may be one person
_SOON = 2.0  # seconds between the two
_LOW_SECONDS = 0.25


@dataclass(slots=True, eq=False)
class Track:
    """One person of a clip.

    Attributes:
        id: As the result has it.
        frames: (n,) places among the result's images, ascending.
        people: (n,) places among its people.
        moments: Place, last place and kind of what looks wrong, and which other track has to do with it.
    """

    id: int
    frames: NDArray[np.int64]
    people: NDArray[np.int64]
    moments: list[tuple[int, int, str, int]] = field(default_factory=list)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """First and last frame of each unbroken stretch."""
        breaks = np.flatnonzero(np.diff(self.frames) > 1)
        starts, ends = self.frames[np.r_[0, breaks + 1]], self.frames[np.r_[breaks, len(self.frames) - 1]]
        return list(zip(starts.tolist(), ends.tolist(), strict=True))


def find_tracks(result: Result) -> list[Track]:
    """Return the tracks of a clip in order of their first frame, with their moments."""
    people = result.people
    images = people.images
    tracks = []
    for number in np.unique(people.tracks[people.tracks != 0]):
        index = np.flatnonzero(people.tracks == number)
        _, once = np.unique(images[index], return_index=True)
        tracks.append(Track(int(number), images[index[once]], index[once]))
    tracks.sort(key=lambda track: (int(track.frames[0]), track.id))
    for track in tracks:
        _look_at(result, track)
    _compare(result, tracks)
    for track in tracks:
        track.moments.sort()
    return tracks


def follow(result: Result) -> Result:
    """Give the people of a clip without tracks the ids that ``mrpose video --track`` would, for this page."""
    people, tracker = result.people, Tracker()
    joints = np.nan_to_num(people.joints)
    # A person's score is that of the box times the joints' mean.
    mean = np.where(np.isnan(people.joints[..., 2]), 0, joints[..., 2]).mean(1)
    boxes = np.clip(people.scores / np.maximum(mean, 1e-6), 0, 1)
    ids = np.zeros(len(people), np.int64)
    for image, time in enumerate(result.images.times.tolist()):
        here = np.array(people.of(image), int)
        poses = Poses(
            keypoints=joints[here, :, :2],
            scores=joints[here, :, 2],
            boxes=people.boxes[here],
            box_scores=boxes[here],
            person_scores=people.scores[here],
            skeleton=result.skeletons[0],
        )
        ids[here] = tracker.update(poses, time)
    return replace(result, people=replace(people, tracks=ids))


def _look_at(result: Result, track: Track) -> None:
    people, times = result.people, result.images.times
    for (_, end), (start, _) in zip(track.spans, track.spans[1:], strict=False):
        track.moments.append((end + 1, start - 1, "gap", 0))
    joints, sides = people.joints[track.people], people.sides[track.people]
    scores = np.nan_to_num(joints[..., 2])
    low = (scores >= KEYPOINT_THRESHOLD).sum(1) * 2 < scores.shape[1]
    for part in stretches(low):
        start, end = part.start, part.stop - 1
        first, last = int(track.frames[start]), int(track.frames[end])
        if times[last] - times[first] >= _LOW_SECONDS or end == start == len(low) - 1 == 0:
            track.moments.append((first, last, "low", 0))
    if len(track.frames) < 2:
        return
    step, side = np.diff(track.frames), np.minimum(sides[1:], sides[:-1])
    sure = np.minimum(joints[1:, :, 2], joints[:-1, :, 2]) >= KEYPOINT_THRESHOLD
    moved = np.hypot(*np.moveaxis(joints[1:, :, :2] - joints[:-1, :, :2], -1, 0)) / side[:, None]
    typical = _median(np.where(sure, moved, np.nan))
    usual = float(np.nanmedian(typical)) if np.isfinite(typical).any() else 0.0
    jumps = (step == 1) & (typical > max(_JUMP, _JUMP_RATIO * usual))
    swaps = (step == 1) & ~jumps & (_swapped(result, track, joints, side, moved, sure) >= _SWAP_PAIRS)
    for kind, marks in (("jump", jumps), ("swap", swaps)):
        track.moments += [(int(frame), int(frame), kind, 0) for frame in track.frames[1:][marks]]


def _swapped(
    result: Result,
    track: Track,
    joints: NDArray[np.float32],
    side: NDArray[np.float32],
    moved: NDArray[np.float32],
    sure: NDArray[np.bool_],
) -> NDArray[np.intp]:
    """(n - 1,) how many pairs of joints fit the frame before better if left and right change places."""
    count = np.zeros(len(side), np.intp)
    skeleton = result.skeletons[int(result.people.skeletons[track.people[0]])]
    for left, right in skeleton.flip_pairs:
        plain = moved[:, left] + moved[:, right]
        crossed = sum(
            np.hypot(*(joints[1:, a, :2] - joints[:-1, b, :2]).T) / side
            for a, b in ((left, right), (right, left))
        )
        both = sure[:, left] & sure[:, right]
        count += both & (plain > 2 * _SWAP_STEP) & (crossed < _SWAP * plain)
    return count


def _median(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n,) medians of the rows, NaN for rows of NaN."""
    some = np.isfinite(values).any(1)
    found = np.full(len(values), np.nan)
    if some.any():
        found[some] = np.nanmedian(values[some], axis=1)
    return found


def _compare(result: Result, tracks: Sequence[Track]) -> None:
    """Mark where one track seems to go on as another, and where two change places."""
    people, times = result.people, result.images.times
    centers = (people.boxes[:, :2] + people.boxes[:, 2:]) / 2
    for new in tracks:
        start = new.people[0]
        if new.frames[0] == 0:
            continue
        for old in tracks:
            end = old.people[-1]
            wait = times[new.frames[0]] - times[old.frames[-1]]
            far = float(np.hypot(*(centers[start] - centers[end])))
            if 0 < wait <= _SOON and far < _NEAR * min(people.sides[start], people.sides[end]):
                new.moments.append((int(new.frames[0]), int(new.frames[0]), "identity", old.id))
                old.moments.append((int(old.frames[-1]), int(old.frames[-1]), "identity", new.id))
    for one, other in combinations(tracks, 2):
        both, a, b = np.intersect1d(one.frames, other.frames, assume_unique=True, return_indices=True)
        if len(both) < 2:
            continue
        p, q = centers[one.people[a]], centers[other.people[b]]
        kept = np.hypot(*(p[1:] - p[:-1]).T) + np.hypot(*(q[1:] - q[:-1]).T)
        changed = np.hypot(*(p[1:] - q[:-1]).T) + np.hypot(*(q[1:] - p[:-1]).T)
        side = np.minimum(people.sides[one.people[a]], people.sides[other.people[b]])[1:]
        crossed = (np.diff(both) == 1) & (changed < kept / 2) & (kept > 0.2 * side)
        for frame in both[1:][crossed].tolist():
            one.moments.append((frame, frame, "identity", other.id))
            other.moments.append((frame, frame, "identity", one.id))
