"""Options of a run over clips, and its results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from mrpose_cli.drawing import Style
from mrpose_cli.formats.writer import DatasetWriter, PoseWriter
from mrpose_cli.jobs.report import RunReport
from mrpose_cli.media.video.clip import Window
from mrpose_cli.media.video.writer import CodecName
from mrpose_cli.pipeline.detectors.base import Detector
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD
from mrpose_cli.tracking.follow import Following


@dataclass(frozen=True, slots=True)
class VideoJob:
    """Options of one run of ``mrpose video``.

    Attributes:
        inputs: Clips, folders, globs, lists, links, numbers of cameras, as typed.
        out: Folder for everything that is written; None for ``mrpose-out`` or the first free
            ``mrpose-out-N``.
        recursive: Descend into folders within folders.
        window: The part of each clip that is wanted.
        boxes: COCO file to take the boxes from, as an earlier run wrote it.
        classes: Names of its categories that are wanted.
        whole_image: Every frame is one person.
        det_every: Detect on each Nth frame and carry the boxes through the others.
        following: How people are tracked from frame to frame; None for no tracking.
        keypoint_threshold: Joints that score this or more get v = 2 in the JSON, others v = 0.
        style: What overlays show.
        trail: Length of people's trails in overlays, in seconds.
        overlay: Write overlays at all.
        codec: What they are encoded with.
        crf: Their quality, lower is better; None for the codec's default.
        formats: The files of poses to write for each clip.
        motion: The movement files to write in the end, as `mrpose motion` calls them.
        show: Show the frames in a window.
        patience: Seconds for which a broken stream is tried again.
        overwrite: Replace files that exist.
    """

    inputs: Sequence[str]
    out: Path | None = None
    recursive: bool = False
    window: Window = field(default_factory=Window)
    boxes: Path | None = None
    classes: Sequence[str] = ("person",)
    whole_image: bool = False
    det_every: int = 1
    following: Following | None = None
    keypoint_threshold: float = KEYPOINT_THRESHOLD
    style: Style = field(default_factory=Style)
    trail: float = 0.0
    overlay: bool = True
    codec: CodecName = "h264"
    crf: int | None = None
    formats: Sequence[type[PoseWriter]] = (DatasetWriter,)
    motion: Sequence[str] = ()
    show: bool = False
    patience: float = 30.0
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class ClipSource:
    """One input to read.

    Attributes:
        location: A file, a link, or the number of a camera.
        name: Its name in messages.
        base: The name of its outputs without suffixes; a relative POSIX path.
    """

    location: Path | str | int
    name: str
    base: str


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """The clips to process and where the results go.

    Attributes:
        sources: The clips.
        problems: Inputs that gave none, with the reason.
        out: Output folder; claimed, if there are clips.
        detector: Where the boxes come from, if not from a network.
        live: Whether all sources are live, by what they are called.
    """

    sources: Sequence[ClipSource]
    problems: Sequence[tuple[str, str]]
    out: Path
    detector: Detector | None
    live: bool = False


@dataclass(slots=True)
class ClipRow:
    """The result for one clip that was read, whole or in part.

    Attributes:
        name: Its name in messages.
        outputs: The files that were written.
        frames: How many were processed.
        persons: People in all frames together.
        people: Ids that were given; None without tracking.
        jitter: Mean acceleration of joints before and after smoothing, box sides per second squared.
        seconds: Wall time.
        notes: Notes for the user.
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
    """The outcome of a run over clips.

    Attributes:
        rows: Clips of which something was done, in order.
    """

    rows: list[ClipRow] = field(default_factory=list)
