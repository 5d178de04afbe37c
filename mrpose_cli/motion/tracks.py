"""What somebody's joints do over time, on a clock of equal steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.errors import InputError

_SPARSE = 200  # steps a frame; arrays of all steps fit into memory
_OFF_BEAT = 0.25  # of a step; clocks of containers that count milliseconds stay below that


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person.

    Attributes:
        number: The track id.
        frames: (T,) the clip's frame numbers, growing.
        times: (T,) seconds, in equal steps.
        joints: (T, K, 2) pixels of the picture, y down; NaN where a joint is not known.
        scores: (T, K) as the network gave them; NaN where it did not.
        names: Of the K joints.
    """

    number: int
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    joints: NDArray[np.float64]
    scores: NDArray[np.float64]
    names: tuple[str, ...]

    @property
    def rate(self) -> float:
        """Steps a second; 0 for a single one."""
        return (len(self.times) - 1) / float(self.times[-1] - self.times[0]) if len(self.times) > 1 else 0.0

    def joint(self, name: str) -> NDArray[np.float64] | None:
        """Where a joint is, (T, 2), or None if the skeleton has none of this name."""
        return self.joints[:, self.names.index(name)] if name in self.names else None


@dataclass(frozen=True, slots=True, eq=False)
class Clock:
    """Equal steps through a clip.

    Attributes:
        times: (N,) seconds.
        frames: (N,) the number of the frame at, or nearest to, each step.
        steps: (F,) at which step each frame of the clip stands; None where frames come so irregularly that
            joints have to be interpolated.
    """

    times: NDArray[np.float64]
    frames: NDArray[np.int64]
    steps: NDArray[np.intp] | None

    @classmethod
    def of(cls, times: NDArray[np.float64], frames: NDArray[np.int64]) -> Clock:
        """Make the clock of a clip; frames that are missing get their step.

        Args:
            times: (F,) seconds of the clip's frames, growing.
            frames: (F,) their numbers, growing.

        Raises:
            InputError: there would be far more steps than frames.
        """
        if len(times) < 2:
            return cls(times, frames, np.arange(len(times)))
        gaps = np.diff(times)
        step = float(np.median(gaps))
        steps = np.concatenate([[0], np.cumsum(np.round(gaps / step))]).astype(np.intp)
        regular = bool(np.all(np.diff(steps) > 0))
        if regular:
            step = float(times[-1] - times[0]) / int(steps[-1])
            regular = bool(np.abs(times[0] + steps * step - times).max() <= _OFF_BEAT * step)
        count = int(steps[-1]) if regular else int(np.floor((times[-1] - times[0]) / step + 1e-9))
        if count > _SPARSE * len(times):
            raise InputError("most of its frames are missing; its times cannot be those of a clip")
        even = times[0] + np.arange(count + 1) * step
        numbers = np.round(np.interp(even, times, frames)).astype(np.int64)
        return cls(even, numbers, steps if regular else None)

    def nearest(self, times: NDArray[np.float64]) -> NDArray[np.intp]:
        """Which of the clip's frames is at each step, or nearest to it within half a step; -1 for none.

        Args:
            times: (F,) seconds of the clip's frames.
        """
        places = np.full(len(self.times), -1, np.intp)
        if self.steps is not None:
            places[self.steps] = np.arange(len(times))
        else:
            half = (self.times[1] - self.times[0]) / 2 if len(self.times) > 1 else np.inf
            after = np.clip(np.searchsorted(times, self.times), 1, len(times) - 1)
            near = np.where(self.times - times[after - 1] <= times[after] - self.times, after - 1, after)
            places = np.where(np.abs(times[near] - self.times) <= half, near, -1)
        return places


def make_track(
    number: int,
    clock: Clock,
    times: NDArray[np.float64],
    seen: NDArray[np.intp],
    joints: NDArray[np.float64],
    scores: NDArray[np.float64],
    names: Sequence[str],
) -> Track:
    """Put somebody on the clock, from their first step to their last.

    Args:
        number: The track id.
        clock: Of the clip.
        times: (F,) seconds of the clip's frames.
        seen: (S,) the frames that show the person, by their place in the clip, growing.
        joints: (S, K, 2) pixels.
        scores: (S, K).
        names: Of the joints.
    """
    if clock.steps is not None:
        places = clock.steps[seen]
        first, last = int(places[0]), int(places[-1])
        placed = np.full((last - first + 1, *joints.shape[1:]), np.nan)
        sure = np.full(placed.shape[:2], np.nan)
        placed[places - first], sure[places - first] = joints, scores
    else:
        inside = (clock.times >= times[seen[0]]) & (clock.times <= times[seen[-1]])
        first, last = np.flatnonzero(inside)[[0, -1]] if inside.any() else (0, 0)
        placed, sure = _interpolated(clock.times[first : last + 1], times, seen, joints, scores)
    part = slice(first, last + 1)
    return Track(number, clock.frames[part], clock.times[part], placed, sure, tuple(names))


def _interpolated(
    wanted: NDArray[np.float64],
    times: NDArray[np.float64],
    seen: NDArray[np.intp],
    joints: NDArray[np.float64],
    scores: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Joints and scores at other times, on lines between frames that follow each other."""
    after = np.clip(
        np.searchsorted(times[seen], wanted, side="left"), 1 if len(seen) > 1 else 0, len(seen) - 1
    )
    before = np.maximum(after - 1, 0)
    span = np.maximum(times[seen[after]] - times[seen[before]], 1e-12)
    share = np.clip((wanted - times[seen[before]]) / span, 0, 1)
    between = joints[before] + (joints[after] - joints[before]) * share[:, None, None]
    sure = np.minimum(scores[before], scores[after])
    apart = seen[after] - seen[before] > 1
    between[apart], sure[apart] = np.nan, np.nan
    return between, sure
