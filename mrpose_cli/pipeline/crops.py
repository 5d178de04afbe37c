"""Person crops: boxes become affine transforms, transforms become network inputs.

Two conventions of the field are built exactly, because a network only reaches its published figure
on the crops it was trained with:

* *pixel* (SimpleBaseline, HRNet, RSN, most of mmpose): the box's width is mapped to the crop's width,
  the box's center to (W/2, H/2).
* *aligned* (UDP; Huang et al., "The Devil is in the Details", CVPR 2020): distances are measured
  between pixel centers, so a box w wide is mapped to W - 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

# OpenCV 4's warpAffine keeps source pixels in 16 bits, and their thousandths in 32 on the way.
_LARGEST_WARP_SIDE = 32_000
_FARTHEST_SOURCE = 2**20


@dataclass(frozen=True, slots=True)
class CropSpec:
    """How a checkpoint wants its persons cut out.

    Attributes:
        size: Height and width of the crop in pixels.
        padding: Factors on the box's width and height.
        padding_before_aspect: Pad first and fit the aspect ratio afterwards (RSN, MLPE), or the other
            way round (everybody else); with equal factors there is no difference.
        aligned: The UDP convention instead of the pixel one.
    """

    size: tuple[int, int]
    padding: tuple[float, float] = (1.25, 1.25)
    padding_before_aspect: bool = False
    aligned: bool = False


def crop_affines(boxes: NDArray[np.floating], spec: CropSpec) -> NDArray[np.float64]:
    """Compute the transforms from image pixels to crop pixels.

    Args:
        boxes: (P, 4), x1 y1 x2 y2 in image pixels.
        spec: What the checkpoint expects.

    Returns:
        (P, 2, 3) matrices for column vectors (x, y, 1); scaling and shift only.
    """
    height, width = spec.size
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    center = (boxes[:, :2] + boxes[:, 2:]) / 2  # (P, 2)
    w, h = crop_sizes(boxes, spec).T

    if spec.aligned:
        scale = np.stack([(width - 1) / w, (height - 1) / h], axis=1)
        target = np.array([(width - 1) / 2, (height - 1) / 2])
    else:
        # The authors scale both axes by the width's factor.
        scale = np.repeat((width / w)[:, None], 2, axis=1)
        target = np.array([width / 2, height / 2])
    matrices = np.zeros((len(boxes), 2, 3))
    matrices[:, 0, 0], matrices[:, 1, 1] = scale.T
    matrices[:, :, 2] = target - scale * center
    return matrices


def crop_sizes(boxes: NDArray[np.floating], spec: CropSpec) -> NDArray[np.float64]:
    """Compute width and height of the area of each crop: the box, padded and fitted to the crop's aspect.

    Args:
        boxes: (P, 4), x1 y1 x2 y2 in image pixels.
        spec: What the checkpoint expects.

    Returns:
        (P, 2) in image pixels.
    """
    height, width = spec.size
    aspect = width / height
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    # A box without area still has a place; one pixel keeps its transform finite.
    w, h = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0).T
    if spec.padding_before_aspect:
        w, h = w * spec.padding[0], h * spec.padding[1]
    w, h = np.maximum(w, h * aspect), np.maximum(h, w / aspect)
    if not spec.padding_before_aspect:
        w, h = w * spec.padding[0], h * spec.padding[1]
    return np.stack([w, h], axis=1)


def to_image(points: NDArray[np.floating], affines: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map crop coordinates back into the image.

    Args:
        points: (P, K, 2) in crop pixels.
        affines: (P, 2, 3) from :func:`crop_affines`.

    Returns:
        (P, K, 2) in image pixels.
    """
    scale = affines[:, None, [0, 1], [0, 1]]  # (P, 1, 2)
    shift = affines[:, None, :, 2]
    return ((points - shift) / scale).astype(np.float32)


def warp(image: NDArray[np.uint8], affine: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Crop one person, with bilinear interpolation, black beyond the image's edge.

    Args:
        image: (H, W, 3) uint8.
        affine: (2, 3), image pixels to crop pixels, scaling and shift only.
        size: Height and width of the crop.

    Returns:
        (height, width, 3) uint8.
    """
    height, width = size
    reach = _window(affine, size)
    if max(image.shape[:2]) > _LARGEST_WARP_SIDE or np.abs(reach).max() > _FARTHEST_SOURCE:
        image, affine = _cut_window(image, affine, reach)
        if image.size == 0:
            return np.zeros((height, width, 3), np.uint8)
    crop = cv2.warpAffine(image, affine, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(crop, np.uint8)


def _window(affine: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """Return the part of the image plane that a crop covers: x1 y1, x2 y2, (2, 2)."""
    corners = np.array([[0.0, 0.0], size[::-1]])
    return np.asarray((corners - affine[:, 2]) / affine[[0, 1], [0, 1]])


def _cut_window(
    image: NDArray[np.uint8], affine: NDArray[np.float64], reach: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Take the pixels that a crop covers, subsampled by an integer if there are many, and their transform."""
    end = np.array(image.shape[1::-1])
    first, last = np.clip(reach + np.array([[-2], [3]]), 0, end).astype(int)  # x y
    excess = np.maximum((last - first) / _LARGEST_WARP_SIDE, np.abs(reach).max(0) / _FARTHEST_SOURCE)
    step = np.maximum(np.ceil(excess), 1).astype(int)
    window = image[first[1] : last[1] : step[1], first[0] : last[0] : step[0]]
    moved = affine.copy()
    moved[:, 2] += affine[:, :2] @ first
    moved[:, :2] *= step
    return np.ascontiguousarray(window), moved
