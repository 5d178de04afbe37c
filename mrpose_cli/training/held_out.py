"""A contact sheet of held-out crops: labels beside predictions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.evaluation.sheet import WorstCase, contact_sheet, draw_case
from mrpose_cli.media.images import write_image
from mrpose_cli.oks import joint_similarity
from mrpose_cli.skeletons import Skeleton
from mrpose_cli.training.crops import CropSet
from mrpose_cli.training.labels import MARGIN, PADDING
from mrpose_cli.training.validate import known_joints

SHEET_FILE = "held-out.jpg"
_WORST, _TYPICAL = 12, 12


def draw_held_out(
    path: Path,
    crops: CropSet,
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    skeleton: Skeleton,
) -> None:
    """Draw the crops that were predicted worst, then those in the middle; where there are few, all of them.

    Args:
        path: The picture.
        crops: The held-out crops.
        points: (N, K, 2), predicted, crop pixels.
        scores: (N, K).
        skeleton: Of the K joints.

    Raises:
        OutputError: it could not be written.
    """
    labels = crops.labels
    known = known_joints(labels)
    near = np.where(known, joint_similarity(points, labels.points, labels.areas, skeleton), 0.0)
    oks = near.sum(1) / np.maximum(known.sum(1), 1)
    chosen = _choose(oks, np.asarray(known.any(1)))
    if not len(chosen):
        return
    height, width = crops.size
    half = np.array([width, height]) / (2 * PADDING * MARGIN)
    middle = np.array([width - 1, height - 1]) / 2
    named = [_name(labels.names[crop], crop) for crop in chosen.tolist()]
    tiles = [
        draw_case(
            WorstCase(
                path=Path(image),
                image=image,
                annotation=number,
                box=np.concatenate([middle - half, middle + half]),
                truth=labels.points[crop].astype(np.float64),
                labelled=known[crop],
                predicted=points[crop],
                scores=scores[crop],
                similarity=float(oks[crop]),
                skeleton=skeleton,
            ),
            crops.pixels[crop].cpu().numpy(),
        )
        for crop, (image, number) in zip(chosen.tolist(), named, strict=True)
    ]
    write_image(path, contact_sheet(tiles))


def _name(name: str, crop: int) -> tuple[str, int]:
    """Return the photo and the number of a person in its file of labels; of a shard, the crop's file."""
    image, _, number = name.partition("/")[2].rpartition(":")
    return (image, int(number)) if image else (number, crop)


def _choose(oks: NDArray[np.float64], countable: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the crops to show, worst first."""
    order = np.argsort(oks, kind="stable")
    order = order[countable[order]]
    if len(order) <= _WORST + _TYPICAL:
        return order
    start = max(_WORST, (len(order) - _TYPICAL) // 2)
    return np.concatenate([order[:_WORST], order[start : start + _TYPICAL]])
