"""Angles of a track as the plots show them: those of movement files, of joints as they were estimated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.motion.angles import measure_angles
from mrpose_cli.motion.tracks import Track as Movement
from mrpose_cli.motion.views import find_view
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD
from mrpose_cli.view.result import Result
from mrpose_cli.view.tracks import Track


def track_angles(result: Result, track: Track) -> dict[str, NDArray[np.float64]]:
    """Measure the angles of a track in degrees, (n,) by name; NaN where joints are missing or unsure."""
    people = result.people
    joints = people.joints[track.people].astype(np.float64)
    joints[~(joints[..., 2] >= KEYPOINT_THRESHOLD)] = np.nan
    skeleton = result.skeletons[int(people.skeletons[track.people[0]])]
    count = len(skeleton.joints)
    moving = Movement(
        number=track.id,
        frames=result.images.frames[track.frames],
        times=result.images.times[track.frames],
        joints=joints[:, :count, :2],
        scores=joints[:, :count, 2],
        names=skeleton.joints,
    )
    return measure_angles(moving, find_view(moving))
