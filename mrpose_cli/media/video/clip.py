"""What clips are made of: their parts, their properties, their frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from mrpose_cli.media.video.frames import Color, Turn
from mrpose_cli.poses import Frame

Packet = Any  # av.Packet of a stream of any kind; the stubs make each kind a type of its own


@dataclass(frozen=True, slots=True)
class Window:
    """The requested part of a clip.

    Attributes:
        start: Seconds from the clip's beginning.
        end: Likewise; None for all of the rest.
        every: Only each Nth of the frames in it.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    every: int = 1


@dataclass(frozen=True, slots=True)
class ClipInfo:
    """The properties of a clip.

    Attributes:
        width: Of the upright picture, pixels.
        height: Likewise.
        rate: Mean rate of the wanted frames, Hz.
        time_base: Unit of the source's timestamps, s.
        duration: Seconds; None if the source does not tell.
        frames: About how many the window holds; None if the source does not tell.
        turn: What makes the stored pixels upright.
        color: What the pixels mean.
        aspect: Width of an upright pixel over its height.
        container: FFmpeg's name of the format.
        codec: FFmpeg's name of the video codec.
        live: It has no end, and what is not taken in time is gone.
    """

    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    duration: float | None
    frames: int | None
    turn: Turn
    color: Color
    aspect: Fraction
    container: str
    codec: str
    live: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame(Frame):
    """One frame of a clip.

    Attributes:
        index: Its place among the source's frames, from 0.
        time: Seconds from the source's beginning, exact.
        duration: Seconds it is shown; 0 if the source does not tell.
        packets: Sound and subtitles that lie in the file before it, their times counted from the source's
            beginning.
    """

    index: int = 0
    time: Fraction = Fraction(0)
    duration: Fraction = Fraction(0)
    packets: tuple[Packet, ...] = field(default=(), repr=False)

    @property
    def timestamp(self) -> float:
        """Seconds from the source's beginning."""
        return float(self.time)
