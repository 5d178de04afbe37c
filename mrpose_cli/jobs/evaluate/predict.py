"""Estimating the poses of a dataset's images, streamed to disk."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mrpose_cli.cores import cores
from mrpose_cli.errors import InputError, UsageError, parameter
from mrpose_cli.jobs.common import few_threads, reason_of
from mrpose_cli.jobs.evaluate.spool import SpoolWriter, read_spools, spool_path, spools
from mrpose_cli.media.images import read_image
from mrpose_cli.media.photo import Photo
from mrpose_cli.pipeline.crops import crop_sizes
from mrpose_cli.pipeline.detectors.base import FileBoxes
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.profile import Stage
from mrpose_cli.poses import Detections, Frame
from mrpose_cli.progress import Progress, Tally, silent
from mrpose_cli.ranks import Ranks
from mrpose_cli.read_ahead import read_ahead

_THREADS = 2
_MOST_PROCESSES = 8
_AHEAD = 4  # decoded images that wait, for each worker


@dataclass(frozen=True, slots=True)
class Shot:
    """One image to be run.

    Attributes:
        image: The dataset's id of it.
        path: The file.
        boxes: Its people, None if the detector is to find them.
    """

    image: int
    path: Path
    boxes: Detections | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ShotFrame(Frame):
    """An image on its way through the pipeline.

    Attributes:
        shot: What it is the picture of.
    """

    shot: Shot


@dataclass(frozen=True, slots=True)
class Work:
    """Settings for running the images.

    Attributes:
        folder: Where the spools are.
        conditions: What the predictions depend on; a spool of others is refused.
        workers: Processes that decode images; 0 for threads of this process.
        strict: An image that cannot be read ends the run.
    """

    folder: Path
    conditions: Mapping[str, Any]
    workers: int = 0
    strict: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of running the images.

    Attributes:
        seconds: From the first image to the last pose of this rank.
        persons: How many poses, of all ranks.
        stages: Wall time by stage of this rank's main thread.
        resumed: Images that were there already, of all ranks.
    """

    seconds: float
    persons: int
    stages: dict[str, float]
    resumed: int


def predict(
    shots: Sequence[Shot],
    pipeline: Pipeline,
    work: Work,
    ranks: Ranks,
    progress: Progress = silent,
) -> Outcome:
    """Run this rank's share of the images that are not on the disk yet.

    Args:
        shots: All images.
        pipeline: The models.
        work: How to run them.
        ranks: The processes that share the work.
        progress: Called with the progress.

    Raises:
        UsageError: what is on the disk was made under other conditions.
        InputError: an image cannot be read, and ``strict`` is set.
        OutputError: the disk is full.
    """
    done = {poses.image for poses in read_spools(spools(work.folder), work.conditions) if not poses.failure}
    ranks.wait()  # nobody appends before everybody has read
    mine = ranks.share([shot for shot in shots if shot.image not in done])
    tally = Tally(progress, "images", len(mine))
    given = {str(shot.image): shot.boxes for shot in mine if shot.boxes is not None}
    if given:
        pipeline = pipeline.with_detector(FileBoxes(given, "given"))
    persons, start = 0, time.perf_counter()
    with (
        SpoolWriter(spool_path(work.folder, ranks.rank), work.conditions) as spool,
        few_threads(pipeline),
    ):
        images = _frames(mine, pipeline, work, spool, tally)
        for frame, poses in pipeline.stream(images, threaded=True):
            areas = crop_sizes(poses.boxes, pipeline.estimator.crop_spec).prod(1)
            with pipeline.clock(Stage.WRITE):
                spool.add(frame.shot.image, poses, areas)
            persons += len(poses)
            tally.add(len(poses))
    seconds = time.perf_counter() - start
    return Outcome(seconds, sum(ranks.gathered(persons)), dict(pipeline.clock.seconds), len(done))


def _frames(
    shots: Sequence[Shot],
    pipeline: Pipeline,
    work: Work,
    spool: SpoolWriter,
    tally: Tally,
) -> Iterator[ShotFrame]:
    workers = work.workers or _THREADS
    photos = read_ahead(
        [shot.path for shot in shots],
        partial(read_image, upright=False),
        workers=workers,
        ahead=_AHEAD * workers,
        processes=work.workers > 0,
    )
    for shot in shots:
        with pipeline.clock(Stage.WAIT_FOR_IMAGES):
            photo = _next(photos)
        if isinstance(photo, Photo):
            yield ShotFrame(photo.image, str(shot.image), shot=shot)
            continue
        if work.strict:
            raise InputError(f"{shot.path}: {reason_of(photo)}")
        spool.fail(shot.image, reason_of(photo))
        tally.add()


def _next(photos: Iterator[tuple[Path, Photo | Exception]]) -> Photo | Exception:
    try:
        return next(photos)[1]
    except BrokenProcessPool as error:
        raise UsageError(
            "a process that decodes images was killed, probably for want of memory; "
            f"use fewer {parameter('workers')}, and {parameter('resume')} to go on"
        ) from error


def suitable_workers(device: str) -> int:
    """Return the number of decoding processes that suits a kind of device; 0 means threads.

    On the CPU two threads keep the network busy (Pillow decodes without the GIL), and processes would only
    take its cores. A GPU is faster than one process can supply it with images.
    """
    if device == "cpu":
        return 0
    return max(min(cores() - 1, _MOST_PROCESSES), 1)
