"""All that is worked out of a track."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.motion.angles import angular_velocities, measure_angles, speeds
from mrpose_cli.motion.clean import Cleaned, clean
from mrpose_cli.motion.options import Cleaning, Facing
from mrpose_cli.motion.scale import Axes, Scale
from mrpose_cli.motion.tracks import Track
from mrpose_cli.motion.views import View, find_view, middle


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """How somebody moves.

    Attributes:
        raw: As it was estimated.
        cleaned: What became of it.
        view: How the person is seen.
        axes: What coordinates in files mean.
        angles: (T,) degrees, by name; see ``angles.ANGLES``.
        velocities: (T,) degrees a second, by angle.
        speeds: (T, K) pixels a second, of the joints of ``track``.
    """

    raw: Track
    cleaned: Cleaned
    view: View
    axes: Axes
    angles: Mapping[str, NDArray[np.float64]]
    velocities: Mapping[str, NDArray[np.float64]]
    speeds: NDArray[np.float64]

    @property
    def track(self) -> Track:
        """The person, cleaned, and ``mid_hip`` after the joints of the skeleton."""
        return self.cleaned.track


def analyze(
    track: Track, cleaning: Cleaning, facing: Facing = "auto", scale: Scale | None = None, bottom: float = 0
) -> Motion:
    """Work out how somebody moves.

    Args:
        track: As it was estimated.
        cleaning: How it is cleaned.
        facing: How the person is seen, if that is known.
        scale: How pixels become meters; None if they do not.
        bottom: Height of the picture in pixels; 0 if that is not known.
    """
    cleaned = clean(track, cleaning)
    cleaned = replace(cleaned, track=_with_middle(cleaned.track))
    view = find_view(cleaned.track, facing)
    angles = measure_angles(cleaned.track, view)
    turning = angular_velocities(angles, track.rate)
    axes = (scale or Scale()).axes(cleaned.track, bottom)
    return Motion(track, cleaned, view, axes, angles, turning, speeds(cleaned.track))


def _with_middle(track: Track) -> Track:
    """Add ``mid_hip``, by whose speed people are said to move, where there are hips."""
    hips = middle(track, "hip")
    if hips is None or "mid_hip" in track.names:
        return track
    return replace(
        track,
        joints=np.concatenate([track.joints, hips[:, None]], 1),
        scores=np.pad(track.scores, ((0, 0), (0, 1)), constant_values=np.nan),
        names=(*track.names, "mid_hip"),
    )
