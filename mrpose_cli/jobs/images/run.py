"""``mrpose image`` at work: from the photos to overlays and JSON."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrpose_cli.disk import Reserve
from mrpose_cli.drawing import draw_poses
from mrpose_cli.errors import DiskFullError, OutputError, parameter
from mrpose_cli.evaluation.annotations import sha256_of
from mrpose_cli.formats.writer import PoseWriter, person_rows
from mrpose_cli.jobs.common import conditions, few_threads, folder_of, reason_of
from mrpose_cli.jobs.images.plan import (
    SPOOL_FILE,
    ImageJob,
    ImagePlan,
    ImageReport,
    PhotoRow,
)
from mrpose_cli.jobs.images.spool import Done, PhotoSpool, state_of
from mrpose_cli.media.budget import Budget
from mrpose_cli.media.images import overlay_name, read_image, write_image
from mrpose_cli.media.inputs import Source
from mrpose_cli.media.photo import Photo
from mrpose_cli.pipeline.isolated import stream_isolated
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.profile import Stage
from mrpose_cli.poses import Frame, Poses
from mrpose_cli.progress import Progress, Tally, silent
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
    """A photo in memory; it is taken out when it is written, so that nothing else keeps it alive."""

    number: int
    state: Any
    photo: Photo | None

    def take(self) -> Photo:
        """Take the photo out, once."""
        photo, self.photo = self.photo, None
        assert photo is not None
        return photo


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PhotoFrame(Frame):
    """A photo on its way through the pipeline.

    Attributes:
        read: What is needed to write its outputs.
    """

    read: _Read


Photos = Generator[tuple[Numbered, _Read | Exception] | None, None, None]


def run_images(
    job: ImageJob,
    plan: ImagePlan,
    pipeline: Pipeline,
    stop: threading.Event,
    progress: Progress = silent,
) -> ImageReport:
    """Process the photos; one that fails is reported and the rest continues.

    However the run ends, the JSON files hold what was done, and a later run can resume it.

    Args:
        job: The options of the run.
        plan: What :func:`mrpose_cli.jobs.images.plan.prepare` made of it.
        pipeline: The models.
        stop: Ends the run when it is set; photos in progress are finished.
        progress: Called with the progress.

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
        report = _Run(job, plan, pipeline, stop, spool, progress).run()
    report.seconds = time.perf_counter() - start
    report.stages = dict(pipeline.clock.seconds)
    return report


def _settings(job: ImageJob) -> dict[str, Any]:
    """Return the flags, with the contents of files in place of their paths."""
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
    written: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    tally: Tally = field(init=False)

    def run(self) -> ImageReport:
        todo = [source for source in self.plan.sources if source.name not in self.spool.finished]
        self.tally = Tally(self.progress, "photos", len(todo))
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
            with self.pipeline.clock(Stage.WRITE_JSON):
                self._put_together(report)
        except OutputError as error:
            if crash is None:
                raise OutputError(
                    f"{error}; what was done is kept, and {parameter('resume')} goes on with it"
                ) from error
        if crash is not None:
            crash.add_note(f"What was done is kept in {self.plan.out}; resume the run to go on with it.")
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
                    read = frame.read
                    if isinstance(poses, Exception):
                        self.failures[frame.name] = reason_of(poses)
                        self.budget.release(read.number)
                        self.tally.add()
                    else:
                        with clock(Stage.WAIT_FOR_OVERLAYS):
                            writer.submit(frame.name, self._write, frame.name, read, poses)
                        self.tally.add(len(poses))
                    if reserve is not None:
                        reserve.grow(_SPARE + self.spool.size * 2 * len(self.job.formats))
                        if reserve.spent:
                            self.full.set()
                    del frame, poses, read  # pixels are not to be held while the next photo is waited for
            with clock(Stage.WAIT_FOR_OVERLAYS):
                writer.close()

    def _read(self, numbered: Numbered) -> _Read:
        number, source = numbered
        with self.budget.turn(number) as admit:
            state = state_of(source)
            return _Read(number, state, read_image(source, admit=admit))

    def _frames(self, photos: Photos) -> Iterator[PhotoFrame]:
        """Yield photos as they are read, until the run ends or memory is short for the next one."""
        while not (self.stop.is_set() or self.full.is_set()):
            with self.pipeline.clock(Stage.WAIT_FOR_PHOTOS):
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
                assert read.photo is not None
                yield PhotoFrame(read.photo.image, source.name, read=read)
            else:
                self.failures[source.name] = reason_of(read)
                self.tally.add()
        self.ended = True

    def _write(self, name: str, read: _Read, poses: Poses) -> None:
        """Write the outputs of a photo; run by a thread."""
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
        people = person_rows(poses, self.job.keypoint_threshold)
        notes = photo.notes
        if name in self.plan.unboxed:
            notes = (*notes, "not in the boxes file")
        done = Done(name, state, overlay, overlay_bytes, width, height, people, poses.seconds, notes)
        try:
            self.spool.add(done)
        except OutputError:
            if overlay is not None:  # overlays of photos that are done exist, and no others
                (self.plan.out / overlay).unlink(missing_ok=True)
            raise
        self.written.add(name)
        if failure is not None:
            raise failure

    def _report(self, *, partial: bool) -> ImageReport:
        names = (source.name for source in self.plan.sources)
        return ImageReport(
            failures=[(name, self.failures[name]) for name in names if name in self.failures],
            resumed=len(self.spool.finished),
            partial=partial,
            interrupted=partial and self.stop.is_set(),
            full=partial and self.full.is_set(),
        )

    def _put_together(self, report: ImageReport) -> None:
        """Write the files of poses from the spooled rows, and fill in the report."""
        info = {**conditions(self.pipeline), **folder_of(self.plan.sources, self.plan.out)}
        writers: list[PoseWriter] = []
        with ExitStack() as stack:
            for form in self.job.formats:
                writers.append(form(self.plan.out / form.file, self.pipeline.estimator.skeleton, info))
                stack.callback(writers[-1].discard)
            for done in self.spool.read(self.plan.sources):
                report.rows.append(_row(done))
                size = {"width": done.width, "height": done.height}
                for writer in writers:
                    writer.add({"id": self.plan.ids[done.name], "file_name": done.name, **size}, done.people)
            for writer in writers:
                writer.close(partial=report.partial)
                report.written[writer.title] = writer.written
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
