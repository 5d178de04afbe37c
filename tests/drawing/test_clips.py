from dataclasses import replace

import numpy as np
import pytest

from mrpose_cli.drawing import Painter, Style, draw_poses
from mrpose_cli.drawing.faces import check_heads
from mrpose_cli.drawing.overlay import id_color
from mrpose_cli.errors import UsageError
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import MPII16, get_skeleton

Canvas = np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]


def noise() -> Canvas:
    return np.random.default_rng(0).integers(0, 255, (440, 400, 3)).astype(np.uint8)


HIDDEN = Style(keypoint_threshold=1.0)


def test_ids_are_written_above_people_who_have_one(standing: Poses) -> None:
    blank = np.full((440, 400, 3), 128, np.uint8)
    assert (draw_poses(blank, replace(standing, track_ids=np.array([0])), HIDDEN) == 128).all()
    drawn = draw_poses(blank, replace(standing, track_ids=np.array([12])), HIDDEN)
    rows, columns = np.nonzero((drawn != 128).any(-1))
    assert 15 < rows.min() < rows.max() < 45
    assert columns.mean() == pytest.approx(200, abs=3)
    assert (drawn == id_color(12)).all(-1).any()


def test_ids_near_each_other_have_colors_far_from_each_other() -> None:
    colors = np.array([id_color(number) for number in range(1, 6)])
    distances = np.abs(colors[:, None].astype(int) - colors[None]).sum(-1)
    assert distances[~np.eye(5, dtype=bool)].min() > 60


def test_black_background_shows_the_skeleton_alone(standing: Poses) -> None:
    drawn = draw_poses(noise(), standing, Style(black=True))
    assert not drawn[420:].any()
    assert drawn.any()


def test_faces_are_blurred_and_nothing_else(standing: Poses) -> None:
    before = noise()
    after = draw_poses(before, standing, replace(HIDDEN, blur_faces=True))
    changed = (before != after).any(-1)
    assert changed[45:70, 185:216].mean() > 0.95
    assert not changed[130:].any()
    # What is left of the face is smooth: no neighbors differ as they did.
    assert np.abs(np.diff(after[50:66, 190:210].astype(int), axis=1)).max() < 40


def test_unsure_and_cut_off_faces_are_blurred_too(standing: Poses) -> None:
    scores = standing.scores.copy()
    scores[:, :5] = 0.05
    before = noise()
    after = draw_poses(before, replace(standing, scores=scores), replace(HIDDEN, blur_faces=True))
    assert (before != after).any(-1)[50:64, 190:210].mean() > 0.95
    moved = replace(standing, keypoints=standing.keypoints - np.float32(55))
    draw_poses(noise()[:, :150], moved, replace(HIDDEN, blur_faces=True))
    far = replace(standing, keypoints=standing.keypoints + np.float32(1e6))
    assert (draw_poses(before, far, replace(HIDDEN, blur_faces=True)) == before).all()


def test_heads_of_other_skeletons_are_blurred(standing: Poses) -> None:
    points = np.full((1, 16, 2), 300, np.float32)
    points[0, 8], points[0, 9] = (200, 100), (200, 60)  # neck and top of the head
    points[0, 12], points[0, 13] = (170, 120), (230, 120)
    people = replace(standing, keypoints=points, scores=np.full((1, 16), 0.9, np.float32), skeleton=MPII16)
    before = noise()
    changed = (before != draw_poses(before, people, replace(HIDDEN, blur_faces=True))).any(-1)
    assert changed[65:95, 190:210].mean() > 0.95
    assert not changed[180:].any()


def test_trails_show_where_somebody_came_from(standing: Poses) -> None:
    painter = Painter(HIDDEN, trail=1.0)
    blank = np.full((440, 400, 3), 128, np.uint8)
    for number in range(21):
        shift = np.array([5 * number - 60, 0], np.float32)
        moved = replace(
            standing,
            keypoints=standing.keypoints + shift,
            boxes=standing.boxes + np.tile(shift, 2),
            track_ids=np.array([4]),
        )
        canvas = painter.draw(blank, moved, number / 10)
    # Of 20 frames, the last second: ten steps of 5 pixels, up to where the person is now.
    drawn = (canvas[395:405] != 128).any((0, 2))
    assert drawn[192:238].all()
    assert not drawn[:186].any()
    assert not drawn[244:].any()
    assert (canvas[400, 235] == id_color(4)).all()
    assert (blank == 128).all()

    gone = painter.draw(blank, replace(standing, track_ids=np.array([0])), 9.0)
    assert (gone == 128).all()


def test_faces_are_refused_where_no_joint_tells_of_a_head() -> None:
    check_heads(get_skeleton("animalpose"))
    check_heads(get_skeleton("face68"))
    with pytest.raises(UsageError, match="hand21 has no joint of the head"):
        check_heads(get_skeleton("hand21"))
