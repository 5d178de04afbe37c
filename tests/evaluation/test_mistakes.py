"""Joints put where each kind of mistake puts them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_people import CATEGORY, dataset, results, written

from mrpose_cli.evaluation.breakdown import assign
from mrpose_cli.evaluation.figures import CocoScore, score_coco
from mrpose_cli.evaluation.mistakes import KINDS, find_mistakes
from mrpose_cli.evaluation.persons import Pairs, pair_up
from mrpose_cli.evaluation.report import Mistakes
from mrpose_cli.skeletons import COCO17

AREA = 40_000.0
JOINT = {name: i for i, name in enumerate(COCO17.joints)}


def standing(x: float) -> np.ndarray[Any, Any]:
    """Joints on a grid far enough from each other, (17, 2)."""
    return np.array([[x + 60 * (i % 3), 40 + 60 * (i // 3)] for i in range(17)], float)


def distance(joint: str, similarity: float) -> float:
    """Pixels from a joint at which OKS's term has a value."""
    return float(np.sqrt(-2 * AREA * np.log(similarity)) * 2 * COCO17.sigmas[JOINT[joint]])


def scored(
    tmp_path: Path, truths: list[np.ndarray[Any, Any]], found: list[np.ndarray[Any, Any]]
) -> CocoScore:
    rows = [
        {
            "id": i + 1,
            "image_id": 5,
            "category_id": 1,
            "iscrowd": 0,
            "bbox": [*points.min(0).tolist(), 120.0, 300.0],
            "area": AREA,
            "keypoints": np.column_stack([points, np.full(17, 2)]).ravel().tolist(),
            "num_keypoints": 17,
        }
        for i, points in enumerate(truths)
    ]
    content = {
        "images": [{"id": 5, "file_name": "5.jpg", "width": 640, "height": 480}],
        "annotations": rows,
        "categories": [CATEGORY],
    }
    predictions = [
        {
            "image_id": 5,
            "category_id": 1,
            "keypoints": np.column_stack([points, np.ones(17)]).ravel().tolist(),
            "score": 0.9 - 0.1 * i,
        }
        for i, points in enumerate(found)
    ]
    return score_coco(written(tmp_path, content), predictions)


def analysed(score: CocoScore) -> tuple[Mistakes, Pairs]:
    pairs = pair_up(score.truth, score.found)
    return find_mistakes(score.truth, score.found, pairs, assign(score.truth, score.found, pairs)), pairs


def test_each_kind_of_mistake(tmp_path: Path) -> None:
    first, second = standing(20), standing(400)
    found = first.copy()
    found[JOINT["nose"]] += [distance("nose", 0.86), 0]
    found[JOINT["left_eye"]] += [0, distance("left_eye", 0.84)]
    found[JOINT["left_hip"]] += [0, distance("left_hip", 0.51)]
    found[JOINT["left_wrist"]] = first[JOINT["right_wrist"]]
    found[JOINT["left_knee"]] = second[JOINT["left_knee"]]
    found[JOINT["right_knee"]] = second[JOINT["left_knee"]] + [0, 5]
    found[JOINT["left_ankle"]] = [320, 20]
    # On another joint of the same person which is not its counterpart: a miss in this sense.
    found[JOINT["right_ear"]] = first[JOINT["right_ankle"]]
    mistakes, _ = analysed(scored(tmp_path, [first, second], [found]))

    kinds = {row.joint: [kind for kind in KINDS if getattr(row, kind)] for row in mistakes.joints}
    expected = {
        "nose": "good",
        "left_eye": "jitter",
        "left_hip": "jitter",
        "left_wrist": "inversion",
        "left_knee": "swap",
        "right_knee": "swap",
        "left_ankle": "miss",
        "right_ear": "miss",
        "right_wrist": "good",
    }
    assert {name: kinds[name] for name in expected} == {name: [kind] for name, kind in expected.items()}
    total = mistakes.total
    assert (total.labelled, total.not_found) == (34, 17)
    assert (total.good, total.jitter, total.inversion, total.swap, total.miss) == (10, 2, 1, 2, 2)
    assert (mistakes.persons, mistakes.persons_found, mistakes.background) == (2, 1, 0)


def test_a_joint_that_is_nearest_to_its_own_place_is_not_inverted(tmp_path: Path) -> None:
    truth = standing(20)
    truth[JOINT["right_eye"]] = truth[JOINT["left_eye"]] + [4, 0]  # eyes of a small face
    found = truth.copy()
    found[JOINT["left_eye"]] += [1, 0]
    mistakes, _ = analysed(scored(tmp_path, [truth], [found]))
    assert mistakes.total.good == 17


def test_predictions_of_nobody_are_counted(tmp_path: Path) -> None:
    truth = standing(20)
    mistakes, _ = analysed(scored(tmp_path, [truth], [truth, truth + 5, truth + 300]))
    assert mistakes.background == 2
    assert mistakes.total.good == 17


def test_mending_everything_that_is_wrong_with_one_kind_gives_full_marks(tmp_path: Path) -> None:
    first, second = standing(20), standing(400)
    swapped = first.copy()
    swapped[11:] = second[11:]
    score = scored(tmp_path, [first, second], [swapped, second])
    mistakes, _ = analysed(score)
    assert mistakes.total.swap == 6
    assert mistakes.mended["swap"] == pytest.approx(100)
    assert score.figures.ap is not None and score.figures.ap < 90
    for other in ("miss", "inversion", "jitter"):
        assert mistakes.mended[other] == pytest.approx(score.figures.ap)


def test_every_labelled_joint_is_counted_once(tmp_path: Path) -> None:
    content = dataset()
    score = score_coco(written(tmp_path, content), results(content))
    mistakes, _ = analysed(score)
    for row in (*mistakes.joints, mistakes.total):
        kinds = row.good + row.jitter + row.inversion + row.swap + row.miss + row.not_found
        assert kinds == row.labelled > 0
    for kind in (*KINDS, "not_found"):
        assert getattr(mistakes.total, kind) > 0, kind
    assert score.figures.ap is not None
    assert all(ap is not None and ap >= score.figures.ap - 1 for ap in mistakes.mended.values())
