"""What a report holds. ``report.json`` is this, so fields are only ever added.

All figures are percentages. None stands for a figure that has nothing to be computed from.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mrpose_cli.atomic import replacing
from mrpose_cli.errors import UsageError
from mrpose_cli.formats.reader import read_json

Figure = float | None


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class CocoFigures(_Part):
    """pycocotools' ten figures."""

    kind: Literal["coco"] = "coco"
    ap: Figure
    ap50: Figure
    ap75: Figure
    ap_m: Figure
    ap_l: Figure
    ar: Figure
    ar50: Figure
    ar75: Figure
    ar_m: Figure
    ar_l: Figure


class PckRow(_Part):
    """The share of joints within a distance, by kind of joint."""

    name: str = Field(description="for instance PCKh@0.5")
    threshold: float = Field(description="share of the head's or the torso's size")
    head: Figure
    shoulder: Figure
    elbow: Figure
    wrist: Figure
    hip: Figure
    knee: Figure
    ankle: Figure
    total: Figure


class PckFigures(_Part):
    """PCKh (MPII) or PCK by torso (LSP)."""

    kind: Literal["pckh", "pck"]
    rows: tuple[PckRow, ...]
    notes: tuple[str, ...] = Field(default=(), description="what to know about how they were computed")


class BoxPck(_Part):
    """The share of labelled joints that lie near where they belong, relative to the size of the box."""

    name: str = Field(description="for instance PCK@0.1")
    threshold: float = Field(description="share of the longer side of the annotated box")
    total: Figure
    joints: dict[str, Figure]


class DatasetConditions(_Part):
    """The data that the evaluation ran on."""

    kind: Literal["coco", "mpii", "lsp"]
    annotations: str
    sha256: str
    name: str | None = Field(description="of the dataset, where the file is known to be all of it")
    images: int = Field(description="evaluated")
    images_sha256: str | None = Field(default=None, description="of their ids, ascending, one a line")
    persons: int = Field(description="evaluated, with a labelled joint")
    joints: str | None = Field(default=None, description="the skeleton's name")
    sigmas: str | None = Field(default=None, description="where OKS's sigmas come from")
    images_in_file: int
    selection: str | None = Field(description="--flags, --limit or --ids as given")
    missing: tuple[str, ...] = Field(description="images that are not there, left out of the figures")
    unreadable: tuple[str, ...] = Field(description="images that could not be read, evaluated without poses")


class ModelConditions(_Part):
    """The model that estimated the poses."""

    name: str
    weights: str
    sha256: str
    joints: str | None = Field(default=None, description="the skeleton's name")
    own_weights: bool = Field(description="--weights, not the checkpoint of this name")
    input_size: tuple[int, int] = Field(description="height, width")
    color: str
    padding: tuple[float, float]
    decode: str
    flip: bool
    flip_shift: bool
    person_score: str
    dtype: str
    device: str
    engine: str | None = Field(default=None, description="the library that computed")


class BoxConditions(_Part):
    """Where the person boxes came from."""

    kind: Literal["ground truth", "file", "detector", "centre and scale"]
    name: str
    sha256: str | None = Field(description="of the boxes file or the detector's weights")
    persons: int = Field(description="how many boxes")
    rule: str | None = Field(default=None, description="how ground truth was cut at the pictures' edges")
    classes: str | None = Field(default=None, description="what the detector was asked for")
    confidence: float | None = Field(default=None, description="boxes below were dropped")
    iou: float | None = Field(default=None, description="NMS threshold of detectors that need NMS")
    size: int | None = Field(default=None, description="longer side of the detector's input")
    engine: str | None = Field(default=None, description="the library that ran the detector")
    dtype: str | None = Field(default=None, description="what it computed in")


class PredictionConditions(_Part):
    """A results file that was scored as it is."""

    name: str
    sha256: str
    persons: int


class Conditions(_Part):
    """Everything a figure depends on."""

    command: tuple[str, ...]
    dataset: DatasetConditions
    model: ModelConditions | None
    boxes: BoxConditions | None
    predictions: PredictionConditions | None
    suppression: str | None = Field(description="OKS-NMS as applied, None for a results file")
    exif: Literal["ignored"] = "ignored"
    ranks: int
    versions: dict[str, str]


