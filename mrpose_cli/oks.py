"""Object keypoint similarity (OKS), COCO's measure of how near two poses are, joint by joint."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.skeletons import Skeleton


def joint_similarity(
    first: NDArray[np.floating],
    second: NDArray[np.floating],
    areas: NDArray[np.floating],
    skeleton: Skeleton,
) -> NDArray[np.float64]:
    """Compute OKS's term of each joint; OKS is the mean over the joints that count.

    Args:
        first: (..., K, 2) pixels.
        second: (..., K, 2) pixels.
        areas: (...) of the persons, square pixels; COCO's area is that of the silhouette.
        skeleton: Names the K joints.

    Returns:
        (..., K), 0..1.
    """
    squared = (first[..., 0] - second[..., 0]) ** 2 + (first[..., 1] - second[..., 1]) ** 2
    variances = (np.array(skeleton.sigmas) * 2) ** 2
    return np.asarray(np.exp(-squared / variances / (areas[..., None] + np.spacing(1)) / 2))
