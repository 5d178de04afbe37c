"""COCO's ten figures, by pycocotools."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.annotations import Annotations, with_joints
from mrpose_cli.evaluation.persons import Found, Truth
from mrpose_cli.evaluation.report import CocoFigures, Curve
from mrpose_cli.formats.reader import Box, Id, Number, Row, read_json, read_rows
from mrpose_cli.skeletons import to_category

_CURVES = (0.5, 0.75, 0.95)
Result = dict[str, Any]
"""A row of a results file."""


class _Result(Row):
    image_id: Id
    category_id: Id
    keypoints: list[Number]
    score: Number
    bbox: Box | None = None


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


def read_results(path: Path, annotations: Annotations) -> list[Result]:
    """Read a COCO results file, of any tool.

    Rows of images that are not to be evaluated (``--limit``, ``--ids``) and of other categories are left out.

    Raises:
        UsageError: it is not a results file, or not for these annotations.
    """
    content = read_json(path, "the results file")
    if not isinstance(content, list):
        hint = "; a COCO annotation file is not a results file" if isinstance(content, dict) else ""
        raise UsageError(f"{path} is not a list of COCO results{hint}")
    wanted = {image.id for image in annotations.images}
    model = with_joints(_Result, annotations.skeleton)
    rows = [
        row
        for row in read_rows(path, "results", content, model, categories=annotations.categories)
        if row.image_id in wanted
    ]
    if not rows:
        raise UsageError(f"{path} has no results for any of the images to be evaluated")
    # pycocotools looks at the first row to tell whether all have boxes, whose areas it then takes.
    without = None if all(row.bbox is not None for row in rows) else {"bbox"}
    return [row.model_dump(exclude=without) | {"category_id": annotations.category} for row in rows]


def score_coco(annotations: Annotations, rows: Sequence[Result]) -> CocoScore:
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
            "images": [image.model_dump() for image in annotations.images],
            "annotations": [dict(row) for row in annotations.persons],
            "categories": [to_category(annotations.skeleton, annotations.category)],
        }
        truth.createIndex()
        # loadRes looks at the first row, so it takes no empty list.
        results = truth.loadRes(list(rows)) if rows else _nothing(truth)
        evaluation = COCOeval(truth, results, "keypoints")
        evaluation.params.kpt_oks_sigmas = np.array(annotations.skeleton.sigmas)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    figures = [None if value < 0 else 100 * float(value) for value in evaluation.stats]
    names = [name for name in CocoFigures.model_fields if name != "kind"]
    people = sorted(annotations.persons, key=lambda row: int(row["image_id"]))
    return CocoScore(
        CocoFigures(**dict(zip(names, figures, strict=True))),
        _curves(evaluation),
        Truth.of(people, annotations.skeleton),
        Found.of(list(results.anns.values()), len(annotations.skeleton.joints)),
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
