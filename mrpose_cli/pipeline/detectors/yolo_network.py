"""YOLO networks of ultralytics (AGPL-3.0), kept from writing and phoning on their own.

ultralytics reads its switches from the environment when it is imported, so they are set right before
that: no analytics, no network, no packages installed on the fly, settings in a folder that goes away
after the import, checkpoints opened with ``weights_only=True``.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from mrpose_cli.errors import WeightsError
from mrpose_cli.models.pickles import check_stored
from mrpose_cli.pipeline.detectors.classes import wanted_classes
from mrpose_cli.pipeline.options import PERSON
from mrpose_cli.weights.store import check_file

_SWITCHES = {
    "YOLO_OFFLINE": "true",
    "YOLO_AUTOINSTALL": "false",
    "YOLO_VERBOSE": "false",
    "ULTRALYTICS_SAFE_LOAD": "true",
}

_SETTINGS = "mrpose-yolo-"  # and the number of the process: what the folder for settings is called


class YoloBoxes(nn.Module):
    """A YOLO that is asked for some of its classes only.

    Args:
        network: Gives (N, 4 + classes + others, A) centers, sizes and class scores, or, where it picks the
            boxes itself, (N, A, 6 + others) corners, score and class.
        wanted: The classes to return.
        classes: How many there are.
    """

    unit: Tensor

    def __init__(self, network: nn.Module, wanted: list[int], classes: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("unit", torch.tensor(1 / 255))
        self._wanted, self._classes = wanted, classes

    def forward(self, pixels: Tensor) -> Tensor:
        """Return rows x1 y1 x2 y2 score (N, A, 5) float32; the score is 0 where another class scores higher.

        Args:
            pixels: (N, h, w, 3) uint8, RGB, both sides multiples of 32.
        """
        rows = self.network(pixels.permute(0, 3, 1, 2).to(self.unit.dtype) * self.unit).float()
        if self.network.end2end:
            wanted = torch.isin(rows[..., 5], rows.new_tensor(self._wanted))
            return torch.cat([rows[..., :4], (rows[..., 4] * wanted)[..., None]], -1)
        centers, sizes, scores = rows.transpose(1, 2)[..., : 4 + self._classes].split(
            [2, 2, self._classes], -1
        )
        best = scores[..., self._wanted].amax(-1, keepdim=True)
        best = best * (best >= scores.amax(-1, keepdim=True))
        return torch.cat([centers - sizes / 2, centers + sizes / 2, best], -1)


def load_boxes(path: Path, classes: Sequence[str] = (PERSON,)) -> YoloBoxes:
    """Load the network in an ultralytics checkpoint for detection or poses, its norms fused, for inference.

    Args:
        path: The file.
        classes: Those of its classes that are wanted; see :func:`wanted_classes`.

    Raises:
        UsageError: it has no such class.
        WeightsError: the file is no such checkpoint.
    """
    check_file(path)
    try:
        check_stored(path)
        model = _import_yolo()(str(path), verbose=False)
    except Exception as error:  # whatever ultralytics or the unpickler raise on a foreign file
        reason = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise WeightsError(f"{path} is not a YOLO checkpoint that ultralytics can load ({reason})") from error
    if model.task not in ("detect", "pose"):
        raise WeightsError(f"{path} is a YOLO checkpoint for '{model.task}', which gives no boxes")
    wanted = wanted_classes(model.names, classes, path.name)
    network = model.model
    with suppress(AttributeError):
        # Of YOLO26's two heads the one whose boxes need NMS is the better one. Which one ultralytics takes
        # changes with its versions.
        network.end2end = False
    network = network.fuse(verbose=False).eval().float().requires_grad_(False)
    head = network.model[-1]
    head.export, head.dynamic = True, True  # nothing but the answer, for pictures of any size
    return YoloBoxes(network, wanted, head.nc)


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
