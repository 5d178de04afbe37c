"""The worst people as pictures: what is annotated beside what was estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mrpose_cli.drawing import Style, draw_poses
from mrpose_cli.errors import InputError
from mrpose_cli.media.images import read_image
from mrpose_cli.poses import Poses
from mrpose_cli.printable import printable
from mrpose_cli.skeletons import Skeleton

_PANEL = (216, 288)  # width, height of one picture
_CAPTION = 40
_GAP = 8
_COLUMNS = 4
_ROOM = 1.35  # what is shown, in sizes of the person's box
_PAPER = (24, 26, 30)
_INK = (235, 235, 235)
_DIM = (160, 165, 172)


@dataclass(frozen=True, slots=True, eq=False)
class WorstCase:
    """One annotated person.

    Attributes:
        path: The image file.
        image: Its name.
        annotation: Id or row of the annotation.
        box: (4,) x1 y1 x2 y2.
        truth: (K, 2) where the joints are.
        labelled: (K,).
        predicted: (K, 2) where they were estimated, None if the person was not found.
        scores: (K,) of the joints.
        similarity: How alike the two are, 0..1.
        skeleton: Of the joints.
    """

    path: Path
    image: str
    annotation: int
    box: NDArray[np.float64]
    truth: NDArray[np.float64]
    labelled: NDArray[np.bool_]
    predicted: NDArray[np.float64] | None
    scores: NDArray[np.float64] | None
    similarity: float
    skeleton: Skeleton


def draw_case(case: WorstCase, image: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Draw the person twice, side by side: as annotated and as estimated.

    Args:
        case: The person.
        image: The image, (H, W, 3) uint8 RGB; None to read it.

    Returns:
        (height, width, 3) uint8 RGB; the ground is black if the image can no longer be read.
    """
    if image is None:
        try:
            image = read_image(case.path, upright=False).image
        except InputError:
            image = np.zeros((1, 1, 3), np.uint8)
    view, affine = _cut(image, case.box)
    truth = _draw(view, affine, case.truth, case.labelled.astype(np.float32), case, 0.5)
    if case.predicted is None or case.scores is None:
        predicted = view // 3
    else:
        # All joints of it, unsure ones as well (scores of SimCC may be negative).
        predicted = _draw(view, affine, case.predicted, case.scores, case, -np.inf)
    width, height = _PANEL
    page = Image.new("RGB", (2 * width + 2, height + _CAPTION), _PAPER)
    page.paste(Image.fromarray(truth), (0, 0))
    page.paste(Image.fromarray(predicted), (width + 2, 0))
    pen = ImageDraw.Draw(page)
    font = ImageFont.load_default(14)
    pen.text((4, height + 4), "annotated", _DIM, font)
    state = "estimated" if case.predicted is not None else "not found"
    pen.text((width + 6, height + 4), f"{state}, similarity {case.similarity:.2f}", _INK, font)
    pen.text((4, height + 21), printable(f"{case.image}  #{case.annotation}"), _DIM, font)
    return np.array(page)


def contact_sheet(tiles: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Arrange images of one size in rows, the first in the top left corner."""
    height, width = tiles[0].shape[:2]
    columns = min(_COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    page = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for index, tile in enumerate(tiles):
        top = _GAP + index // columns * (height + _GAP)
        left = _GAP + index % columns * (width + _GAP)
        page[top : top + height, left : left + width] = tile
    return page


def _cut(image: NDArray[np.uint8], box: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Crop the surroundings of a box as a panel; also return the transform from image to panel pixels."""
    width, height = _PANEL
    size = np.maximum(box[2:] - box[:2], 1) * _ROOM
    scale = min(width / size[0], height / size[1])
    center = (box[:2] + box[2:]) / 2
    affine = np.array([[scale, 0, width / 2 - scale * center[0]], [0, scale, height / 2 - scale * center[1]]])
    panel = cv2.warpAffine(image, affine, _PANEL, flags=cv2.INTER_LINEAR)
    return np.asarray(panel, np.uint8), affine


def _draw(
    view: NDArray[np.uint8],
    affine: NDArray[np.float64],
    points: NDArray[np.float64],
    scores: NDArray[np.floating],
    case: WorstCase,
    threshold: float,
) -> NDArray[np.uint8]:
    moved = points @ affine[:, :2].T + affine[:, 2]
    box = case.box.reshape(2, 2) @ affine[:, :2].T + affine[:, 2]
    one = np.ones(1, np.float32)
    poses = Poses(
        keypoints=moved[None].astype(np.float32),
        scores=np.asarray(scores, np.float32)[None],
        boxes=box.reshape(1, 4).astype(np.float32),
        box_scores=one,
        person_scores=one,
        skeleton=case.skeleton,
    )
    return draw_poses(view, poses, Style(keypoint_threshold=threshold))
