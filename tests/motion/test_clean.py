"""What is unsure, off, missing and noisy in joints over time."""

from dataclasses import replace

import numpy as np
import pytest
from figure import figure

from mrpose_cli.motion.clean import clean, fill_gaps, find_outliers, low_pass
from mrpose_cli.motion.options import Cleaning


def sine(hertz: float, rate: float = 100.0, seconds: float = 10.0) -> np.ndarray:
    turned = 2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate
    return np.stack([np.sin(turned), np.cos(turned)], -1)


@pytest.mark.parametrize("rate", [15.0, 30.0, 100.0])
def test_at_the_cutoff_both_passes_together_leave_71_percent_and_no_delay(rate: float) -> None:
    wave = sine(6.0, rate)
    middle = slice(len(wave) // 4, -len(wave) // 4)
    smooth = low_pass(wave, rate, 6.0)[middle]
    assert smooth == pytest.approx(wave[middle] * 0.5**0.5, abs=2e-3)


def test_slow_movement_is_kept_and_noise_is_not() -> None:
    wave = sine(0.5, 30.0)
    middle = slice(30, -30)
    assert low_pass(wave, 30.0, 6.0)[middle] == pytest.approx(wave[middle], abs=1e-4)
    assert np.abs(low_pass(sine(12.0, 30.0), 30.0, 6.0)[middle]).max() < 0.02


def test_gaps_up_to_the_length_are_filled_and_longer_ones_and_the_ends_stay() -> None:
    line = np.stack([np.arange(30.0), 2 * np.arange(30.0)], -1)
    holes = line.copy()
    for gap in (slice(0, 2), slice(5, 8), slice(12, 16), slice(29, 30)):
        holes[gap] = np.nan
    filled = fill_gaps(holes, 3)
    assert filled[5:8] == pytest.approx(line[5:8])
    assert np.isnan(filled[12:16]).all() and np.isnan(filled[:2]).all() and np.isnan(filled[29]).all()
    assert np.isnan(fill_gaps(holes, 0)[5:8]).all()


def test_what_is_filled_does_not_overshoot() -> None:
    steps = np.repeat([[0.0, 0.0], [10.0, 0.0]], 10, axis=0)
    steps[8:12] = np.nan
    filled = fill_gaps(steps, 4)
    assert filled[:, 0].min() == 0.0 and filled[:, 0].max() == 10.0


def test_jumps_are_outliers_and_movement_is_none() -> None:
    wave = 200 + 80 * sine(1.5, 30.0)[:, None]  # (T, 1, 2), a quick swing
    assert not find_outliers(wave, 7, 3.0).any()
    slow = 200 + 80 * sine(0.3, 30.0)[:, None]
    jumps = slow.copy()
    jumps[40, 0] += 60
    jumps[41, 0] += 55
    jumps[100, 0, 1] -= 90
    assert np.flatnonzero(find_outliers(jumps, 7, 3.0)).tolist() == [40, 41, 100]
    assert not find_outliers(jumps, 0, 3.0).any()


def test_a_joint_that_stands_still_may_tremble() -> None:
    joints = figure({"left_knee": np.zeros(50)}).joints
    joints[25, 3] += 0.5
    assert not find_outliers(joints, 7, 3.0).any()
    joints[25, 3] += 20
    assert np.argwhere(find_outliers(joints, 7, 3.0)).tolist() == [[25, 3]]


def test_the_steps_follow_each_other_and_are_told() -> None:
    track = figure({"left_knee": 30 + 20 * np.sin(np.arange(90) / 10)})
    true = track.joints[:, 13].copy()
    joints, scores = track.joints.copy(), track.scores.copy()
    joints[40, 13] += 70  # off, for a frame
    scores[50:53, 13], joints[50:53, 13] = 0.1, 0.0  # unsure, for a tenth of a second
    joints[60:75, 13] = np.nan  # gone, for half a second
    cleaned = clean(replace(track, joints=joints, scores=scores), Cleaning())
    assert np.flatnonzero(cleaned.unsure[:, 13]).tolist() == [50, 51, 52]
    assert np.flatnonzero(cleaned.outliers[:, 13]).tolist() == [40]
    assert np.flatnonzero(cleaned.filled[:, 13]).tolist() == [40, 50, 51, 52]
    assert np.isnan(cleaned.track.joints[60:75, 13]).all()
    known = np.isfinite(cleaned.track.joints[:, 13]).all(1)
    assert known.sum() == 75
    assert np.abs(cleaned.track.joints[known, 13] - true[known]).max() < 1.0


def test_without_enough_frames_a_second_nothing_is_filtered() -> None:
    assert not Cleaning(cutoff=6.0).filters(12.0)
    assert Cleaning(cutoff=6.0).filters(12.5)
    assert not Cleaning(cutoff=0.0).filters(30.0)
    track = figure({"left_knee": np.random.default_rng(1).uniform(0, 90, 40)}, rate=10.0)
    assert clean(track, Cleaning(window=0)).track.joints == pytest.approx(track.joints, nan_ok=True)
    one = replace(
        track,
        frames=track.frames[:1],
        times=track.times[:1],
        joints=track.joints[:1],
        scores=track.scores[:1],
    )
    assert clean(one, Cleaning()).track.joints == pytest.approx(one.joints)
