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
from mrpose_cli.skeletons import Skeleton
from mrpose_cli.skeletons.names import without_side

ASSIGNED = 0.1  # Ronchi & Perona's lowest OKS at which a prediction is about a person
_OVERLAP = 0.1  # and their lowest IoU of boxes that overlap

_HEAD = ("nose", "eye", "ear")
_SIZES = (
    ("medium, 32² to 64²", 32, 64),
    ("medium, 64² to 96²", 64, 96),
    ("large, 96² to 192²", 96, 192),
    ("large, over 192²", 192, 1e5),
)
_FEWEST_IN_SLICE, _MOST_SLICES = 5, 6  # by the number of labelled joints
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
        joints=tuple(
            _joints(name, index, truth, found, pairs) for name, index in groups(truth.skeleton).items()
        ),
        size=tuple(_size(name, low**2, high**2, truth, found, pairs) for name, low, high in _SIZES),
        visible=tuple(
            of(f"{low} to {high} joints", (labelled >= low) & (labelled <= high))
            for low, high in _counts(len(truth.skeleton.joints))
        ),
        crowding=tuple(of(name, (overlaps >= low) & (overlaps <= high)) for name, low, high in _CROWDING),
    )


def groups(skeleton: Skeleton) -> dict[str, list[int]]:
    """Return the joints of each kind: left and right together, eyes, ears and nose as the head."""
    kinds: dict[str, list[int]] = {}
    for index, joint in enumerate(skeleton.joints):
        part = without_side(joint)
        kind = "head" if part.lower() in _HEAD else part.rstrip("0123456789-_. ") or joint
        kinds.setdefault(kind, []).append(index)
    return kinds


def _counts(joints: int) -> list[tuple[int, int]]:
    """Return the least and the most labelled joints of each slice."""
    step = max(_FEWEST_IN_SLICE, -(-joints // _MOST_SLICES))
    return [(first, min(first + step - 1, joints)) for first in range(1, joints + 1, step)]


def _joints(name: str, index: list[int], truth: Truth, found: Found, pairs: Pairs) -> Slice:
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
