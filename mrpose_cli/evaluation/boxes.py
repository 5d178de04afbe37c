"""Person boxes as the evaluations of the field take them from the ground truth.

Two rules are about, and they differ by a pixel of width and height, which is worth some tenths of an AP:

* *authors* (SimpleBaseline, HRNet and what descends from them): boxes are cut at the picture's edges, and
  pixels are counted inclusively, so that also a box well within the picture loses one;
* *mmpose* (1.x): corners are clipped to the picture.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from mrpose_cli.evaluation.annotations import Annotations
from mrpose_cli.poses import Detections

BoxRule = Literal["authors", "mmpose"]


def sanitised(box: list[float], width: int, height: int, rule: BoxRule) -> list[float] | None:
    """Clip a COCO box to the image.

    Args:
        box: x y width height in pixels.
        width: Of the picture.
        height: Of the picture.
        rule: Whose rule to follow.

    Returns:
        x1 y1 x2 y2, or None if nothing is left of it.
    """
    x, y, w, h = box
    if rule == "mmpose":
        x1, x2 = (min(max(value, 0.0), width - 1.0) for value in (x, x + w))
        y1, y2 = (min(max(value, 0.0), height - 1.0) for value in (y, y + h))
        return [x1, y1, x2, y2] if x2 > x1 and y2 > y1 else None
    x1, y1 = max(0.0, x), max(0.0, y)
    x2 = min(width - 1.0, x1 + max(0.0, w - 1))
    y2 = min(height - 1.0, y1 + max(0.0, h - 1))
    return [x1, y1, x2, y2] if x2 >= x1 and y2 >= y1 else None


def ground_truth_boxes(annotations: Annotations, rule: BoxRule) -> dict[int, Detections]:
    """Return boxes of all people with a labelled keypoint, by image id, in the file's order, with score 1.

    Crowds are left out, as are people without an area and boxes that lie wholly outside the image.
    """
    sizes = {image.id: (image.width, image.height) for image in annotations.images}
    found: dict[int, list[list[float]]] = {}
    for row in annotations.persons:
        if row["iscrowd"] or row["area"] <= 0 or row["keypoints"].max() <= 0:
            continue
        box = sanitised(row["bbox"], *sizes[row["image_id"]], rule)
        if box is not None:
            found.setdefault(row["image_id"], []).append(box)
    return {
        image_id: Detections(np.array(boxes, np.float32), np.ones(len(boxes), np.float32))
        for image_id, boxes in found.items()
    }
