"""A figure whose angles are known: it is built from them, segment by segment."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.motion.tracks import Track

_PAIRS = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "big_toe", "heel")
NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear"),
    *(f"{side}_{joint}" for joint in _PAIRS for side in ("left", "right")),
)
LENGTHS = {"trunk": 120.0, "thigh": 100.0, "shank": 95.0, "upper_arm": 70.0, "forearm": 60.0, "foot": 60.0}


def line(degrees: NDArray[np.float64], length: float, forward: float) -> NDArray[np.float64]:
    """(T, 2), a segment turned forward from hanging straight down, y down."""
    turned = np.radians(degrees)
    return np.stack([forward * np.sin(turned), np.cos(turned)], -1) * length


def figure(
    angles: Mapping[str, NDArray[np.float64]],
    *,
    forward: float = 1.0,
    rate: float = 30.0,
    center: tuple[float, float] = (400.0, 300.0),
    front: bool = False,
) -> Track:
    """Somebody with these joint angles.

    Args:
        angles: (T,) degrees, of the trunk and by joint and side; 0 for those left out.
        forward: 1 to face right, -1 left. From the front: 1 for the front, -1 for the back.
        rate: Frames a second.
        center: Where the middle of the hips is.
        front: Whether joints bend away from the middle, not forward.
    """
    steps = len(next(iter(angles.values())))
    zero = np.zeros(steps)
    joints = np.full((steps, len(NAMES), 2), np.nan)

    def put(name: str, places: NDArray[np.float64]) -> None:
        joints[:, NAMES.index(name)] = places

    lean = angles.get("trunk", zero)
    hips = np.tile(np.array(center), (steps, 1))
    shoulders = hips - line(-lean, LENGTHS["trunk"], forward)
    for side in ("left", "right"):
        outward = (forward if side == "left" else -forward) if front else forward
        tilt = -lean if outward == forward else lean  # of the hanging trunk
        apart = np.array([outward * 20.0 if front else 0.0, 0.0])
        of = {
            name: angles.get(f"{side}_{name}", zero) for name in ("hip", "knee", "ankle", "shoulder", "elbow")
        }
        hip, shoulder = hips + apart, shoulders + apart
        thigh, upper_arm = of["hip"] + tilt, of["shoulder"] + tilt
        knee, elbow = (
            hip + line(thigh, LENGTHS["thigh"], outward),
            shoulder + line(upper_arm, LENGTHS["upper_arm"], outward),
        )
        shank = thigh - of["knee"]
        ankle = knee + line(shank, LENGTHS["shank"], outward)
        heel = ankle - line(shank + of["ankle"] + 90, 15, outward)
        for name, place in (
            ("hip", hip),
            ("shoulder", shoulder),
            ("knee", knee),
            ("elbow", elbow),
            ("ankle", ankle),
        ):
            put(f"{side}_{name}", place)
        put(f"{side}_wrist", elbow + line(upper_arm + of["elbow"], LENGTHS["forearm"], outward))
        put(f"{side}_heel", heel)
        put(f"{side}_big_toe", heel + line(shank + of["ankle"] + 90, LENGTHS["foot"], outward))
        put(f"{side}_ear", shoulders + np.array([-30 * outward if front else 0.0, -40.0]))
        put(f"{side}_eye", shoulders + np.array([0.0, -45.0]))
    put("nose", shoulders + np.array([0.0 if front else 40 * forward, -40.0]))
    times = np.arange(steps) / rate
    return Track(1, np.arange(steps), times, joints, np.full(joints.shape[:2], 0.9), NAMES)
