"""YOLO person detection: letterboxed pictures in, boxes without overlap out."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpose_cli.pipeline.detectors.letterbox import Letterboxed, letterbox
from mrpose_cli.pipeline.engines.base import Engine
from mrpose_cli.pipeline.precision import full_float32
from mrpose_cli.pipeline.profile import Stage, StageClock
from mrpose_cli.poses import Detections, Frame

_MOST_AT_ONCE = 1024  # images, until there is too little memory for so many
_MOST = 300  # boxes of a picture, as in ultralytics


class YoloDetector:
    """Any ultralytics checkpoint for detection or poses.

    Args:
        engine: Runs a :class:`~mrpose_cli.pipeline.detectors.yolo_network.YoloBoxes`.
        name: What the detector is called in reports.
        confidence: Boxes below are dropped, 0..1.
        iou: Overlap above which the weaker of two boxes is dropped.
        size: Longer side of the detector's input in pixels.
        clock: Measures the time of each stage.
        classes: Not used: the engine gives no others.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        confidence: float = 0.25,
        iou: float = 0.7,
        size: int = 640,
        clock: StageClock | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.engine = engine
        self._size = -(-size // 32) * 32
        self._confidence, self._iou = confidence, iou
        self._at_once = _MOST_AT_ONCE
        self._clock = clock or StageClock()

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return the boxes of every frame; frames of one letterboxed shape share a batch."""
        with self._clock(Stage.LETTERBOX):
            fitted = [letterbox(frame.image, self._size) for frame in frames]
        with self._clock(Stage.DETECTOR):
            rows = self._rows([torch.from_numpy(item.image) for item in fitted])
        return [_detections(item, self._strongest(found)) for item, found in zip(fitted, rows, strict=True)]

    @torch.inference_mode()
    @full_float32()
    def _rows(self, images: list[Tensor]) -> list[NDArray[np.float32]]:
        """Return rows x1 y1 x2 y2 score above the lowest score, per image (h, w, 3) uint8 RGB."""
        answers: dict[int, Tensor] = {}
        if self.engine.parallel > 1:  # each for itself, so that shapes do not matter
            answers.update((index, rows[0]) for index, rows in enumerate(self.engine.each(images)))
        else:
            by_shape: dict[torch.Size, list[int]] = {}
            for index, image in enumerate(images):
                by_shape.setdefault(image.shape, []).append(index)
            for indices in by_shape.values():
                while indices:
                    part = indices[: self._at_once]
                    if (found := self._attempt([images[index] for index in part])) is not None:
                        answers.update(zip(part, found, strict=True))
                        indices = indices[len(part) :]
        rows = (answers[index] for index in range(len(images)))
        return [one[one[:, 4] > self._confidence].cpu().numpy() for one in rows]

    def _attempt(self, images: list[Tensor]) -> Tensor | None:
        """Return the rows for images of one shape; None if no more than half of them fit from now on."""
        try:
            rows = self.engine(torch.stack(images).to(self.engine.input.device))
            assert isinstance(rows, Tensor)
            return rows
        except torch.OutOfMemoryError:
            if len(images) == 1:
                raise
            self._at_once = len(images) // 2
        # Outside the handler, which would keep the failed attempt's tensors alive.
        torch.cuda.empty_cache()
        return None

    def _strongest(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the rows that no better one overlaps, best first."""
        corners, scores = rows[:, :4].astype(np.float64), rows[:, 4]
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        # OpenCV's, since torchvision takes a second to import.
        kept = np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), self._confidence, self._iou), int)
        return np.asarray(rows[kept[:_MOST]])


def _detections(fitted: Letterboxed, rows: NDArray[np.float32]) -> Detections:
    boxes = fitted.restore(rows[:, :4])
    solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Detections(boxes[solid], rows[solid, 4])
