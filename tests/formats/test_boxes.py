import json
from pathlib import Path
from typing import Any

import pytest

from mrpose_cli.errors import UsageError
from mrpose_cli.formats.boxes import BoxFile, read_boxes


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


def test_boxes_of_the_categories_that_are_wanted(tmp_path: Path) -> None:
    categories = [{"id": 3, "name": "person"}, {"id": 18, "name": "dog"}, {"id": 19, "name": "horse"}]
    rows = [{"image_id": 1, "category_id": i, "bbox": [i, 0, 9, 9]} for i in (3, 18, 19)]
    content = {"images": [{"id": 1, "file_name": "a.jpg"}], "categories": categories, "annotations": rows}
    path = write(tmp_path / "ann.json", content)

    def lefts(*classes: str) -> list[float]:
        return sorted(read_boxes(path, classes).boxes[1].boxes[:, 0].tolist())

    assert lefts("person") == [3]
    assert lefts("dog", "Horse") == [18, 19]
    assert lefts("all") == [3, 18, 19]
    with pytest.raises(UsageError, match=r"no category called cow.*'person', 'dog', 'horse'"):
        read_boxes(path, ["cow"])


def test_a_single_category_is_meant_whatever_it_is_called(tmp_path: Path) -> None:
    row = {"image_id": 1, "category_id": 7, "bbox": [1, 2, 9, 9]}
    content = {"categories": [{"id": 7, "name": "crane"}], "annotations": [row], "images": []}
    assert len(read_boxes(write(tmp_path / "ann.json", content)).boxes[1]) == 1


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
        ('[{"image_id": 1}]', r"results\[0\].bbox: Field required"),
        ('[{"image_id": 1, "bbox": [1, 2, 3]}]', r"results\[0\].bbox: List should have at least 4 items"),
        ('[{"image_id": 1, "bbox": [1, 2, 1e308, 3]}]', r"\[0\].bbox\[2\]: .*it is 1e\+308"),
        (
            '[{"image_id": 1, "bbox": [1, 2, NaN, 3]}]',
            r"\[0\].bbox\[2\]: Input should be a finite number, it is nan",
        ),
        (
            '[{"image_id": 1, "bbox": [1, 2, 3, 4], "score": -Infinity}]',
            r"\[0\].score: Input should be a finite",
        ),
        (
            '[{"image_id": 1.5, "bbox": [1, 2, 3, 4]}]',
            r"\[0\].image_id: Input should be a valid integer, it is 1.5",
        ),
        ('[{"image_id": true, "bbox": [1, 2, 3, 4]}]', r"\[0\].image_id: Input should be a valid integer"),
        (
            '[{"image_id": 1, "category_id": "1", "bbox": [1, 2, 3, 4]}]',
            r"\[0\].category_id: .*integer, it is '1'",
        ),
        ("[7]", r"results\[0\]: Input should be an object, it is 7"),
        ("[" * 100_000, "nested too deeply"),
        ('[{"image_id": ' + "9" * 5000, "not JSON"),
        ('{"annotations": [], "images": 7}', "images should be a list"),
        ('{"annotations": [], "images": [{"id": 3}, {"id": 3}]}', r"images\[1\].id: 3 is there twice"),
        ('{"annotations": [], "categories": {"id": 1}}', "categories should be a list"),
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


def named(folder: Path, *names: str) -> BoxFile:
    """A file with one box for each of these photos; the n-th has id n and n pixels a side."""
    rows = [{"image_id": n, "bbox": [0, 0, n, n]} for n in range(1, len(names) + 1)]
    images = [{"id": n, "file_name": name} for n, name in enumerate(names, 1)]
    return read_boxes(write(folder / "named.json", {"images": images, "annotations": rows}))


def test_the_whole_name_goes_before_the_plain_one(tmp_path: Path) -> None:
    file = named(tmp_path, "a/1.jpg", "b/1.jpg", "c/2.jpg")
    assert file.match(["b/1.jpg", "a/1.jpg", "d/2.jpg"]) == {"a/1.jpg": 1, "b/1.jpg": 2, "d/2.jpg": 3}
    # What is somebody's by its whole name is not given away by its plain one.
    assert named(tmp_path, "a/1.jpg").match(["a/1.jpg", "b/1.jpg"]) == {"a/1.jpg": 1}


@pytest.mark.parametrize(
    ("entries", "photos", "message"),
    [
        (("1.jpg",), ("a/1.jpg", "b/1.jpg"), "1.jpg could be a/1.jpg or b/1.jpg"),
        (("a/1.jpg", "b/1.jpg"), ("1.jpg",), "a/1.jpg or b/1.jpg could be 1.jpg"),
        (("x/1.jpg", "y/1.jpg"), ("a/1.jpg", "b/1.jpg"), "x/1.jpg or y/1.jpg could be a/1.jpg or b/1.jpg"),
    ],
)
def test_a_plain_name_that_several_have_is_not_guessed(
    tmp_path: Path, entries: tuple[str, ...], photos: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        named(tmp_path, *entries).match(photos)


def test_a_number_that_several_photos_have_is_not_guessed(tmp_path: Path) -> None:
    file = read_boxes(write(tmp_path / "det.json", [{"image_id": 1, "bbox": [0, 0, 9, 9], "score": 1}]))
    with pytest.raises(UsageError, match=r"image 1 could be a/1\.jpg or b/1\.jpg"):
        file.match(["a/1.jpg", "b/1.jpg", "2.jpg"])
    assert file.match(["a/1.jpg", "a/2.jpg", "b/2.jpg"]) == {"a/1.jpg": 1}


def test_the_score_of_the_box_goes_before_that_of_the_person(tmp_path: Path) -> None:
    rows = [
        {"image_id": 1, "bbox": [0, 0, 10, 10], "score": 0.4, "box_score": 0.5},
        {"image_id": 1, "bbox": [0, 0, 20, 20], "score": 0.3, "box_score": 0.9},
    ]
    found = read_boxes(write(tmp_path / "poses.json", {"images": [], "annotations": rows})).boxes[1]
    assert found.scores.tolist() == pytest.approx([0.9, 0.5])
    assert found.boxes[:, 2].tolist() == [20, 10]


def test_what_other_tools_write_is_read(tmp_path: Path) -> None:
    rows = [
        {"image_id": 7.0, "category_id": 1.0, "bbox": [1, 2, -3, 4], "iscrowd": False, "score": 12},
        {"image_id": 7, "category_id": 2, "bbox": "not a person, so never mind"},
    ]
    path = tmp_path / "det.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(rows).encode())
    assert read_boxes(path).boxes[7].boxes.tolist() == [[1, 2, 1, 6]]
