"""Angles of figures that were built from them."""

from dataclasses import replace

import numpy as np
import pytest
from figure import NAMES, figure

from mrpose_cli.motion.angles import ANGLES, angular_velocities, measure_angles, speeds
from mrpose_cli.motion.motion import analyze
from mrpose_cli.motion.options import Cleaning
from mrpose_cli.motion.views import find_view

STEPS = 60


def some_angles() -> dict[str, np.ndarray]:
    """Every joint through its range, none in step with another."""
    rng = np.random.default_rng(17)
    ranges = {
        "hip": (-20, 110),
        "knee": (-5, 140),
        "ankle": (-30, 25),
        "shoulder": (-60, 200),
        "elbow": (0, 150),
    }
    found = {"trunk": rng.uniform(-15, 45, STEPS)}
    for name, (low, high) in ranges.items():
        for side in ("left", "right"):
            found[f"{side}_{name}"] = rng.uniform(low, high, STEPS)
    return found


@pytest.mark.parametrize("forward", [1.0, -1.0])
@pytest.mark.parametrize("told", [True, False])
def test_joint_angles_are_exact_from_both_sides(forward: float, told: bool) -> None:
    angles = some_angles()
    if not told:  # feet that point anywhere do not tell where somebody is going
        angles = {name: series * 0.3 for name, series in angles.items()}
    track = figure(angles, forward=forward)
    view = find_view(track, ("right" if forward > 0 else "left") if told else "auto")
    measured = measure_angles(track, view)
    assert (view.name, set(view.right)) == ("side", {forward})
    for name, series in angles.items():
        assert np.abs(measured[name] - series).max() < 1e-9, name


@pytest.mark.parametrize("forward", [1.0, -1.0])
def test_segment_angles_are_those_of_the_segments(forward: float) -> None:
    angles = some_angles()
    measured = measure_angles(
        track := figure(angles, forward=forward), find_view(track, "right" if forward > 0 else "left")
    )
    thigh = angles["left_hip"] - angles["trunk"]
    shank = thigh - angles["left_knee"]
    arm = angles["right_shoulder"] - angles["trunk"]
    expected = {
        "left_thigh": thigh,
        "left_shank": shank,
        "left_foot": shank + angles["left_ankle"],
        "right_upper_arm": arm,
        "right_forearm": arm + angles["right_elbow"],
    }
    for name, series in expected.items():
        off = (measured[name] - series + 180) % 360 - 180
        assert np.abs(off).max() < 1e-9, name
    assert list(measured) == [angle.name for angle in ANGLES]


@pytest.mark.parametrize("forward", [1.0, -1.0])
def test_from_the_front_and_the_back_limbs_are_lifted_away_from_the_middle(forward: float) -> None:
    steady = {"left_hip": 25.0, "right_hip": 10.0, "left_shoulder": 170.0, "right_shoulder": 40.0}
    steady |= {"trunk": 8.0, "left_elbow": 30.0, "right_knee": 12.0}
    track = figure(
        {name: np.full(STEPS, value) for name, value in steady.items()}, forward=forward, front=True
    )
    view = find_view(track)
    measured = measure_angles(track, view)
    assert view.name == "front"
    for name, value in steady.items():
        assert measured[name] == pytest.approx(value, abs=1e-9), name
    assert not {"left_ankle", "right_foot"} & set(measured)


def test_a_joint_that_the_skeleton_lacks_or_nobody_saw_has_no_angle() -> None:
    track = figure(some_angles())
    coco = [index for index, name in enumerate(NAMES) if "toe" not in name and "heel" not in name]
    joints = track.joints[:, coco].copy()
    names = tuple(NAMES[index] for index in coco)
    joints[5, names.index("left_knee")] = np.nan
    less = replace(track, joints=joints, scores=track.scores[:, coco], names=names)
    measured = measure_angles(less, find_view(less, "right"))
    assert "left_ankle" not in measured and "left_foot" not in measured
    unknown = {name for name, series in measured.items() if np.isnan(series[5])}
    assert unknown == {"left_knee", "left_hip", "left_thigh", "left_shank"}
    assert not any(np.isnan(np.delete(series, 5)).any() for series in measured.values())


def test_whoever_turns_around_bends_the_knee_forward_all_the_time() -> None:
    there, back = (figure({"left_knee": np.full(90, 40.0)}, forward=forward) for forward in (1.0, -1.0))
    both = replace(
        there,
        frames=np.arange(180),
        times=np.arange(180) / 30,
        joints=np.concatenate([there.joints, back.joints]),
        scores=np.concatenate([there.scores, back.scores]),
    )
    view = find_view(both)
    assert view.right.tolist() == [1.0] * 90 + [-1.0] * 90
    assert measure_angles(both, view)["left_knee"] == pytest.approx(40.0)


def test_the_whole_way_with_every_filter_keeps_a_pose_to_a_hundredth_of_a_degree() -> None:
    steady = {name: np.full(STEPS, series[0] * 0.3) for name, series in some_angles().items()}
    track = figure(steady)
    motion = analyze(track, Cleaning())
    for name, series in steady.items():
        assert np.abs(motion.angles[name] - series).max() < 0.01, name
    assert np.abs(motion.speeds).max() < 1e-6


def test_speeds_and_angular_velocities() -> None:
    turning = np.linspace(-170, 550, 121)  # a knee that goes around, across the end of the scale, twice
    track = figure({"left_knee": turning}, rate=60.0)
    velocities = angular_velocities(measure_angles(track, find_view(track, "right")), track.rate)
    assert velocities["left_knee"] == pytest.approx(360.0)
    moved = speeds(track)
    assert moved[:, NAMES.index("left_hip")] == pytest.approx(0.0)
    # The chord over two steps of 6 degrees on a circle of 95 px; at the ends over one.
    assert moved[1:-1, NAMES.index("left_ankle")] == pytest.approx(2 * 95 * np.sin(np.radians(6)) / (2 / 60))
