"""report.json, the comparison with what was published, and of reports with each other."""

import json
from pathlib import Path
from typing import Any

import pytest
from report_samples import conditions, report

from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.compare import compare_reports
from mrpose_cli.evaluation.published import compare_published
from mrpose_cli.evaluation.report import PckFigures, PckRow, read_report, write_report
from mrpose_cli.weights.manifest import Metric, PoseEntry, find_pose


def test_a_report_is_read_as_it_was_written(tmp_path: Path) -> None:
    before = report(tmp_path)
    write_report(tmp_path / "report.json", before)
    assert read_report(tmp_path / "report.json") == read_report(tmp_path) == before


def test_the_fields_that_others_rely_on(tmp_path: Path) -> None:
    """Fields may be added to report.json; these stay."""
    content = json.loads(report(tmp_path).model_dump_json())
    assert content["format"] == 1
    assert content["figures"].keys() == {
        *("kind", "ap", "ap50", "ap75", "ap_m", "ap_l", "ar", "ar50", "ar75", "ar_m", "ar_l")
    }
    assert 0 < content["figures"]["ap"] <= 100
    assert content["conditions"].keys() >= {
        *("command", "dataset", "model", "boxes", "predictions", "suppression", "exif", "ranks", "versions")
    }
    assert content["conditions"]["dataset"].keys() >= {
        *("annotations", "sha256", "images", "persons", "missing", "unreadable", "selection")
    }
    assert content["conditions"]["model"].keys() >= {"name", "sha256", "flip", "decode", "dtype", "device"}
    assert content["breakdown"].keys() == {"joints", "size", "visible", "crowding"}
    assert content["mistakes"].keys() >= {"joints", "total", "mended"}
    assert content["calibration"].keys() >= {"persons", "joints", "ap_ranked_by_oks"}


@pytest.mark.parametrize(
    ("text", "message"), [("{", "is not JSON"), ("[]", "is not a report"), (None, "cannot be read")]
)
def test_other_files_are_refused(tmp_path: Path, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_report(tmp_path / "x.json")


def entry() -> PoseEntry:
    metric = Metric(ap=70.4, boxes="detector, 56.4 AP", flip=True, decode="quarter offset", source="a table")
    return find_pose("simplebaseline-r50").model_copy(update={"metrics": (metric,), "sha256": "b" * 8})


def test_the_same_conditions(tmp_path: Path) -> None:
    figures = report(tmp_path).figures
    [published] = compare_published(entry(), conditions(), figures)
    assert published.same_conditions, published.differences
    assert published.difference == pytest.approx(published.measured - 70.4)
    assert published.figure == 70.4


def test_images_that_are_no_whole_dataset_are_known_by_their_ids(tmp_path: Path) -> None:
    metric = entry().metrics[0].model_copy(update={"dataset": "two photos", "images_sha256": "e" * 64})
    ours = entry().model_copy(update={"metrics": (metric,)})
    plain = conditions()
    figures = report(tmp_path).figures
    states = []
    for ids in ("e" * 64, "f" * 64, None):
        images = plain.dataset.model_copy(update={"name": None, "images": 2, "images_sha256": ids})
        [published] = compare_published(ours, plain.model_copy(update={"dataset": images}), figures)
        states.append(published.same_conditions)
    assert states == [True, False, False]


@pytest.mark.parametrize(
    ("part", "changes", "words"),
    [
        (
            "dataset",
            {"name": None, "images": 363},
            "images: 363 images of person_keypoints_val2017.json, not",
        ),
        ("boxes", {"kind": "ground truth"}, "boxes: ground truth, not detector, 56.4 AP"),
        ("boxes", {"kind": "detector", "name": "yolo26n"}, "boxes: yolo26n, not detector"),
        ("boxes", {"name": "mine.json"}, "boxes: mine.json, not detector"),
        ("model", {"flip": False}, "flip test: off, not on"),
        ("model", {"decode": "dark"}, "decoding: DARK, not quarter offset"),
        ("model", {"own_weights": True, "sha256": "d" * 64}, "weights: pose_resnet"),
    ],
)
def test_other_conditions_are_named(tmp_path: Path, part: str, changes: dict[str, Any], words: str) -> None:
    plain = conditions()
    other = plain.model_copy(update={part: getattr(plain, part).model_copy(update=changes)})
    [published] = compare_published(entry(), other, report(tmp_path).figures)
    assert not published.same_conditions
    assert [text for text in published.differences if text.startswith(words)]
    assert len(published.differences) == 1


def test_soft_suppression_is_another_condition(tmp_path: Path) -> None:
    other = conditions(suppression="soft OKS-NMS 0.9")
    [published] = compare_published(entry(), other, report(tmp_path).figures)
    assert published.differences == ("suppression: soft OKS-NMS 0.9, not OKS-NMS 0.9",)


def test_figures_of_another_kind_are_not_compared(tmp_path: Path) -> None:
    names = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "total")
    row = PckRow(name="PCKh@0.5", threshold=0.5, **dict.fromkeys(names, 90.0))
    assert compare_published(entry(), conditions(), PckFigures(kind="pckh", rows=(row,))) == ()
    with pytest.raises(UsageError, match="cannot be compared"):
        first = report(tmp_path)
        compare_reports([first, first.model_copy(update={"figures": PckFigures(kind="pckh", rows=(row,))})])


def test_reports_side_by_side(tmp_path: Path) -> None:
    first, second = report(tmp_path), report(tmp_path, seed=3)
    comparison = compare_reports([first, second, first])
    name, values = comparison.figures[0]
    assert name == "AP"
    assert values[0] == values[2] != values[1]
    assert comparison.conditions == ()
    assert comparison.same_people

    model = first.conditions.model
    assert model is not None
    flipped = conditions(model=model.model_copy(update={"flip": False}), command=("other",))
    other = first.model_copy(update={"conditions": flipped})
    comparison = compare_reports([first, other])
    assert comparison.conditions == (("model.flip", ("True", "False")),)
    assert comparison.same_people

    fewer = conditions(dataset=first.conditions.dataset.model_copy(update={"images": 10}))
    assert not compare_reports([first, first.model_copy(update={"conditions": fewer})]).same_people
