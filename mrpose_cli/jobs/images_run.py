"""``mrpose image`` at work: from the photos to overlays and JSON."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrpose_cli.coco.writer import person_row, results_row, write_dataset, write_results
from mrpose_cli.disk import Reserve
from mrpose_cli.drawing import draw_poses
from mrpose_cli.errors import DiskFullError, OutputError
from mrpose_cli.evaluation.annotations import sha256_of
from mrpose_cli.jobs.common import conditions, few_threads, reason_of
from mrpose_cli.jobs.images import (
    DATASET_FILE,
    RESULTS_FILE,
    SPOOL_FILE,
    ImageJob,
    ImagePlan,
    ImageReport,
    PhotoRow,
)
from mrpose_cli.jobs.images_spool import Done, PhotoSpool, state_of
from mrpose_cli.media.budget import Budget
from mrpose_cli.media.images import overlay_name, read_image, write_image
from mrpose_cli.media.inputs import Source
from mrpose_cli.media.photo import Photo
from mrpose_cli.pipeline.isolated import stream_isolated
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.poses import Frame, Poses
from mrpose_cli.read_ahead import read_ahead
from mrpose_cli.write_behind import BackgroundWriter

_READERS = 2
_AHEAD = 4  # photos that are read before they are used
_WRITERS = 2
_PIXELS = 256 * 2**20  # bytes of all photos that were read and are not done
_TICK = 0.02  # seconds between looks at signals and memory while no photo is ready
_SPARE = 2**20  # bytes of the reserve before there are rows

Numbered = tuple[int, Source]


@dataclass(slots=True, eq=False)
class _Read:
    """A photo in memory; it is taken out when its turn to be written comes, so that nothing else holds it."""

    number: int
    state: Any
    photo: Photo | None

    def take(self) -> Photo:
        """The photo, once."""
        photo, self.photo = self.photo, None
        assert photo is not None
        return photo


Photos = Generator[tuple[Numbered, _Read | Exception] | None, None, None]


@dataclass(frozen=True, slots=True)
class Progress:
    """Whom to tell how it goes.

    Attributes:
        start: Told how many photos there are to do.
        photo: Told of every photo that is through, with its number of people.
    """

    start: Callable[[int], None] = lambda photos: None
    photo: Callable[[int], None] = lambda persons: None


def run_images(
    job: ImageJob,
    plan: ImagePlan,
    pipeline: Pipeline,
    stop: threading.Event,
    progress: Progress | None = None,
) -> ImageReport:
    """Work through the photos; one that fails is reported and the rest goes on.

    Whatever ends the run before its end, the JSON files hold what was done, and a later run can go on.

    Args:
        job: What the user wants.
        plan: What :func:`mrpose_cli.jobs.images.prepare` made of it.
        pipeline: The models.
        stop: Ends the run when it is set; what was begun is finished.
        progress: Told how it goes.

    Raises:
        UsageError: the run cannot be resumed.
        OutputError: a JSON file cannot be written.
    """
    start = time.perf_counter()
    spool = PhotoSpool(
        plan.out / SPOOL_FILE,
        {**conditions(pipeline), **_settings(job)},
        plan.sources,
        resume=job.resume,
        overlays=job.overlay,
    )
    with closing(spool):
        report = _Run(job, plan, pipeline, stop, spool, progress or Progress()).run()
    report.seconds = time.perf_counter() - start
    report.stages = dict(pipeline.clock.seconds)
    return report


def _settings(job: ImageJob) -> dict[str, Any]:
    """The flags, with what files hold in place of where they are."""
    return {
        flag: sha256_of(value) if isinstance(value, Path) else value for flag, value in job.settings.items()
    }


@dataclass(slots=True, eq=False)
class _Run:
    job: ImageJob
    plan: ImagePlan
    pipeline: Pipeline
    stop: threading.Event
    spool: PhotoSpool
    progress: Progress
    full: threading.Event = field(default_factory=threading.Event)
    budget: Budget = field(default_factory=lambda: Budget(_PIXELS))
    under_way: dict[str, _Read] = field(default_factory=dict)  # in the pipeline
    written: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    ended: bool = False

    def run(self) -> ImageReport:
        todo = [source for source in self.plan.sources if source.name not in self.spool.finished]
        self.progress.start(len(todo))
        crash: Exception | None = None
        with ExitStack() as stack:
            reserve = _reserve(self.plan.out)
            if reserve is not None:
                stack.callback(reserve.release)
            try:
                self._work(todo, reserve)
            except Exception as error:  # a fault of ours; what was done is worth keeping
                crash = error
        left = {source.name for source in todo} - self.written - self.failures.keys()
        report = self._report(partial=bool(left) or crash is not None)
        try:
            with self.pipeline.clock("write JSON"):
                self._put_together(report)
        except OutputError as error:
            if crash is None:
                raise OutputError(f"{error}; what was done is kept, and --resume goes on with it") from error
        if crash is not None:
            crash.add_note(f"What was done is kept in {self.plan.out}; --resume goes on with it.")
            raise crash
        return report

    def _work(self, todo: list[Source], reserve: Reserve | None) -> None:
        clock = self.pipeline.clock
        photos = read_ahead(enumerate(todo), self._read, workers=_READERS, ahead=_AHEAD, tick=_TICK)
        with (
            few_threads(self.pipeline),
            BackgroundWriter(workers=_WRITERS) as writer,
            closing(photos),
            closing(self.budget),
        ):
            while not self.ended:
                for frame, poses in stream_isolated(self.pipeline, self._frames(photos)):
                    read = self.under_way.pop(frame.name)
                    if isinstance(poses, Exception):
                        self.failures[frame.name] = reason_of(poses)
                        self.budget.release(read.number)
                        self.progress.photo(0)
                    else:
                        with clock("wait for overlays"):
                            writer.submit(frame.name, self._write, frame.name, read, poses)
                        self.progress.photo(len(poses))
                    if reserve is not None:
                        reserve.grow(_SPARE + self.spool.size * (2 if self.job.results else 1))
                        if reserve.spent:
                            self.full.set()
                    del frame, poses, read  # pixels are not to be held while the next photo is waited for
            with clock("wait for overlays"):
                writer.close()

    def _read(self, numbered: Numbered) -> _Read:
        number, source = numbered
        with self.budget.turn(number) as admit:
            state = state_of(source)
            return _Read(number, state, read_image(source, admit=admit))

    def _frames(self, photos: Photos) -> Iterator[Frame]:
        """Photos as they are read, to the end of the run, or until memory is short for the next one."""
        while not (self.stop.is_set() or self.full.is_set()):
            with self.pipeline.clock("wait for photos"):
                try:
                    item = next(photos)
                except StopIteration:
                    break
            if item is None:
                if self.budget.short:
                    return  # the end of a stream lets go of all that is in it
                continue
            (_, source), read = item
            if isinstance(read, _Read):
                self.under_way[source.name] = read
                assert read.photo is not None
                yield Frame(read.photo.image, source.name)
            else:
                self.failures[source.name] = reason_of(read)
                self.progress.photo(0)
        self.ended = True

    def _write(self, name: str, read: _Read, poses: Poses) -> None:
        """Write what comes of a photo; run by a thread."""
        try:
            if not self.full.is_set():
                self._write_all(name, read.state, read.take(), poses)
        except DiskFullError:
            self.full.set()
        except Exception as error:
            self.failures[name] = reason_of(error)
        finally:
            read.photo = None
            self.budget.release(read.number)

    def _write_all(self, name: str, state: Any, photo: Photo, poses: Poses) -> None:
        overlay, overlay_bytes = None, 0
        failure: Exception | None = None
        if self.job.overlay:
            target = overlay_name(name, photo)
            try:
                drawn = draw_poses(photo.image, poses, self.job.style, in_place=True)
                write_image(self.plan.out / target, drawn, like=photo)
                overlay, overlay_bytes = target, (self.plan.out / target).stat().st_size
            except DiskFullError:
                raise
            except Exception as error:  # the poses are worth keeping
                failure = error
        height, width = photo.image.shape[:2]
        threshold = self.job.style.keypoint_threshold
        people = [person_row(poses, person, threshold) for person in range(len(poses))]
        notes = photo.notes
        if name in self.plan.unboxed:
            notes = (*notes, "not in the boxes file")
        self.spool.add(Done(name, state, overlay, overlay_bytes, width, height, people, poses.seconds, notes))
        self.written.add(name)
        if failure is not None:
            raise failure

    def _report(self, *, partial: bool) -> ImageReport:
        names = (source.name for source in self.plan.sources)
        return ImageReport(
            dataset=self.plan.out / DATASET_FILE,
            results=self.plan.out / RESULTS_FILE if self.job.results else None,
            failures=[(name, self.failures[name]) for name in names if name in self.failures],
            resumed=len(self.spool.finished),
            partial=partial,
            interrupted=partial and self.stop.is_set(),
            full=partial and self.full.is_set(),
        )

    def _put_together(self, report: ImageReport) -> None:
        """Write the JSON files from what is spooled, and fill the report with it."""
        ids = self.plan.ids

        def images() -> Iterator[Mapping[str, Any]]:
            for done in self.spool.read(self.plan.sources):
                report.rows.append(_row(done))
                size = {"width": done.width, "height": done.height}
                yield {"id": ids[done.name], "file_name": done.name, **size}

        def people() -> Iterator[tuple[int, Mapping[str, Any]]]:
            for done in self.spool.read(self.plan.sources):
                for person in done.people:
                    yield ids[done.name], person

        info = {**conditions(self.pipeline), **({"partial": True} if report.partial else {})}
        annotations = (
            {"id": number, "image_id": image, **person} for number, (image, person) in enumerate(people(), 1)
        )
        write_dataset(report.dataset, self.pipeline.estimator.skeleton, info, images(), annotations)
        if report.results is not None:
            write_results(report.results, (results_row(*pair) for pair in people()))
        if not report.partial:
            self.spool.remove()


def _reserve(out: Path) -> Reserve | None:
    try:
        return Reserve(out, _SPARE)
    except OutputError:  # what is to be written may fit all the same
        return None


def _row(done: Done) -> PhotoRow:
    scores = [person["score"] for person in done.people]
    mean = float(np.mean(scores)) if scores else None
    return PhotoRow(done.name, len(scores), mean, done.seconds, tuple(done.notes))
