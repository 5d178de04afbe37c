"""Evaluation by COCO's protocol."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from mrpose_cli.atomic import replacing
from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.evaluation.annotations import (
    Annotations,
    ImageRow,
    leave_out,
    read_annotations,
    sha256_of,
)
from mrpose_cli.evaluation.boxes import BoxRule, ground_truth_boxes
from mrpose_cli.evaluation.breakdown import assign, break_down
from mrpose_cli.evaluation.calibration import calibrate
from mrpose_cli.evaluation.figures import CocoScore, Result, read_results, score_coco
from mrpose_cli.evaluation.mistakes import find_mistakes
from mrpose_cli.evaluation.oks import oks_nms, soft_oks_nms
from mrpose_cli.evaluation.pck import box_pck
from mrpose_cli.evaluation.persons import Ints, Pairs, pair_up
from mrpose_cli.evaluation.report import BoxConditions, DatasetConditions, PredictionConditions
from mrpose_cli.evaluation.sheet import WorstCase
from mrpose_cli.formats.boxes import read_boxes
from mrpose_cli.jobs.evaluate.options import EvalJob, Scored
from mrpose_cli.jobs.evaluate.predict import Shot
from mrpose_cli.jobs.evaluate.spool import ImagePoses
from mrpose_cli.pipeline.options import ModelOptions
from mrpose_cli.poses import Detections
from mrpose_cli.skeletons import Skeleton, find_skeleton
from mrpose_cli.skeletons.names import index_of
from mrpose_cli.weights.manifest import PoseEntry


class CocoTask:
    """COCO annotations with the images to be run; see :class:`~mrpose_cli.jobs.evaluate.options.Task`.

    Args:
        job: The options of the run.
        remark: Called with what had to be assumed of the joints.

    Raises:
        UsageError: the files are not what they should be.
    """

    def __init__(self, job: EvalJob, remark: Callable[[str], None] = lambda note: None) -> None:
        self._job = job
        self._rule: BoxRule = "mmpose" if job.gt_boxes == "auto" else job.gt_boxes
        given = find_skeleton(job.models.joints) if job.models.joints else None
        annotations = read_annotations(job.annotations, given, remark)
        if job.flags is not None:
            annotations = leave_out(annotations, job.flags, job.annotations)
        self._wanted = _selected(annotations, job)
        self._order: list[int] | None = None  # the file's joints among the checkpoint's
        self._annotations = self._wanted  # less the images that are not there or cannot be read
        self._unreadable: tuple[str, ...] = ()
        self._results: list[Result] = []
        self.shots: tuple[Shot, ...] = ()
        self.missing: tuple[str, ...] = ()
        self.boxes: BoxConditions | None = None
        self.detector: str | None = None
        self.predictions: PredictionConditions | None = None
        self.suppression: str | None = None
        self.estimated = 0
        if job.predictions is not None:
            self._results = read_results(job.predictions, self._annotations)
            self.predictions = PredictionConditions(
                name=job.predictions.name, sha256=sha256_of(job.predictions), persons=len(self._results)
            )
        else:
            named = "soft OKS-NMS" if job.suppression == "soft" else "OKS-NMS"
            self.suppression = "none" if job.suppression == "none" else f"{named} {job.oks_threshold:g}"
            self._find_shots()

    def _find_shots(self) -> None:
        job = self._job
        folder = image_folder(job)
        found, self.boxes = _boxes(job.boxes, self._wanted, self._rule, job.models.class_names())
        if found is None:
            self.detector = ModelOptions.detector if job.boxes == "yolo" else job.boxes
        shots: list[Shot] = []
        missing: list[Shot] = []
        for image in self._wanted.images:
            # An image without boxes has no poses, whatever is in it.
            if found is None or image.id in found:
                path = folder / image.file_name
                boxes = None if found is None else found[image.id]
                (shots if path.is_file() else missing).append(Shot(image.id, path, boxes))
        self.shots = tuple(shots)
        self.missing = tuple(shot.path.name for shot in missing)
        self._annotations = _without(self._wanted, {shot.image for shot in missing})

    def fit(self, entry: PoseEntry) -> None:
        """Find the file's joints among the checkpoint's, and clip boxes as the checkpoint's code does."""
        order = []
        for joint in self._wanted.skeleton.joints:
            place = index_of(joint, entry.skeleton.joints)
            if place is None:
                others = " or ".join(one.name for one in entry.also)
                hint = f"; it gives more joints with {parameter('joints')} {others}" if others else ""
                model = f"{entry.name} ({entry.skeleton.name})"
                raise UsageError(f"{self._wanted.name} has '{joint}', which {model} does not estimate{hint}")
            order.append(place)
        self._order = None if order == list(range(len(entry.skeleton.joints))) else order
        if self._job.gt_boxes == "auto" and (entry.conventions or "").startswith("authors"):
            self._rule = "authors"
            self._find_shots()

    def conditions(self) -> DatasetConditions:
        """Return what was evaluated on."""
        job, annotations = self._job, self._annotations
        whole = annotations.is_val2017 and len(annotations.images) == annotations.total_images
        return DatasetConditions(
            kind="coco",
            annotations=annotations.name,
            sha256=annotations.sha256,
            name="COCO val2017" if whole else None,
            images=len(annotations.images),
            images_sha256=annotations.ids_sha256,
            persons=annotations.labelled,
            joints=annotations.skeleton.name,
            sigmas=annotations.skeleton.sigmas_source,
            images_in_file=annotations.total_images,
            selection=selection(job),
            missing=self.missing,
            unreadable=self._unreadable,
        )

    def score(self, poses: Iterable[ImagePoses], results: Path, skeleton: Skeleton | None) -> Scored:
        """Apply OKS-NMS, write the results, and compute the figures and breakdowns."""
        rows = self._results
        if self.predictions is None:
            rows = self._kept(poses)
            with replacing(results, "x") as file:
                _write(file, rows)
        score = score_coco(self._annotations, rows)
        pairs = pair_up(score.truth, score.found)
        assigned = assign(score.truth, score.found, pairs)
        return Scored(
            figures=score.figures,
            pck=box_pck(score.truth, score.found, assigned, self._job.thresholds),
            breakdown=break_down(score.truth, score.found, pairs, assigned),
            mistakes=find_mistakes(score.truth, score.found, pairs, assigned),
            calibration=calibrate(score.truth, score.found, pairs, assigned),
            curves=score.curves,
            worst=self._worst(score, pairs, assigned),
        )

    def _kept(self, poses: Iterable[ImagePoses]) -> list[Result]:
        """Return the rows of a results file, by image id; unreadable images leave the evaluation."""
        rows: dict[int, list[Result]] = {}
        estimated: dict[int, int] = {}
        failed: set[int] = set()
        wanted = {image.id for image in self._annotations.images}
        for one in poses:
            if one.image not in wanted:
                continue
            if one.failure is None:
                rows[one.image] = self._suppressed(one)
                estimated[one.image] = len(one.scores)
                failed.discard(one.image)
            elif one.image not in rows:
                failed.add(one.image)
        names = {image.id: image.file_name for image in self._annotations.images}
        self._unreadable = tuple(names[image] for image in sorted(failed))
        self._annotations = _without(self._annotations, failed)
        self.estimated = sum(estimated.values())
        return [row for image in sorted(rows) for row in rows[image]]

    def _suppressed(self, poses: ImagePoses) -> list[Result]:
        keypoints = poses.keypoints if self._order is None else poses.keypoints[:, self._order]
        order = np.argsort(-poses.scores, kind="stable")
        if self._job.suppression != "none" and len(order):
            suppress = soft_oks_nms if self._job.suppression == "soft" else oks_nms
            order = suppress(
                keypoints[..., :2],
                poses.scores,
                poses.areas,
                self._annotations.skeleton,
                self._job.oks_threshold,
            )
        # No box: with one, pycocotools would take its area for the person's, which the authors' results
        # let it take from the joints.
        return [
            {
                "image_id": poses.image,
                "category_id": self._annotations.category,
                "keypoints": keypoints[person].ravel().tolist(),
                "score": float(poses.scores[person]),
            }
            for person in order
        ]

    def _worst(self, score: CocoScore, pairs: Pairs, assigned: Ints) -> tuple[WorstCase, ...]:
        """Return the people with the lowest OKS; among equals, those with the most labelled joints first."""
        job = self._job
        if not job.worst or job.images is None:
            return ()
        truth, found = score.truth, score.found
        oks, by = np.zeros(len(truth)), np.full(len(truth), -1)
        values = pairs.oks()
        mine = assigned[pairs.found] == pairs.truth
        # What is assigned to nobody that counts is shown where there is nothing better: a hopeless pose.
        free = ((assigned < 0) | truth.ignored[assigned])[pairs.found]
        for usable in (free, mine):
            order = np.flatnonzero(usable)[np.argsort(values[usable], kind="stable")]
            oks[pairs.truth[order]], by[pairs.truth[order]] = values[order], pairs.found[order]
        counting = np.flatnonzero(~truth.ignored)
        order = counting[np.lexsort((-truth.labelled[counting].sum(1), oks[counting]))]
        images: Mapping[int, ImageRow] = {image.id: image for image in self._annotations.images}
        cases = []
        for person in order[: job.worst]:
            image, prediction = images[int(truth.image[person])], int(by[person])
            cases.append(
                WorstCase(
                    path=job.images / image.file_name,
                    image=image.file_name,
                    annotation=score.annotation_ids[person],
                    box=truth.boxes[person],
                    truth=truth.keypoints[person],
                    labelled=truth.labelled[person],
                    predicted=found.keypoints[prediction] if prediction >= 0 else None,
                    scores=found.joint_scores[prediction] if prediction >= 0 else None,
                    similarity=float(oks[person]),
                    skeleton=truth.skeleton,
                )
            )
        return tuple(cases)


