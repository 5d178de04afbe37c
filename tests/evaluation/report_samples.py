"""A whole report of made-up people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from made_up_people import dataset, results, written

from mrpose_cli.evaluation.breakdown import assign, break_down
from mrpose_cli.evaluation.calibration import calibrate
from mrpose_cli.evaluation.figures import score_coco
from mrpose_cli.evaluation.mistakes import find_mistakes
from mrpose_cli.evaluation.persons import pair_up
from mrpose_cli.evaluation.report import (
    BoxConditions,
    Conditions,
    DatasetConditions,
    ModelConditions,
    Report,
    Timing,
)


def conditions(**changes: Any) -> Conditions:
    """As of a run of HRNet's authors' file over the whole of val2017 with the well-known boxes."""
    plain = Conditions(
        command=("mrpose", "eval", "--ann", "<a&b>.json"),
        dataset=DatasetConditions(
            kind="coco",
            annotations="person_keypoints_val2017.json",
            sha256="a" * 64,
            name="COCO val2017",
            images=5000,
            persons=6352,
            images_in_file=5000,
            selection=None,
            missing=(),
            unreadable=(),
        ),
        model=ModelConditions(
            name="simplebaseline-r50",
            weights="pose_resnet_50_256x192.pth.tar",
            sha256="b" * 64,
            own_weights=False,
            input_size=(256, 192),
            color="bgr",
            padding=(1.25, 1.25),
            decode="quarter",
            flip=True,
            flip_shift=True,
            person_score="mean-visible",
            dtype="float32",
            device="cpu",
        ),
        boxes=BoxConditions(
            kind="file", name="COCO_val2017_detections_AP_H_56_person.json", sha256="c" * 64, persons=104125
        ),
        predictions=None,
        suppression="OKS-NMS 0.9",
        ranks=1,
        versions={"mrpose": "0.1.0"},
    )
    return plain.model_copy(update=changes)


def report(folder: Path, seed: int = 2) -> Report:
    """With every part there is but pictures."""
    content = dataset()
    score = score_coco(written(folder, content), results(content, seed))
    pairs = pair_up(score.truth, score.found)
    assigned = assign(score.truth, score.found, pairs)
    return Report(
        mrpose="0.1.0",
        conditions=conditions(),
        figures=score.figures,
        breakdown=break_down(score.truth, score.found, pairs, assigned),
        mistakes=find_mistakes(score.truth, score.found, pairs, assigned),
        calibration=calibrate(score.truth, score.found, pairs, assigned),
        curves=score.curves,
        timing=Timing(
            predict=10.0,
            score=1.0,
            persons_per_second=100.0,
            forward_share=90.0,
            stages={"pose network": 9.0},
            resumed_images=0,
        ),
    )
