"""What is asked of movement files: one field, one default, one flag each. It imports no arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Literal

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.flag import Flag
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD

MOVEMENT = "Movement"
METERS = "Meters"
Facing = Literal["auto", "right", "left", "front"]


@dataclass(frozen=True, slots=True)
class Cleaning:
    """How joints are cleaned.

    Attributes:
        threshold: Joints that score less are unknown.
        window: Steps that an outlier is judged by, itself in the middle; 0 for no judging.
        deviations: How many standard deviations from their median it is off.
        gap: Seconds; longer gaps are not filled.
        cutoff: Hz; what changes this fast keeps 71 % of its amplitude, faster less; 0 for no filter.
    """

    threshold: float = KEYPOINT_THRESHOLD
    window: int = 7
    deviations: float = 3.0
    gap: float = 0.3
    cutoff: float = 6.0

    def filters(self, rate: float) -> bool:
        """Whether a clip of this many steps a second can be and is filtered."""
        return 0 < self.cutoff < rate / 2


_USUAL = Cleaning()


@dataclass(frozen=True)
class MotionOptions:
    """What is asked of movement files; the fields' help texts are their documentation."""

    people: Annotated[
        str,
        Flag("Track ids, such as 1,3. [default: all who are long enough in sight]", MOVEMENT, metavar="IDS"),
    ] = ""
    min_seconds: Annotated[
        float, Flag("Leave out people who are in sight for less than so many seconds.", MOVEMENT, 0)
    ] = 0.5
    facing: Annotated[
        Facing,
        Flag(
            "How people are seen: from the side, facing right or left, or from the front or back.", MOVEMENT
        ),
    ] = "auto"
    min_score: Annotated[float, Flag("Joints below this score are unknown.", MOVEMENT, 0, 1)] = (
        KEYPOINT_THRESHOLD
    )
    hampel: Annotated[
        int,
        Flag(
            "Frames around a joint by whose median outliers are told (3 deviations off); 0 for off.",
            MOVEMENT,
            0,
            999,
        ),
    ] = _USUAL.window
    gap: Annotated[float, Flag("Fill gaps of up to so many seconds.", MOVEMENT, 0, 3600)] = _USUAL.gap
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
        return Cleaning(self.min_score, self.hampel, gap=self.gap, cutoff=self.cutoff)

    def check(self) -> None:
        """See that all of it means something.

        Raises:
            UsageError: something does not.
        """
        for name, value in vars(self).items():
            if isinstance(value, float) and not math.isfinite(value):
                raise UsageError(f"{parameter(name)} takes a number, not {value}")
        self.wanted()

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
