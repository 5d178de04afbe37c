"""The streaming pipeline: detect, crop, infer, decode, with crops batched across frames."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mrpose_cli.background import in_background
from mrpose_cli.errors import InputError
from mrpose_cli.pipeline.crops import crop_affines, to_image
from mrpose_cli.pipeline.detectors.base import Detector
from mrpose_cli.pipeline.device_crops import cut
from mrpose_cli.pipeline.estimator import PoseEstimator
from mrpose_cli.pipeline.profile import Stage, StageClock
from mrpose_cli.poses import Detections, Frame, PersonHeatmaps, Poses

if TYPE_CHECKING:
    from PIL.Image import Image

    Picture = str | os.PathLike[str] | NDArray[np.uint8] | Image

F = TypeVar("F", bound=Frame)

# Frames wait for their last crop with their pixels in memory; beyond this much, or so many for each crop
# of a batch, a short batch is run.
_WAITING_BYTES = 256 * 2**20
_WAITING_FRAMES = 4
# Frames that go to the detector together, and those that wait between it and the pose network.
_DETECTED_BYTES = 128 * 2**20
_DETECTED_CHUNKS = 4


@dataclass(slots=True, eq=False)
class _Open(Generic[F]):
    """A frame some of whose people are still to be estimated."""

    frame: F
    detections: Detections
    affines: NDArray[np.float64]
    pixels: list[Tensor]
    keypoints: NDArray[np.float32]
    scores: NDArray[np.float32]
    maps: list[NDArray[np.float32]] = field(default_factory=list)
    missing: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Crop(Generic[F]):
    owner: _Open[F]
    person: int


class Pipeline:
    """Estimates people in frames, with a detector and a pose network.

    Calling it answers for a list of pictures; :meth:`stream` works through any number of frames in
    bounded memory.

    Example:
        >>> from mrpose_cli import load_pipeline
        >>> pipeline = load_pipeline()
        >>> [poses] = pipeline(["samples/basketball1.png"])
        >>> poses.keypoints.shape[1:]
        (17, 2)

    Args:
        detector: Finds the boxes.
        estimator: Estimates the poses in them.
        batch_size: Crops per forward pass; frames share batches.
        frame_batch: Frames handed to the detector at a time.
        clock: Measures the time of each stage.
    """

    def __init__(
        self,
        detector: Detector,
        estimator: PoseEstimator,
        *,
        batch_size: int = 32,
        frame_batch: int = 1,
        clock: StageClock | None = None,
    ) -> None:
        self.detector = detector
        self.estimator = estimator
        self.batch_size = batch_size
        self.frame_batch = frame_batch
        self.clock = clock or StageClock()

    def with_detector(self, detector: Detector, frame_batch: int | None = None) -> Pipeline:
        """Return the same pipeline with another detector, and if given with another ``frame_batch``."""
        return Pipeline(
            detector,
            self.estimator,
            batch_size=self.batch_size,
            frame_batch=frame_batch or self.frame_batch,
            clock=self.clock,
        )

    def __call__(self, images: Sequence[Picture]) -> list[Poses]:
        """Return the poses of each image, in the images' order.

        Args:
            images: Paths, PIL images, or arrays (H, W, 3) uint8 in RGB order (cv2.imread gives BGR:
                pass ``image[..., ::-1]``). Paths and PIL images are turned upright by their EXIF tag.

        Raises:
            InputError: a path or PIL image holds no readable picture.
            TypeError: an array is not (H, W, 3) uint8, or it is none of these.
        """
        frames = (_frame(image) for image in images)
        return [poses for _, poses in self.stream(frames)]

    def stream(
        self, frames: Iterable[F], *, threaded: bool = False, prompt: bool = False
    ) -> Iterator[tuple[F, Poses]]:
        """Yield frames with their poses, in order, as soon as they are done.

        A frame is held until its last crop has been through the network; a batch is run when it is
        full, when the waiting frames take too much memory, and at the end.

        Args:
            frames: Any number of them.
            threaded: Detect and crop in a thread of its own, ahead of the pose network.
            prompt: Run short batches rather than wait for the people of further frames.
        """
        waiting: deque[_Open[F]] = deque()
        crops: deque[_Crop[F]] = deque()
        chunks = self._detected(frames)
        if threaded:
            limit = 0 if prompt else _DETECTED_BYTES
            least = _DETECTED_BYTES // _DETECTED_CHUNKS
            chunks = in_background(
                chunks, name="detector", limit=limit, weigh=lambda chunk: max(_bytes_of(chunk), least)
            )
        for chunk in chunks:
            for opened in chunk:
                waiting.append(opened)
                crops.extend(_Crop(opened, person) for person in range(opened.missing))
            while len(crops) >= self.batch_size or (crops and prompt):
                self._run(crops)
            while crops and (
                len(waiting) > _WAITING_FRAMES * self.batch_size or _bytes_of(waiting) > _WAITING_BYTES
            ):
                self._run(crops)
            yield from self._finished(waiting)
        while crops:
            self._run(crops)
        yield from self._finished(waiting)

    def _detected(self, frames: Iterable[F]) -> Iterator[list[_Open[F]]]:
        for chunk in self._chunks(frames):
            start = time.perf_counter()
            found = self.detector.detect(chunk)
            share = (time.perf_counter() - start) / len(chunk)
            yield [self._open(*pair, share) for pair in zip(chunk, found, strict=True)]

    def _chunks(self, frames: Iterable[F]) -> Iterator[list[F]]:
        """Group frames for the detector, fewer of them where they are large."""
        chunk: list[F] = []
        for frame in frames:
            chunk.append(frame)
            if len(chunk) == self.frame_batch or len(chunk) * frame.image.nbytes >= _DETECTED_BYTES:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _open(self, frame: F, detections: Detections, seconds: float) -> _Open[F]:
        people, joints = len(detections), len(self.estimator.skeleton.joints)
        spec = self.estimator.crop_spec
        with self.clock(Stage.CROP):
            affines = crop_affines(detections.boxes, spec)
            pixels = cut(frame.image, affines, spec.size, self.estimator.engine.input.device)
        return _Open(
            frame,
            detections,
            affines,
            pixels,
            np.zeros((people, joints, 2), np.float32),
            np.zeros((people, joints), np.float32),
            missing=people,
            seconds=seconds,
        )

    def _run(self, crops: deque[_Crop[F]]) -> None:
        """Estimate the next batch of crops and hand the results to their frames."""
        batch = [crops.popleft() for _ in range(min(self.batch_size, len(crops)))]
        start = time.perf_counter()
        pixels = [crop.owner.pixels[crop.person] for crop in batch]
        if len({crop.device for crop in pixels}) > 1:  # for some there was no memory
            pixels = [crop.cpu() for crop in pixels]
        estimate = self.estimator(torch.stack(pixels))
        share = (time.perf_counter() - start) / len(batch)
        with self.clock(Stage.COLLECT):
            points = to_image(estimate.keypoints, np.stack([c.owner.affines[c.person] for c in batch]))
            for index, crop in enumerate(batch):
                crop.owner.keypoints[crop.person] = points[index]
                crop.owner.scores[crop.person] = estimate.scores[index]
                crop.owner.missing -= 1
                crop.owner.seconds += share
                if estimate.maps is not None:
                    crop.owner.maps.append(estimate.maps[index])

    def _finished(self, waiting: deque[_Open[F]]) -> Iterator[tuple[F, Poses]]:
        while waiting and waiting[0].missing == 0:
            done = waiting.popleft()
            heatmaps = None
            if done.maps:
                heatmaps = PersonHeatmaps(np.stack(done.maps), done.affines, self.estimator.crop_spec.size)
            yield (
                done.frame,
                Poses(
                    keypoints=done.keypoints,
                    scores=done.scores,
                    boxes=done.detections.boxes,
                    box_scores=done.detections.scores,
                    person_scores=self.estimator.person_scores(done.detections.scores, done.scores),
                    skeleton=self.estimator.skeleton,
                    heatmaps=heatmaps,
                    seconds=done.seconds,
                ),
            )


def _bytes_of(frames: Iterable[_Open[F]]) -> int:
    return sum(opened.frame.image.nbytes for opened in frames)


def _frame(picture: Any) -> Frame:
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise TypeError(f"a picture is (height, width, 3) uint8 RGB, not {picture.shape} {picture.dtype}")
        return Frame(np.ascontiguousarray(picture))
    if isinstance(picture, str | os.PathLike):
        return _read(os.fspath(picture))
    from PIL.Image import Image

    from mrpose_cli.media.decode import from_pillow

    if isinstance(picture, Image):
        return Frame(from_pillow(picture))
    raise TypeError(f"a picture is a path, a PIL image or an array, not {type(picture).__name__}")


def _read(location: str) -> Frame:
    from mrpose_cli.media.images import read_image
    from mrpose_cli.media.inputs import Source

    try:
        source = Source(location, location) if "://" in location else Path(location)
        return Frame(read_image(source).image, location)
    except InputError as error:
        raise InputError(f"{location}: {error}") from error
