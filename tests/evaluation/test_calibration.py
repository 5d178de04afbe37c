from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_people import CATEGORY, dataset, results, written
from pycocotools_run import ap_and_ar, evaluate

from mrpose_cli.evaluation.breakdown import assign
from mrpose_cli.evaluation.calibration import calibrate
from mrpose_cli.evaluation.figures import CocoScore, score_coco
from mrpose_cli.evaluation.persons import pair_up
from mrpose_cli.evaluation.report import Calibration


def calibration_of(score: CocoScore) -> Calibration:
    pairs = pair_up(score.truth, score.found)
    return calibrate(score.truth, score.found, pairs, assign(score.truth, score.found, pairs))


def one_person(joint_scores: list[float], score: float) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A person whose first eight joints are found exactly and whose others are lost."""
    truth = np.random.Generator(np.random.PCG64(7)).uniform(50, 400, (17, 2))
    found = truth.copy()
    found[8:] += 5000
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "width": 640, "height": 480}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "iscrowd": 0,
                "bbox": [50, 50, 350, 350],
                "area": 60_000,
                "keypoints": np.column_stack([truth, np.full(17, 2)]).ravel().tolist(),
                "num_keypoints": 17,
            }
        ],
        "categories": [CATEGORY],
    }
    triples = np.column_stack([found, joint_scores])
    return content, [{"image_id": 1, "category_id": 1, "keypoints": triples.ravel().tolist(), "score": score}]


def test_scores_that_say_the_truth_have_no_error(tmp_path: Path) -> None:
    content, rows = one_person([1.0] * 8 + [0.0] * 9, 8 / 17)
    calibration = calibration_of(score_coco(written(tmp_path, content), rows))
    assert calibration.persons.error == pytest.approx(0, abs=1e-12)
    assert calibration.joints.error == pytest.approx(0, abs=1e-12)
    assert [(b.low, b.count) for b in calibration.joints.bins if b.count] == [(0.0, 9), (0.9, 8)]


def test_scores_that_promise_too_much(tmp_path: Path) -> None:
    content, rows = one_person([1.2] * 17, 0.87)
    calibration = calibration_of(score_coco(written(tmp_path, content), rows))
    assert calibration.persons.error == pytest.approx(0.87 - 8 / 17)
    # A score above 1 promises no more than 1 does.
    assert calibration.joints.error == pytest.approx(1 - 8 / 17)
    [bin_] = [b for b in calibration.persons.bins if b.count]
    assert (bin_.low, bin_.score) == (0.8, 0.87)
    assert bin_.outcome == pytest.approx(8 / 17)


def test_ranking_by_oks_is_what_pycocotools_says_of_such_scores(tmp_path: Path) -> None:
    content = dataset()
    score = score_coco(written(tmp_path, content), results(content))
    calibration = calibration_of(score)
    pairs = pair_up(score.truth, score.found)
    assigned = assign(score.truth, score.found, pairs)
    oks = np.zeros(len(score.found))
    mine = assigned[pairs.found] == pairs.truth
    oks[pairs.found[mine]] = pairs.oks()[mine]
    rows = [
        {
            "image_id": int(score.found.image[i]),
            "category_id": 1,
            "keypoints": np.column_stack([score.found.keypoints[i], np.ones(17)]).ravel().tolist(),
            "score": float(oks[i]),
        }
        for i in range(len(oks))
    ]
    assert calibration.ap_ranked_by_oks == pytest.approx(ap_and_ar(evaluate(content, rows))[0], abs=1e-10)
    assert score.figures.ap is not None and calibration.ap_ranked_by_oks is not None
    assert calibration.ap_ranked_by_oks > score.figures.ap


def test_nothing_predicted_is_not_calibrated(tmp_path: Path) -> None:
    calibration = calibration_of(score_coco(written(tmp_path, dataset()), []))
    assert calibration.persons.error is None
    assert calibration.joints.error is None
