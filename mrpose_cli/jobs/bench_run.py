"""``mrpose bench`` at work: how fast each engine runs the networks, and how far from float32."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from copy import copy
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from mrpose_cli.errors import InputError, UsageError
from mrpose_cli.jobs.bench import FRAME, BenchJob, BenchReport, Part, Row, advice, conditions, left_out
from mrpose_cli.jobs.common import few_threads
from mrpose_cli.jobs.images.plan import ImageJob, prepare
from mrpose_cli.jobs.images.run import run_images
from mrpose_cli.media.images import read_image
from mrpose_cli.media.inputs import Source
from mrpose_cli.pipeline.checkpoints import detector_file
from mrpose_cli.pipeline.crops import crop_affines, warp
from mrpose_cli.pipeline.detectors.base import WholeImage
from mrpose_cli.pipeline.detectors.yolo import YoloDetector
from mrpose_cli.pipeline.detectors.yolox import YoloxDetector
from mrpose_cli.pipeline.engines import ENGINES, Checkpoint, Engine, engine_for
from mrpose_cli.pipeline.estimator import PoseEstimator
from mrpose_cli.pipeline.factory import DTYPES, Choice, choose, load_engine, open_pipeline, resolve_device
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.precision import computes_bf16
from mrpose_cli.pipeline.profile import StageClock
from mrpose_cli.poses import Detections, Frame
from mrpose_cli.progress import Progress, silent
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD
from mrpose_cli.tracking.similarity import overlap
from mrpose_cli.weights.store import WeightsStore

_PHOTOS, _CROPS = 32, 64  # that the networks are shown, at most
_SURE, _SAME = 0.5, 0.5  # boxes by score, and by IoU
_PASS = 8  # images of a pass whose answers are compared

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Network:
    """One of the two networks: ``around`` makes a pipeline of an engine, ``run`` is what is timed."""

    part: Part
    entry: Checkpoint
    path: Path
    auto: tuple[Choice, int]
    inputs: list[Any]
    around: Callable[[Engine], Pipeline]
    run: Callable[[Pipeline, list[Any]], list[Any]]
    distances: Callable[[Any, Any], NDArray[np.floating]]


def run_bench(
    job: BenchJob,
    auto: Pipeline,
    store: WeightsStore,
    remark: Callable[[str], None],
    progress: Progress = silent,
) -> BenchReport:
    """Measure the networks, and complete runs where there are photos.

    Args:
        job: The options of the run.
        auto: The pipeline of :attr:`BenchJob.without_flags`.
        store: Where its weights were found.
        remark: Called with notes for the user, one line each.
        progress: Called with the progress.

    Raises:
        InputError: there are no photos, or nobody is in them.
        UsageError: nothing runs the pose network as the flags say.
        WeightsError: a checkpoint does not fit.
    """
    stated, rows, whole_run = conditions(job, auto), list[Row](), None
    with TemporaryDirectory(prefix="mrpose-bench-") as folder:
        images = ImageJob([job.images] if job.images else [], out=Path(folder, "out"), overlay=False)
        with prepare(images) as plan:
            if job.images and not plan.sources:
                raise InputError(": ".join(plan.problems[0]))
            for network in _networks(job, auto, plan.sources, store):
                rows += _measure(network, job, store, remark, progress)
            if plan.sources:
                if job.models != job.without_flags:
                    auto = open_pipeline(job.models, store=store, clock=StageClock(), remark=lambda _: None)
                auto(_made_up(1, *FRAME))
                auto.clock.seconds.clear()
                whole_run = run_images(images, plan, auto, threading.Event(), progress)
                whole_run.failures[:0] = plan.problems
    return BenchReport(stated, rows, whole_run, [*left_out(job), *advice(rows)])


def _networks(
    job: BenchJob, auto: Pipeline, sources: Sequence[Source], store: WeightsStore
) -> Iterator[_Network]:
    estimator, detector, spec = auto.estimator, auto.detector, auto.estimator.crop_spec
    place = resolve_device(job.models.device)
    frames, crops = _made_up(_PASS, *FRAME), _made_up(_PASS, *spec.size)
    if sources:
        frames, crops = [], []
        for photo in _read(_spread(sources, _PHOTOS)):  # one at a time, as they may be large
            frames.append(np.asarray(cv2.resize(photo, FRAME[::-1]), np.uint8))
            [found] = detector.detect([Frame(photo)])
            crops += [warp(photo, affine, spec.size) for affine in crop_affines(found.boxes, spec)]
        if not crops:
            raise InputError(f"{detector.name} finds nobody in the photos of {job.images}; take others")
    yield _Network(
        part="pose",
        entry=estimator.entry,
        path=store.resolve(estimator.entry, job.models.weights),
        auto=(choose(estimator.entry, place, job.without_flags), auto.batch_size),
        inputs=_spread(crops, _CROPS),
        around=lambda engine: Pipeline(
            WholeImage(), PoseEstimator(engine, estimator.entry, flip=estimator.flip)
        ),
        run=_estimate,
        distances=_joint_distances,
    )
    if isinstance(detector, YoloDetector | YoloxDetector):
        entry, path = detector_file(job.models.detector, store)
        yield _Network(
            part="detector",
            entry=entry,
            path=path,
            auto=(choose(entry, place, job.without_flags), auto.frame_batch),
            inputs=[Frame(frame) for frame in frames],
            around=lambda engine: Pipeline(_with_engine(detector, engine), estimator),
            run=lambda pipeline, frames: pipeline.detector.detect(frames),
            distances=_side_distances,
        )


def _measure(
    network: _Network,
    job: BenchJob,
    store: WeightsStore,
    remark: Callable[[str], None],
    progress: Progress,
) -> list[Row]:
    """Measure each engine, type and batch size, and what runs without flags; return a row for each."""
    place, entry, (usual, usual_batch) = resolve_device(job.models.device), network.entry, network.auto
    wanted = _choices(entry, place, job.models)
    if not wanted and network.part == "pose":
        engine_for(entry, place, job.models.engine)  # says what is wrong with the engine, if that is it
        raise UsageError(f"nothing here computes {entry.name} in {job.models.dtype} on {place.type}")
    inputs = network.inputs * -(-max(usual_batch, *job.batches[network.part]) // len(network.inputs))

    def load(choice: Choice) -> Engine:
        return load_engine(entry, network.path, place, choice, store)

    def answers(pipeline: Pipeline) -> list[Any]:
        steps = range(0, len(network.inputs), _PASS)
        return [one for at in steps for one in network.run(pipeline, network.inputs[at : at + _PASS])]

    exact: Choice = (next(key for key in ("torch", *ENGINES) if ENGINES[key].runs(entry, place)), "fp32")
    choices = sorted(dict.fromkeys([usual, *wanted]), key=lambda choice: choice != exact)
    expected: list[Any] = []
    if job.images and exact not in choices:
        expected = answers(network.around(load(exact)))
    variants: list[tuple[Row, Pipeline]] = []
    for number, choice in enumerate(choices):
        progress(f"{entry.name}: loading", number, len(choices))
        before = _gpu_bytes(place)
        engine = load(choice)
        # There are types that are not for detectors.
        if engine.dtype != DTYPES[choice[1]] and choice != usual:
            continue
        if engine.note:
            remark(f"{entry.name} {engine.note}")
        pipeline = network.around(engine)
        sizes = {*(job.batches[network.part] if choice in wanted else ())}
        sizes |= {usual_batch} if choice == usual else set()
        for size in sizes:
            network.run(pipeline, inputs[:size])
        peak = (torch.cuda.max_memory_allocated(place) - before) / 1e6 if before is not None else None
        given = answers(pipeline) if job.images else []
        expected = expected or given
        distances = np.concatenate([*map(network.distances, expected, given), []])
        found = distances[~np.isnan(distances)]
        compared = len(found) > 0
        for size in sorted(sizes):
            row = Row(
                part=network.part,
                engine=choice[0],
                dtype=choice[1],
                device=engine.device.type,
                batch=size,
                auto=(choice, size) == network.auto,
                pixels=float(found.mean()) if compared else None,
                pixels_p95=float(np.percentile(found, 95)) if compared else None,
                lost=1 - len(found) / len(distances) if len(distances) else None,
                reference=" ".join(exact),
                peak_mb=peak if engine.uses_torch else None,
            )
            variants.append((row, pipeline))
    for number in range(job.rounds):
        for index, (row, pipeline) in enumerate(variants):
            progress(entry.name, number * len(variants) + index, job.rounds * len(variants))
            run = partial(network.run, pipeline)
            with few_threads(pipeline):
                row.rounds.append(_turn(run, inputs, row.batch, job.seconds))
    return [row for row, _ in variants]


def _turn(run: Callable[[list[Any]], Any], inputs: list[Any], batch: int, seconds: float) -> float:
    """Return milliseconds per image, measured over at least ``seconds``."""
    run(inputs[:batch])  # brings back what other variants drove out of the caches
    starts = cycle(range(0, len(inputs) - batch + 1, batch))
    calls, begin = 0, time.perf_counter()
    while (spent := time.perf_counter() - begin) < seconds or not calls:
        at = next(starts)
        run(inputs[at : at + batch])
        calls += 1
    return 1e3 * spent / calls / batch


def _choices(entry: Checkpoint, place: torch.device, models: ModelOptions) -> list[Choice]:
    """Return what can run a network on a device: everything, or what the flags say."""
    return [
        (key, dtype)
        for key, engine in ENGINES.items()
        if models.engine in ("auto", key) and engine.runs(entry, place)
        for dtype in engine.dtypes
        if not (dtype == "fp16" and place.type == "cpu")
        if models.dtype == dtype or (models.dtype == "auto" and (dtype != "bf16" or computes_bf16(place)))
    ]


def _estimate(pipeline: Pipeline, crops: list[NDArray[np.uint8]]) -> list[Any]:
    found = pipeline.estimator(np.stack(crops))
    return list(zip(found.keypoints, found.scores, strict=True))


def _joint_distances(expected: Any, found: Any) -> NDArray[np.floating]:
    sure = expected[1] >= KEYPOINT_THRESHOLD
    return np.asarray(np.linalg.norm(found[0][sure] - expected[0][sure], axis=1))


def _side_distances(expected: Detections, found: Detections) -> NDArray[np.floating]:
    """Return how far the farthest side of each box is off, (P,); NaN where there is no such box."""
    boxes = expected.boxes[expected.scores >= _SURE]
    if not len(found):
        return np.full(len(boxes), np.nan)
    shared = overlap(boxes, found.boxes)
    off = np.abs(found.boxes[shared.argmax(1)] - boxes).max(1)
    return np.where(shared.max(1) >= _SAME, off, np.nan)


def _with_engine(detector: YoloDetector | YoloxDetector, engine: Engine) -> YoloDetector | YoloxDetector:
    other = copy(detector)
    other.engine = engine
    return other


def _gpu_bytes(place: torch.device) -> int | None:
    """Return the GPU memory that PyTorch holds, in bytes, and restart its peak count; None elsewhere."""
    if place.type != "cuda":
        return None
    torch.cuda.reset_peak_memory_stats(place)
    return torch.cuda.memory_allocated(place)


def _read(sources: Sequence[Source]) -> Iterator[NDArray[np.uint8]]:
    for source in sources:
        with suppress(InputError):  # the whole run tells
            yield read_image(source).image


def _spread(items: Sequence[T], most: int) -> list[T]:
    """Return at most ``most`` items, spread evenly over the sequence."""
    count = min(most, len(items))
    return [items[index * len(items) // count] for index in range(count)]


def _made_up(count: int, height: int, width: int) -> list[NDArray[np.uint8]]:
    """Make images of smooth color gradients, the same ones each time."""
    noise = np.random.default_rng(0).integers(0, 256, (count, 16, 16, 3), np.uint8)
    size = width, height
    return [np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_CUBIC), np.uint8) for one in noise]
