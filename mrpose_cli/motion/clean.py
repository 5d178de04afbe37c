"""Making joints over time fit to be differentiated: outliers, gaps, noise.

In this order: joints that the network is unsure of are unknown, outliers are too (Hampel), short gaps are
filled (PCHIP), and what is then known without a break is low-passed (Butterworth, forwards and backwards).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.motion.options import Cleaning
from mrpose_cli.motion.tracks import Track

_MAD = 1.4826  # standard deviations of a normal distribution in one median absolute deviation
_SLACK = 0.005  # of the person's extent: joints that stand still have no deviation to speak of
# Two passes square the gain, so that each has its own cutoff at a higher frequency; Winter, "Biomechanics and
# Motor Control of Human Movement" (3rd ed.), 2.4.4.
_TWO_PASSES = (2**0.5 - 1) ** 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Cleaned:
    """A track and what was done to it.

    Attributes:
        track: The same person, cleaned.
        unsure: (T, K) bool, joints the network gave and was unsure of.
        outliers: (T, K) bool, joints that were taken for outliers.
        filled: (T, K) bool, joints that come from their neighbors in time.
    """

    track: Track
    unsure: NDArray[np.bool_]
    outliers: NDArray[np.bool_]
    filled: NDArray[np.bool_]


def clean(track: Track, settings: Cleaning) -> Cleaned:
    """Clean a track."""
    joints = track.joints.copy()
    given = np.isfinite(joints).all(2)
    unsure = given & ~(track.scores >= settings.threshold)
    joints[unsure] = np.nan
    outliers = find_outliers(joints, settings.window, settings.deviations)
    joints[outliers] = np.nan
    missing = np.isnan(joints).any(2)
    longest = int(np.floor(settings.gap * track.rate + 1e-6))
    for joint in range(joints.shape[1]):
        joints[:, joint] = fill_gaps(joints[:, joint], longest)
    filled = np.asarray(missing & np.isfinite(joints).all(2))
    if settings.filters(track.rate):
        for joint in range(joints.shape[1]):
            joints[:, joint] = low_pass(joints[:, joint], track.rate, settings.cutoff)
    return Cleaned(replace(track, joints=joints), unsure, outliers, filled)


def find_outliers(joints: NDArray[np.float64], window: int, deviations: float) -> NDArray[np.bool_]:
    """Hampel's identifier: values too far from the median of those around them.

    Hampel, "The influence curve and its role in robust estimation" (JASA, 1974).

    Args:
        joints: (T, K, 2) pixels; NaN where unknown.
        window: Steps, the one in question in the middle.
        deviations: Standard deviations, by the median absolute deviation, that are too far.

    Returns:
        (T, K) bool.
    """
    found = np.zeros(joints.shape[:2], bool)
    if window < 3 or len(joints) < 3:
        return found
    half = window // 2
    slack = _SLACK * _extent(joints)
    for joint in range(joints.shape[1]):
        known = np.flatnonzero(np.isfinite(joints[:, joint]).all(1))
        if len(known) < 3:
            continue
        values = joints[known, joint]  # (S, 2)
        padded = np.pad(values, ((half, half), (0, 0)), constant_values=np.nan)
        around = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1, axis=0)  # (S, 2, W)
        middle = np.nanmedian(around, axis=2)
        deviation = _MAD * np.nanmedian(np.abs(around - middle[:, :, None]), axis=2)
        off = np.abs(values - middle) - np.maximum(deviations * deviation, slack)
        found[known, joint] = off.max(1) > 0
    return found


def _extent(joints: NDArray[np.float64]) -> float:
    """How large the person is, in pixels: the median over time of the longer side of all joints' box."""
    known = np.isfinite(joints[..., 0])
    shown = joints[known.any(1)]
    if not len(shown):
        return 0.0
    return float(np.median((np.nanmax(shown, axis=1) - np.nanmin(shown, axis=1)).max(1)))


def fill_gaps(points: NDArray[np.float64], longest: int) -> NDArray[np.float64]:
    """Fill gaps between known values by monotone cubics (PCHIP), which do not overshoot.

    Args:
        points: (T, 2); NaN where unknown.
        longest: Steps; longer gaps, and those at the ends, stay.
    """
    known = np.asarray(np.isfinite(points).all(1))
    places = np.flatnonzero(known)
    if len(places) < 2 or longest < 1:
        return np.where(known[:, None], points, np.nan)
    from scipy.interpolate import PchipInterpolator

    filled = np.where(known[:, None], points, np.nan)
    short = [
        np.arange(before + 1, after)
        for before, after in pairwise(places)
        if 1 < after - before <= longest + 1
    ]
    if short:
        wanted = np.concatenate(short)
        filled[wanted] = PchipInterpolator(places, points[places])(wanted)
    return filled


def low_pass(points: NDArray[np.float64], rate: float, cutoff: float) -> NDArray[np.float64]:
    """Run a Butterworth filter of second order forwards and backwards: fourth order, no delay.

    Args:
        points: (T, 2); NaN where unknown, and what lies between is filtered on its own. Less than four values
            stay as they are.
        rate: Steps a second.
        cutoff: Hz at which both passes together leave 71 % of the amplitude (-3 dB).
    """
    from scipy.signal import butter, filtfilt

    # By tangents, as digital filters bend the scale of frequencies.
    each = np.arctan(np.tan(np.pi * cutoff / rate) / _TWO_PASSES) * rate / np.pi
    b, a = butter(2, each, fs=rate)
    smooth = points.copy()
    for part in stretches(np.asarray(np.isfinite(points).all(1))):
        length = part.stop - part.start
        if length > 3:
            smooth[part] = filtfilt(b, a, points[part], axis=0, padlen=min(3 * len(b), length - 1))
    return smooth


def stretches(known: NDArray[np.bool_]) -> Iterator[slice]:
    """Where a mask (T,) is true without a break."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], known.astype(np.int8), [0]])))
    for start, stop in edges.reshape(-1, 2).tolist():
        yield slice(start, stop)
