"""What is asked of movement files: one field, one default, one flag each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.flag import Flag
from mrpose_cli.motion.clean import Cleaning
from mrpose_cli.motion.scale import Scale
from mrpose_cli.motion.views import Facing
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD

MOVEMENT = "Movement"
METERS = "Meters"
_USUAL = Cleaning()


@dataclass(frozen=True)
class MotionOptions:
    """What is asked of movement files; the fields' help texts are their documentation."""

    people: Annotated[
        str,
        Flag("Track ids, such as 1,3. [default: all who are long enough in sight]", MOVEMENT, metavar="IDS"),
    ] = ""
    least: Annotated[
        float,
        Flag(
            "Leave out people who are in sight for less than so many seconds.",
            MOVEMENT,
            0,
            names=("--min-seconds",),
        ),
    ] = 0.5
    facing: Annotated[
        Facing,
        Flag(
            "How people are seen: from the side, facing right or left, or from the front or back.", MOVEMENT
        ),
    ] = "auto"
    threshold: Annotated[
        float, Flag("Joints below this score are unknown.", MOVEMENT, 0, 1, names=("--min-score",))
    ] = KEYPOINT_THRESHOLD
    hampel: Annotated[
        int,
        Flag(
            "Frames around a joint by whose median outliers are told (3 deviations off); 0 for off.",
            MOVEMENT,
            0,
        ),
    ] = _USUAL.window
    gap: Annotated[float, Flag("Fill gaps of up to so many seconds.", MOVEMENT, 0)] = _USUAL.gap
    cutoff: Annotated[
        float, Flag("Low-pass joints at so many Hz (Butterworth, zero-phase, -3 dB); 0 for off.", MOVEMENT, 0)
    ] = _USUAL.cutoff
    height: Annotated[
        str,
        Flag("How tall people are: 1.75 for all, or by track id, 1=1.75,2=1.62.", METERS, metavar="METERS"),
    ] = ""
    scale: Annotated[float | None, Flag("Pixels per meter.", METERS, 1e-6)] = None
    ruler: Annotated[
        str,
        Flag("Two points in pixels and how far apart they are in meters.", METERS, metavar="X,Y,X,Y=METERS"),
    ] = ""

    @property
    def cleaning(self) -> Cleaning:
        """How joints are cleaned."""
        return Cleaning(self.threshold, self.hampel, gap=self.gap, cutoff=self.cutoff)

    def wanted(self) -> frozenset[int] | None:
        """Track ids; None for all.

        Raises:
            UsageError: they are none.
        """
        if not self.people:
            return None
        parts = [part.strip() for part in self.people.split(",")]
        if not all(part.isdecimal() and len(part) < 19 for part in parts):
            raise UsageError(f"{parameter('people')} takes track ids such as 1,3, not '{self.people}'")
        return frozenset(map(int, parts))

    def meters(self) -> Scale:
        """How pixels become meters.

        Raises:
            UsageError: what is given is not a height, not a ruler, or more than one of them.
        """
        if sum(map(bool, (self.height, self.scale, self.ruler))) > 1:
            names = ", ".join(map(parameter, ("height", "scale", "ruler")))
            raise UsageError(f"{names} contradict each other; pass one of them")
        if self.ruler:
            return Scale(_ruler(self.ruler))
        if self.height and "=" not in self.height:
            return Scale(height=_meters(self.height, "height"))
        return Scale(self.scale, _heights(self.height) if self.height else {})


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
