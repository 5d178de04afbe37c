"""``mrpose image``: photos in; overlays, COCO JSON and a report out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mrpose_cli.atomic import writing
from mrpose_cli.coco.boxes import read_boxes
from mrpose_cli.coco.ids import image_ids
from mrpose_cli.coco.writer import DatasetWriter, ResultsWriter
from mrpose_cli.drawing import Style, draw_poses
from mrpose_cli.errors import UsageError
from mrpose_cli.jobs.common import conditions, few_threads, free_folder, reason_of, refuse_to_replace
from mrpose_cli.media.images import Photo, overlay_name, read_image, write_image
from mrpose_cli.media.inputs import Source, expand
from mrpose_cli.media.reader import read_ahead
from mrpose_cli.media.writer import BackgroundWriter
from mrpose_cli.pipeline.detectors.base import Detector, FileBoxes, WholeImage
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.poses import Frame, Poses

DATASET_FILE = "poses.json"
RESULTS_FILE = "results.json"

_READERS = 2
_AHEAD = 4  # decoded photos that wait; one of 30 megapixels is 90 MB
_WRITERS = 2


@dataclass(frozen=True, slots=True)
class ImageJob:
    """What the user wants.

    Attributes:
        inputs: Photos, folders, globs, lists, links, as typed.
        out: Folder for everything that is written; None for ``mrpose-out`` or the first free
            ``mrpose-out-N``.
        recursive: Descend into folders within folders.
        boxes: COCO file to take the boxes from.
        whole_image: Every photo is one person.
        style: What overlays show; its threshold also decides v in the JSON.
        overlay: Write overlays at all.
        results: Write COCO's leaderboard form, too.
        overwrite: Replace files that exist.
    """

    inputs: Sequence[str]
    out: Path | None = None
    recursive: bool = False
    boxes: Path | None = None
    whole_image: bool = False
    style: Style = field(default_factory=Style)
    overlay: bool = True
    results: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """What that comes to.

    Attributes:
        sources: The photos.
        problems: Inputs that gave none, with the reason.
        out: Folder of all that is written; it exists.
        ids: Image ids by photo name.
        detector: Where the boxes come from, if not from a network.
        unboxed: Photos that the boxes file does not name.
    """

    sources: Sequence[Source]
    problems: Sequence[tuple[str, str]]
    out: Path
    ids: Mapping[str, int]
    detector: Detector | None
    unboxed: frozenset[str]


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """One photo that was done.

    Attributes:
        name: The photo's name.
        persons: How many people were found.
        mean_score: Mean person score, None without people.
        seconds: Detector and pose network time spent on it, its share of shared batches.
        notes: What the user may want to know about the photo.
    """

    name: str
    persons: int
    mean_score: float | None
    seconds: float
    notes: tuple[str, ...]


@dataclass(slots=True)
class ImageReport:
    """What was done.

    Attributes:
        dataset: The COCO JSON.
        results: The leaderboard JSON, if one was asked for.
        rows: Photos that were done, in order.
        failures: Name and reason of photos that failed.
        seconds: Wall time; loading the models is not included.
        stages: Wall time by stage of the main thread, in seconds.
        interrupted: Whether the user ended the run early.
    """

    dataset: Path
    results: Path | None
    rows: list[PhotoRow] = field(default_factory=list)
    failures: list[tuple[str, str]] = field(default_factory=list)
    seconds: float = 0.0
    stages: dict[str, float] = field(default_factory=dict)
    interrupted: bool = False

    @property
    def persons(self) -> int:
        """People in all photos."""
        return sum(row.persons for row in self.rows)


def prepare(job: ImageJob) -> ImagePlan:
    """Find the photos and see that nothing stands in the way, before any model is loaded.

    Raises:
        UsageError: a boxes file that cannot be used, files that would be replaced, contradicting wishes.
        OutputError: the output folder cannot be made.
    """
    if job.boxes and job.whole_image:
        raise UsageError("--boxes and --whole-image contradict each other; pass one of them")
    out = job.out or free_folder()
    sources, problems = expand(job.inputs, recursive=job.recursive, exclude=out)
    names = [source.name for source in sources]
    detector: Detector | None = WholeImage() if job.whole_image else None
    known: Mapping[str, int] = {}
    if job.boxes and sources:
        file = read_boxes(job.boxes)
        known = file.match(names)
        if not known:
            raise UsageError(f"{job.boxes} names none of the photos, neither by file name nor by number")
        found = {name: file.boxes[image_id] for name, image_id in known.items() if image_id in file.boxes}
        detector = FileBoxes(found, file.name)
    if sources:
        with writing(out):
            out.mkdir(parents=True, exist_ok=True)
        _check_targets(job, out, sources)
    return ImagePlan(
        sources=sources,
        problems=[(problem.name, problem.message) for problem in problems],
        out=out,
        ids=image_ids(names, known),
        detector=detector,
        unboxed=frozenset(names) - known.keys() if job.boxes else frozenset(),
    )


def _check_targets(job: ImageJob, out: Path, sources: Sequence[Source]) -> None:
    targets = [out / DATASET_FILE]
    if job.results:
        targets.append(out / RESULTS_FILE)
    if job.overlay:
        targets += [out / source.name for source in sources]
    refuse_to_replace(targets, sources, overwrite=job.overwrite)


def run_images(
    job: ImageJob, plan: ImagePlan, pipeline: Pipeline, on_photo: Callable[[int], None] = lambda persons: None
) -> ImageReport:
    """Work through the photos; one that fails is reported and the rest goes on.

    Args:
        job: What the user wants.
        plan: What :func:`prepare` made of it.
        pipeline: The models.
        on_photo: Told of every photo that is through, with its number of people.

    Raises:
        OutputError: a JSON file cannot be written.
    """
    start = time.perf_counter()
    clock = pipeline.clock
    report = ImageReport(plan.out / DATASET_FILE, plan.out / RESULTS_FILE if job.results else None)
    waiting: dict[str, Photo] = {}  # read and not yet through the pipeline

    def frames() -> Iterator[Frame]:
        photos = read_ahead(plan.sources, read_image, workers=_READERS, ahead=_AHEAD)
        while True:
            with clock("wait for photos"):
                source, photo = next(photos, (None, None))
            if source is None:
                return
            if isinstance(photo, Photo):
                waiting[source.name] = photo
                yield Frame(photo.image, source.name)
            else:
                report.failures.append((source.name, reason_of(photo)))
                on_photo(0)

    with ExitStack() as stack:
        dataset = DatasetWriter(
            report.dataset,
            pipeline.estimator.skeleton,
            conditions(pipeline),
            keypoint_threshold=job.style.keypoint_threshold,
        )
        stack.callback(dataset.discard)
        results = ResultsWriter(report.results) if report.results else None
        if results:
            stack.callback(results.discard)
        try:
            with few_threads(pipeline), BackgroundWriter(workers=_WRITERS) as writer:
                for frame, poses in pipeline.stream(frames()):
                    photo = waiting.pop(frame.name)
                    with clock("write JSON"):
                        dataset.add(plan.ids[frame.name], frame.name, photo.image.shape[:2], poses)
                        if results:
                            results.add(plan.ids[frame.name], poses)
                    if job.overlay:
                        with clock("wait for overlays"):
                            writer.submit(frame.name, _write_overlay, plan.out, frame.name, photo, poses, job)
                    report.rows.append(_row(frame.name, photo, poses, plan))
                    on_photo(len(poses))
                with clock("wait for overlays"):
                    report.failures += [(name, reason_of(error)) for name, error in writer.close()]
        except KeyboardInterrupt:
            report.interrupted = True
        with clock("write JSON"):
            dataset.close(partial=report.interrupted)
            if results:
                results.close()
    report.seconds = time.perf_counter() - start
    report.stages = dict(clock.seconds)
    return report


def _write_overlay(out: Path, name: str, photo: Photo, poses: Poses, job: ImageJob) -> None:
    target = out / overlay_name(name, photo)
    # Photos in a format that is not written get a name of their own, which no check before has seen.
    if target.exists() and not job.overwrite:
        raise UsageError(f"{target} exists; replace it with --overwrite")
    write_image(target, draw_poses(photo.image, poses, job.style), like=photo)


def _row(name: str, photo: Photo, poses: Poses, plan: ImagePlan) -> PhotoRow:
    mean = float(np.mean(poses.person_scores)) if len(poses) else None
    notes = photo.notes
    if name in plan.unboxed:
        notes = (*notes, "not in the boxes file")
    return PhotoRow(name, len(poses), mean, poses.seconds, notes)
