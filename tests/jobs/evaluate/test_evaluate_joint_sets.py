"""MPII and LSP from image files to figures, with a network whose answers can be worked out by hand."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from mrpose_cli.evaluation.report import BoxConditions, ModelConditions, PckFigures, Report, read_report
from mrpose_cli.jobs.evaluate.conditions import spool_conditions
from mrpose_cli.jobs.evaluate.options import EvalJob
from mrpose_cli.jobs.evaluate.run import Loaded, prepare, run
from mrpose_cli.pipeline.detectors.base import WholeImage
from mrpose_cli.pipeline.engines.torch import TorchEngine
from mrpose_cli.pipeline.estimator import PoseEstimator
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.skeletons import COCO17, MPII16, Skeleton
from mrpose_cli.weights.manifest import PoseEntry, find_pose

SPOT = (120, 90)  # x, y of the one bright pixel block's center
FAR = (20, 20)


def bright(joints: int) -> Any:
    """Every joint is where the crop is brightest."""

    def forward(images: Tensor) -> Tensor:
        small = torch.nn.functional.avg_pool2d(images, 4)
        return small[:, :1].expand(-1, joints, -1, -1).contiguous()

    return forward


def engine(skeleton: Skeleton, size: tuple[int, int]) -> Loaded:
    joints = len(skeleton.joints)
    entry: PoseEntry = find_pose("mrfea2-cspnext-s").model_copy(
        update={
            "skeleton": skeleton,
            "joints": joints,
            "input_size": size,
            "codec": "quarter",
            "mean": (0.0, 0.0, 0.0),
            "std": (255.0, 255.0, 255.0),
        }
    )
    estimator = PoseEstimator(TorchEngine(bright(joints), torch.device("cpu")), entry)
    model = ModelConditions(
        name="bright",
        weights="none",
        sha256="0" * 64,
        own_weights=True,
        input_size=size,
        color=entry.color,
        padding=entry.padding,
        decode=entry.codec,
        flip=False,
        flip_shift=False,
        person_score=entry.score,
        dtype="float32",
        device="cpu",
    )
    boxes = BoxConditions(kind="centre and scale", name="people.json", sha256=None, persons=0)
    return Loaded(Pipeline(WholeImage(), estimator), model, boxes)


def pictures(folder: Path, count: int) -> None:
    for number in range(count):
        image = np.zeros((200, 240, 3), np.uint8)
        image[SPOT[1] - 2 : SPOT[1] + 3, SPOT[0] - 2 : SPOT[0] + 3] = 255
        Image.fromarray(image).save(folder / f"{number}.png")


def person(image: int, place: tuple[int, int], joints: int, first: int) -> dict[str, Any]:
    """All joints in one place; the crop is 1.25 x 160 pixels around (120, 100)."""
    return {
        "image": f"{image}.png",
        "center": [120 + first, 100 + first - 15 * 0.8 * first],
        "scale": 0.8,
        "joints": [[place[0] + first, place[1] + first]] * joints,
        "joints_vis": [1] * joints,
        "head_box": [0, 0, 30, 40],
    }


def evaluated(job: EvalJob, models: Loaded) -> Report:
    with prepare(job) as plan:
        plan.task.fit(models.pipeline.estimator.entry)
        report = run(job, plan, models)
    assert report is not None
    return report


def test_mpii_from_images_to_pckh(tmp_path: Path) -> None:
    pictures(tmp_path, 3)
    rows = [person(0, SPOT, 16, 1), person(0, FAR, 16, 1), person(1, SPOT, 16, 1), person(2, SPOT, 16, 1)]
    (tmp_path / "people.json").write_text(json.dumps(rows))
    job = EvalJob(
        annotations=tmp_path / "people.json",
        images=tmp_path,
        dataset="mpii",
        out=tmp_path / "out",
        worst=2,
        html=True,
    )
    report = evaluated(job, engine(MPII16, (256, 256)))
    assert isinstance(report.figures, PckFigures)
    at_half, at_tenth, _ = report.figures.rows
    # Three of four people stand where the network says, to a fraction of the 30 pixels of a head.
    assert (at_half.total, at_half.head, at_half.wrist) == (75, 75, 75)
    assert at_tenth.total == 75
    assert report.conditions.dataset.persons == 4
    assert report.conditions.boxes is not None and report.conditions.boxes.kind == "centre and scale"
    assert [(case.annotation, case.similarity) for case in report.worst] == [(1, 0.0), (0, 1.0)]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "report.html",
        "report.json",
        "results.json",
        "worst.jpg",
    ]
    assert read_report(tmp_path / "out") == report
    page = (tmp_path / "out" / "report.html").read_text()
    assert "<td>PCKh@0.5</td><td>75.00</td>" in page and page.count("data:image/jpeg") == 2

    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["joints"] == list(MPII16.joints)
    found = np.array(results["people"][2]["keypoints"]).reshape(16, 3)
    assert np.abs(found[:, :2] - SPOT).max() < 3

    # The results file, scored by itself, gives the same.
    again = replace(
        job, predictions=tmp_path / "out" / "results.json", out=tmp_path / "again", worst=0, html=False
    )
    with prepare(again) as plan:
        report_again = run(again, plan, None)
    assert report_again is not None
    assert report_again.figures == report.figures


def test_lsp_leaves_out_the_joints_that_coco_lacks(tmp_path: Path) -> None:
    pictures(tmp_path, 2)
    rows = [person(0, SPOT, 14, 0), person(1, FAR, 14, 0)]
    for row in rows:
        row["joints"] = [*row["joints"]]
        row["joints"][9] = [row["joints"][9][0], row["joints"][9][1] + 50]  # left shoulder: a torso of 50
    (tmp_path / "people.json").write_text(json.dumps(rows))
    job = EvalJob(
        annotations=tmp_path / "people.json", images=tmp_path, dataset="lsp", out=tmp_path / "out", worst=1
    )
    report = evaluated(job, engine(COCO17, (256, 192)))
    assert isinstance(report.figures, PckFigures)
    first = report.figures.rows[0]
    assert (first.name, first.wrist, first.head) == ("PCK@0.2", 50, None)
    assert first.shoulder == 25  # the left one was moved by 50 pixels
    assert "head_top" in " ".join(report.figures.notes)
    assert report.worst[0].image == "1.png"


def test_missing_and_unreadable_images_leave_the_figures(tmp_path: Path) -> None:
    pictures(tmp_path, 2)
    (tmp_path / "1.png").write_bytes(b"no picture")
    rows = [person(i, SPOT, 16, 1) for i in range(3)]
    (tmp_path / "people.json").write_text(json.dumps(rows))
    job = EvalJob(annotations=tmp_path / "people.json", images=tmp_path, dataset="mpii", out=tmp_path / "out")
    report = evaluated(job, engine(MPII16, (256, 256)))
    data = report.conditions.dataset
    assert (data.missing, data.unreadable, data.persons) == (("2.png",), ("1.png",), 1)
    assert isinstance(report.figures, PckFigures) and report.figures.rows[0].total == 100


def test_a_model_with_other_joints_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path, 1)
    (tmp_path / "people.json").write_text(json.dumps([person(0, SPOT, 16, 1)]))
    job = EvalJob(annotations=tmp_path / "people.json", images=tmp_path, dataset="mpii", out=tmp_path / "out")
    with pytest.raises(Exception, match="MPII needs mpii16"):
        evaluated(job, engine(COCO17, (256, 192)))


def test_what_the_predictions_depend_on_is_told_apart(tmp_path: Path) -> None:
    pictures(tmp_path, 1)
    (tmp_path / "people.json").write_text(json.dumps([person(0, SPOT, 16, 1)]))
    job = EvalJob(annotations=tmp_path / "people.json", images=tmp_path, dataset="mpii", out=tmp_path / "out")
    models = engine(MPII16, (256, 256))
    with prepare(job) as plan:
        data = plan.task.conditions()
    before = spool_conditions(data, models.model, models.boxes)
    flipped = spool_conditions(data, models.model.model_copy(update={"flip": True}), models.boxes)
    assert {key for key in before if before[key] != flipped[key]} == {"flip"}
    limited = data.model_copy(update={"selection": "--limit 5", "images": 5})
    assert spool_conditions(limited, models.model, models.boxes) == before
