"""PCKh and PCK against cases worked out by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mrpose_cli.evaluation.pck import LSP_JOINTS, pck, pckh
from mrpose_cli.skeletons import MPII16

J = {name: i for i, name in enumerate(MPII16.joints)}
HEAD = 100.0  # diagonal, so that 1 unit is 60 pixels


def mpii(people: int = 1) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Perfect predictions (from 0), annotations (from 1), labels, heads."""
    truth = np.arange(people * 32, dtype=float).reshape(people, 16, 2) * 10 + 101
    return truth - 1, truth, np.ones((people, 16), bool), np.full(people, HEAD)


def right(pixels: float) -> NDArray[Any]:
    return np.array([pixels, 0.0])


def test_predictions_count_from_0_and_annotations_from_1() -> None:
    predicted, truth, labelled, heads = mpii()
    figures = pckh(predicted, truth, labelled, heads)
    assert [row.total for row in figures.rows] == [100, 100, 100]
    # Off by half of 60 pixels in one direction: only the shift by one decides.
    assert pckh(predicted + right(30.0), truth, labelled, heads).rows[0].total == 100
    assert pckh(predicted + right(30.5), truth, labelled, heads).rows[0].total == 0
    assert pckh(truth + right(29.5), truth, labelled, heads).rows[0].total == 0
    assert pckh(truth - right(30.5), truth, labelled, heads).rows[0].total == 100


def test_groups_and_the_weighted_mean() -> None:
    predicted, truth, labelled, heads = mpii(4)
    far = np.array([1000.0, 0])
    predicted[0, J["head_top"]] += far
    predicted[:2, J["left_wrist"]] += far
    predicted[0, J["right_wrist"]] += far
    labelled[3, J["right_wrist"]] = False  # three are labelled, two of them right
    predicted[:, J["pelvis"]] += far  # neither has a part in the mean
    predicted[:, J["thorax"]] += far
    row = pckh(predicted, truth, labelled, heads).rows[0]
    assert row.head == 75
    assert row.wrist == pytest.approx((50 + 200 / 3) / 2)  # the mean of left and right, not of all joints
    assert (row.shoulder, row.elbow, row.hip, row.knee, row.ankle) == (100, 100, 100, 100, 100)
    counted = 14 * 4 - 1
    assert row.total == pytest.approx(100 * (counted - 4) / counted)


def test_the_authors_threshold_of_a_tenth_is_eleven_hundredths() -> None:
    predicted, truth, labelled, heads = mpii()
    for threshold, inside in ((0.105, True), (0.115, False)):
        figures = pckh(predicted + right(60 * threshold), truth, labelled, heads)
        at = {row.threshold: row.total for row in figures.rows}
        assert at == {0.5: 100, 0.1: 0, 0.11: 100 if inside else 0}
    assert "0.11" in figures.notes[0]


def test_the_head_scales_the_distance() -> None:
    predicted, truth, labelled, heads = mpii(2)
    heads[1] = 2 * HEAD
    row = pckh(predicted + right(40.0), truth, labelled, heads).rows[0]
    assert row.total == 50


def test_a_joint_that_is_never_labelled_has_no_figure() -> None:
    predicted, truth, labelled, heads = mpii()
    labelled[:, J["head_top"]] = labelled[:, J["left_knee"]] = False
    row = pckh(predicted, truth, labelled, heads).rows[0]
    assert (row.head, row.knee, row.total) == (None, None, 100)


def lsp(people: int = 2) -> tuple[dict[str, NDArray[Any]], NDArray[Any], NDArray[Any]]:
    truth = np.zeros((people, 14, 2))
    truth[:, LSP_JOINTS.index("left_shoulder")] = [100, 0]
    truth[:, LSP_JOINTS.index("right_hip")] = [40, 80]  # a torso of 100 pixels
    predicted = {name: truth[:, i].copy() for i, name in enumerate(LSP_JOINTS)}
    return predicted, truth, np.ones((people, 14), bool)


def test_pck_by_torso() -> None:
    predicted, truth, labelled = lsp()
    predicted["left_wrist"][0] += [0, 19.9]
    predicted["left_wrist"][1] += [0, 20.1]
    predicted["head_top"][0] += [60, 80]
    row, strict = pck(predicted, truth, labelled, [0.2, 0.1]).rows
    assert (row.name, strict.name) == ("PCK@0.2", "PCK@0.1")
    assert (row.wrist, strict.wrist) == (75, 50)
    assert row.head == 75
    assert row.total == pytest.approx(100 * 26 / 28)


def test_what_cannot_be_judged_is_named() -> None:
    predicted, truth, labelled = lsp(3)
    del predicted["head_top"], predicted["upper_neck"]
    labelled[2, LSP_JOINTS.index("right_hip")] = False
    figures = pck(predicted, truth, labelled, [0.2])
    assert figures.rows[0].head is None
    assert figures.rows[0].total == 100
    assert "upper_neck, head_top" in figures.notes[1]
    assert "1 people" in figures.notes[2]
