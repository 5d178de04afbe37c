"""Fitting a picture into a detector's input, and bringing boxes back."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_GRAY = (114, 114, 114)  # the border every YOLO is trained with


@dataclass(frozen=True, slots=True, eq=False)
class Letterboxed:
    """A resized and padded picture.

    Attributes:
        image: (h, w, 3) uint8.
        ratio: Resized size over original size.
        left: Columns of padding on the left.
        top: Rows of padding above.
        original: Height and width before.
    """

    image: NDArray[np.uint8]
    ratio: float
    left: int
    top: int
    original: tuple[int, int]

    def restore(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map boxes (P, 4) xyxy of the letterboxed image to the original's pixels, clipped at its edges."""
        height, width = self.original
        shift = np.array([self.left, self.top, self.left, self.top], np.float32)
        limit = np.array([width, height, width, height], np.float32)
        return np.asarray(np.clip((boxes - shift) / self.ratio, 0, limit), np.float32)


def letterbox(image: NDArray[np.uint8], size: int, *, stride: int = 32) -> Letterboxed:
    """Scale the longer side to ``size`` and pad the other to a multiple of ``stride``, picture centered.

    Args:
        image: (H, W, 3) uint8.
        size: Longer side of the result, a multiple of ``stride``.
        stride: The network's largest stride.
    """
    height, width = image.shape[:2]
    ratio = min(size / height, size / width)
    new_height, new_width = max(round(height * ratio), 1), max(round(width * ratio), 1)
    resized = image
    if (new_height, new_width) != (height, width):
        resized = np.asarray(
            cv2.resize(image, (new_width, new_height), interpolation=cv2.INTER_LINEAR), np.uint8
        )
    dh, dw = -new_height % stride, -new_width % stride
    if dh or dw:
        resized = np.asarray(
            cv2.copyMakeBorder(
                resized, dh // 2, dh - dh // 2, dw // 2, dw - dw // 2, cv2.BORDER_CONSTANT, value=_GRAY
            ),
            np.uint8,
        )
    return Letterboxed(resized, ratio, dw // 2, dh // 2, (height, width))
