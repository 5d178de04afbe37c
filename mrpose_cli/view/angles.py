"""Angles at joints, as the plots show them: between the two limbs that meet there, in the picture's plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.skeletons import Skeleton

# At the first, between the other two.
_CORNERS = (
    *(("knee", "hip", "ankle"), ("elbow", "shoulder", "wrist")),
    *(("hip", "shoulder", "knee"), ("shoulder", "hip", "elbow")),
)
Corner = tuple[str, tuple[int, int, int]]


def corners(skeleton: Skeleton) -> list[Corner]:
    """Return the name and the three joints, the middle one second, of each angle that a skeleton has."""
    places = {name: place for place, name in enumerate(skeleton.joints)}
    found: list[Corner] = []
    for side in ("left", "right"):
        for names in _CORNERS:
            at, one, other = (f"{side}_{name}" for name in names)
            if {at, one, other} <= places.keys():
                found.append((at, (places[one], places[at], places[other])))
    return found


def angles(joints: NDArray[np.float32], of: Sequence[Corner]) -> NDArray[np.float32]:
    """Compute angles in degrees, 0 to 180; 180 is straight.

    Args:
        joints: (n, K, 3) x, y, score.
        of: Which ones.

    Returns:
        (len(of), n); NaN where a joint is missing or two of them coincide.
    """
    points = joints[..., :2].astype(np.float64)
    found = np.full((len(of), len(joints)), np.nan, np.float32)
    for row, (_, (a, b, c)) in enumerate(of):
        u, v = points[:, a] - points[:, b], points[:, c] - points[:, b]
        cross, dot = u[:, 0] * v[:, 1] - u[:, 1] * v[:, 0], (u * v).sum(1)
        turned = np.degrees(np.arctan2(np.abs(cross), dot))
        found[row] = np.where((cross == 0) & (dot == 0), np.nan, turned)
    return found
