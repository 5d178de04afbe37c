"""Smoothing joints over time.

Casiez, Roussel, Vogel, "1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive
Systems" (CHI 2012): a low-pass whose cutoff rises with speed, so that what stands still does not tremble and
what moves does not lag.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.poses import Poses


@dataclass(frozen=True, slots=True)
class OneEuro:
    """The filter's parameters.

    Attributes:
        cutoff: Hz, at rest; lower trembles less.
        beta: Hz by which the cutoff rises for each box side a second; higher lags less.
        speed_cutoff: Hz, of the speed itself.
        memory: Seconds without somebody after which their filter starts over.
    """

    cutoff: float = 1.0
    beta: float = 3.0
    speed_cutoff: float = 1.0
    memory: float = 0.5


@dataclass(slots=True, eq=False)
class _State:
    points: NDArray[np.float64]  # (K, 2) pixels
    speed: NDArray[np.float64]  # (K, 2) box sides a second
    time: float


class Smoother:
    """Smooths the joints of everybody who has an id; one smoother per clip.

    Speed is counted in sides of the person's box, so that one setting fits near and far.

    Args:
        settings: The filter's parameters; None for the defaults.
    """

    def __init__(self, settings: OneEuro | None = None) -> None:
        self._settings = settings or OneEuro()
        self._states: dict[int, _State] = {}

    def smooth(self, poses: Poses, time: float) -> NDArray[np.float32]:
        """Smooth the joints of the next frame.

        Args:
            poses: The people, with ``track_ids``.
            time: Seconds, growing from call to call.

        Returns:
            (P, K, 2) pixels; people without an id as they are.
        """
        smooth = poses.keypoints.copy()
        self._states = {
            number: state
            for number, state in self._states.items()
            if time - state.time <= self._settings.memory
        }
        if poses.track_ids is None:
            return smooth
        sides = np.maximum((poses.boxes[:, 2:] - poses.boxes[:, :2]).max(1), 1.0)
        for person, number in enumerate(poses.track_ids.tolist()):
            if number:
                smooth[person] = self._follow(number, poses.keypoints[person], float(sides[person]), time)
        return smooth

    def _follow(
        self, number: int, points: NDArray[np.float32], side: float, time: float
    ) -> NDArray[np.float64]:
        measured = points.astype(np.float64)
        state = self._states.get(number)
        if state is None or time <= state.time:
            self._states[number] = _State(measured, np.zeros_like(measured), time)
            return measured
        settings, elapsed = self._settings, time - state.time
        speed = (measured - state.points) / (elapsed * side)
        state.speed += _weight(settings.speed_cutoff, elapsed) * (speed - state.speed)
        fast = np.linalg.norm(state.speed, axis=1, keepdims=True)  # (K, 1)
        state.points = state.points + _weight(settings.cutoff + settings.beta * fast, elapsed) * (
            measured - state.points
        )
        state.time = time
        return state.points


def _weight(cutoff: float | NDArray[np.float64], elapsed: float) -> NDArray[np.float64]:
    """Return the share of the new value in an exponential average with this cutoff frequency."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff * elapsed)))
