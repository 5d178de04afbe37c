"""Options of an evaluation, and the results of its parts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from mrpose_cli.evaluation.report import (
    BoxConditions,
    BoxPck,
    Breakdown,
    Calibration,
    CocoFigures,
    Curve,
    DatasetConditions,
    Mistakes,
    PckFigures,
    PredictionConditions,
)
from mrpose_cli.evaluation.sheet import WorstCase
from mrpose_cli.jobs.evaluate.predict import Shot
from mrpose_cli.jobs.evaluate.spool import ImagePoses
from mrpose_cli.pipeline.options import EVALUATION, ModelOptions
from mrpose_cli.skeletons import Skeleton
from mrpose_cli.weights.manifest import PoseEntry

Kind = Literal["coco", "mpii", "lsp"]
Suppression = Literal["hard", "soft", "none"]


@dataclass(frozen=True, slots=True)
class EvalJob:
    """Options of one run of ``mrpose eval``.

    Attributes:
        annotations: The dataset's file.
        images: The folder of its images; not needed for a results file without pictures.
        dataset: How to read the file, and which figures to compute.
        predictions: A results file to score in place of running models.
        boxes: ``"gt"``, ``"yolo"`` for the default detector, a detector's name, or a COCO file.
        gt_boxes: How ground truth boxes are cut at the pictures' edges; ``"auto"`` is as in the code that
            the checkpoint comes from.
        models: Which models.
        heads: MPII's head boxes, where the annotations do not hold them.
        thresholds: PCK thresholds, shares of the torso's size.
        suppression: Which OKS-NMS to apply.
        oks_threshold: Threshold of OKS-NMS.
        limit: Evaluate the first N images.
        flags: A file of flags of ``mrpose view``; people of the annotations with one are left out.
        ids: Evaluate these images: ids (COCO) or file names, divided by commas, or a file with one a line.
        strict: A missing or unreadable image is an error.
        out: Output folder; None for ``mrpose-eval`` or the first free ``mrpose-eval-N``.
        resume: Continue what is in the folder.
        overwrite: Start over in it.
        worst: How many people to show on the contact sheet.
        html: Write the page, too.
        workers: Processes that decode images; 0 for threads, None for what suits the device.
        command: The command line, for the report.
    """

    annotations: Path
    images: Path | None = None
    dataset: Kind = "coco"
    predictions: Path | None = None
    boxes: str = "gt"
    gt_boxes: Literal["auto", "authors", "mmpose"] = "auto"
    models: ModelOptions = EVALUATION
    heads: Path | None = None
    thresholds: tuple[float, ...] = (0.2, 0.1)
    suppression: Suppression = "hard"
    oks_threshold: float = 0.9
    limit: int | None = None
    flags: Path | None = None
    ids: str | None = None
    strict: bool = False
    out: Path | None = None
    resume: bool = False
    overwrite: bool = False
    worst: int = 0
    html: bool = False
    workers: int | None = None
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Scored:
    """The results of scoring.

    Attributes:
        figures: COCO's or PCK's.
        pck: For COCO, as the following four.
        breakdown: AP by groups of joints and of people.
        mistakes: Kinds of mistakes.
        calibration: How well scores match outcomes.
        curves: Precision over recall.
        worst: The worst people, the worst first, as many as requested.
    """

    figures: CocoFigures | PckFigures
    pck: tuple[BoxPck, ...] = ()
    breakdown: Breakdown | None = None
    mistakes: Mistakes | None = None
    calibration: Calibration | None = None
    curves: tuple[Curve, ...] = ()
    worst: tuple[WorstCase, ...] = ()


class Task(Protocol):
    """A dataset that is ready to be run and scored.

    Attributes:
        shots: The images to be run; none for a results file.
        missing: Names of images that should be run and are not there.
        boxes: Where the boxes come from; None for a results file.
        detector: Name or file of the detector that is to find the people, if one is.
        predictions: The results file, if one is to be scored.
        suppression: OKS-NMS in words; None where there is none.
        estimated: How many people were estimated, before suppression; known after :meth:`score`.
    """

    shots: tuple[Shot, ...]
    missing: tuple[str, ...]
    boxes: BoxConditions | None
    detector: str | None
    predictions: PredictionConditions | None
    suppression: str | None
    estimated: int

    def fit(self, entry: PoseEntry) -> None:
        """Prepare for a checkpoint.

        Raises:
            UsageError: its joints are not the dataset's.
        """
        ...

    def score(self, poses: Iterable[ImagePoses], results: Path, skeleton: Skeleton | None) -> Scored:
        """Compute the figures, and write the results file if poses were predicted."""
        ...

    def conditions(self) -> DatasetConditions:
        """Return what was evaluated on; complete after :meth:`score`."""
        ...
