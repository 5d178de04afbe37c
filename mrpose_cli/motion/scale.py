"""From pixels to meters, and from the picture's axes to OpenSim's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.motion.options import MotionOptions
from mrpose_cli.motion.tracks import Track
from mrpose_cli.motion.views import middle

# Heights of joints above the floor as shares of a person's height: Drillis and Contini (1966), as in Winter,
# "Biomechanics and Motor Control of Human Movement" (3rd ed.), figure 3.1.
_SHOULDER, _ANKLE = 0.818, 0.039
_STRETCHED = (
    90  # percentile over time: segments that point at the camera look shorter, and nothing looks longer
)


@dataclass(frozen=True, slots=True)
class Axes:
    """What coordinates in movement files mean: x to the right, y up, z towards the camera and 0.

    Attributes:
        per_meter: Pixels; None to leave them pixels.
        bottom: Height of the picture in pixels, whose lowest row is y = 0; with 0, the highest is.
    """

    per_meter: float | None
    bottom: float

    @property
    def unit(self) -> str:
        """``"m"`` or ``"px"``."""
        return "px" if self.per_meter is None else "m"

    @property
    def size(self) -> float:
        """How many units a pixel is."""
        return 1.0 if self.per_meter is None else 1.0 / self.per_meter

    def upright(self, joints: NDArray[np.float64]) -> NDArray[np.float64]:
        """(..., 2) pixels, y down, as (..., 2) in these axes."""
        lowest = max(self.bottom - 1, 0.0)
        return np.stack([joints[..., 0], lowest - joints[..., 1]], -1) * self.size


@dataclass(frozen=True, slots=True)
class Scale:
    """How pixels become meters.

    Attributes:
        per_meter: Pixels, the same for everybody; None if that is not known.
        heights: In meters, by track id.
        height: In meters, of everybody else; None if that is not known.
    """

    per_meter: float | None = None
    heights: Mapping[int, float] = field(default_factory=dict)
    height: float | None = None

    def axes(self, track: Track, bottom: float) -> Axes:
        """Return the axes for somebody, cleaned, in a picture of this height; pixels if nothing is known."""
        height = self.heights.get(track.number, self.height)
        tall = None if height is None else pixels_of_height(track)
        return Axes(tall / height if tall and height else self.per_meter, bottom)


def pixels_of_height(track: Track) -> float | None:
    """How tall somebody would be standing upright, in pixels; None if no step shows a leg and the trunk.

    Shanks, thighs and the trunk are added up, the better seen leg each time, and taken for the 78 % of the
    height that lie between ankles and shoulders.
    """
    shoulders, hips = middle(track, "shoulder"), middle(track, "hip")
    if shoulders is None or hips is None:
        return None
    legs = []
    for side in ("left", "right"):
        hip, knee, ankle = (track.joint(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
        if hip is not None and knee is not None and ankle is not None:
            legs.append(np.linalg.norm(hip - knee, axis=1) + np.linalg.norm(knee - ankle, axis=1))
    if not legs:
        return None
    longest = np.fmax.reduce(legs) + np.linalg.norm(shoulders - hips, axis=1)
    known = longest[np.isfinite(longest)]
    if not len(known):
        return None
    return float(np.percentile(known, _STRETCHED)) / (_SHOULDER - _ANKLE)


def scale_of(options: MotionOptions) -> Scale:
    """How pixels become meters.

    Raises:
        UsageError: what is given is no height, no ruler, or more than one of them.
    """
    if sum(map(bool, (options.height, options.scale, options.ruler))) > 1:
        names = ", ".join(map(parameter, ("height", "scale", "ruler")))
        raise UsageError(f"{names} contradict each other; pass one of them")
    if options.ruler:
        return Scale(_ruler(options.ruler))
    if options.height and "=" not in options.height:
        return Scale(height=_meters(options.height, "height"))
    return Scale(options.scale, _heights(options.height) if options.height else {})


def _heights(text: str) -> Mapping[int, float]:
    heights = {}
    for part in text.split(","):
        number, _, meters = part.partition("=")
        if not number.strip().isdecimal():
            raise UsageError(f"{parameter('height')} takes 1.75 or 1=1.75,2=1.62, not '{text}'")
        heights[int(number)] = _meters(meters, "height")
    return heights


def _ruler(text: str) -> float:
    points, _, meters = text.partition("=")
    try:
        x1, y1, x2, y2 = map(float, points.split(","))
    except ValueError:
        raise UsageError(
            f"{parameter('ruler')} takes two points and meters, such as 100,420,540,418=2.5, not '{text}'"
        ) from None
    length = math.hypot(x2 - x1, y2 - y1)
    if not 0 < length < math.inf:
        raise UsageError(f"{parameter('ruler')} needs two different points, not '{text}'")
    return length / _meters(meters, "ruler")


def _meters(text: str, name: str) -> float:
    try:
        meters = float(text)
    except ValueError:
        meters = 0.0
    if not 0 < meters < math.inf:
        raise UsageError(f"{parameter(name)} takes meters above 0, such as 1.75, not '{text}'")
    return meters
