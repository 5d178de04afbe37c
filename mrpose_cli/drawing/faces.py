"""Making faces unrecognizable, by where the network sees them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import Skeleton
from mrpose_cli.skeletons.names import side_and_part

_PARTS = frozenset({"nose", "eye", "ear", "earbase", "head", "headtop", "tophead", "upperneck"})
_SEEN = 0.2
_CELLS = 4  # a face is left as so many squares across, smoothed: no network brings it back


def blur_faces(canvas: NDArray[np.uint8], poses: Poses) -> None:
    """Blur every head in a picture.

    A head that the network is not sure of is blurred where it guesses it to be: a back of a head too many
    is better than a face too few. People who were not found cannot be blurred.

    Args:
        canvas: (H, W, 3) uint8, changed in place.
        poses: The people, in the picture's pixels.
    """
    face = _heads(poses.skeleton)
    shoulders = [pair for pair in poses.skeleton.flip_pairs if _part(poses.skeleton, pair[0]) == "shoulder"]
    for points, scores, box in zip(poses.keypoints, poses.scores, poses.boxes, strict=True):
        seen = [i for i in face if scores[i] >= _SEEN] or face
        center = points[seen].mean(0)
        spread = float(np.linalg.norm(points[seen] - center, axis=1).max())
        width = max((float(np.linalg.norm(points[a] - points[b])) for a, b in shoulders), default=0.0)
        # A head is about a seventh of a standing person high, and half as wide as the shoulders.
        radius = max(1.7 * spread, 0.4 * width, 0.07 * float(box[3] - box[1]))
        radius = min(radius, 0.35 * float(max(box[2] - box[0], box[3] - box[1])))
        _blur_disc(canvas, center, radius)


def check_heads(skeleton: Skeleton) -> None:
    """Check that a skeleton tells where heads are.

    Raises:
        UsageError: no joint belongs to one.
    """
    if not _heads(skeleton):
        raise UsageError(
            f"{skeleton.name} has no joint of the head, so {parameter('blur_faces')} finds no face"
        )


def _heads(skeleton: Skeleton) -> list[int]:
    parts = [_part(skeleton, joint) for joint in range(len(skeleton.joints))]
    return [joint for joint, part in enumerate(parts) if part in _PARTS or part.startswith("face")]


def _part(skeleton: Skeleton, joint: int) -> str:
    return side_and_part(skeleton.joints[joint])[1]


def _blur_disc(canvas: NDArray[np.uint8], center: NDArray[np.float32], radius: float) -> None:
    height, width = canvas.shape[:2]
    left, top = (int(v) for v in np.clip(np.floor(center - radius), 0, [width, height]))
    right, bottom = (int(v) for v in np.clip(np.ceil(center + radius) + 1, 0, [width, height]))
    if left >= right or top >= bottom:
        return
    part = canvas[top:bottom, left:right]
    cells = cv2.resize(part, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
    blurred = cv2.resize(cells, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    rows, columns = np.mgrid[top:bottom, left:right]
    inside = (columns - center[0]) ** 2 + (rows - center[1]) ** 2 <= radius**2
    part[inside] = blurred[inside]
