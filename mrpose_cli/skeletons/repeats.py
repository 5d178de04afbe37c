"""OKS sigmas from objects that several people labelled."""

from __future__ import annotations

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

_SAME = 0.7  # overlap of two boxes from which they are of one object
_LEAST = 10  # objects with a joint labelled twice that it takes to tell its sigma
_SMALLEST = 0.001
_MOST = 500  # labels of one image
_LARGEST = 1e9  # pixels, or square pixels


def estimate_sigmas(annotations: Any, joints: int) -> tuple[list[float], int] | None:
    """Estimate sigmas as COCO defines them, the spread of labels over the square root of the area.

    Labels of one image whose boxes nearly coincide are taken for labels of one object; exact copies are left
    out.

    Args:
        annotations: A COCO file's.
        joints: How many each object has, K.

    Returns:
        K numbers, and from how many objects; None where some joint was not labelled often enough.
    """
    squares, freedom, objects = np.zeros(joints), np.zeros(joints), 0
    for points, boxes, areas in _by_image(annotations, joints):
        for group in _groups(points, boxes):
            labelled = points[group, :, 2] > 0  # (m, K)
            counts = labelled.sum(0)
            mean = (points[group, :, :2] * labelled[..., None]).sum(0) / np.maximum(counts, 1)[:, None]
            distance = ((points[group, :, :2] - mean) ** 2).sum(-1) * labelled
            squares += np.where(counts > 1, distance.sum(0), 0) / areas[group].mean()
            freedom += np.maximum(counts - 1, 0)
            objects += 1
    if not objects or freedom.min() < _LEAST:
        return None
    return np.maximum(np.sqrt(squares / freedom), _SMALLEST).round(4).tolist(), objects


def _by_image(annotations: Any, joints: int) -> list[tuple[NDArray[np.float64], ...]]:
    """Return joints (n, K, 3), boxes (n, 4), x y w h, and areas (n,) of the images with several labels."""
    images: dict[int, list[tuple[list[float], list[float], float]]] = {}
    for row in annotations if isinstance(annotations, list) else []:
        if not isinstance(row, dict) or row.get("iscrowd"):
            continue
        image, points, box = row.get("image_id"), row.get("keypoints"), row.get("bbox")
        if isinstance(image, int) and _numbers(points, 3 * joints) and _numbers(box, 4) and min(box[2:]) > 0:
            area = box[2] * box[3]
            stated = row.get("area")  # of the silhouette, where it is known; OKS takes the same
            if isinstance(stated, int | float) and 0 < stated <= _LARGEST:
                area = float(stated)
            images.setdefault(image, []).append((points, box, area))
    several = (zip(*rows, strict=True) for rows in images.values() if 1 < len(rows) <= _MOST)
    return [
        (np.array(points, np.float64).reshape(-1, joints, 3), np.array(boxes, np.float64), np.array(areas))
        for points, boxes, areas in several
    ]


def _numbers(values: Any, count: int) -> TypeGuard[list[float]]:
    if not isinstance(values, list) or len(values) != count:
        return False
    return all(isinstance(value, int | float) and abs(value) <= _LARGEST for value in values)


def _groups(points: NDArray[np.float64], boxes: NDArray[np.float64]) -> list[list[int]]:
    """Return labels of one object each, two or more."""
    low, high = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    common = np.minimum(high[:, None], high[None]) - np.maximum(low[:, None], low[None])
    shared = np.clip(common, 0, None).prod(-1)
    area = boxes[:, 2:].prod(1)
    alike = shared / (area[:, None] + area[None] - shared) >= _SAME
    groups: list[list[int]] = []
    free = set(range(len(boxes)))
    for first in range(len(boxes)):
        if first not in free:
            continue
        group = [first]
        for other in sorted(free):
            copied = any(np.array_equal(points[other], points[one]) for one in group)
            if other > first and alike[first, other] and not copied:
                group.append(other)
        free -= set(group)
        if len(group) > 1:
            groups.append(group)
    return groups
