"""Evaluation by MPII's PCKh, and by PCK as LSP has it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.atomic import replacing
from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.evaluation.annotations import sha256_of
from mrpose_cli.evaluation.joint_sets import JointSet, read_joint_results, read_joint_set
from mrpose_cli.evaluation.pck import pck, pckh
from mrpose_cli.evaluation.report import BoxConditions, DatasetConditions, PckFigures, PredictionConditions
from mrpose_cli.evaluation.sheet import WorstCase
from mrpose_cli.jobs.evaluate.coco import image_folder, selection, words
from mrpose_cli.jobs.evaluate.options import EvalJob, Scored
from mrpose_cli.jobs.evaluate.predict import Shot
from mrpose_cli.jobs.evaluate.spool import ImagePoses
from mrpose_cli.poses import Detections
from mrpose_cli.skeletons import MPII16, Skeleton, from_document
from mrpose_cli.weights.manifest import PoseEntry

_MPII_VAL = 2958  # people in the authors' valid.json


class PckTask:
    """MPII's or LSP's annotations with the images to be run; see `evaluate_options.Task`.

    Args:
        job: The options of the run.

    Raises:
        UsageError: the files are not what they should be.
    """

    def __init__(self, job: EvalJob) -> None:
        if job.dataset == "coco":
            raise ValueError("COCO has a task of its own")
        self._job = job
        self._people = _selected(read_joint_set(job.annotations, job.dataset, job.heads), job)
        self._unreadable: tuple[str, ...] = ()
        self.shots: tuple[Shot, ...] = ()
        self.missing: tuple[str, ...] = ()
        self.boxes: BoxConditions | None = None
        self.detector: str | None = None
        self.predictions: PredictionConditions | None = None
        self.suppression: str | None = None
        self.estimated = 0
        if job.predictions is not None:
            self._joints, self._predicted = read_joint_results(job.predictions, self._people)
            self.predictions = PredictionConditions(
                name=job.predictions.name, sha256=sha256_of(job.predictions), persons=len(self._people.rows)
            )
        else:
            self._find_shots(job)

    def _find_shots(self, job: EvalJob) -> None:
        folder = image_folder(job)
        if job.boxes != "gt":
            raise UsageError(
                f"{job.dataset.upper()} is evaluated on its own centers and scales, without "
                f"{parameter('boxes')}"
            )
        names = list(dict.fromkeys(self._people.images))
        missing = {name for name in names if not (folder / name).is_file()}
        self.missing = tuple(name for name in names if name in missing)
        self._people = self._people.only(
            [i for i, name in enumerate(self._people.images) if name not in missing]
        )
        self.shots = tuple(
            Shot(
                self._number(index),
                folder / self._people.images[index[0]],
                Detections(self._people.boxes[index], np.ones(len(index), np.float32)),
            )
            for index in _by_image(self._people)
        )
        self.boxes = BoxConditions(
            kind="centre and scale",
            name=self._people.name,
            sha256=self._people.sha256,
            persons=len(self._people.rows),
        )

    def _number(self, index: list[int]) -> int:
        """Return an image's id: the place of its first person in the file, which no selection changes."""
        return int(self._people.rows[index[0]])

    def fit(self, entry: PoseEntry) -> None:
        """Check that the checkpoint's joints are MPII's; LSP's are looked up by name."""
        if self._people.kind == "mpii" and entry.skeleton != MPII16:
            raise UsageError(
                f"{entry.name} estimates the joints of {entry.skeleton.name}; MPII needs {MPII16.name}"
            )

    def conditions(self) -> DatasetConditions:
        """Return what was evaluated on."""
        people = self._people
        whole = people.kind == "mpii" and len(people.rows) == people.total == _MPII_VAL
        return DatasetConditions(
            kind=people.kind,
            annotations=people.name,
            sha256=people.sha256,
            name="MPII val" if whole else None,
            images=len(set(people.images)),
            persons=len(people.rows),
            images_in_file=people.total_images,
            selection=selection(self._job),
            missing=self.missing,
            unreadable=self._unreadable,
        )

    def score(self, poses: Iterable[ImagePoses], results: Path, skeleton: Skeleton | None) -> Scored:
        """Write the results and compute PCKh or PCK."""
        if skeleton is not None:
            self._joints = skeleton.joints
            self._collect(poses, len(skeleton.joints))
            self._write(results)
        people = self._people
        points = {name: self._predicted[:, i, :2] for i, name in enumerate(self._joints)}
        if people.kind == "mpii":
            assert people.heads is not None
            ordered = np.stack([points[name] for name in MPII16.joints], axis=1)
            figures = pckh(ordered, people.keypoints, people.labelled, people.heads)
        else:
            figures = pck(points, people.keypoints, people.labelled, self._job.thresholds)
        return Scored(figures, worst=self._worst(points, figures))

    def _collect(self, poses: Iterable[ImagePoses], joints: int) -> None:
        """Collect the joints (N, J, 3) of all people; those in unreadable images leave the evaluation."""
        predicted = np.full((len(self._people.rows), joints, 3), np.nan)
        index = {self._number(index): index for index in _by_image(self._people)}
        for one in poses:
            if one.failure is None and one.image in index:
                predicted[index[one.image]] = one.keypoints
        there = np.isfinite(predicted).all((1, 2))
        names = self._people.images
        self._unreadable = tuple(dict.fromkeys(names[i] for i in np.flatnonzero(~there)))
        self._people = self._people.only(np.flatnonzero(there).tolist())
        self._predicted = predicted[there]
        self.estimated = len(self._predicted)

    def _write(self, path: Path) -> None:
        people = [
            {"row": int(row), "image": image, "keypoints": keypoints.ravel().tolist()}
            for row, image, keypoints in zip(
                self._people.rows, self._people.images, self._predicted, strict=True
            )
        ]
        with replacing(path, "x") as file:
            json.dump({"joints": self._joints, "people": people}, file, allow_nan=False)

    def _worst(self, points: dict[str, NDArray[np.float64]], figures: PckFigures) -> tuple[WorstCase, ...]:
        """Return the people with the smallest share of joints within the first threshold."""
        job, people = self._job, self._people
        if not job.worst or job.images is None:
            return ()
        shared = [name for name in people.joints if name in points]
        index = [people.joints.index(name) for name in shared]
        predicted = np.stack([points[name] for name in shared], axis=1)
        first = 1.0 if people.kind == "mpii" else 0.0  # MPII counts pixels from 1
        truth = people.keypoints[:, index] - first
        distance = np.linalg.norm(predicted - truth, axis=2) / people.units[:, None]
        labelled = people.labelled[:, index] & np.isfinite(distance)
        within = (distance <= figures.rows[0].threshold) & labelled
        share = within.sum(1) / np.maximum(labelled.sum(1), 1)
        judged = np.flatnonzero(labelled.any(1))
        order = judged[np.argsort(share[judged], kind="stable")][: job.worst]
        skeleton = _part(shared)
        return tuple(
            WorstCase(
                path=job.images / people.images[i],
                image=people.images[i],
                annotation=int(people.rows[i]),
                box=people.boxes[i].astype(np.float64),
                truth=truth[i],
                labelled=people.labelled[i, index],
                predicted=predicted[i],
                scores=np.ones(len(index)),
                similarity=float(share[i]),
                skeleton=skeleton,
            )
            for i in order
        )


def _selected(people: JointSet, job: EvalJob) -> JointSet:
    if job.ids is not None:
        wanted = set(words(job.ids))
        unknown = wanted - set(people.images)
        if unknown:
            raise UsageError(f"{people.name} has no image {min(unknown)}")
        people = people.only([i for i, name in enumerate(people.images) if name in wanted])
    if job.limit is not None:
        first = set(list(dict.fromkeys(people.images))[: job.limit])
        people = people.only([i for i, name in enumerate(people.images) if name in first])
    return people


def _by_image(people: JointSet) -> list[list[int]]:
    """Return the indices of the people of each image."""
    rows: dict[str, list[int]] = {}
    for index, name in enumerate(people.images):
        rows.setdefault(name, []).append(index)
    return list(rows.values())


def _part(joints: list[str]) -> Skeleton:
    """Return those of MPII's limbs whose ends are among ``joints``."""
    limbs = [[MPII16.joints[a], MPII16.joints[b]] for a, b in MPII16.limbs]
    shared = [limb for limb in limbs if set(limb) <= set(joints)]
    return from_document({"name": "shared", "joints": joints, "limbs": shared}, "the shared joints")
