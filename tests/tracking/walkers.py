"""People for the tests of tracking: stick figures that walk where they are told."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.poses import Poses

# A standing person in a box of width 1 and height 3, joints in COCO's order.
_STANDING = np.array(
    [
        (0.5, 0.3), (0.55, 0.25), (0.45, 0.25), (0.6, 0.3), (0.4, 0.3),
        (0.8, 0.7), (0.2, 0.7), (0.85, 1.1), (0.15, 1.1), (0.85, 1.5), (0.15, 1.5),
        (0.7, 1.5), (0.3, 1.5), (0.7, 2.2), (0.3, 2.2), (0.7, 2.9), (0.3, 2.9),
    ]
)  # fmt: skip


def at(
    places: Sequence[tuple[float, float]],
    *,
    scores: Sequence[float] | None = None,
    height: float = 90,
    noise: NDArray[np.float64] | float = 0.0,
) -> Poses:
    """People whose boxes have their upper left corner at these places; `noise` is added to their joints."""
    corners = np.array(places, np.float64).reshape(-1, 2)
    count, width = len(corners), height / 3
    points = corners[:, None] + _STANDING * width + noise
    sure = np.full(count, 0.9) if scores is None else np.array(scores)
    return Poses(
        keypoints=points.astype(np.float32).reshape(count, 17, 2),
        scores=np.full((count, 17), 0.8, np.float32),
        boxes=np.concatenate([corners, corners + np.array([width, height])], axis=1).astype(np.float32),
        box_scores=sure.astype(np.float32),
        person_scores=(sure * 0.8).astype(np.float32),
    )
