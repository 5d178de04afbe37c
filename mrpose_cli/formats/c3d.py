"""C3D, which motion analysis and animation programs read: joints as points.

https://www.c3d.org
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from mrpose_cli.atomic import write_atomically, writing
from mrpose_cli.errors import DiskFullError, OutputError
from mrpose_cli.formats.movement import missing
from mrpose_cli.motion.motion import Motion

_MILLIMETERS = 1000.0  # what C3D counts in; points are float32
_MOST_FRAMES = 65_535  # in 16 bits


def write_c3d(path: Path, motion: Motion) -> None:
    """Write joints as points, in millimeters or pixels, z being 0; what is not known is marked as such.

    Raises:
        OutputError: the file cannot be written, or there are more frames than the format counts.
        UsageError: ezc3d is not installed.
    """
    try:
        import ezc3d
    except ImportError:
        raise missing("C3D files", "ezc3d") from None
    track, meters = motion.track, motion.axes.unit == "m"
    if len(track.times) > _MOST_FRAMES:
        raise OutputError(
            f"{path} would have more than {_MOST_FRAMES} frames, which C3D cannot count; TRC can"
        )
    places = motion.axes.upright(track.joints) * (_MILLIMETERS if meters else 1.0)
    points = np.ones((4, len(track.names), len(track.times)))
    points[:2] = places.transpose(2, 1, 0)
    points[2] = np.where(np.isnan(points[0]), np.nan, 0.0)
    file = ezc3d.c3d()
    file["parameters"]["POINT"]["RATE"]["value"] = [track.rate]
    file["parameters"]["POINT"]["LABELS"]["value"] = list(track.names)
    file["parameters"]["POINT"]["UNITS"]["value"] = ["mm" if meters else "px"]
    file.add_parameter("POINT", "X_SCREEN", ["+X"])
    file.add_parameter("POINT", "Y_SCREEN", ["+Y"])
    first = int(track.frames[0])
    if first + len(track.times) <= _MOST_FRAMES:
        file["header"]["points"]["first_frame"] = first
    file["data"]["points"] = points
    # ezc3d does not say when a disk is full, and not every name is one to C++.
    with TemporaryDirectory() as folder, writing(path):
        whole = Path(folder) / "points.c3d"
        file.write(str(whole))
        content = whole.read_bytes()
    if len(content) < points.size * 4:
        raise DiskFullError(f"no space left on the disk for temporary files: {path}")
    write_atomically(path, content)
