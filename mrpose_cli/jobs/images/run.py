"""``mrpose image`` at work: from the photos to overlays and JSON."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mrpose_cli.cores import helpers
from mrpose_cli.disk import Reserve
from mrpose_cli.drawing import draw_poses
from mrpose_cli.errors import DiskFullError, OutputError, parameter
from mrpose_cli.evaluation.annotations import sha256_of
from mrpose_cli.formats.writer import PoseWriter, person_rows
from mrpose_cli.jobs.common import conditions, reason_of
from mrpose_cli.jobs.images.plan import (
    SPOOL_FILE,
    ImageJob,
    ImagePlan,
    ImageReport,
    PhotoRow,
)
from mrpose_cli.jobs.images.spool import Done, PhotoSpool, state_of
from mrpose_cli.jobs.outputs import folder_of
from mrpose_cli.jobs.photos import Admit, Held, PhotoStream
from mrpose_cli.media.images import overlay_name, read_image, write_image
from mrpose_cli.media.inputs import Source
from mrpose_cli.media.photo import Photo
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.pipeline.profile import Stage
from mrpose_cli.poses import Poses
from mrpose_cli.progress import Progress, Tally, silent
from mrpose_cli.write_behind import BackgroundWriter

_SPARE = 2**20  # bytes of the reserve before there are rows


@dataclass(slots=True, eq=False)
class _Todo:
    """A photo to be done, and which file it was when it was read."""

    source: Source
    state: Any = None


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
    written: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
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
        photos = PhotoStream(
            self.pipeline,
            map(_Todo, todo),
            read=self._read,
            name=lambda item: item.source.name,
            halted=lambda: self.stop.is_set() or self.full.is_set(),
            failed=self._fail,
        ).posed()
        with BackgroundWriter(workers=helpers()) as writer, closing(photos):
            for held, poses in photos:
                with clock(Stage.WAIT_FOR_OVERLAYS):
                    writer.submit(held.item.source.name, self._write, held, poses)
                self.tally.add(len(poses))
                if reserve is not None:
                    reserve.grow(_SPARE + self.spool.size * 2 * len(self.job.formats))
                    if reserve.spent:
                        self.full.set()
                del held, poses  # pixels are not to be held while the next photo is waited for
            with clock(Stage.WAIT_FOR_OVERLAYS):
                writer.close()

    def _read(self, item: _Todo, admit: Admit) -> Photo:
        item.state = state_of(item.source)
        return read_image(item.source, admit=admit)

    def _fail(self, item: _Todo, error: Exception) -> None:
        self.failures[item.source.name] = reason_of(error)
        self.tally.add()

    def _write(self, held: Held[_Todo], poses: Poses) -> None:
        """Write the outputs of a photo; run by a thread."""
        name = held.item.source.name
        try:
            if not self.full.is_set():
                self._write_all(name, held.item.state, held.take(), poses)
        except DiskFullError:
            self.full.set()
        except Exception as error:
            self.failures[name] = reason_of(error)
        finally:
            held.release()

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
        info = {**conditions(self.pipeline), **folder_of(self.plan.sources)}
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
