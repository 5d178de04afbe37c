"""COCO's ten figures, by pycocotools."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.annotations import Annotations, read_json
from mrpose_cli.evaluation.persons import Found, Truth
from mrpose_cli.evaluation.report import CocoFigures, Curve
from mrpose_cli.skeletons import COCO17

_CURVES = (0.5, 0.75, 0.95)
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class CocoScore:
    """What pycocotools says, and the people it said it of.

    Attributes:
        figures: The ten figures in percent.
        curves: Precision over recall.
        truth: The annotated people.
        found: The predictions that count.
        annotation_ids: (G,) of ``truth``.
    """

    figures: CocoFigures
    curves: tuple[Curve, ...]
    truth: Truth
    found: Found
    annotation_ids: tuple[int, ...]


def read_results(path: Path, annotations: Annotations) -> list[Row]:
    """Read a COCO results file, of any tool.

    Rows of images that are not to be evaluated (``--limit``, ``--ids``) are left out.

    Raises:
        UsageError: it is not a results file, or not for these annotations.
    """
    rows = read_json(path, "the results file")
    if not isinstance(rows, list):
        hint = "; a COCO annotation file is not a results file" if isinstance(rows, dict) else ""
        raise UsageError(f"{path} is not a list of COCO results{hint}")
    for index, row in enumerate(rows):
        if not isinstance(row, dict) or not {"image_id", "category_id", "score"} <= row.keys():
            raise UsageError(f"entry {index} of {path} lacks image_id, category_id or score")
        keypoints = row.get("keypoints")
        if not isinstance(keypoints, list) or len(keypoints) != 3 * len(COCO17.joints):
            raise UsageError(f"entry {index} of {path} has no keypoints of 17 joints (x, y, score each)")
    try:
        numbers = np.array([[*row["keypoints"], row["score"]] for row in rows], np.float64)
    except (ValueError, TypeError):
        raise UsageError(f"{path} has keypoints or scores that are not numbers") from None
    if not np.isfinite(numbers).all():
        raise UsageError(f"{path} has keypoints or scores that are not finite")
    wanted = {image.id for image in annotations.images}
    kept = [row for row in rows if row["image_id"] in wanted]
    if not kept:
        raise UsageError(f"{path} has no results for any of the images to be evaluated")
    return kept


def score_coco(annotations: Annotations, rows: Sequence[Row]) -> CocoScore:
    """Evaluate results.

    Args:
        annotations: With the images to be evaluated; those without results count as well.
        rows: COCO results, as in a results file; pycocotools adds its own fields to them.
    """
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [asdict(image) for image in annotations.images],
            "annotations": [dict(row) for row in annotations.persons],
            "categories": [dict(annotations.category)],
        }
        truth.createIndex()
        # loadRes looks at the first row, so it takes no empty list.
        results = truth.loadRes(list(rows)) if rows else _nothing(truth)
        evaluation = COCOeval(truth, results, "keypoints")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = [None if value < 0 else 100 * float(value) for value in evaluation.stats]
    names = [name for name in CocoFigures.model_fields if name != "kind"]
    people = sorted(annotations.persons, key=lambda row: int(row["image_id"]))
    return CocoScore(
        CocoFigures(**dict(zip(names, figures, strict=True))),
        _curves(evaluation),
        Truth.of(people),
        Found.of([row for row in results.anns.values() if row["category_id"] == annotations.category["id"]]),
        tuple(row["id"] for row in people),
    )


def _nothing(truth: Any) -> Any:
    from pycocotools.coco import COCO

    empty = COCO()
    empty.dataset = {**truth.dataset, "annotations": []}
    empty.createIndex()
    return empty


def _curves(evaluation: Any) -> tuple[Curve, ...]:
    precision = evaluation.eval["precision"][:, :, 0, 0, 0]  # thresholds x recalls, all sizes
    at: Mapping[float, int] = {round(float(t), 2): i for i, t in enumerate(evaluation.params.iouThrs)}
    return tuple(
        Curve(oks=oks, precision=tuple(np.maximum(precision[at[oks]], 0).round(4).tolist()))
        for oks in _CURVES
    )
