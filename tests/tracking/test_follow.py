from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from walkers import at

from mrpose_cli.poses import Frame, Poses
from mrpose_cli.tracking import gaps
from mrpose_cli.tracking.follow import Follower, Following
from mrpose_cli.tracking.gaps import Bridge
from mrpose_cli.tracking.jitter import Jitter
from mrpose_cli.tracking.one_euro import OneEuro, Smoother

PIXELS = np.zeros((4, 4, 3), np.uint8)


def clip(count: int, missing: set[int], step: float = 5) -> Iterator[tuple[Frame, Poses]]:
    for number in range(count):
        yield Frame(PIXELS, str(number)), at([] if number in missing else [(step * number, 50)])


def follow(count: int, missing: set[int], settings: Following, rate: float = 10) -> list[tuple[Frame, Poses]]:
    follower = Follower[Frame](settings, lambda frame: int(frame.name) / rate)
    return list(follower.follow(clip(count, missing)))


def test_gaps_of_a_few_frames_are_bridged_on_the_straight_line() -> None:
    done = follow(20, {8, 9, 10}, Following(bridge=5))
    assert [frame.name for frame, _ in done] == [str(number) for number in range(20)]
    for number, (_, poses) in enumerate(done):
        assert poses.track_ids is not None and poses.bridged is not None
        assert poses.track_ids.tolist() == [1]
        assert poses.bridged.tolist() == [number in (8, 9, 10)]
        assert poses.boxes[0] == pytest.approx([5 * number, 50, 5 * number + 30, 140], abs=1e-3)
        assert poses.keypoints[0] == pytest.approx(at([(5 * number, 50)]).keypoints[0], abs=1e-3)
        assert len(poses.scores) == len(poses.box_scores) == len(poses.person_scores) == 1


def test_longer_gaps_stay_and_the_id_stays_too() -> None:
    done = follow(20, set(range(8, 13)), Following(bridge=4))
    assert [len(poses) for _, poses in done] == [0 if 8 <= number < 13 else 1 for number in range(20)]
    assert {int(i) for _, poses in done for i in poses.track_ids} == {1}  # type: ignore[union-attr]


def test_bridging_can_be_switched_off() -> None:
    done = follow(20, {8}, Following(bridge=0))
    assert len(done[8][1]) == 0


def test_gaps_that_last_too_long_are_not_bridged_however_few_the_frames() -> None:
    follower = Follower[Frame](Following(bridge=5), lambda frame: float(frame.name))
    stream = [(Frame(PIXELS, time), at(there)) for time, there in (
        ("0", [(0, 50)]), ("0.1", [(1, 50)]), ("0.5", []), ("0.9", [(5, 50)]), ("1", [(6, 50)])
    )]  # fmt: skip
    assert [len(poses) for _, poses in follower.follow(stream)] == [1, 1, 0, 1, 1]
    assert follower.people == 1


def test_frames_are_held_no_longer_than_memory_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gaps, "_HELD_BYTES", 2 * PIXELS.nbytes)
    bridge = Bridge[Frame](frames=50)
    out = []
    for number, (frame, poses) in enumerate(clip(10, set())):
        posed = replace(poses, track_ids=np.array([1]))
        out += [f.name for f, _, _ in bridge.add(frame, posed, number / 10)]
        assert len(out) >= number - 1
    out += [f.name for f, _, _ in bridge.finish()]
    assert out == [str(number) for number in range(10)]


def noisy(count: int, amplitude: float, step: float = 0.0) -> list[Poses]:
    rng = np.random.default_rng(7)
    return [
        replace(at([(step * i, 50)], noise=rng.normal(0, amplitude, (1, 17, 2))), track_ids=np.array([1]))
        for i in range(count)
    ]


