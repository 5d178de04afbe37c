"""Figures and their parts against pycocotools, which is told of each part by changed annotations."""

import copy
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up_people import dataset, results, written
from pycocotools_run import ap_and_ar, evaluate

from mrpose_cli.evaluation.annotations import read_annotations
from mrpose_cli.evaluation.breakdown import assign, break_down, count_overlaps
from mrpose_cli.evaluation.figures import CocoScore, score_coco
from mrpose_cli.evaluation.matching import View, average_precision
from mrpose_cli.evaluation.persons import Pairs, pair_up
from mrpose_cli.evaluation.report import Slice
from mrpose_cli.skeletons import COCO17

VAL = Path(__file__).parents[3] / "shared" / "data" / "coco_val2017" / "person_keypoints_val2017_363.json"

Content = dict[str, Any]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Case:
    content: Content
    rows: Rows
    score: CocoScore
    pairs: Pairs


@pytest.fixture(scope="module", params=["made up", "made up, with boxes", "COCO val2017"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Annotations and results of every quality."""
    if request.param == "COCO val2017":
        if not VAL.exists():
            pytest.skip("needs the photos and annotations beside the clone")
        content = json.loads(VAL.read_text())
        annotations = read_annotations(VAL)
    else:
        content = dataset()
        annotations = written(tmp_path_factory.mktemp("made-up"), content)
    rows = results(content)
    if request.param == "made up, with boxes":
        for row in rows:  # loadRes then takes its area from the box
            row["bbox"] = [0.0, 0.0, 30.0 + 200 * row["score"], 100.0]
    score = score_coco(annotations, copy.deepcopy(rows))
    return Case(content, rows, score, pair_up(score.truth, score.found))


def test_the_ten_figures_are_pycocotools(case: Case) -> None:
    expected = [100 * float(value) for value in evaluate(case.content, case.rows).stats]
    figures = case.score.figures.model_dump(exclude={"kind"})
    assert list(figures.values()) == expected
    assert list(figures) == ["ap", "ap50", "ap75", "ap_m", "ap_l", "ar", "ar50", "ar75", "ar_m", "ar_l"]
    assert 10 < expected[0] < 90


def test_our_own_matching_gives_the_same(case: Case) -> None:
    view = View(case.score.truth.ignored)
    ours = average_precision(case.score.truth, case.score.found, case.pairs, case.pairs.oks(), view)
    assert ours.ap == pytest.approx(case.score.figures.ap, abs=1e-10)
    assert ours.ar == pytest.approx(case.score.figures.ar, abs=1e-10)
    at = {curve.oks: curve.precision for curve in case.score.curves}
    assert ours.precision[0] == pytest.approx(np.array(at[0.5]), abs=1e-4)
    assert ours.precision[9] == pytest.approx(np.array(at[0.95]), abs=1e-4)


def only_joints(content: Content, names: Sequence[str]) -> Content:
    content = copy.deepcopy(content)
    for row in content["annotations"]:
        triples = np.array(row["keypoints"]).reshape(17, 3)
        triples[[joint.split("_")[-1] not in names for joint in COCO17.joints], 2] = 0
        row["keypoints"] = triples.ravel().tolist()
        row["num_keypoints"] = int((triples[:, 2] > 0).sum())
    return content


def test_groups_of_joints_are_as_if_only_they_were_labelled(case: Case) -> None:
    found = break_down(
        case.score.truth, case.score.found, case.pairs, assign(case.score.truth, case.score.found, case.pairs)
    )
    groups = {row.name: row for row in found.joints}
    assert list(groups) == ["head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle"]
    for name, parts in {"head": ["nose", "eye", "ear"], "ankle": ["ankle"]}.items():
        content = only_joints(case.content, parts)
        expected = ap_and_ar(evaluate(content, case.rows))
        assert (groups[name].ap, groups[name].ar) == pytest.approx(expected, abs=1e-10)
        kept = [row for row in content["annotations"] if row["num_keypoints"] and not row["iscrowd"]]
        assert groups[name].persons == len(kept)
        assert groups[name].joints == sum(row["num_keypoints"] for row in kept)


def test_sizes_are_pycocotools_area_ranges(case: Case) -> None:
    truth, found = case.score.truth, case.score.found
    ranges = [(32**2, 64**2), (64**2, 96**2), (96**2, 192**2), (192**2, 1e10)]
    evaluation = evaluate(case.content, case.rows, ranges)
    sizes = break_down(truth, found, case.pairs, assign(truth, found, case.pairs)).size
    for index, row in enumerate(sizes):
        assert (row.ap, row.ar) == pytest.approx(ap_and_ar(evaluation, index), abs=1e-10), row.name


def test_people_are_sliced_with_the_predictions_that_are_about_them(case: Case) -> None:
    truth, found, pairs = case.score.truth, case.score.found, case.pairs
    assigned = assign(truth, found, pairs)
    breakdown = break_down(truth, found, pairs, assigned)
    for slices in (breakdown.visible, breakdown.crowding):
        assert sum(row.persons for row in slices) == int((~truth.ignored).sum())
        assert len({row.ap for row in slices}) > 1

    # The same by pycocotools: people outside of the slice lose their count, their predictions go.
    labelled = truth.labelled.sum(1)
    inside = (labelled >= 6) & (labelled <= 10)
    ids = {case.score.annotation_ids[i] for i in np.flatnonzero(inside)}
    content = copy.deepcopy(case.content)
    for row in content["annotations"]:
        if row["id"] not in ids:
            row["num_keypoints"] = 0
    gone = (assigned >= 0) & ~inside[assigned] & ~truth.ignored[assigned]
    rows = [
        {
            "image_id": int(found.image[i]),
            "category_id": 1,
            "keypoints": np.column_stack([found.keypoints[i], found.joint_scores[i]]).ravel().tolist(),
            "score": float(found.scores[i]),
        }
        for i in np.flatnonzero(~gone)
    ]
    expected = ap_and_ar(evaluate(content, rows))
    slice_: Slice = breakdown.visible[1]
    assert (slice_.ap, slice_.ar) == pytest.approx(expected, abs=1e-10)


def test_overlaps_by_hand(tmp_path: Path) -> None:
    content = dataset(images=2)
    blank = {**content["annotations"][0], "image_id": 0}
    # Two that overlap by half, one apart, and one in the other image.
    places = [(0, [0, 0, 100, 100]), (0, [50, 0, 100, 100]), (0, [300, 0, 50, 50]), (1, [0, 0, 100, 100])]
    content["annotations"] = [
        {**blank, "id": i, "image_id": image, "bbox": box} for i, (image, box) in enumerate(places)
    ]
    score = score_coco(written(tmp_path, content), [])
    assert count_overlaps(score.truth).tolist() == [1, 1, 0, 0]


def test_nothing_predicted(tmp_path: Path) -> None:
    score = score_coco(written(tmp_path, dataset()), [])
    assert score.figures.ap == 0
    pairs = pair_up(score.truth, score.found)
    breakdown = break_down(score.truth, score.found, pairs, assign(score.truth, score.found, pairs))
    assert {row.ap for row in breakdown.joints} == {0}
