"""pycocotools asked directly, which is what all figures are held against."""

from __future__ import annotations

import copy
import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval


def evaluate(
    content: dict[str, Any], rows: list[dict[str, Any]], areas: Sequence[tuple[float, float]] = ()
) -> Any:
    """A finished COCOeval; with ``areas``, those ranges in place of COCO's."""
    with redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = copy.deepcopy(content)
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(copy.deepcopy(rows)), "keypoints")
        if areas:
            evaluation.params.areaRng = [list(area) for area in areas]
            evaluation.params.areaRngLbl = [str(area) for area in areas]
        evaluation.evaluate()
        evaluation.accumulate()
        if not areas:
            evaluation.summarize()
    return evaluation


def ap_and_ar(evaluation: Any, area: int = 0) -> tuple[float, float]:
    """In percent."""
    precision = evaluation.eval["precision"][:, :, 0, area, 0]
    recall = evaluation.eval["recall"][:, 0, area, 0]
    return 100 * float(np.mean(precision)), 100 * float(np.mean(recall))
