import numpy as np
import pytest
from walkers import at

from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import COCO17
from mrpose_cli.tracking.similarity import nearness, overlap, pose_similarity
from mrpose_cli.tracking.tracker import Tracker


def test_two_people_who_pass_each_other_keep_their_ids() -> None:
    tracker = Tracker()
    seen = []
    for frame in range(41):
        # One goes right, one left, on slightly different paths; they overlap in the middle.
        poses = at([(10 * frame, 100), (400 - 10 * frame, 112)])
        order = [0, 1] if frame % 2 else [1, 0]  # detectors give them in any order
        shuffled = Poses(*(getattr(poses, name)[order] for name in poses.__slots__[:5]))
        ids = tracker.update(shuffled, frame / 10)
        seen.append(tuple(ids[np.argsort(order)]))
    assert len(set(seen)) == 1
    assert tracker.count == 2


def test_who_is_hidden_for_a_while_keeps_the_id() -> None:
    tracker = Tracker()
    ids = []
    for frame in range(60):
        hidden = 20 <= frame < 30  # a second
        poses = at([] if hidden else [(5 * frame, 50)])
        ids += tracker.update(poses, frame / 10).tolist()
    assert set(ids) == {1}


def test_who_is_gone_for_long_is_somebody_else() -> None:
    tracker = Tracker()
    assert tracker.update(at([(50, 50)]), 0.0).tolist() == [1]
    assert tracker.update(at([(50, 50)]), 0.1).tolist() == [1]
    assert tracker.update(at([(50, 50)]), 5.0).tolist() == [2]


def test_unsure_detections_go_on_but_begin_only_when_they_last() -> None:
    tracker = Tracker()
    assert tracker.update(at([(50, 50)]), 0.0).tolist() == [1]
    assert tracker.update(at([(52, 50)], scores=[0.3]), 0.1).tolist() == [1]
    ids = []
    for frame in range(2, 7):
        poses = at([(50 + 2 * frame, 50), (300, 80)], scores=[0.3, 0.3])
        ids.append(tracker.update(poses, frame / 10).tolist())
    assert ids == [[1, 0], [1, 0], [1, 2], [1, 2], [1, 2]]


def test_a_flash_of_an_unsure_detection_gets_no_id() -> None:
    tracker = Tracker()
    for frame, there in enumerate([True, False, True, False, True, False, True]):
        poses = at([(50, 50)] if there else [], scores=[0.3] if there else None)
        assert not tracker.update(poses, frame / 10).any()
    assert tracker.count == 0


def test_a_person_found_twice_gets_one_id() -> None:
    tracker = Tracker()
    for frame in range(5):
        ids = tracker.update(at([(50, 50), (52, 51)], scores=[0.9, 0.8]), frame / 10)
        assert sorted(ids.tolist()) == [0, 1]


def test_ids_do_not_depend_on_the_frame_rate() -> None:
    for rate in (5, 10, 30, 60):
        tracker = Tracker()
        for frame in range(rate * 3):
            moment = frame / rate
            ids = tracker.update(at([(60 * moment, 50), (300 - 60 * moment, 90)]), moment)
            assert ids.tolist() == [1, 2], f"{rate} frames/s"


def test_overlap_and_nearness() -> None:
    first = np.array([[0, 0, 10, 10]])
    second = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 0, 30, 10], [0, 0, 5, 5]])
    assert overlap(first, second)[0] == pytest.approx([1, 1 / 3, 0, 0.25])
    near = nearness(first, second)[0]
    assert near[0] == 1
    assert near[0] > near[1] > near[2] > 0
    assert near[3] < 0.5  # half the size is hardly the same person


def test_pose_similarity_is_oks() -> None:
    poses = at([(0, 0)])
    falloff = np.array(COCO17.sigmas)
    area = np.array([90 * 30.0])

    def similar(points: np.ndarray, scores: np.ndarray) -> float:
        return float(pose_similarity(points, scores, poses.keypoints, poses.scores, area, COCO17)[0, 0])

    assert similar(poses.keypoints, poses.scores) == 1
    # The definition, for all joints off by three pixels; COCO's area is about half of the box's.
    expected = np.exp(-9 / (2 * (2 * falloff) ** 2 * (area[0] / 2))).mean()
    assert similar(poses.keypoints + np.array([3, 0]), poses.scores) == pytest.approx(expected, rel=1e-5)
    assert similar(poses.keypoints, np.zeros((1, 17), np.float32)) == 0
