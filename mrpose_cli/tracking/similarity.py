"""How alike two people are: overlap and nearness of boxes, and OKS, COCO's measure for poses."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.oks import joint_similarity
from mrpose_cli.skeletons import Skeleton

_NEAR = 0.4  # box sides
_SEEN = 0.2  # below, a network's joint says nothing about where it is


def overlap(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Compute the intersection over union of boxes (M, 4) and (N, 4), x1 y1 x2 y2: (M, N), 0..1."""
    a, b = first[:, None].astype(np.float64), second[None].astype(np.float64)
    corner, opposite = np.maximum(a[..., :2], b[..., :2]), np.minimum(a[..., 2:], b[..., 2:])
    shared = np.prod(np.clip(opposite - corner, 0, None), axis=-1)
    areas = (np.prod(box[..., 2:] - box[..., :2], axis=-1) for box in (a, b))
    return np.asarray(shared / np.maximum(sum(areas) - shared, 1e-9))


def nearness(first: NDArray[np.floating], second: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how near boxes (M, 4), (N, 4) of like size are, even without overlap: (M, N), 0..1."""
    a, b = first.astype(np.float64), second.astype(np.float64)
    middles = [(box[:, :2] + box[:, 2:]) / 2 for box in (a, b)]
    sides = [np.maximum((box[:, 2:] - box[:, :2]).max(1), 1.0) for box in (a, b)]
    larger = np.maximum(sides[0][:, None], sides[1][None])
    distance = np.linalg.norm(middles[0][:, None] - middles[1][None], axis=2) / larger
    likeness = np.minimum(sides[0][:, None], sides[1][None]) / larger
    return np.asarray(np.exp(-((distance / _NEAR) ** 2)) * likeness)


def pose_similarity(
    first: NDArray[np.floating],
    first_scores: NDArray[np.floating],
    second: NDArray[np.floating],
    second_scores: NDArray[np.floating],
    areas: NDArray[np.floating],
    skeleton: Skeleton,
) -> NDArray[np.float64]:
    """Compute the OKS between poses, over the joints that are seen in both.

    Args:
        first: (M, K, 2) pixels.
        first_scores: (M, K).
        second: (N, K, 2) pixels.
        second_scores: (N, K).
        areas: (N,) of the second's boxes, square pixels.
        skeleton: Names the K joints.

    Returns:
        (M, N), 0..1; 0 where no joint is seen in both.
    """
    # COCO's area is that of the silhouette, about half of the box's.
    sizes = np.maximum(areas / 2, 1.0)[None]
    near = joint_similarity(first[:, None].astype(np.float64), second[None], sizes, skeleton)  # (M, N, K)
    both = (first_scores[:, None] >= _SEEN) & (second_scores[None] >= _SEEN)
    return np.asarray((near * both).sum(-1) / np.maximum(both.sum(-1), 1))
