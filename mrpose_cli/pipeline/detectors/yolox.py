"""YOLOX person detection: Apache-2.0, and nothing of ultralytics is imported."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpose_cli.errors import WeightsError
from mrpose_cli.pipeline.detectors.classes import wanted_classes
from mrpose_cli.pipeline.engines.base import Engine
from mrpose_cli.pipeline.options import PERSON
from mrpose_cli.pipeline.profile import Stage, StageClock
from mrpose_cli.poses import Detections, Frame

_GRAY = 114
_CLASSES = {0: PERSON}  # Human-Art's; the file does not name them


class YoloxDetector:
    """YOLOX exported with its NMS inside, one picture at a time, BGR values 0..255.

    Args:
        engine: Gives rows x1 y1 x2 y2 score (1, P, 5) and classes (1, P).
        name: What the detector is called in reports.
        confidence: Boxes below are dropped, 0..1.
        iou: Not used: the threshold is fixed in the graph.
        size: Not used: so is the input's size.
        classes: Those of its classes that are wanted.
        clock: Measures the time of each stage.

    Raises:
        WeightsError: the network takes pictures of any size.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        name: str,
        confidence: float = 0.25,
        iou: float | None = None,
        size: int | None = None,
        clock: StageClock | None = None,
        classes: Sequence[str] = (PERSON,),
    ) -> None:
        self.name = name
        self.engine = engine
        if engine.input.size is None:
            raise WeightsError(f"{name} is no YOLOX of a fixed input size")
        self._size = engine.input.size
        self._confidence = confidence
        self._wanted = wanted_classes(_CLASSES, classes, name)
        self._clock = clock or StageClock()

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Return the boxes of every frame."""
        with self._clock(Stage.LETTERBOX):
            fitted = [self._fit(frame.image) for frame in frames]
        with self._clock(Stage.DETECTOR):
            answers = self.engine.each([image for image, _ in fitted])
        return [
            self._detections(frame.image, ratio, *(part.cpu().numpy()[0] for part in answer))
            for frame, (_, ratio), answer in zip(frames, fitted, answers, strict=True)
        ]

    def _fit(self, image: NDArray[np.uint8]) -> tuple[Tensor, float]:
        """Return the network's input (3, h, w), and its size over the image's."""
        height, width = image.shape[:2]
        # The picture lies in the top left corner, as mmdetection pads it.
        ratio = min(self._size[0] / height, self._size[1] / width)
        small = cv2.resize(image, (max(round(width * ratio), 1), max(round(height * ratio), 1)))
        canvas = np.full((*self._size, 3), _GRAY, np.uint8)
        canvas[: small.shape[0], : small.shape[1]] = small
        wanted = self.engine.input
        tensor = torch.from_numpy(canvas[..., ::-1].transpose(2, 0, 1).astype(np.float32))
        return tensor.to(wanted.device, wanted.dtype), ratio

    def _detections(
        self, image: NDArray[np.uint8], ratio: float, rows: NDArray[np.float32], labels: NDArray[np.int64]
    ) -> Detections:
        height, width = image.shape[:2]
        rows = rows[np.isin(labels, self._wanted) & (rows[:, 4] >= self._confidence)]
        rows = rows[np.argsort(-rows[:, 4], kind="stable")]
        boxes = np.clip(rows[:, :4] / ratio, 0, [width, height, width, height]).astype(np.float32)
        solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
        return Detections(boxes[solid], rows[solid, 4].astype(np.float32))