class Published(_Part):
    """A published figure of the checkpoint beside the measured one."""

    figure: float
    measured: float
    difference: float
    dataset: str
    boxes: str
    flip: bool | None
    decode: str | None
    source: str
    same_conditions: bool
    differences: tuple[str, ...] = Field(description="conditions that differ, in words")


class Slice(_Part):
    """AP and AR of a part of the people, or of their joints."""

    name: str
    persons: int
    joints: int | None = Field(default=None, description="labelled joints; for groups of joints only")
    ap: Figure
    ar: Figure


class Breakdown(_Part):
    """AP by groups of joints and of people."""

    joints: tuple[Slice, ...]
    size: tuple[Slice, ...]
    visible: tuple[Slice, ...]
    crowding: tuple[Slice, ...]


class JointMistakes(_Part):
    """What became of the labelled joints called ``joint``, in numbers of joints."""

    joint: str
    labelled: int
    good: int
    jitter: int
    inversion: int
    swap: int
    miss: int
    not_found: int = Field(description="the person was not found at all")


class Mistakes(_Part):
    """What goes wrong, in the manner of Ronchi & Perona (ICCV 2017)."""

    joints: tuple[JointMistakes, ...]
    total: JointMistakes
    mended: dict[str, Figure] = Field(description="AP if all joints with this one mistake were right")
    persons: int = Field(description="people with labelled joints")
    persons_found: int
    background: int = Field(description="predictions that are nobody")


class Bin(_Part):
    """The outcome of the scores between ``low`` and ``high``."""

    low: float
    high: float
    count: int
    score: Figure = Field(description="mean score in the bin, 0..1")
    outcome: Figure = Field(description="mean outcome in the bin, 0..1")


class Reliability(_Part):
    """How well scores match outcomes."""

    outcome: str
    bins: tuple[Bin, ...]
    error: Figure = Field(description="mean distance of score and outcome over the bins, 0..1")


class Calibration(_Part):
    """Scores compared with their outcomes."""

    persons: Reliability
    joints: Reliability
    ap_ranked_by_oks: Figure = Field(description="AP if the scores ranked the people perfectly")


class Curve(_Part):
    """Precision over recall 0, 0.01, ..., 1 at one OKS."""

    oks: float
    precision: tuple[float, ...]


class WorstPerson(_Part):
    """An annotated person who was estimated badly, the worst first."""

    image: str
    annotation: int
    similarity: float = Field(description="OKS; for PCK datasets the share of joints within the threshold")
    labelled: int


class Timing(_Part):
    """How long it took."""

    predict: float = Field(description="seconds from the first image to the last pose")
    score: float = Field(description="seconds for the figures and breakdowns")
    persons_per_second: Figure
    forward_share: Figure = Field(description="share of predict spent in forward passes, in percent")
    stages: dict[str, float] = Field(description="seconds by stage of the main thread")
    resumed_images: int = Field(description="images that were done before --resume")


class Report(_Part):
    """One evaluation."""

    format: Literal[1] = 1
    mrpose: str
    conditions: Conditions
    figures: Annotated[CocoFigures | PckFigures, Field(discriminator="kind")]
    published: tuple[Published, ...] = ()
    pck: tuple[BoxPck, ...] = ()
    breakdown: Breakdown | None = None
    mistakes: Mistakes | None = None
    calibration: Calibration | None = None
    curves: tuple[Curve, ...] = ()
    worst: tuple[WorstPerson, ...] = ()
    timing: Timing


def write_report(path: Path, report: Report) -> None:
    """Write a report as JSON, whole or not at all.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path, "x") as file:
        # pydantic's own writer takes no names that are not text, and writes null for NaN.
        json.dump(report.model_dump(mode="json"), file, indent=2, allow_nan=False)
        file.write("\n")


def read_report(path: Path) -> Report:
    """Read a report.

    Args:
        path: The file, or the folder it lies in as ``report.json``.

    Raises:
        UsageError: it cannot be read or is no report.
    """
    if path.is_dir():
        path = path / "report.json"
    content = read_json(path, "the report")
    try:
        return Report.model_validate(content)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        raise UsageError(f"{path} is not a report of mrpose eval ({place}: {problem['msg']})") from None
