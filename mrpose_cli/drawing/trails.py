"""Drawing clips: what is drawn over photos, and people's trails."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from mrpose_cli.drawing.overlay import SHIFT, Style, draw_people, drawable, fixed, id_color, prepare_canvas
from mrpose_cli.poses import Poses


class Painter:
    """Draws the frames of one clip, in order.

    Args:
        style: What is drawn.
        trail: Length of the shown trail in seconds; 0 for none. Only people with ids have one.
    """

    def __init__(self, style: Style | None = None, *, trail: float = 0.0) -> None:
        self._style = style or Style()
        self._trail = trail
        self._ways: dict[int, deque[tuple[float, NDArray[np.float32]]]] = {}

    def draw(self, image: NDArray[np.uint8], poses: Poses, time: float) -> NDArray[np.uint8]:
        """Draw a frame's people over a copy of it.

        Args:
            image: (H, W, 3) uint8 RGB.
            poses: The people, in the picture's pixels.
            time: Seconds, growing from call to call.

        Returns:
            (H, W, 3) uint8 RGB.
        """
        poses = drawable(poses)
        canvas = prepare_canvas(image.copy(), poses, self._style)
        if self._trail:
            self._remember(poses, time)
            for number, way in self._ways.items():
                _draw_way(canvas, [point for _, point in way], id_color(number))
        draw_people(canvas, poses, self._style)
        return canvas

    def _remember(self, poses: Poses, time: float) -> None:
        ids = [] if poses.track_ids is None else poses.track_ids.tolist()
        for person, number in enumerate(ids):
            if number:
                self._ways.setdefault(number, deque()).append((time, _ground(poses, person)))
        for number, way in list(self._ways.items()):
            while way and time - way[0][0] > self._trail:
                way.popleft()
            if not way:
                del self._ways[number]


def _ground(poses: Poses, person: int) -> NDArray[np.float32]:
    """Return where a person stands, (2,): the middle of the lower edge of the box."""
    box = poses.boxes[person]
    return np.array([(box[0] + box[2]) / 2, box[3]], np.float32)


def _draw_way(
    canvas: NDArray[np.uint8], points: list[NDArray[np.float32]], color: tuple[int, int, int]
) -> None:
    """Draw a line that grows thicker towards the present."""
    for place, (a, b) in enumerate(pairwise(points)):
        width = 1 + round(2 * place / len(points))
        cv2.line(canvas, fixed(a), fixed(b), color, width, cv2.LINE_AA, SHIFT)
