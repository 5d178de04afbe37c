"""``mrpose image``: what is asked for, what that comes to, and what was done."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mrpose_cli.claim import Claim
from mrpose_cli.drawing import Style
from mrpose_cli.errors import UsageError, contradiction, parameter
from mrpose_cli.formats.boxes import read_boxes
from mrpose_cli.formats.ids import image_ids
from mrpose_cli.formats.writer import DatasetWriter, PoseWriter
from mrpose_cli.jobs.outputs import DEFAULT_OUT, refuse_to_replace
from mrpose_cli.jobs.report import RunReport
from mrpose_cli.media.images import possible_overlays
from mrpose_cli.media.inputs import PHOTO_SUFFIXES, Source, expand
from mrpose_cli.pipeline.detectors.base import Detector, FileBoxes, WholeImage
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD

SPOOL_FILE = "unfinished.jsonl"


@dataclass(frozen=True, slots=True)
class ImageJob:
    """Options of one run of ``mrpose image``.

    Attributes:
        inputs: Photos, folders, globs, lists, links, as typed.
        out: Folder for everything that is written; None for ``mrpose-out`` or the first free
            ``mrpose-out-N``.
        recursive: Descend into folders within folders.
        boxes: COCO file to take the boxes from.
        classes: Names of its categories that are wanted.
        whole_image: Every photo is one person.
        keypoint_threshold: Joints that score this or more get v = 2 in the JSON, others v = 0.
        style: What overlays show.
        overlay: Write overlays at all.
        formats: The files of poses to write.
        overwrite: Replace files that exist, and start over where a run was not finished.
        resume: Continue an unfinished run: the one in ``out``, or the last of those in
            ``mrpose-out-N``.
        settings: Flags that the outputs depend on, and files by their path; a run is resumed with the same.
    """

    inputs: Sequence[str]
    out: Path | None = None
    recursive: bool = False
    boxes: Path | None = None
    classes: Sequence[str] = ("person",)
    whole_image: bool = False
    keypoint_threshold: float = KEYPOINT_THRESHOLD
    style: Style = field(default_factory=Style)
    overlay: bool = True
    formats: Sequence[type[PoseWriter]] = (DatasetWriter,)
    overwrite: bool = False
    resume: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """The photos to process and where the results go.

    Attributes:
        sources: The photos.
        problems: Inputs that gave none, with the reason.
        out: Output folder; claimed, if there are photos.
        ids: Image ids by photo name.
        detector: Where the boxes come from, if not from a network.
        unboxed: Photos that the boxes file does not name.
        passed_over: Whether there are photos in ``out``, which were skipped.
    """

    sources: Sequence[Source]
    problems: Sequence[tuple[str, str]]
    out: Path
    ids: Mapping[str, int]
    detector: Detector | None
    unboxed: frozenset[str]
    passed_over: bool


@dataclass(frozen=True, slots=True)
class PhotoRow:
    """The result for one photo.

    Attributes:
        name: The photo's name.
        persons: How many people were found.
        mean_score: Mean person score, None without people.
        seconds: Detector and pose network time spent on it, its share of shared batches.
        notes: Notes for the user about the photo.
    """

    name: str
    persons: int
    mean_score: float | None
    seconds: float
    notes: tuple[str, ...]


@dataclass(slots=True)
class ImageReport(RunReport):
    """The outcome of a run over photos.

    Attributes:
        written: The files of poses by their titles.
        rows: Photos that were done, in order.
        resumed: How many of the photos an earlier run had done.
    """

    written: dict[str, Path] = field(default_factory=dict)
    rows: list[PhotoRow] = field(default_factory=list)
    resumed: int = 0

    @property
    def persons(self) -> int:
        """People in all photos."""
        return sum(row.persons for row in self.rows)


@contextmanager
def prepare(job: ImageJob) -> Iterator[ImagePlan]:
    """Find the photos and check that nothing prevents the run, before any model is loaded.

    Yields:
        The plan; its folder is this run's alone until the block ends.

    Raises:
        UsageError: a boxes file that cannot be used, files that would be replaced, a folder that another run
            writes into, nothing to resume, conflicting options.
        OutputError: the output folder cannot be made.
    """
    if job.boxes and job.whole_image:
        raise contradiction("boxes", "whole_image")
    if job.resume and job.overwrite:
        raise contradiction("resume", "overwrite")
    with ExitStack() as stack:
        claim = stack.enter_context(_claim_unfinished(job.out)) if job.resume else None
        out = claim.folder if claim else job.out
        excluded: list[Path] = []
        sources, problems = expand(
            job.inputs, recursive=job.recursive, exclude=out, on_excluded=excluded.append
        )
        names = [source.name for source in sources]
        detector: Detector | None = WholeImage() if job.whole_image else None
        known: Mapping[str, int] = {}
        if job.boxes and sources:
            file = read_boxes(job.boxes, job.classes)
            known = file.match(names)
            if not known:
                raise UsageError(f"{job.boxes} names none of the photos, neither by file name nor by number")
            found = {name: file.boxes[image_id] for name, image_id in known.items() if image_id in file.boxes}
            detector = FileBoxes(found, file.name)
        if sources:
            if claim is None:
                claim = stack.enter_context(Claim(out) if out else Claim.first_free(DEFAULT_OUT))
            out = claim.folder
            _check_folder(job, out, sources)
            claim.clean({(out / name).parent for name in names})
        yield ImagePlan(
            sources=sources,
            problems=[(problem.name, problem.message) for problem in problems],
            out=out or Path(DEFAULT_OUT),
            ids=image_ids(names, known),
            detector=detector,
            unboxed=frozenset(names) - known.keys() if job.boxes else frozenset(),
            passed_over=not job.resume and any(map(_holds_photos, excluded)),
        )


def _holds_photos(path: Path) -> bool:
    files = path.rglob("*") if path.is_dir() else [path]
    return any(file.suffix.lower() in PHOTO_SUFFIXES for file in files)


def _claim_unfinished(out: Path | None) -> Claim:
    """Claim the folder of a run that can be resumed; without ``out``, the last one that is free."""
    for folder in [out] if out else _default_folders():
        if not (folder / SPOOL_FILE).exists():
            continue
        try:
            claim = Claim(folder)
        except UsageError:
            if out:
                raise
            continue
        if (folder / SPOOL_FILE).exists():  # it may have been finished meanwhile
            return claim
        claim.release()
    raise UsageError(f"there is no unfinished run in {out or f'{DEFAULT_OUT} or {DEFAULT_OUT}-N'} to resume")


def _default_folders() -> list[Path]:
    """Return ``mrpose-out`` and ``mrpose-out-N``, as far as they exist, the last one first."""
    numbers = {
        int(match[1] or 1): folder
        for folder in Path().glob(f"{DEFAULT_OUT}*")
        if (match := re.fullmatch(rf"{DEFAULT_OUT}(?:-(\d+))?", folder.name))
    }
    return [numbers[number] for number in sorted(numbers, reverse=True)]


def _check_folder(job: ImageJob, out: Path, sources: Sequence[Source]) -> None:
    if (out / SPOOL_FILE).exists() and not job.resume and not job.overwrite:
        raise UsageError(
            f"{out} holds an unfinished run; go on with {parameter('resume')}, or start over in it with "
            f"{parameter('overwrite')}"
        )
    targets = [out / form.file for form in job.formats]
    if job.overlay:
        targets += [out / name for source in sources for name in possible_overlays(source.name)]
    # Where a run is resumed, what is there is its own: it was checked when it began.
    refuse_to_replace(targets, sources, overwrite=job.overwrite or job.resume)
