"""Angles of joints and segments in the plane of the picture, and how fast everything moves.

Angles are built from inclinations: how far a segment is turned away from hanging straight down, forward being
positive. The difference of two inclinations is the angle of the joint between them. Which way is forward
depends on how the person is seen, `views.py`. `docs/motion.md` has a picture.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.motion.clean import stretches
from mrpose_cli.motion.tracks import Track
from mrpose_cli.motion.views import FRONT, View, middle

Points = NDArray[np.float64]  # (T, 2) pixels, y down
Series = NDArray[np.float64]  # (T,)


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle that is measured.

    Attributes:
        name: ``"left_knee"``.
        meaning: What it is, seen from the side.
        frontal: What it is, seen from the front or the back; empty if it is not measured then.
    """

    name: str
    meaning: str
    frontal: str


_OUT = "+ away from the middle"
_LIMBS = (  # of both sides
    Angle("hip", "thigh to trunk (flexion), + forward", f"thigh to trunk (abduction), {_OUT}"),
    Angle("knee", "shank to thigh (flexion), 0 straight", "shank to thigh, 0 straight, no sign"),
    Angle("ankle", "foot, heel to big toe, to shank (dorsiflexion), 0 at a right angle, + toes up", ""),
    Angle(
        "shoulder",
        "upper arm to trunk (flexion), + forward, -120 to 240",
        f"upper arm to trunk (abduction), {_OUT}, -120 to 240",
    ),
    Angle("elbow", "forearm to upper arm (flexion), 0 straight", "forearm to upper arm, 0 straight, no sign"),
    Angle("thigh", "thigh to the vertical, + knee forward", f"thigh to the vertical, {_OUT}"),
    Angle("shank", "shank to the vertical, + ankle forward", f"shank to the vertical, {_OUT}"),
    Angle("foot", "foot, heel to big toe, to the horizontal, + toes up", ""),
    Angle("upper_arm", "upper arm to the vertical, + elbow forward", f"upper arm to the vertical, {_OUT}"),
    Angle("forearm", "forearm to the vertical, + wrist forward", f"forearm to the vertical, {_OUT}"),
)
ANGLES = (
    Angle("trunk", "hips to shoulders to the vertical, + forward", "the same, + to the person's left"),
    *(replace(angle, name=f"{side}_{angle.name}") for angle in _LIMBS for side in ("left", "right")),
)
"""What is measured where the skeleton has the joints for it."""

_SEGMENTS = {
    "thigh": ("hip", "knee"),
    "shank": ("knee", "ankle"),
    "foot": ("heel", "big_toe"),
    "upper_arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}


def measure_angles(track: Track, view: View) -> dict[str, Series]:
    """Measure the angles that the skeleton allows, in degrees, in ``ANGLES``' order; NaN where unknown."""
    found: dict[str, Series] = {}
    down = _segment(middle(track, "shoulder"), middle(track, "hip"))  # (T, 2), as the trunk hangs
    if down is not None:
        found["trunk"] = -inclination(down, view.forward("middle"))
    for side in ("left", "right"):
        forward = view.forward(side)
        leans = None if down is None else inclination(down, forward)
        lines = {
            name: _segment(track.joint(f"{side}_{above}"), track.joint(f"{side}_{below}"))
            for name, (above, below) in _SEGMENTS.items()
        }
        turned = {name: inclination(line, forward) for name, line in lines.items() if line is not None}
        if "foot" in turned:
            turned["foot"] = wrap(turned["foot"] - 90)
        found |= {f"{side}_{name}": series for name, series in turned.items()}
        for name, (one, other) in _JOINTS.items():
            a, b = turned.get(one), leans if other == "trunk" else turned.get(other)
            if a is not None and b is not None:
                found[f"{side}_{name}"] = wrap(a - b, _LOWEST.get(name, -180.0))
        if view.name == FRONT:
            for name in ("knee", "elbow"):
                if (whole := f"{side}_{name}") in found:
                    found[whole] = np.abs(found[whole])
            for name in ("ankle", "foot"):
                found.pop(f"{side}_{name}", None)
    return {angle.name: found[angle.name] for angle in ANGLES if angle.name in found}


# Joint: the segment that moves, and the one it is measured against, each by its inclination.
_JOINTS = {
    "hip": ("thigh", "trunk"),
    "knee": ("thigh", "shank"),
    "ankle": ("foot", "shank"),
    "shoulder": ("upper_arm", "trunk"),
    "elbow": ("forearm", "upper_arm"),
}
_LOWEST = {"shoulder": -120.0}  # arms are raised over 180


def inclination(lines: Points, forward: NDArray[np.float64]) -> Series:
    """Degrees by which lines are turned away from straight down.

    Args:
        lines: (T, 2) from their upper to their lower end, y down.
        forward: (T,) 1 where the picture's right is forward, -1 where its left is.
    """
    return np.asarray(np.degrees(np.arctan2(forward * lines[:, 0], lines[:, 1])))


def wrap(degrees: Series, lowest: float = -180.0) -> Series:
    """Put directions between ``lowest`` and a full turn above."""
    return np.asarray((degrees - lowest) % 360 + lowest)


def _segment(upper: Points | None, lower: Points | None) -> Points | None:
    return None if upper is None or lower is None else lower - upper


def speeds(track: Track) -> Series:
    """How fast joints move, (T, K) pixels a second, by central differences."""
    moved = rate_of_change(track.joints.reshape(len(track.times), -1), track.rate)
    return np.asarray(np.linalg.norm(moved.reshape(track.joints.shape), axis=2))


def angular_velocities(angles: Mapping[str, Series], rate: float) -> dict[str, Series]:
    """Degrees a second, by central differences; a step over the end of the scale is none."""
    found = {}
    for name, series in angles.items():
        even = series.copy()
        for part in stretches(np.isfinite(series)):
            even[part] = np.unwrap(series[part], period=360)
        found[name] = rate_of_change(even[:, None], rate)[:, 0]
    return found


def rate_of_change(values: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    """Differences a second of (T, C) values: central ones, at the ends of what is known one-sided."""
    change = np.full_like(values, np.nan)
    for column in range(values.shape[1]):
        for part in stretches(np.isfinite(values[:, column])):
            if part.stop - part.start > 1:
                change[part, column] = np.gradient(values[part, column]) * rate
    return change
