"""AP by groups of joints, and by how large, how visible and how crowded people are.

Groups of joints and sizes follow COCO's own rules: AP is what pycocotools would say if only these joints were
labelled, or for this range of areas. The other two slice people in a way COCO has no rule for. There a
prediction belongs to the person it is assigned to (best first, OKS of at least 0.1); predictions that belong
to people outside of the slice are left out, and those that belong to nobody count in every slice.
"""

from __future__ import annotations

import numpy as np

from mrpose_cli.evaluation.matching import View, average_precision, match
from mrpose_cli.evaluation.persons import Flags, Found, Ints, Pairs, Truth
from mrpose_cli.evaluation.report import Breakdown, Slice
from mrpose_cli.skeletons import COCO17

ASSIGNED = 0.1  # Ronchi & Perona's lowest OKS at which a prediction is about a person
_OVERLAP = 0.1  # and their lowest IoU of boxes that overlap

_GROUPS = {
    "head": ("nose", "eye", "ear"),
    **{name: (name,) for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")},
}
_SIZES = (
    ("medium, 32² to 64²", 32, 64),
    ("medium, 64² to 96²", 64, 96),
    ("large, 96² to 192²", 96, 192),
    ("large, over 192²", 192, 1e5),
)
_VISIBLE = ((1, 5), (6, 10), (11, 15), (16, 17))
_CROWDING = (("nobody", 0, 0), ("1 or 2 others", 1, 2), ("3 or more others", 3, 10**6))


def assign(truth: Truth, found: Found, pairs: Pairs) -> Ints:
    """Return the annotated person that each prediction is about, (D,); -1 for none."""
    return match(truth, found, pairs, pairs.oks(), View(truth.ignored), np.array([ASSIGNED]))[:, 0]


def break_down(truth: Truth, found: Found, pairs: Pairs, assigned: Ints) -> Breakdown:
    """Compute the AP of every slice.

    Args:
        truth: The annotated people.
        found: The predictions.
        pairs: Of the two.
        assigned: From :func:`assign`.
    """
    oks = pairs.oks()

    def of(name: str, inside: Flags) -> Slice:
        dropped = (assigned >= 0) & ~inside[assigned] & ~truth.ignored[assigned]
        view = View(truth.ignored | ~inside, dropped)
        result = average_precision(truth, found, pairs, oks, view)
        return Slice(name=name, persons=result.persons, ap=result.ap, ar=result.ar)

    labelled = truth.labelled.sum(1)
    overlaps = count_overlaps(truth)
    return Breakdown(
        joints=tuple(_joints(name, parts, truth, found, pairs) for name, parts in _GROUPS.items()),
        size=tuple(_size(name, low**2, high**2, truth, found, pairs) for name, low, high in _SIZES),
        visible=tuple(
            of(f"{low} to {high} joints", (labelled >= low) & (labelled <= high)) for low, high in _VISIBLE
        ),
        crowding=tuple(of(name, (overlaps >= low) & (overlaps <= high)) for name, low, high in _CROWDING),
    )


def _joints(name: str, parts: tuple[str, ...], truth: Truth, found: Found, pairs: Pairs) -> Slice:
    index = [i for i, joint in enumerate(COCO17.joints) if joint.split("_")[-1] in parts]
    labelled = truth.labelled[:, index]
    view = View(truth.ignored | ~labelled.any(1))
    result = average_precision(truth, found, pairs, pairs.oks(index), view)
    joints = int(labelled[~view.ignored].sum())
    return Slice(name=name, persons=result.persons, joints=joints, ap=result.ap, ar=result.ar)


def _size(name: str, low: float, high: float, truth: Truth, found: Found, pairs: Pairs) -> Slice:
    outside = (truth.areas < low) | (truth.areas > high)
    view = View(truth.ignored | outside, outside=(found.areas < low) | (found.areas > high))
    result = average_precision(truth, found, pairs, pairs.oks(), view)
    return Slice(name=name, persons=result.persons, ap=result.ap, ar=result.ar)


def count_overlaps(truth: Truth) -> Ints:
    """Count for each person the annotated people whose boxes overlap theirs with an IoU above 0.1, (G,)."""
    overlaps = np.zeros(len(truth), np.intp)
    for image in np.unique(truth.image):
        here = slice(*np.searchsorted(truth.image, [image, image + 1]))
        boxes = truth.boxes[here]
        size = boxes[:, 2:] - boxes[:, :2]
        low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
        high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
        common = np.maximum(high - low, 0).prod(-1)
        area = size.prod(-1)
        union = area[:, None] + area[None] - common
        iou = common / np.maximum(union, np.spacing(1))
        np.fill_diagonal(iou, 0)
        overlaps[here] = (iou > _OVERLAP).sum(1)
    return overlaps
