"""Which photos are worth a look first: what of a person cannot be, or is unlikely."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.skeletons import KEYPOINT_THRESHOLD, Skeleton
from mrpose_cli.view.result import People

REASONS = (
    ("twice", "two skeletons on one person", 3.0),
    ("limbs", "left and right limbs of very different length", 2.0),
    ("outside", "joints far outside of the box", 2.0),
    ("unsure", "less than half of the joints are sure", 1.0),
    ("missed", "an annotated person was not found", 3.0),
    ("far", "far from the annotation", 2.0),
    ("nobody", "nobody is annotated here", 1.5),
)
"""Key, words and weight of what makes people suspicious; the last three where there are annotations."""

_BIT = {key: 1 << bit for bit, (key, _, _) in enumerate(REASONS)}
_NEAR = 0.06  # mean distance of two skeletons' joints, in box sides, that makes them one person's
_UNEVEN = 2.5  # lengths of a left and a right limb, one over the other; foreshortening makes less
_SHORT = 0.12  # of a box side: limbs shorter than this are not compared
_OUT = 0.2  # box sides
SURE = 0.2  # score of people who are meant to be there: evaluations keep all that detectors find
_LEAST = 4  # joints that two skeletons must share to be compared


@dataclass(frozen=True, slots=True, eq=False)
class Suspicion:
    """How suspicious people and images are.

    Attributes:
        people: (P,) int32, bits of :data:`REASONS`.
        images: (N,) int32, those of all its people.
        rank: (N,) float32; the highest first.
    """

    people: NDArray[np.int32]
    images: NDArray[np.int32]
    rank: NDArray[np.float32]


def suspect(people: People, skeletons: Sequence[Skeleton]) -> Suspicion:
    """Look at all people."""
    bits = np.zeros(len(people), np.int32)
    with np.errstate(invalid="ignore"):
        bits[_twice(people)] |= _BIT["twice"]
        bits[_uneven(people, skeletons)] |= _BIT["limbs"]
        bits[_outside(people)] |= _BIT["outside"]
        sure = (people.joints[..., 2] >= KEYPOINT_THRESHOLD).sum(1)
        asked = ~np.isnan(people.joints[..., 2])
        bits[(sure * 2 < asked.sum(1)) & ~people.crowd] |= _BIT["unsure"]
    return rank(people, bits, np.zeros(len(people.first) - 1, np.int32))


def rank(people: People, bits: NDArray[np.int32], extra: NDArray[np.int32]) -> Suspicion:
    """Rank the images by what is known of their people.

    Args:
        people: All people.
        bits: (P,) what is suspicious about them.
        extra: (N,) what else is about the images.
    """
    images = extra.copy()
    np.bitwise_or.at(images, people.images, bits)
    weight = np.zeros(len(images), np.float32)
    for bit, (_, _, value) in enumerate(REASONS):
        weight += np.where(images & (1 << bit), value, 0)
    unsure = np.zeros(len(images), np.float32)
    np.maximum.at(unsure, people.images, 1 - np.clip(people.scores, 0, 1))
    return Suspicion(bits, images, weight + unsure.astype(np.float32))


def with_truth(
    people: People, known: Suspicion, oks: NDArray[np.float32], missed: NDArray[np.bool_], low: float
) -> Suspicion:
    """Return the same, where it is known how near people are to annotations.

    Args:
        people: All people.
        known: What :func:`suspect` found.
        oks: (P,) to the annotated person each one is about; NaN for nobody's.
        missed: (N,) whether an annotated person of the image was not found.
        low: OKS below which a person is far off.
    """
    bits = known.people.copy()
    bits[oks < low] |= _BIT["far"]
    bits[np.isnan(oks) & (people.scores >= SURE)] |= _BIT["nobody"]
    return rank(people, bits, np.where(missed, _BIT["missed"], 0).astype(np.int32))


def _twice(people: People) -> NDArray[np.intp]:
    """People who lie on another one of the same image."""
    images, joints = people.images, people.joints
    found = [np.zeros(0, np.intp)]
    for apart in range(1, int(np.diff(people.first).max(initial=0))):
        a = np.flatnonzero(images[:-apart] == images[apart:])
        if not len(a):
            break
        b = a + apart
        sides = np.minimum(people.sides[a], people.sides[b])
        near = np.abs(people.boxes[a] - people.boxes[b]).max(1) < sides * 0.5
        a, b, sides = a[near], b[near], sides[near]
        distance = np.hypot(*np.moveaxis(joints[a, :, :2] - joints[b, :, :2], -1, 0))
        both = np.minimum(joints[a, :, 2], joints[b, :, 2]) >= KEYPOINT_THRESHOLD
        count = both.sum(1)
        mean = np.where(both, distance, 0).sum(1) / np.maximum(count, 1)
        same = (count >= _LEAST) & (mean < _NEAR * sides) & (people.skeletons[a] == people.skeletons[b])
        same &= np.minimum(people.scores[a], people.scores[b]) >= SURE
        found += [a[same], b[same]]
    return np.concatenate(found)


def _uneven(people: People, skeletons: Sequence[Skeleton]) -> NDArray[np.intp]:
    found = np.zeros(len(people), bool)
    for number, skeleton in enumerate(skeletons):
        mine = people.skeletons == number
        joints, sides = people.joints[mine], people.sides[mine]
        here = np.zeros(len(joints), bool)
        for one, other in mirrored_limbs(skeleton):
            lengths = [np.hypot(*(joints[:, a, :2] - joints[:, b, :2]).T) / sides for a, b in (one, other)]
            sure = joints[:, [*one, *other], 2].min(1) >= KEYPOINT_THRESHOLD
            longer, shorter = np.maximum(*lengths), np.minimum(*lengths)
            here |= sure & (shorter > _SHORT) & (longer > _UNEVEN * shorter)
        found[mine] = here
    return np.flatnonzero(found)


def _outside(people: People) -> NDArray[np.intp]:
    points = people.joints[..., :2]
    low, high = people.boxes[:, None, :2], people.boxes[:, None, 2:]
    beyond = np.maximum(low - points, points - high).max(-1)
    sure = people.joints[..., 2] >= KEYPOINT_THRESHOLD
    return np.flatnonzero((sure & (beyond > _OUT * people.sides[:, None])).any(1))


def mirrored_limbs(skeleton: Skeleton) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Limbs of one side with those of the other."""
    twin = dict(skeleton.flip_pairs)
    return [((a, b), (twin[a], twin[b])) for a, b in skeleton.limbs if a in twin and b in twin]
