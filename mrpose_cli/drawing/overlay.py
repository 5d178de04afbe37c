"""Drawing poses over a picture: anti-aliased, colored by side, sized by the person."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from mrpose_cli.drawing.faces import blur_faces
from mrpose_cli.poses import PersonHeatmaps, Poses
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD, Skeleton

_OUTLINE = (20, 20, 20)
_BOX = (235, 235, 235)
SHIFT = 4  # fractional bits of cv2's drawing coordinates
_LIMB_SHARE = 0.35  # of a limb's length that it may be wide
_FAR = 2.0**23  # pixels; cv2's coordinates are 32 bits, fractional ones included
_HEATMAP_OPACITY = 0.65
_HEATMAP_STRIP = 1 << 20  # pixels that are blended at once


@dataclass(frozen=True, slots=True)
class Style:
    """What is drawn.

    Attributes:
        keypoint_threshold: Joints below this score are left out, and limbs that need them.
        boxes: Draw the person boxes with their scores.
        heatmaps: Draw the heatmaps under the skeletons, if the poses carry them.
        black: Draw on black instead of the picture.
        blur_faces: Make faces unrecognizable.
    """

    keypoint_threshold: float = KEYPOINT_THRESHOLD
    boxes: bool = False
    heatmaps: bool = False
    black: bool = False
    blur_faces: bool = False


def draw_poses(
    image: NDArray[np.uint8], poses: Poses, style: Style | None = None, *, in_place: bool = False
) -> NDArray[np.uint8]:
    """Draw the people over an image, the most confident on top.

    Args:
        image: (H, W, 3) uint8 RGB.
        poses: The people, in the picture's pixels.
        style: What is drawn; None for the defaults.
        in_place: Draw into ``image`` itself, not into a copy.

    Returns:
        (H, W, 3) uint8 RGB.
    """
    style, poses = style or Style(), drawable(poses)
    canvas = prepare_canvas(image if in_place else image.copy(), poses, style)
    draw_people(canvas, poses, style)
    return canvas


def drawable(poses: Poses) -> Poses:
    """Return the same people, with no coordinate farther away than OpenCV can draw."""
    keypoints, boxes = (
        np.clip(np.nan_to_num(values, nan=-_FAR), -_FAR, _FAR) for values in (poses.keypoints, poses.boxes)
    )
    return replace(poses, keypoints=keypoints, boxes=boxes)


def prepare_canvas(canvas: NDArray[np.uint8], poses: Poses, style: Style) -> NDArray[np.uint8]:
    """Draw everything that lies under the skeletons into an image (H, W, 3) uint8 RGB."""
    if style.black:
        canvas.fill(0)
    if style.blur_faces and not style.black:
        blur_faces(canvas, poses)
    if style.heatmaps and poses.heatmaps is not None:
        _draw_heatmaps(canvas, poses.heatmaps)
    return canvas


def draw_people(canvas: NDArray[np.uint8], poses: Poses, style: Style) -> None:
    """Draw the people into an image (H, W, 3) uint8 RGB, the most confident on top, with their ids if any."""
    for person in np.argsort(poses.person_scores, kind="stable"):
        width = _line_width(poses.boxes[person])
        if style.boxes:
            _draw_box(canvas, poses.boxes[person], float(poses.box_scores[person]), width)
        shown = poses.scores[person] >= style.keypoint_threshold
        _draw_skeleton(canvas, poses.keypoints[person], shown, poses.skeleton, width)
        if poses.track_ids is not None and poses.track_ids[person]:
            _draw_id(canvas, poses.boxes[person], int(poses.track_ids[person]), width)


def _line_width(box: NDArray[np.float32]) -> int:
    """Return a width in pixels, about a hundredth of the person's height, so that small people show."""
    side = float(max(box[2] - box[0], box[3] - box[1]))
    return int(np.clip(round(side / 90), 1, 14))


def fixed(point: NDArray[np.float32]) -> tuple[int, int]:
    """Convert a point to cv2's fixed-point coordinates."""
    x, y = np.round(point.astype(np.float64) * (1 << SHIFT))
    return int(x), int(y)


def _draw_skeleton(
    canvas: NDArray[np.uint8],
    points: NDArray[np.float32],
    shown: NDArray[np.bool_],
    skeleton: Skeleton,
    width: int,
) -> None:
    limbs = [(a, b) for a, b in skeleton.limbs if shown[a] and shown[b]]
    widths = [_limb_width(points[a], points[b], width) for a, b in limbs]
    # A joint is as wide as the widest of its limbs, so that faces and hands of many joints stay visible.
    joints = np.zeros(len(points), int)
    for limb, wide in zip(limbs, widths, strict=True):
        joints[list(limb)] = np.maximum(joints[list(limb)], wide)
    joints[joints == 0] = width
    # Outlines first, so that no limb's outline cuts through another limb.
    for (a, b), wide in zip(limbs, widths, strict=True):
        if wide > 1:
            _line(canvas, points[a], points[b], _OUTLINE, wide + 2)
    for (a, b), wide in zip(limbs, widths, strict=True):
        _line(canvas, points[a], points[b], skeleton.limb_color(a, b), wide)
    for joint in np.flatnonzero(shown):
        radius = max(joints[joint] * 0.9, 1.5)
        if joints[joint] > 1:
            _disc(canvas, points[joint], _OUTLINE, radius + 1)
        _disc(canvas, points[joint], skeleton.colors[joint], radius)


