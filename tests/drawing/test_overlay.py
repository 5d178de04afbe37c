from dataclasses import replace

import numpy as np
import pytest

from mrpose_cli.drawing import Painter, Style, draw_poses
from mrpose_cli.poses import PersonHeatmaps, Poses
from mrpose_cli.skeletons import from_document
from mrpose_cli.skeletons.skeleton import SIDE_COLORS


def blank() -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    return np.full((440, 400, 3), 128, np.uint8)


def test_limbs_have_their_sides_colors(standing: Poses) -> None:
    canvas = draw_poses(blank(), standing)
    assert canvas[275, 226].tolist() == list(SIDE_COLORS["left"])  # left thigh
    assert canvas[275, 174].tolist() == list(SIDE_COLORS["right"])
    assert canvas[120, 200].tolist() == list(SIDE_COLORS["middle"])  # between the shoulders
    assert canvas[420, 10].tolist() == [128, 128, 128]


def test_the_picture_itself_is_left_alone(standing: Poses) -> None:
    image = blank()
    draw_poses(image, standing, Style(boxes=True))
    assert (image == 128).all()


def test_joints_below_the_threshold_take_their_limbs_with_them(standing: Poses) -> None:
    scores = standing.scores.copy()
    scores[0, 13] = 0.1  # left knee
    canvas = draw_poses(blank(), replace(standing, scores=scores), Style(keypoint_threshold=0.3))
    assert canvas[275, 226].tolist() == [128, 128, 128]
    assert canvas[345, 229].tolist() == [128, 128, 128]
    assert canvas[275, 174].tolist() == list(SIDE_COLORS["right"])


def test_small_people_get_thin_lines(standing: Poses) -> None:
    def drawn(scale: float) -> float:
        small = replace(
            standing,
            keypoints=standing.keypoints * np.float32(scale),
            boxes=standing.boxes * np.float32(scale),
        )
        share = (draw_poses(blank(), small) != 128).any(-1).sum() / (360 * 160 * scale**2)
        return float(share)

    assert drawn(0.25) < 3 * drawn(1.0)


def test_boxes_and_heatmaps_only_on_request(standing: Poses) -> None:
    maps = np.zeros((1, 64, 48), np.float32)
    maps[0, 32, 24] = 1.0
    affine = np.array([[[0.4, 0, 0], [0, 0.4, 0]]])  # crop pixels are 2.5 image pixels
    posed = replace(standing, heatmaps=PersonHeatmaps(maps, affine, (256, 192)))
    hidden = Style(keypoint_threshold=1.0)
    assert (draw_poses(blank(), posed, hidden) == 128).all()
    boxed = draw_poses(blank(), posed, replace(hidden, boxes=True))
    assert boxed[200, 120].tolist() != [128, 128, 128]
    heated = (draw_poses(blank(), posed, replace(hidden, heatmaps=True)) != 128).any(-1)
    rows, columns = np.nonzero(heated)
    # Cell (24, 32) is crop pixel (96, 128), which is image pixel (240, 320).
    assert rows.mean() == pytest.approx(320, abs=1)
    assert columns.mean() == pytest.approx(240, abs=1)


def test_strips_of_heatmaps_meet(standing: Poses, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = np.random.default_rng(0).random((2, 64, 48), np.float32)
    affines = np.array([[[0.4, 0.1, 3], [-0.1, 0.4, 9]], [[0.3, 0, -20], [0, 0.3, -7]]])
    posed = replace(standing, heatmaps=PersonHeatmaps(maps, affines, (256, 192)))
    style = Style(keypoint_threshold=1.0, heatmaps=True)
    whole = draw_poses(blank(), posed, style).astype(int)
    monkeypatch.setattr("mrpose_cli.drawing.overlay._HEATMAP_STRIP", 400 * 7)
    strips = draw_poses(blank(), posed, style).astype(int)
    difference = np.abs(strips - whole)
    assert (whole != 128).any(-1).mean() > 0.5
    # OpenCV rounds positions to a 32nd of a cell.
    assert difference.mean() < 1 and np.quantile(difference, 0.999) < 30


def test_points_far_outside_do_no_harm(standing: Poses) -> None:
    wild = replace(standing, keypoints=standing.keypoints * np.float32(1e9))
    assert draw_poses(blank(), wild, Style(boxes=True)).shape == (440, 400, 3)


@pytest.mark.parametrize("far", [1e7, -1e9, 3e9, 1e30, np.inf, -np.inf, np.nan])
def test_what_is_far_away_is_drawn_as_far_as_it_is_seen(standing: Poses, far: float) -> None:
    image = np.full((420, 400, 3), 90, np.uint8)
    people = [standing.keypoints, standing.keypoints.copy(), standing.keypoints.copy()]
    boxes = [standing.boxes, standing.boxes.copy(), standing.boxes.copy()]
    people[1][0, ::2], people[2][:] = far, far
    boxes[1][0, 2:], boxes[2][:] = far, far
    poses = Poses(
        keypoints=np.concatenate(people),
        scores=np.repeat(standing.scores, 3, axis=0),
        boxes=np.concatenate(boxes),
        box_scores=np.repeat(standing.box_scores, 3),
        person_scores=np.repeat(standing.person_scores, 3),
        track_ids=np.array([1, 2, 3], np.int64),
    )
    style = Style(boxes=True, blur_faces=True)
    drawn = draw_poses(image, poses, style)
    assert (drawn[60, 200] != 90).any()  # the nose of the one who is there
    painter = Painter(style, trail=5.0)
    for time in (0.0, 1.0):
        assert painter.draw(image, poses, time).shape == image.shape


def test_joints_and_limbs_have_their_skeletons_colors() -> None:
    document = {"name": "bar", "joints": ["a", "b", "c"], "limbs": [["a", "b"]], "colors": {"?": "#0a0b0c"}}
    bar = from_document(document, "bar.toml")
    points = np.array([[[50, 50], [350, 50], [200, 300]]], np.float32)
    box = np.array([[40, 40, 360, 360]], np.float32)
    one = np.ones(1, np.float32)
    canvas = draw_poses(blank(), Poses(points, np.ones((1, 3), np.float32), box, one, one, bar))
    for x, y in ((200, 50), (50, 50), (200, 300)):
        assert canvas[y, x].tolist() == [10, 11, 12]
