"""Suppression of poses that say the same person twice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.oks import joint_similarity
from mrpose_cli.skeletons import Skeleton

_MOST = 20  # the soft suppression's limit on people an image


def pose_similarities(
    keypoints: NDArray[np.floating], areas: NDArray[np.floating], skeleton: Skeleton
) -> NDArray[np.float64]:
    """Compute the OKS between all predictions of an image; a pair's scale is the mean of its two areas.

    Args:
        keypoints: (P, K, 2).
        areas: (P,) of the padded boxes, in square pixels.
        skeleton: Of the K joints.

    Returns:
        (P, P), 0..1.
    """
    points = np.asarray(keypoints, np.float64)
    scale = (np.asarray(areas, np.float64)[:, None] + areas[None]) / 2
    return np.asarray(joint_similarity(points[:, None], points[None], scale, skeleton).mean(-1))


def oks_nms(
    keypoints: NDArray[np.floating],
    scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    skeleton: Skeleton,
    threshold: float = 0.9,
) -> NDArray[np.intp]:
    """Select the predictions of an image to keep: from the best down, each drops those too similar to it.

    Args:
        keypoints: (P, K, 2).
        scores: (P,) of the persons, after rescoring.
        areas: (P,) of the padded boxes.
        skeleton: Of the K joints.
        threshold: The highest OKS at which both stay.

    Returns:
        Indices, best first.
    """
    similar = pose_similarities(keypoints, areas, skeleton) > threshold
    order = np.argsort(-np.asarray(scores), kind="stable")
    dropped = np.zeros(len(order), bool)
    kept = []
    for person in order:
        if not dropped[person]:
            kept.append(person)
            dropped |= similar[person]
    return np.array(kept, np.intp)


def soft_oks_nms(
    keypoints: NDArray[np.floating],
    scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    skeleton: Skeleton,
    threshold: float = 0.9,
) -> NDArray[np.intp]:
    """Select and order the predictions of an image to keep, by scores that fade instead of vanishing.

    As the authors' code has it: each prediction taken multiplies the others' scores by exp(-OKS² /
    threshold), and taking ends after 20. The faded scores decide the order only; the results keep the
    scores they came with.

    Args:
        keypoints: (P, K, 2).
        scores: (P,) of the persons, after rescoring.
        areas: (P,) of the padded boxes.
        skeleton: Of the K joints.
        threshold: How slowly scores fade.

    Returns:
        At most 20 indices, in the order they were taken.
    """
    fading = np.exp(-(pose_similarities(keypoints, areas, skeleton) ** 2) / threshold)
    left = np.asarray(scores, np.float64).copy()
    kept = []
    for _ in range(min(len(left), _MOST)):
        best = int(np.argmax(left))
        kept.append(best)
        left *= fading[best]
        left[kept] = -np.inf
    return np.array(kept, np.intp)
