"""OpenPose's JSON, a file a frame, as Pose2Sim reads it to make 3D of several cameras.

https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/doc/02_output.md; joints are in the order
of their own skeleton, which is what Pose2Sim's COCO_17, HALPE_26 and so on mean.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from pathlib import Path

import numpy as np

from mrpose_cli.atomic import write_atomically, writing
from mrpose_cli.formats.clips import ClipPoses
from mrpose_cli.motion.tracks import Clock

_EMPTY: dict[str, list[float]] = {
    f"{part}_keypoints_{dimensions}": []
    for dimensions in ("2d", "3d")
    for part in ("face", "hand_left", "hand_right")
}


def write_openpose(folder: Path, clip: ClipPoses, clock: Clock) -> int:
    """Write everybody as they were estimated, nothing cleaned: Pose2Sim weighs by score and filters in 3D.

    Files are counted from 0 in the clock's steps, so that cameras that began together agree; a step without a
    frame has no people. Frames of an earlier, longer run are removed.

    Args:
        folder: For the files; ``walk_json`` for the clip ``walk``.
        clip: The people.
        clock: The steps of the clip.

    Returns:
        How many files there are.

    Raises:
        OutputError: a file cannot be written.
    """
    people: dict[int, list[int]] = {}
    for person, place in enumerate(clip.places.tolist()):
        people.setdefault(place, []).append(person)
    places = clock.nearest(clip.times)
    stem = folder.name.removesuffix("_json")
    count = len(places)
    with writing(folder):
        for step, place in enumerate(places.tolist()):
            rows = [_person(clip, person) for person in people.get(place, [])]
            text = json.dumps({"version": 1.3, "people": rows}, allow_nan=False)
            write_atomically(folder / f"{stem}_{step:06d}.json", text.encode())
        ours = re.compile(rf"{re.escape(stem)}_(\d{{6,}})\.json")
        for path in list(folder.iterdir()):
            if (match := ours.fullmatch(path.name)) and int(match[1]) >= count:
                with suppress(FileNotFoundError):
                    path.unlink()
    return count


def _person(clip: ClipPoses, person: int) -> dict[str, object]:
    triples = np.column_stack([clip.keypoints[person], clip.scores[person]])
    return {
        "person_id": [int(clip.ids[person]) or -1],
        "pose_keypoints_2d": np.round(triples, 5).ravel().tolist(),
        **_EMPTY,
        "pose_keypoints_3d": [],
    }
