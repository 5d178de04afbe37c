import json
from pathlib import Path
from typing import Any

import pytest

from mrpose_cli.coco.boxes import read_boxes
from mrpose_cli.errors import UsageError


def write(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content))
    return path


def test_annotations_by_file_name(tmp_path: Path) -> None:
    person, dog = {"id": 3, "name": "person"}, {"id": 18, "name": "dog"}
    rows = [
        {"image_id": 10, "category_id": 3, "bbox": [1, 2, 30, 40]},
        {"image_id": 10, "category_id": 18, "bbox": [5, 5, 5, 5]},
        {"image_id": 10, "category_id": 3, "bbox": [0, 0, 99, 99], "iscrowd": 1},
    ]
    images = [{"id": 10, "file_name": "a.jpg"}, {"id": 11, "file_name": "sub/b.jpg"}]
    content = {"images": images, "categories": [person, dog], "annotations": rows}
    file = read_boxes(write(tmp_path / "ann.json", content))
    assert file.boxes[10].boxes.tolist() == [[1, 2, 31, 42]]
    assert file.boxes[10].scores.tolist() == [1]
    assert file.match(["holiday/a.jpg", "b.jpg", "c.jpg", "10.jpg"]) == {"holiday/a.jpg": 10, "b.jpg": 11}


def test_results_by_number_best_first(tmp_path: Path) -> None:
    rows = [
        {"image_id": 139, "category_id": 1, "bbox": [0, 0, 10, 10], "score": 0.25},
        {"image_id": 139, "category_id": 1, "bbox": [0, 0, 20, 20], "score": 0.75},
        {"image_id": 139, "category_id": 2, "bbox": [0, 0, 30, 30], "score": 0.9},
    ]
    file = read_boxes(write(tmp_path / "det.json", rows))
    assert file.boxes[139].scores.tolist() == [0.75, 0.25]
    assert file.match(["000000000139.jpg", "000000000140.jpg"]) == {"000000000139.jpg": 139}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ('{"a": 1}', "neither"),
        ('[{"image_id": 1}]', "entry 0"),
        ('[{"image_id": 1, "bbox": [1, 2, 3]}]', "entry 0"),
        ("[7]", "entry 0"),
    ],
)
def test_a_file_that_is_neither_is_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "boxes.json"
    path.write_text(content)
    with pytest.raises(UsageError, match=message) as caught:
        read_boxes(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        read_boxes(tmp_path / "none.json")
