"""How somebody is seen: from the side, facing right or left, or from the front or the back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.motion.options import Facing
from mrpose_cli.motion.tracks import Track

SIDE, FRONT = "side", "front"

_TURNED = 0.15  # trunk lengths by which feet or face must point to a side
_MOSTLY = 0.3  # of the steps, for the whole to be seen from the side
_SETTLE = 1.0  # seconds; whoever turns around does not do so within less


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """How somebody is seen.

    Attributes:
        name: ``"side"`` or ``"front"``, which is the back, too.
        right: (T,) from the side: 1 facing the picture's right, -1 its left. From the front: 1 where the
            person's left is to the right, as seen from the front, -1 from the back.
    """

    name: str
    right: NDArray[np.float64]

    def forward(self, side: str) -> NDArray[np.float64]:
        """(T,) the direction along x that is positive, for what is ``left``, ``right`` or ``middle``."""
        return -self.right if self.name == FRONT and side == "right" else self.right


def middle(track: Track, name: str) -> NDArray[np.float64] | None:
    """Half way between the left and the right joint of a name, (T, 2)."""
    left, right = track.joint(f"left_{name}"), track.joint(f"right_{name}")
    return None if left is None or right is None else (left + right) / 2


def find_view(track: Track, facing: Facing = "auto") -> View:
    """How somebody is seen, by where the feet point, else where the nose is between the ears.

    Args:
        track: The person, cleaned.
        facing: What the user says.
    """
    if facing == "front":
        return View(FRONT, _left_is_right(track))
    if facing != "auto":
        return View(SIDE, np.full(len(track.times), 1.0 if facing == "right" else -1.0))
    direction = _direction(track)
    half = max(int(_SETTLE * track.rate / 2), 0)
    padded = np.pad(direction, half, constant_values=np.nan)
    around = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    known = np.isfinite(around).any(1)
    calm = np.full(len(direction), np.nan)
    calm[known] = np.nanmedian(around[known], axis=1)
    clear = np.flatnonzero(np.abs(np.nan_to_num(calm)) >= _TURNED)
    if len(clear) < _MOSTLY * max(int(np.isfinite(direction).sum()), 1):
        return View(FRONT, _left_is_right(track))
    return View(SIDE, np.sign(calm[_nearest(clear, len(calm))]))


def _nearest(places: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """For each of so many steps the nearest of some of them."""
    steps = np.arange(count)
    after = places[np.minimum(np.searchsorted(places, steps), len(places) - 1)]
    before = places[np.maximum(np.searchsorted(places, steps, side="right") - 1, 0)]
    return np.where(np.abs(steps - before) <= np.abs(after - steps), before, after)


def _direction(track: Track) -> NDArray[np.float64]:
    """How far feet or nose point to the right, (T,) in lengths of the trunk; NaN where unknown."""
    unknown = np.full(len(track.times), np.nan)
    shoulders, hips = middle(track, "shoulder"), middle(track, "hip")
    if shoulders is None or hips is None:
        return unknown
    length = np.linalg.norm(shoulders - hips, axis=1)
    feet = _ahead(track, [(f"{side}_big_toe", f"{side}_heel") for side in ("left", "right")])
    # From the side one ear is hidden, and the nose is far from the other.
    face = _ahead(track, [("nose", f"{side}_ear") for side in ("left", "right")])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.where(np.isfinite(feet), feet, face) / length)


def _ahead(track: Track, pairs: Sequence[tuple[str, str]]) -> NDArray[np.float64]:
    """How far the one joint of each pair is to the right of the other, (T,), the mean of known pairs."""
    found = np.full((len(track.times), len(pairs)), np.nan)
    for column, (one, other) in enumerate(pairs):
        front, back = track.joint(one), track.joint(other)
        if front is not None and back is not None:
            found[:, column] = front[:, 0] - back[:, 0]
    known = np.isfinite(found)
    mean = np.nansum(found, axis=1) / np.maximum(known.sum(1), 1)
    return np.where(known.any(1), mean, np.nan)


def _left_is_right(track: Track) -> NDArray[np.float64]:
    """(T,) 1 where the person's left is on the right, -1 where not; shoulders and hips over all the time."""
    across = [
        left[:, 0] - right[:, 0]
        for name in ("shoulder", "hip")
        if (left := track.joint(f"left_{name}")) is not None
        and (right := track.joint(f"right_{name}")) is not None
    ]
    known = np.concatenate(across)[np.isfinite(np.concatenate(across))] if across else np.zeros(0)
    return np.full(len(track.times), -1.0 if len(known) and np.median(known) < 0 else 1.0)
