"""OpenSim's text files: markers (TRC) and coordinates of a model (MOT).

`TRC <https://simtk-confluence.stanford.edu/display/OpenSim/Marker+(.trc)+Files>`_ and
`MOT <https://simtk-confluence.stanford.edu/display/OpenSim/Motion+(.mot)+Files>`_, as OpenSim 4.6 reads them.
What is not known is ``nan``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.atomic import replacing
from mrpose_cli.formats.movement import DEGREES, DIGITS
from mrpose_cli.motion.motion import Motion
from mrpose_cli.motion.views import FRONT
from mrpose_cli.printable import printable

# Coordinates of Rajagopal's full-body model (2016), which others' models share, by our angles; seen from the
# side, then from the front. Their signs are ours, but for what is lifted away from the middle.
_SIDE = {
    "hip": "hip_flexion",
    "knee": "knee_angle",
    "ankle": "ankle_angle",
    "shoulder": "arm_flex",
    "elbow": "elbow_flex",
}
_FRONT = {"hip": "hip_adduction", "knee": "knee_angle", "shoulder": "arm_add", "elbow": "elbow_flex"}


def write_trc(path: Path, motion: Motion) -> None:
    """Write joints as markers, z being 0.

    Raises:
        OutputError: the file cannot be written.
    """
    track, unit = motion.track, motion.axes.unit
    places = motion.axes.upright(track.joints)  # (T, K, 2)
    flat = np.where(np.isnan(places[..., :1]), np.nan, 0.0)
    values = np.concatenate([places, flat], -1).reshape(len(places), -1)
    rate, count, first = f"{track.rate:.6f}".rstrip("0").rstrip("."), len(track.times), int(track.frames[0])
    titles = "\t".join(f"X{joint}\tY{joint}\tZ{joint}" for joint in range(1, len(track.names) + 1))
    with replacing(path, "x") as file:
        file.write(
            f"PathFileType\t4\t(X/Y/Z)\t{printable(path.name)}\n"
            "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames\n"
            f"{rate}\t{rate}\t{count}\t{len(track.names)}\t{unit}\t{rate}\t{first}\t{count}\n"
            f"Frame#\tTime\t{(3 * chr(9)).join(track.names)}\t\t\n"
            f"\t\t{titles}\n\n"
        )
        for frame, time, row in zip(track.frames, track.times, values, strict=True):
            file.write(f"{frame}\t{time:.6f}\t{_row(row, DIGITS[unit])}\n")


def write_mot(path: Path, motion: Motion) -> None:
    """Write joint angles in degrees as coordinates of OpenSim's full-body model.

    Raises:
        OutputError: the file cannot be written.
    """
    found = coordinates(motion)
    with replacing(path, "x") as file:
        file.write(
            f"Coordinates\nversion=1\nnRows={len(motion.track.times)}\nnColumns={len(found) + 1}\n"
            "inDegrees=yes\nendheader\n" + "\t".join(["time", *found]) + "\n"
        )
        for time, row in zip(motion.track.times, np.stack(list(found.values()), -1), strict=True):
            file.write(f"{time:.6f}\t{_row(row, max(DEGREES, DIGITS['m']))}\n")


def coordinates(motion: Motion) -> dict[str, NDArray[np.float64]]:
    """Return the columns of a MOT file, (T,) each: degrees, and meters where these are known.

    Whoever faces left is turned around, so that forward stays forward; the pelvis, which the trunk is one
    with, is tilted about the axis that points at the camera.
    """
    steps = len(motion.track.times)
    front, right = motion.view.name == FRONT, motion.view.right
    found: dict[str, NDArray[np.float64]] = {}
    if not front:
        found["pelvis_tilt"] = -right * motion.angles.get("trunk", np.full(steps, np.nan))
        found["pelvis_rotation"] = np.where(right > 0, 0.0, 180.0)
        if motion.axes.unit == "m" and (hips := motion.track.joint("mid_hip")) is not None:
            found["pelvis_tx"], found["pelvis_ty"] = motion.axes.upright(hips).T
    for ours, theirs in (_FRONT if front else _SIDE).items():
        for side in ("right", "left"):
            series = motion.angles.get(f"{side}_{ours}")
            if series is not None:
                found[f"{theirs}_{side[0]}"] = -series if theirs in ("hip_adduction", "arm_add") else series
    return found or {"pelvis_tilt": np.full(steps, np.nan)}


def _row(values: NDArray[np.float64], digits: int) -> str:
    return "\t".join(f"{value:.{digits}f}" for value in values.tolist())
