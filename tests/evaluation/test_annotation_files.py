"""Files that are not keypoint annotations are refused with a sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from made_up_people import dataset, written

from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.annotations import read_annotations
from mrpose_cli.evaluation.figures import read_results

Change = Callable[[dict[str, Any]], Any]


def captions(content: dict[str, Any]) -> Any:
    return {**content, "annotations": [{"id": 1, "image_id": 1, "caption": "A dog on a sofa."}]}


def boxes_only(content: dict[str, Any]) -> Any:
    rows = [{k: v for k, v in row.items() if "keypoints" not in k} for row in content["annotations"]]
    return {**content, "annotations": rows}


def twenty_three_joints(content: dict[str, Any]) -> Any:
    names = [f"joint_{i}" for i in range(23)]
    return {**content, "categories": [{"id": 1, "name": "person", "keypoints": names}]}


def short_row(content: dict[str, Any]) -> Any:
    content["annotations"][3]["keypoints"] = [1, 2, 2] * 14
    return content


def repeated_name(content: dict[str, Any]) -> Any:
    content["categories"][0]["keypoints"][1] = "nose"
    return content


def no_category(content: dict[str, Any]) -> Any:
    return {**content, "categories": [{"id": 18, "name": "dog"}]}


def no_size(content: dict[str, Any]) -> Any:
    del content["images"][0]["width"]
    return content


def stray(content: dict[str, Any]) -> Any:
    content["annotations"][0]["image_id"] = 999
    return content


def of_a_test_set(content: dict[str, Any]) -> Any:
    return {"images": content["images"], "categories": content["categories"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (captions, "holds captions"),
        (boxes_only, "boxes but no keypoints"),
        (twenty_three_joints, r"annotations\[0\].keypoints: 17 joints; person has 23"),
        (short_row, r"annotations\[3\].keypoints: 14 joints; coco17 has 17"),
        (repeated_name, "joints: 'nose' is there twice"),
        (no_category, "no category with keypoints; name its joints with `joints` NAME or FILE"),
        (no_size, r"images\[0\].width: Field required"),
        (stray, "annotates image 999, which is not in its list"),
        (of_a_test_set, "no annotations to evaluate against"),
        (lambda content: [{"image_id": 1, "score": 1}], "a results file goes with `predictions`"),
        (lambda content: "text", "not a COCO annotation file"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, change: Change, message: str) -> None:
    path = tmp_path / "file.json"
    path.write_text(json.dumps(change(dataset())))
    with pytest.raises(UsageError, match=message):
        read_annotations(path)


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text("{")
    with pytest.raises(UsageError, match="is not JSON"):
        read_annotations(tmp_path / "file.json")
    with pytest.raises(UsageError, match="cannot be read"):
        read_annotations(tmp_path / "none.json")


def test_what_is_read(tmp_path: Path) -> None:
    content = dataset()
    content["annotations"][0]["segmentation"] = [[0.0] * 1000]
    annotations = written(tmp_path, content)
    assert annotations.total_images == len(annotations.images) == 40
    labelled = sum(row["num_keypoints"] > 0 for row in content["annotations"])
    assert annotations.labelled == annotations.total_persons == labelled
    assert not any("segmentation" in row for row in annotations.persons)
    assert not annotations.is_val2017

    some = annotations.only({0, 1, 2})
    assert [image.id for image in some.images] == [0, 1, 2]
    assert {row["image_id"] for row in some.persons} <= {0, 1, 2}
    assert some.total_images == 40


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": []}, "a COCO annotation file is not a results file"),
        ([{"image_id": 1, "score": 0.5}], r"results\[0\].category_id: Field required"),
        (
            [{"image_id": 1, "category_id": 1, "score": 0.5, "bbox": [1, 2, 3, 4]}],
            r"results\[0\].keypoints: Field required",
        ),
        (
            [{"image_id": 1, "category_id": 1, "score": "high", "keypoints": [0] * 51}],
            r"results\[0\].score: Input should be a valid number, it is 'high'",
        ),
        (
            [{"image_id": 1, "category_id": 1, "score": float("nan"), "keypoints": [0] * 51}],
            r"results\[0\].score: Input should be a finite number",
        ),
        ([{"image_id": 77, "category_id": 1, "score": 0.5, "keypoints": [0] * 51}], "no results for any"),
    ],
)
def test_other_results_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=message):
        read_results(path, written(tmp_path, dataset()))
