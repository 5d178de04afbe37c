"""YOLO person detection by ultralytics (AGPL-3.0), kept from writing and phoning on its own.

ultralytics reads its switches from the environment when it is imported, so they are set right before
that: no analytics, no network, no packages installed on the fly, settings in a folder that goes away
after the import, checkpoints opened with ``weights_only=True``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.pickles import check_stored
from mrpose_cli.pipeline.detectors.letterbox import Letterboxed, letterbox
from mrpose_cli.pipeline.precision import full_float32
from mrpose_cli.pipeline.profile import Stage, StageClock
from mrpose_cli.poses import Detections, Frame
from mrpose_cli.weights.store import check_file

_SWITCHES = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",
}


_SETTINGS = "mrpose-yolo-"  # and the number of the process: what the folder for settings is called


def _import_yolo() -> Any:
    os.environ.update(_SWITCHES)
    with _unpatched(), _settings_for_now():
        from ultralytics import YOLO

    return YOLO


@contextmanager
def _settings_for_now() -> Iterator[None]:
    """Let ultralytics write its settings, which only its import does, where they do not stay."""
    if "YOLO_CONFIG_DIR" in os.environ:
        yield
        return
    _remove_dead()
    with tempfile.TemporaryDirectory(
        prefix=f"{_SETTINGS}{os.getpid()}-", ignore_cleanup_errors=True
    ) as folder:
        os.environ["YOLO_CONFIG_DIR"] = folder
        try:
            yield
        finally:
            del os.environ["YOLO_CONFIG_DIR"]


def _remove_dead() -> None:
    """Remove the folders of processes that were killed during the import."""
    import psutil  # which ultralytics needs, too

    for folder in Path(tempfile.gettempdir()).glob(f"{_SETTINGS}*"):
        number = folder.name.removeprefix(_SETTINGS).split("-")[0]
        if not (number.isdecimal() and psutil.pid_exists(int(number))):
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _unpatched() -> Iterator[None]:
    """Undo what ultralytics does to other libraries, for the whole process.

    Its import replaces Pillow's ``open`` (by one that installs plugins) and ``torch.save``, changes how
    arrays are printed, and takes OpenCV's threads away; its first prediction on the CPU takes one of torch's.
    """
    open_image, save = PIL.Image.open, torch.save
    threads, torch_threads = cv2.getNumThreads(), torch.get_num_threads()
    with np.printoptions():
        yield
    PIL.Image.open, torch.save = open_image, save
    torch.set_printoptions(profile="default")
    cv2.setNumThreads(threads)
    torch.set_num_threads(torch_threads)


class YoloDetector:
    """Any ultralytics detection or pose checkpoint, asked for people only; ultralytics runs it.

    Args:
        weights: The ``.pt`` file, already verified.
        name: What the detector is called in reports.
        device: Where it runs.
        half: fp16 (CUDA only).
        confidence: Boxes below are dropped, 0..1.
        iou: Overlap above which the weaker of two boxes is dropped; end-to-end models (YOLO26) need
            no such step and ignore it.
        size: Longer side of the detector's input in pixels.
        clock: Where the time goes.

    Raises:
        WeightsError: the file is no such checkpoint.
    """

    uses_torch = True

    def __init__(
        self,
        weights: Path,
        *,
        name: str,
        device: torch.device,
        half: bool = False,
        confidence: float = 0.25,
        iou: float = 0.7,
        size: int = 640,
        clock: StageClock | None = None,
    ) -> None:
        self.name = name
        self._size = -(-size // 32) * 32
        self._clock = clock or StageClock()
        check_file(weights)
        try:
            check_stored(weights)
            self._model = _import_yolo()(str(weights), verbose=False)
        except Exception as error:  # whatever ultralytics or the unpickler raise on a foreign file
            reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
            raise WeightsError(
                f"{weights} is not a YOLO checkpoint that ultralytics can load ({reason})"
            ) from error
        if self._model.task not in ("detect", "pose"):
            raise WeightsError(
                f"{weights} is a YOLO checkpoint for '{self._model.task}', which gives no person boxes"
            )
        people = [index for index, label in self._model.names.items() if label == "person"]
        self._options: dict[str, Any] = {
            "classes": people or [0],
            "conf": confidence,
            "iou": iou,
            "device": device,
            "half": half,
            "verbose": False,
            "save": False,
        }
        with _unpatched():
            self._predict([np.zeros((self._size, self._size, 3), np.uint8)])  # builds and fuses the network

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        """Boxes of every frame; frames of one letterboxed shape go through the network together."""
        with self._clock(Stage.LETTERBOX):
            fitted = [letterbox(frame.image, self._size) for frame in frames]
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for index, item in enumerate(fitted):
            by_shape.setdefault(item.image.shape, []).append(index)
        found: dict[int, Detections] = {}
        for indices in by_shape.values():
            with self._clock(Stage.DETECTOR):
                rows = self._predict([fitted[i].image for i in indices])
            found.update((i, _detections(fitted[i], row)) for i, row in zip(indices, rows, strict=True))
        return [found[index] for index in range(len(frames))]

    @full_float32()
    def _predict(self, images: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        """Rows x1 y1 x2 y2 score class, per image (h, w, 3) uint8 RGB of one shape."""
        pixels = torch.from_numpy(np.stack(images)).to(self._options["device"])
        batch = pixels.permute(0, 3, 1, 2).float() / 255
        results = self._model.predict(batch, imgsz=list(batch.shape[2:]), **self._options)
        return [result.boxes.data.float().cpu().numpy() for result in results]


def _detections(fitted: Letterboxed, rows: np.ndarray[Any, Any]) -> Detections:
    rows = rows[np.argsort(-rows[:, 4], kind="stable")]
    boxes = fitted.restore(rows[:, :4])
    solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    return Detections(boxes[solid], rows[solid, 4].astype(np.float32))
