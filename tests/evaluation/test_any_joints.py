"""Evaluation of joints that are not COCO's."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mrpose_cli.evaluation.annotations import Annotations, read_annotations
from mrpose_cli.evaluation.breakdown import assign, break_down, groups
from mrpose_cli.evaluation.figures import CocoScore, read_results, score_coco
from mrpose_cli.evaluation.mistakes import find_mistakes
from mrpose_cli.evaluation.pck import box_pck
from mrpose_cli.evaluation.persons import pair_up
from mrpose_cli.skeletons import COCO17, get_skeleton

NAMES = ["tip", "L_wing", "R_wing", "L_foot", "R_foot"]
SIGMAS = [0.03, 0.05, 0.05, 0.1, 0.1]
BIRDS = [
    {"id": 5, "name": "gull", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]], "sigmas": SIGMAS},
    {"id": 9, "name": "tern", "keypoints": NAMES, "skeleton": [[1, 2], [1, 3]], "sigmas": SIGMAS},
]


def dataset(birds: int = 60) -> dict[str, Any]:
    rng = np.random.default_rng(3)
    rows = []
    for number in range(birds):
        corner, size = rng.uniform(0, 200, 2), rng.uniform(60, 200)
        points = corner + rng.uniform(0, 1, (5, 2)) * size
        rows.append(
            {
                "id": number + 1,
                "image_id": number // 2,
                "category_id": (5, 9)[number % 2],
                "bbox": [*corner.tolist(), size, size],
                "area": size * size / 2,
                "keypoints": np.column_stack([points, np.full(5, 2)]).ravel().tolist(),
            }
        )
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 400, "height": 400} for i in range(birds // 2)]
    return {"images": images, "annotations": rows, "categories": BIRDS}


def predictions(content: dict[str, Any], *, exchanged: int = 0) -> list[dict[str, Any]]:
    """Birds a little beside where they are, the first of them with their wings exchanged."""
    rng = np.random.default_rng(4)
    rows = []
    for number, row in enumerate(content["annotations"]):
        points = np.array(row["keypoints"]).reshape(5, 3)
        points[:, :2] += rng.normal(0, 0.03 * row["bbox"][2], (5, 2))
        if number < exchanged:
            points = points[[0, 2, 1, 3, 4]]
        points[:, 2] = 0.9
        score = float(rng.uniform(0.5, 1))
        rows.append(
            {
                "image_id": row["image_id"],
                "category_id": row["category_id"],
                "keypoints": points.ravel().tolist(),
                "score": score,
            }
        )
    return rows


def scored(
    folder: Path, content: dict[str, Any], rows: list[dict[str, Any]]
) -> tuple[Annotations, CocoScore]:
    (folder / "birds.json").write_text(json.dumps(content))
    (folder / "results.json").write_text(json.dumps(rows))
    annotations = read_annotations(folder / "birds.json")
    return annotations, score_coco(annotations, read_results(folder / "results.json", annotations))


def test_ap_is_that_of_pycocotools_with_the_stated_sigmas(tmp_path: Path) -> None:
    content = dataset()
    rows = predictions(content)
    annotations, score = scored(tmp_path, content, rows)
    assert annotations.skeleton.sigmas == tuple(SIGMAS)
    assert annotations.total_persons == 60  # of both species

    truth = COCO()
    one = [{**row, "category_id": 5, "iscrowd": 0, "num_keypoints": 5} for row in content["annotations"]]
    truth.dataset = {**content, "annotations": one, "categories": BIRDS[:1]}
    truth.createIndex()
    evaluation = COCOeval(truth, truth.loadRes([{**row, "category_id": 5} for row in rows]), "keypoints")
    evaluation.params.kpt_oks_sigmas = np.array(SIGMAS)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    assert score.figures.ap == pytest.approx(100 * evaluation.stats[0], abs=1e-9)
    assert 5 < evaluation.stats[0] * 100 < 95

    pairs = pair_up(score.truth, score.found)
    assigned = assign(score.truth, score.found, pairs)
    found = break_down(score.truth, score.found, pairs, assigned)
    assert [row.name for row in found.joints] == ["tip", "wing", "foot"]
    assert [row.name for row in found.visible] == ["1 to 5 joints"]


def test_exchanged_wings_are_inversions_by_the_pairs(tmp_path: Path) -> None:
    content = dataset()
    _, score = scored(tmp_path, content, predictions(content, exchanged=20))
    pairs = pair_up(score.truth, score.found)
    mistakes = find_mistakes(score.truth, score.found, pairs, assign(score.truth, score.found, pairs))
    inverted = {row.joint: row.inversion for row in mistakes.joints}
    assert inverted.keys() == set(NAMES)
    assert inverted["tip"] == inverted["L_foot"] == 0
    assert 8 <= inverted["L_wing"] <= 24  # some lie near each other


def test_pck_is_the_share_within_the_boxs_side(tmp_path: Path) -> None:
    content = dataset(4)
    rows = predictions(content)
    for number, row in enumerate(rows):
        points = np.array(content["annotations"][number]["keypoints"]).reshape(5, 3)
        side = content["annotations"][number]["bbox"][2]
        points[0, 0] += 0.15 * side  # all tips beyond 0.1
        row["keypoints"] = points.ravel().tolist()
    del rows[3]  # and one bird not found
    _, score = scored(tmp_path, content, rows)
    assigned = assign(score.truth, score.found, pair_up(score.truth, score.found))
    near, far = box_pck(score.truth, score.found, assigned, (0.1, 0.2))
    assert near.name == "PCK@0.1" and near.joints == {
        "tip": 0.0, "L_wing": 75.0, "R_wing": 75.0, "L_foot": 75.0, "R_foot": 75.0
    }  # fmt: skip
    assert near.total == 60.0 and far.total == 75.0


def test_groups_of_joints() -> None:
    assert list(groups(COCO17)) == ["head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    assert groups(COCO17)["head"] == [0, 1, 2, 3, 4]
    assert "big_toe" in groups(get_skeleton("halpe26"))
    assert len(groups(get_skeleton("coco-wholebody133"))) < 20
    assert list(groups(get_skeleton("hand21"))) == [
        "wrist", "thumb", "forefinger", "middle_finger", "ring_finger", "pinky_finger"
    ]  # fmt: skip
