"""Clips' clocks, and people on them."""

import numpy as np
import pytest

from mrpose_cli.motion.tracks import Clock, make_track


def positions(times: np.ndarray) -> np.ndarray:
    """(F, 1, 2), moving steadily."""
    return np.stack([10 * times, 100 - 20 * times], -1)[:, None]


def test_a_steady_clip_keeps_its_frames() -> None:
    times = np.round(5 + np.arange(100) * 1001 / 30000, 6)
    clock = Clock.of(times, np.arange(100) + 150)
    assert clock.steps is not None and clock.steps.tolist() == list(range(100))
    assert clock.times == pytest.approx(times, abs=1e-6)
    assert clock.frames[[0, -1]].tolist() == [150, 249]


def test_milliseconds_and_every_other_frame_are_steady() -> None:
    times = np.round(np.arange(0, 200, 2) / 59.94, 3)
    clock = Clock.of(times, np.arange(0, 200, 2))
    assert clock.steps is not None and len(clock.times) == 100
    assert clock.frames.tolist() == list(range(0, 200, 2))


def test_dropped_frames_leave_gaps() -> None:
    kept = np.array([0, 1, 2, 5, 6, 9])
    clock = Clock.of(kept / 25, kept)
    assert clock.frames.tolist() == list(range(10))
    track = make_track(
        7, clock, kept / 25, np.array([1, 2, 3]), positions(kept[1:4] / 25), np.ones((3, 1)), ["nose"]
    )
    assert track.times == pytest.approx(np.arange(1, 6) / 25)
    assert np.isfinite(track.joints[:, 0, 0]).tolist() == [True, True, False, False, True]
    assert clock.nearest(kept / 25).tolist() == [0, 1, 2, -1, -1, 3, 4, -1, -1, 5]


def test_irregular_frames_are_interpolated_but_not_over_frames_without_the_person() -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.uniform(0.02, 0.06, 200))
    clock = Clock.of(times, np.arange(200))
    assert clock.steps is None
    assert np.diff(clock.times) == pytest.approx(np.median(np.diff(times)))
    seen = np.r_[20:100, 130:180]
    track = make_track(1, clock, times, seen, positions(times[seen]), np.ones((len(seen), 1)), ["nose"])
    known = np.isfinite(track.joints[:, 0, 0])
    assert track.joints[known] == pytest.approx(positions(track.times[known]))
    gone = (track.times > times[99] + 1e-9) & (track.times < times[130] - 1e-9)
    assert gone.any() and not known[gone].any() and known[~gone].all()
    near = clock.nearest(times)
    assert np.abs(times[near[near >= 0]] - clock.times[near >= 0]).max() <= np.diff(clock.times)[0] / 2


def test_a_clip_of_one_frame_and_a_person_of_one_frame() -> None:
    clock = Clock.of(np.array([2.0]), np.array([60]))
    track = make_track(
        1, clock, np.array([2.0]), np.array([0]), positions(np.array([2.0])), np.ones((1, 1)), ["nose"]
    )
    assert (track.rate, len(track.times)) == (0.0, 1)
    irregular = np.array([0.0, 0.1, 0.35, 0.37, 0.9])
    clock = Clock.of(irregular, np.arange(5))
    alone = make_track(
        1, clock, irregular, np.array([3]), positions(irregular[3:4]), np.ones((1, 1)), ["nose"]
    )
    assert len(alone.times) == 1