def _selected(annotations: Annotations, job: EvalJob) -> Annotations:
    if job.ids is not None:
        wanted = {_number(word) for word in words(job.ids)}
        unknown = wanted - {image.id for image in annotations.images}
        if unknown:
            raise UsageError(f"{annotations.name} has no image {min(unknown)}")
        annotations = annotations.only(wanted)
    if job.limit is not None:
        annotations = annotations.only({image.id for image in annotations.images[: job.limit]})
    if not annotations.labelled:
        raise UsageError("none of the images to be evaluated has a person with labelled keypoints")
    return annotations


def words(ids: str) -> list[str]:
    """Return what ``--ids`` names: comma-separated values, or the lines of a file."""
    path = Path(ids)
    try:
        # A list of ids may be longer than a name may be, which is an error for Path.is_file().
        text = path.read_text(encoding="utf-8") if os.path.isfile(ids) else ids  # noqa: PTH113
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error})") from None
    return text.replace(",", " ").split()


def _number(word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UsageError(
            f"{parameter('ids')} takes numbers divided by commas, or a file of them, not '{word}'"
        ) from None


def image_folder(job: EvalJob) -> Path:
    """Return the folder of the images.

    Raises:
        UsageError: nobody said it.
    """
    if job.images is None:
        raise UsageError(
            f"pass {parameter('images')} with the folder of the images, or {parameter('predictions')} "
            "with a results file"
        )
    return job.images


def selection(job: EvalJob) -> str | None:
    """Return ``--flags``, ``--ids`` and ``--limit`` as they were given."""
    parts = [f"--flags {job.flags}"] if job.flags is not None else []
    parts += [f"--ids {job.ids}"] if job.ids is not None else []
    return " ".join([*parts, f"--limit {job.limit}"] if job.limit is not None else parts) or None


def _without(annotations: Annotations, ids: set[int]) -> Annotations:
    return annotations.only({image.id for image in annotations.images} - ids) if ids else annotations


def _boxes(
    wanted: str, annotations: Annotations, rule: BoxRule, classes: Sequence[str]
) -> tuple[Mapping[int, Detections] | None, BoxConditions | None]:
    """Return boxes by image id and their origin; None, None where a detector is to find them."""
    if wanted == "gt":
        found = ground_truth_boxes(annotations, rule)
        return found, BoxConditions(
            kind="ground truth",
            name=annotations.name,
            sha256=annotations.sha256,
            persons=_count(found),
            rule=rule,
        )
    path = Path(wanted)
    if path.suffix != ".json" and not (path.is_file() and path.suffix != ".pt"):
        return None, None
    ids = {image.id for image in annotations.images}
    found = {image: boxes for image, boxes in read_boxes(path, classes).boxes.items() if image in ids}
    if not found:
        raise UsageError(f"{path} has no boxes for any of the images to be evaluated")
    return found, BoxConditions(kind="file", name=path.name, sha256=sha256_of(path), persons=_count(found))


def _count(boxes: Mapping[int, Detections]) -> int:
    return sum(len(found) for found in boxes.values())


def _write(file: IO[Any], rows: list[Result]) -> None:
    file.write("[\n")
    for index, row in enumerate(rows):
        file.write((",\n" if index else "") + json.dumps(row, allow_nan=False))
    file.write("\n]\n")
