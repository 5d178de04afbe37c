"""What is run for COCO: which images, with which boxes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_people import dataset

from mrpose_cli.errors import UsageError
from mrpose_cli.jobs.evaluate.coco import CocoTask
from mrpose_cli.jobs.evaluate.options import EvalJob
from mrpose_cli.skeletons import MPII16
from mrpose_cli.weights.manifest import find_pose


@pytest.fixture
def job(tmp_path: Path) -> EvalJob:
    """All images but number 3 are there."""
    content = dataset()
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    for image in content["images"]:
        if image["id"] != 3:
            (tmp_path / image["file_name"]).touch()
    return EvalJob(annotations=tmp_path / "annotations.json", images=tmp_path)


def widths(task: CocoTask) -> list[float]:
    boxes = [shot.boxes for shot in task.shots if shot.boxes is not None]
    return [float(width) for found in boxes for width in found.boxes[:, 2] - found.boxes[:, 0]]


def test_boxes_are_cut_as_where_the_checkpoint_comes_from(job: EvalJob) -> None:
    task = CocoTask(job)
    task.fit(find_pose("rtmpose-s"))
    assert task.boxes is not None and task.boxes.rule == "mmpose"
    wide = widths(task)
    task.fit(find_pose("simplebaseline-r50"))
    assert task.boxes.rule == "authors"
    a_pixel_less = [abs(a - b - 1) < 1e-3 for a, b in zip(wide, widths(task), strict=True)]
    assert sum(a_pixel_less) > 0.8 * len(wide)
    assert task.missing == ("000000000003.jpg",)


def test_the_rule_can_be_chosen(job: EvalJob) -> None:
    task = CocoTask(replace(job, gt_boxes="mmpose"))
    task.fit(find_pose("simplebaseline-r50"))
    assert task.boxes is not None and task.boxes.rule == "mmpose"


def test_images_without_people_are_evaluated_but_not_run(job: EvalJob) -> None:
    task = CocoTask(job)
    assert task.conditions().images == 39
    assert len(task.shots) < 39
    assert task.detector is None
    found = CocoTask(replace(job, boxes="yolox-tiny"))
    assert found.detector == "yolox-tiny"
    assert len(found.shots) == 39  # a detector may find somebody anywhere
    assert all(shot.boxes is None for shot in found.shots)


def test_a_model_that_lacks_joints_is_refused(job: EvalJob) -> None:
    entry = find_pose("rtmpose-s").model_copy(update={"skeleton": MPII16, "also": ()})
    with pytest.raises(UsageError, match="has 'nose', which rtmpose-s \\(mpii16\\) does not estimate"):
        CocoTask(job).fit(entry)
