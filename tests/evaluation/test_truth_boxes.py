import json
from pathlib import Path

import pytest
from made_up_people import CATEGORY, dataset, written

from mrpose_cli.evaluation.boxes import BoxRule, ground_truth_boxes, sanitised

INSIDE = [10.0, 20.0, 100.0, 50.0]
OVER_THE_EDGE = [-5.0, 450.0, 700.0, 100.0]
OUTSIDE = [700.0, 10.0, 20.0, 20.0]


@pytest.mark.parametrize(
    ("rule", "box", "expected"),
    [
        # The authors: x2 = x1 + w - 1, at most the last pixel.
        ("authors", INSIDE, [10, 20, 109, 69]),
        ("authors", OVER_THE_EDGE, [0, 450, 639, 479]),
        ("authors", OUTSIDE, None),
        ("authors", [10.0, 20.0, 0.0, 0.0], [10, 20, 10, 20]),
        ("mmpose", INSIDE, [10, 20, 110, 70]),
        ("mmpose", OVER_THE_EDGE, [0, 450, 639, 479]),
        ("mmpose", OUTSIDE, None),
        ("mmpose", [10.0, 20.0, 0.0, 0.0], None),
    ],
)
def test_boxes_are_cut(rule: BoxRule, box: list[float], expected: list[float] | None) -> None:
    assert sanitised(box, 640, 480, rule) == expected


def test_boxes_start_at_the_edge_before_their_width_is_taken() -> None:
    # x1 = 0 and then x2 = x1 + w - 1: the authors do not shorten what sticks out on the left.
    assert sanitised([-30.0, 0.0, 100.0, 50.0], 640, 480, "authors") == [0, 0, 99, 49]
    assert sanitised([-30.0, 0.0, 100.0, 50.0], 640, 480, "mmpose") == [0, 0, 70, 50]


def test_only_people_with_a_labelled_joint_have_boxes(tmp_path: Path) -> None:
    def row(number: int, v: int, **changes: object) -> dict[str, object]:
        points = [50, 60, v] + [0] * 48 if v else [0] * 51
        plain = {
            "id": number,
            "image_id": 7,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [number, 20, 100, 50],
            "area": 900.0,
            "keypoints": points,
            "num_keypoints": int(v > 0),
        }
        return {**plain, **changes}

    content = {
        "images": [{"id": 7, "file_name": "7.jpg", "width": 640, "height": 480}],
        "annotations": [row(1, 2), row(2, 0), row(3, 1, iscrowd=1), row(4, 1, area=0), row(5, 1)],
        "categories": [CATEGORY],
    }
    boxes = ground_truth_boxes(written(tmp_path, json.loads(json.dumps(content))), "authors")
    assert boxes[7].boxes[:, 0].tolist() == [1, 5]
    assert boxes[7].scores.tolist() == [1, 1]


def test_images_without_such_people_have_no_entry(tmp_path: Path) -> None:
    annotations = written(tmp_path, dataset())
    boxes = ground_truth_boxes(annotations, "mmpose")
    labelled = {row["image_id"] for row in annotations.persons if row["num_keypoints"] and not row["iscrowd"]}
    assert boxes.keys() == labelled
    assert len(labelled) < len(annotations.images)
