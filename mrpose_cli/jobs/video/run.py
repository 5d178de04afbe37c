"""A whole run: find the clips, see that nothing stands in the way, work through them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from mrpose_cli.claim import Claim
from mrpose_cli.drawing.faces import check_heads
from mrpose_cli.errors import InputError, OutputError, UsageError, contradiction, parameter
from mrpose_cli.formats.boxes import read_boxes
from mrpose_cli.jobs.motion.outputs import check, refuse_movement
from mrpose_cli.jobs.outputs import DEFAULT_OUT, refuse_to_replace
from mrpose_cli.jobs.video.clip import run_clip
from mrpose_cli.jobs.video.options import ClipRow, ClipSource, VideoJob, VideoPlan, VideoReport
from mrpose_cli.media.inputs import CLIPS, expand
from mrpose_cli.media.video.live import is_live
from mrpose_cli.media.video.window import PreviewWindow, check_display
from mrpose_cli.media.video.writer import SUFFIXES, check_encoder
from mrpose_cli.motion.options import MotionOptions
from mrpose_cli.pipeline.detectors.base import Detector, FileBoxes, WholeImage
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.progress import Progress, silent


@contextmanager
def prepare(job: VideoJob) -> Iterator[VideoPlan]:
    """Find the clips and check that nothing prevents the run, before any model is loaded.

    Yields:
        The plan; its folder is this run's alone until the block ends.

    Raises:
        UsageError: conflicting options, a boxes file that cannot be used, files that would be replaced, a
            folder that another run writes into.
        OutputError: the output folder cannot be made.
    """
    if job.boxes and job.whole_image:
        raise contradiction("boxes", "whole_image")
    if job.window.end is not None and job.window.end <= job.window.start:
        raise UsageError(f"{parameter('end')} lies before {parameter('start')}")
    if job.overlay:
        check_encoder(job.codec, job.crf)
    if job.motion:
        check(MotionOptions(), job.motion)
    if job.show:
        check_display()
    cameras = [entry for entry in job.inputs if entry.isdecimal() and not Path(entry).exists()]
    others = [entry for entry in job.inputs if entry not in cameras]
    found, problems = expand(others, recursive=job.recursive, exclude=job.out, kind=CLIPS)
    names = [source.name for source in found]
    sources = [
        ClipSource(source.location, source.name, base)
        for source, base in zip(found, _bases(names), strict=True)
    ]
    sources += [
        ClipSource(int(camera), f"camera {int(camera)}", f"camera{int(camera)}") for camera in cameras
    ]
    detector: Detector | None = WholeImage() if job.whole_image else None
    if job.boxes and sources:
        detector = _boxes(job, job.boxes, sources)
    with ExitStack() as stack:
        out = job.out or Path(DEFAULT_OUT)
        if sources:
            claim = stack.enter_context(Claim(job.out) if job.out else Claim.first_free(DEFAULT_OUT))
            out = claim.folder
            targets = [out / f"{source.base}{suffix}" for source in sources for suffix in _suffixes(job)]
            refuse_to_replace(targets, found, overwrite=job.overwrite)
            for source in sources if job.motion else ():
                refuse_movement(out / source.base, job.motion, overwrite=job.overwrite)
            claim.clean({target.parent for target in targets})
        live = all(is_live(source.location) for source in sources)
        yield VideoPlan(sources, [(one.name, one.message) for one in problems], out, detector, live)


def _bases(names: Sequence[str]) -> list[str]:
    """Return the names without their suffixes, where that leaves no two alike."""
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    uses = Counter(stem.casefold() for stem in stems)
    return [stem if uses[stem.casefold()] == 1 else name for name, stem in zip(names, stems, strict=True)]


def _suffixes(job: VideoJob) -> list[str]:
    """Return the suffixes of all files that a clip may produce; the overlay's container is not known yet."""
    return [
        *(SUFFIXES if job.overlay else ()),
        *(suffix for form in job.formats for suffix in form.suffixes()),
    ]


def _boxes(job: VideoJob, path: Path, sources: Sequence[ClipSource]) -> Detector:
    file = read_boxes(path, job.classes)
    frames = {name: file.boxes[number] for name, number in file.ids.items() if number in file.boxes}
    if not any(name.startswith(f"{source.base}/") for source in sources for name in file.ids):
        raise UsageError(
            f"{path} names no frame of these clips, like {sources[0].base}/000012.jpg; pass the JSON of an "
            "earlier mrpose video"
        )
    return FileBoxes(frames, file.name)


def run_videos(
    job: VideoJob,
    plan: VideoPlan,
    pipeline: Pipeline,
    stop: threading.Event,
    progress: Progress = silent,
    *,
    on_row: Callable[[ClipRow], None] = lambda row: None,
) -> VideoReport:
    """Process the clips; one that fails is reported and the rest continues.

    Args:
        job: The options of the run.
        plan: What :func:`prepare` made of it.
        pipeline: The models.
        stop: Ends the run when it is set; what was done until then is finished properly.
        progress: Called with the progress.
        on_row: Called with every clip that is finished.

    Raises:
        UsageError: there is no display to show anything on, or no joint of faces that are to be blurred.
    """
    if job.style.blur_faces:
        check_heads(pipeline.estimator.skeleton)
    start = time.perf_counter()
    report = VideoReport()
    window = PreviewWindow("mrpose") if job.show else None
    try:
        for source in plan.sources:
            if stop.is_set():
                break
            try:
                if report.rows and report.rows[-1].full:
                    raise OutputError("not begun: no space left on the disk")
                row = run_clip(job, plan.out, source, pipeline, stop, progress, window)
            except (InputError, OutputError) as error:
                report.failures.append((source.name, str(error)))
                continue
            report.rows.append(row)
            if row.failure:
                report.failures.append((source.name, row.failure))
            on_row(row)
            if row.closed:
                break
    finally:
        if window is not None:
            window.close()
    report.interrupted = stop.is_set()
    report.seconds = time.perf_counter() - start
    report.stages = dict(pipeline.clock.seconds)
    return report