def test_who_stands_still_trembles_less() -> None:
    smoother, before, after = Smoother(), Jitter(), Jitter()
    for number, poses in enumerate(noisy(100, 1.0)):
        smooth = replace(poses, keypoints=smoother.smooth(poses, number / 25))
        before.add(poses, number / 25)
        after.add(smooth, number / 25)
    assert before.mean is not None and after.mean is not None
    assert after.mean < before.mean / 3


def test_who_runs_does_not_lag_behind() -> None:
    def lag(settings: OneEuro) -> float:
        smoother = Smoother(settings)
        for number, poses in enumerate(noisy(100, 0.0, step=6.0)):  # 1.7 box heights a second
            smooth = smoother.smooth(poses, number / 25)
        return float((poses.keypoints - smooth)[..., 0].mean())

    assert lag(OneEuro()) < 6  # less than a frame
    assert lag(OneEuro(beta=0)) > 20  # a plain low-pass


def test_one_setting_fits_near_and_far_and_any_rate() -> None:
    rng = np.random.default_rng(3)
    noise = rng.normal(0, 0.02, (60, 1, 17, 2))

    def smoothed(height: float) -> np.ndarray:
        smoother = Smoother()
        for number in range(60):
            poses = at([(height * 0.02 * number, 50)], height=height, noise=noise[number] * height)
            points = smoother.smooth(replace(poses, track_ids=np.array([1])), number / 25)
        return np.asarray((points - poses.keypoints) / height)

    assert smoothed(400) == pytest.approx(smoothed(50), abs=1e-4)


def test_the_first_frame_and_people_without_ids_are_left_as_they_are() -> None:
    smoother = Smoother()
    [first, second, *_] = noisy(3, 2.0)
    assert smoother.smooth(first, 0.0) == pytest.approx(first.keypoints)
    nobody = replace(second, track_ids=np.array([0]))
    assert smoother.smooth(nobody, 0.04) == pytest.approx(second.keypoints)
    assert smoother.smooth(replace(second, track_ids=None), 0.08) == pytest.approx(second.keypoints)
    # After a pause longer than the filter's memory it begins anew.
    assert smoother.smooth(second, 3.0) == pytest.approx(second.keypoints)


def test_the_filter_is_the_papers() -> None:
    # One joint, one axis, written out as in the paper, speed in box heights.
    settings = OneEuro(cutoff=1.2, beta=0.7, speed_cutoff=1.0)
    values = np.array([0, 1, 5, 6, 6, 2, 9], np.float64) * 10
    rate, height = 20.0, 90.0

    def alpha(cutoff: float) -> float:
        return float(1 / (1 + rate / (2 * np.pi * cutoff)))

    x, dx, expected = values[0], 0.0, [values[0]]
    for value in values[1:]:
        dx += alpha(settings.speed_cutoff) * ((value - x) * rate / height - dx)
        x += alpha(settings.cutoff + settings.beta * abs(dx)) * (value - x)
        expected.append(x)
    smoother = Smoother(settings)
    base = at([(0, 0)]).keypoints[0, 0, 0]
    got = [
        smoother.smooth(replace(at([(value, 0)]), track_ids=np.array([1])), number / rate)[0, 0, 0] - base
        for number, value in enumerate(values)
    ]
    assert got == pytest.approx(expected, abs=1e-3)


def test_jitter_is_the_mean_acceleration_in_box_sides() -> None:
    jitter = Jitter()
    assert jitter.mean is None
    # x = a t^2 / 2 for every joint, at uneven times; boxes are 90 pixels high.
    for time in (0.0, 0.1, 0.15, 0.3, 0.42):
        jitter.add(replace(at([(45.0 * time**2, 0)]), track_ids=np.array([1])), time)
    assert jitter.mean == pytest.approx(1.0, rel=0.02)

    still = Jitter()
    for number in range(5):
        still.add(replace(at([(3.0 * number, 0)]), track_ids=np.array([1])), number / 10)
    assert still.mean == pytest.approx(0.0, abs=1e-3)