def _limb_width(a: NDArray[np.float32], b: NDArray[np.float32], most: int) -> int:
    """Return a limb's width in pixels: not more than a share of its length."""
    return int(np.clip(round(_LIMB_SHARE * float(np.linalg.norm(a - b))), 1, most))


def _line(
    canvas: NDArray[np.uint8],
    a: NDArray[np.float32],
    b: NDArray[np.float32],
    color: tuple[int, int, int],
    width: int,
) -> None:
    cv2.line(canvas, fixed(a), fixed(b), color, width, cv2.LINE_AA, SHIFT)


def _disc(
    canvas: NDArray[np.uint8], center: NDArray[np.float32], color: tuple[int, int, int], radius: float
) -> None:
    cv2.circle(canvas, fixed(center), round(radius * (1 << SHIFT)), color, cv2.FILLED, cv2.LINE_AA, SHIFT)


def id_color(number: int) -> tuple[int, int, int]:
    """Return the RGB color for an id; those of neighboring ids are far apart."""
    hue = round(number * 0.618034 * 180) % 180  # steps of the golden ratio never come near each other soon
    red, green, blue = cv2.cvtColor(np.array([[[hue, 170, 255]]], np.uint8), cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def _draw_id(canvas: NDArray[np.uint8], box: NDArray[np.float32], number: int, width: int) -> None:
    """Draw the id above the middle of the box."""
    size, thin = float(np.clip(width / 5, 0.5, 2.0)), max(width // 2, 1)
    label = str(number)
    (text_width, text_height), _ = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, size, thin)
    x, y = round(float(box[0] + box[2] - text_width) / 2), max(round(float(box[1])) - 4, text_height + 2)
    for color, stroke in ((_OUTLINE, thin + 2), (id_color(number), thin)):
        cv2.putText(canvas, label, (x, y), cv2.FONT_HERSHEY_SIMPLEX, size, color, stroke, cv2.LINE_AA)


def _draw_box(canvas: NDArray[np.uint8], box: NDArray[np.float32], score: float, width: int) -> None:
    x1, y1, x2, y2 = (int(v) for v in np.round(box))
    thin = max(width // 2, 1)
    cv2.rectangle(canvas, (x1, y1), (x2, y2), _OUTLINE, thin + 2, cv2.LINE_AA)
    cv2.rectangle(canvas, (x1, y1), (x2, y2), _BOX, thin, cv2.LINE_AA)
    size = float(np.clip(width / 6, 0.4, 2.0))
    label = f"{score:.2f}"
    (text_width, text_height), base = cv2.getTextSize(label, cv2.FONT_HERSHEY_SIMPLEX, size, thin)
    top = max(y1, text_height + base)
    cv2.rectangle(canvas, (x1, top - text_height - base), (x1 + text_width, top), _OUTLINE, cv2.FILLED)
    cv2.putText(canvas, label, (x1, top - base // 2), cv2.FONT_HERSHEY_SIMPLEX, size, _BOX, thin, cv2.LINE_AA)


def _draw_heatmaps(canvas: NDArray[np.uint8], heatmaps: PersonHeatmaps) -> None:
    """Blend in every person's heatmap, each scaled to its own maximum."""
    height, width = canvas.shape[:2]
    people: list[tuple[NDArray[np.float32], NDArray[np.float64]]] = []
    for values, affine in zip(heatmaps.maps, heatmaps.affines, strict=True):
        peak = float(values.max())
        if 0 < peak < np.inf:
            # Cell c stands for crop pixel c times the stride, as the decoding rules have it.
            cell = np.array(
                [values.shape[1] / heatmaps.crop_size[1], values.shape[0] / heatmaps.crop_size[0]]
            )
            people.append((np.clip(values / peak, 0, 1), affine * cell[:, None]))
    rows = max(_HEATMAP_STRIP // width, 1)  # what is computed in between takes ten times a strip's bytes
    for top in range(0, height if people else 0, rows):
        strip = canvas[top : top + rows]
        heat = np.zeros(strip.shape[:2], np.float32)
        for values, to_cells in people:
            moved = np.column_stack([to_cells[:, :2], to_cells[:, 2] + to_cells[:, 1] * top])
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            np.maximum(heat, cv2.warpAffine(values, moved, (width, len(strip)), flags=flags), out=heat)
        colors = cv2.applyColorMap((heat * 255).astype(np.uint8), cv2.COLORMAP_TURBO)[..., ::-1]
        weight = (np.clip(heat * 2, 0, 1) * _HEATMAP_OPACITY)[..., None]
        strip[:] = (strip * (1 - weight) + colors * weight).astype(np.uint8)
