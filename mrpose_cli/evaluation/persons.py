"""Annotated and predicted people as arrays, and how similar they are, pair by pair.

All breakdowns of AP look at the same pairs with other joints or other people left out, so the pairs are made
once. Each is a prediction and an annotated person of the same image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.oks import joint_similarity
from mrpose_cli.skeletons import Skeleton

MOST = 20  # people an image that count
_AT_A_TIME = 10_000

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """The annotated people of a dataset.

    Attributes:
        image: (G,) ids of their images, ascending.
        keypoints: (G, K, 2) in pixels.
        labelled: (G, K), whether a joint is labelled.
        boxes: (G, 4), x1 y1 x2 y2.
        areas: (G,) in square pixels.
        crowd: (G,), whether it stands for a crowd.
        counts: (G,), whether the file says that the person has keypoints.
        skeleton: Of the K joints.
    """

    image: Ints
    keypoints: Floats
    labelled: Flags
    boxes: Floats
    areas: Floats
    crowd: Flags
    counts: Flags
    skeleton: Skeleton

    def __len__(self) -> int:
        return len(self.image)

    @property
    def ignored(self) -> Flags:
        """(G,), whether finding or missing the person changes nothing."""
        return self.crowd | ~self.counts

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], skeleton: Skeleton) -> Truth:
        """Make it from the people of COCO annotations."""
        rows = sorted(rows, key=lambda row: int(row["image_id"]))
        triples = np.array([row["keypoints"] for row in rows], np.float64).reshape(
            -1, len(skeleton.joints), 3
        )
        boxes = np.array([row["bbox"] for row in rows], np.float64).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        return cls(
            image=np.array([row["image_id"] for row in rows], np.intp),
            keypoints=triples[..., :2],
            labelled=triples[..., 2] > 0,
            boxes=boxes,
            areas=np.array([row["area"] for row in rows], np.float64),
            crowd=np.array([row["iscrowd"] for row in rows], bool),
            counts=np.array([row["num_keypoints"] for row in rows], np.intp) > 0,
            skeleton=skeleton,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The predicted people that count: the 20 best of each image, best first.

    Attributes:
        image: (D,) ids of their images, ascending.
        keypoints: (D, K, 2) in pixels.
        joint_scores: (D, K).
        scores: (D,).
        areas: (D,) in square pixels.
    """

    image: Ints
    keypoints: Floats
    joint_scores: Floats
    scores: Floats
    areas: Floats

    def __len__(self) -> int:
        return len(self.image)

    @property
    def rank(self) -> Ints:
        """(D,), the place of each within its image, from 0."""
        _, start, count = np.unique(self.image, return_index=True, return_counts=True)
        return np.arange(len(self.image)) - np.repeat(start, count)

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, Any]], joints: int) -> Found:
        """Make it from the rows of COCO results that ``COCO.loadRes`` returned, which adds the areas."""
        triples = np.array([row["keypoints"] for row in rows], np.float64).reshape(-1, joints, 3)
        return cls(
            image=np.array([row["image_id"] for row in rows], np.intp),
            keypoints=triples[..., :2],
            joint_scores=triples[..., 2],
            scores=np.array([row["score"] for row in rows], np.float64),
            areas=np.array([row["area"] for row in rows], np.float64),
        )._best()

    def with_scores(self, scores: Floats) -> Found:
        """Return the same people, ranked by other scores."""
        return replace(self, scores=scores)._best()

    def _best(self) -> Found:
        ranked = self._take(np.lexsort((-self.scores, self.image)))
        return ranked._take(np.flatnonzero(ranked.rank < MOST))

    def _take(self, index: Ints) -> Found:
        return Found(
            self.image[index],
            self.keypoints[index],
            self.joint_scores[index],
            self.scores[index],
            self.areas[index],
        )


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Every prediction with every annotated person of its image.

    Attributes:
        found: (P,) indices of predictions, ascending.
        truth: (P,) indices of annotated people, ascending for each prediction.
        joints: (P, K), how near a joint is to where it belongs, 0..1; 0 where that is not labelled.
        labelled: (P, K), whether the joint is labelled.
        around: (P,), what stands in for OKS at people without labels: how near the prediction is to
            twice their box.
    """

    found: Ints
    truth: Ints
    joints: Floats
    labelled: Flags
    around: Floats

    def oks(self, joints: Sequence[int] | slice = slice(None)) -> Floats:
        """Compute the OKS (P,) over these joints, as COCO does for people of whom only these are labelled."""
        similar, labelled = self.joints[:, joints], self.labelled[:, joints]
        count = labelled.sum(1)
        mean = similar.sum(1) / np.maximum(count, 1)
        return np.where(count > 0, mean, self.around)


def pair_up(truth: Truth, found: Found) -> Pairs:
    """Make all pairs."""
    first = np.searchsorted(truth.image, found.image, "left")
    count = np.searchsorted(truth.image, found.image, "right") - first
    index = np.repeat(np.arange(len(found)), count)
    offset = np.arange(len(index)) - np.repeat(np.cumsum(count) - count, count)
    person = np.repeat(first, count) + offset
    labelled = truth.labelled[person]
    near = pair_similarity(found, truth, index, person, truth.keypoints)
    return Pairs(index, person, np.where(labelled, near, 0.0), labelled, _around(truth, found, index, person))


def pair_similarity(found: Found, truth: Truth, index: Ints, person: Ints, places: Floats) -> Floats:
    """Return how near each joint is to a place that belongs to the annotated person, (P, K).

    Args:
        found: The predictions.
        truth: The annotated people.
        index: (P,) of predictions.
        person: (P,) of annotated people.
        places: (G, K, 2) of the annotated people.
    """
    near = np.empty((len(index), len(truth.skeleton.joints)))
    for part in _parts(len(index)):
        who, whom = index[part], person[part]
        near[part] = joint_similarity(found.keypoints[who], places[whom], truth.areas[whom], truth.skeleton)
    return near


def _parts(count: int) -> Iterator[slice]:
    """Yield slices of a few thousand pairs, so that temporary arrays stay small."""
    return (slice(start, start + _AT_A_TIME) for start in range(0, count, _AT_A_TIME))


def _around(truth: Truth, found: Found, index: Ints, person: Ints) -> Floats:
    size = truth.boxes[:, 2:] - truth.boxes[:, :2]
    low, high = truth.boxes[:, None, :2] - size[:, None], truth.boxes[:, None, :2] + 2 * size[:, None]
    around = np.empty(len(index))
    for part in _parts(len(index)):
        who, whom = index[part], person[part]
        points = found.keypoints[who]
        beyond = np.maximum(0, low[whom] - points) + np.maximum(0, points - high[whom])  # (n, K, 2)
        around[part] = joint_similarity(
            beyond, np.zeros_like(beyond), truth.areas[whom], truth.skeleton
        ).mean(1)
    return around
