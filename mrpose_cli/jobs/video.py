"""``mrpose video``: clips, cameras and streams in; overlays, COCO JSON and lines of poses out."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mrpose_cli.claim import Claim
from mrpose_cli.coco.boxes import read_boxes
from mrpose_cli.coco.writer import DatasetWriter, PoseWriter
from mrpose_cli.drawing import Style
from mrpose_cli.errors import InputError, OutputError, UsageError
from mrpose_cli.jobs.common import DEFAULT_OUT, RunReport, refuse_to_replace
from mrpose_cli.media.inputs import CLIPS, InputProblem, expand
from mrpose_cli.media.video import Window
from mrpose_cli.media.video_window import PreviewWindow, check_display
from mrpose_cli.media.video_writer import SUFFIXES, CodecName, check_encoder
from mrpose_cli.pipeline.detectors.base import Detector, FileBoxes, WholeImage
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.progress import Progress, silent
from mrpose_cli.tracking.follow import Following

# What the stages of the clock are to the user; the slowest one sets the speed.
_STAGES = {
    "reading": ("read frames",),
    "detector": ("letterbox", "detector"),
    "pose network": ("crop", "normalise", "pose network", "decode", "collect"),
    "drawing": ("draw",),
    "writing": ("encode", "write poses"),
}


@dataclass(frozen=True, slots=True)
class VideoJob:
    """What the user wants.

    Attributes:
        inputs: Clips, folders, globs, lists, links, numbers of cameras, as typed.
        out: Folder for everything that is written; None for ``mrpose-out`` or the first free
            ``mrpose-out-N``.
        recursive: Descend into folders within folders.
        window: The part of each clip that is wanted.
        boxes: COCO file to take the boxes from, as an earlier run wrote it.
        whole_image: Every frame is one person.
        det_every: Detect on each Nth frame and carry the boxes through the others.
        following: What is done with people from frame to frame; None for nothing.
        style: What overlays show; its threshold also decides v in the JSON.
        trail: Seconds of people's ways that overlays show.
        overlay: Write overlays at all.
        codec: What they are encoded with.
        crf: Their quality, lower is better; None for the codec's default.
        formats: The files of poses to write for each clip.
        show: Show the frames in a window.
        patience: Seconds for which a broken stream is tried again.
        overwrite: Replace files that exist.
    """

    inputs: Sequence[str]
    out: Path | None = None
    recursive: bool = False
    window: Window = field(default_factory=Window)
    boxes: Path | None = None
    whole_image: bool = False
    det_every: int = 1
    following: Following | None = None
    style: Style = field(default_factory=Style)
    trail: float = 0.0
    overlay: bool = True
    codec: CodecName = "h264"
    crf: int | None = None
    formats: Sequence[type[PoseWriter]] = (DatasetWriter,)
    show: bool = False
    patience: float = 30.0
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class ClipSource:
    """One thing to read.

    Attributes:
        location: A file, a link, or the number of a camera.
        name: What the user knows it as.
        base: What its outputs are called, suffixes aside; a relative POSIX path.
    """

    location: Path | str | int
    name: str
    base: str


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """What the job comes to.

    Attributes:
        sources: The clips.
        problems: Inputs that gave none, with the reason.
        out: Folder of all that is written; claimed, if there are clips.
        detector: Where the boxes come from, if not from a network.
    """

    sources: Sequence[ClipSource]
    problems: Sequence[tuple[str, str]]
    out: Path
    detector: Detector | None


@dataclass(slots=True)
class ClipRow:
    """One clip that was read, whole or in part.

    Attributes:
        name: What the user knows it as.
        outputs: The files that were written.
        frames: How many went through.
        persons: People in all frames together.
        people: Ids that were given; None without tracking.
        jitter: Mean acceleration of joints before and after smoothing, box sides per second squared.
        seconds: Wall time.
        notes: What the user may want to know.
        failure: Why not all of it was done; empty if all was.
        full: Whether that is because the disk is full.
        closed: Whether the user closed the window.
    """

    name: str
    outputs: list[Path] = field(default_factory=list)
    frames: int = 0
    persons: int = 0
    people: int | None = None
    jitter: tuple[float | None, float | None] = (None, None)
    seconds: float = 0.0
    notes: list[str] = field(default_factory=list)
    failure: str = ""
    full: bool = False
    closed: bool = False


@dataclass(slots=True)
class VideoReport(RunReport):
    """What was done.

    Attributes:
        rows: Clips of which something was done, in order.
    """

    rows: list[ClipRow] = field(default_factory=list)


@contextmanager
def prepare(job: VideoJob) -> Iterator[VideoPlan]:
    """Find the clips and see that nothing stands in the way, before any model is loaded.

    Yields:
        The plan; its folder is this run's alone until the block ends.

    Raises:
        UsageError: contradicting wishes, a boxes file that cannot be used, files that would be replaced, a
            folder that another run writes into.
        OutputError: the output folder cannot be made.
    """
    if job.boxes and job.whole_image:
        raise UsageError("--boxes and --whole-image contradict each other; pass one of them")
    if job.window.end is not None and job.window.end <= job.window.start:
        raise UsageError("--end lies before --start")
    if job.overlay:
        check_encoder(job.codec, job.crf)
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
        detector = _boxes(job.boxes, sources)
    with ExitStack() as stack:
        out = job.out or Path(DEFAULT_OUT)
        if sources:
            claim = stack.enter_context(Claim(job.out) if job.out else Claim.first_free(DEFAULT_OUT))
            out = claim.folder
            targets = [out / f"{source.base}{suffix}" for source in sources for suffix in _suffixes(job)]
            refuse_to_replace(targets, found, overwrite=job.overwrite)
            claim.clean({target.parent for target in targets})
        yield VideoPlan(sources, [_told(problem) for problem in problems], out, detector)


def _told(problem: InputProblem) -> tuple[str, str]:
    return problem.name, problem.message


def _bases(names: Sequence[str]) -> list[str]:
    """The names without their suffixes, where that leaves no two alike."""
    stems = [str(PurePosixPath(name).with_suffix("")) for name in names]
    uses = Counter(stem.casefold() for stem in stems)
    return [stem if uses[stem.casefold()] == 1 else name for name, stem in zip(names, stems, strict=True)]


def _suffixes(job: VideoJob) -> list[str]:
    """Suffixes of all files that a clip may come to; the overlay's container is not known yet."""
    return [
        *(SUFFIXES if job.overlay else ()),
        *(suffix for form in job.formats for suffix in form.suffixes()),
    ]


def _boxes(path: Path, sources: Sequence[ClipSource]) -> Detector:
    file = read_boxes(path)
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
    """Work through the clips; one that fails is reported and the rest goes on.

    Args:
        job: What the user wants.
        plan: What :func:`prepare` made of it.
        pipeline: The models.
        stop: Ends the run when it is set; what was done until then is finished properly.
        progress: Told how it goes.
        on_row: Told of every clip that is through.

    Raises:
        UsageError: there is no display to show anything on.
    """
    from mrpose_cli.jobs.video_clip import run_clip

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


def busy_seconds(stages: Mapping[str, float]) -> dict[str, float]:
    """Seconds that each part of the work was busy, by what the user calls it."""
    return {name: sum(stages.get(stage, 0.0) for stage in members) for name, members in _STAGES.items()}


def slowest(stages: Mapping[str, float]) -> str:
    """The part of the work that sets the speed; empty before anything was done."""
    busy = busy_seconds(stages)
    name = max(busy, key=lambda part: busy[part])
    return name if busy[name] else ""
