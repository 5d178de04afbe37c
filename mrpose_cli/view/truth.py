"""Annotated people beside those of a result: who is whom, and how near."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.breakdown import ASSIGNED
from mrpose_cli.oks import joint_similarity
from mrpose_cli.view.result import Images, People, Result

FAR = 0.5
"""OKS below which somebody is far from the annotation: COCO's lowest threshold."""


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """Annotated people of a result's images.

    Attributes:
        name: Of the file of annotations.
        people: The annotated people, by the result's images.
        match: (P,) the annotated person that each of the result's is about, -1 for nobody.
        oks: (P,) float32, how near the two are; NaN for nobody.
        joints: (P, K) float32, the same by joint; NaN where the joint has no label.
        missed: (N,) whether an annotated person of the image was not found.
    """

    name: str
    people: People
    match: NDArray[np.int64]
    oks: NDArray[np.float32]
    joints: NDArray[np.float32]
    missed: NDArray[np.bool_]

    def only(self, images: NDArray[np.int64], found: NDArray[np.intp], where: NDArray[np.int64]) -> Truth:
        """Return the same of some images.

        Args:
            images: Their places.
            found: (Q,) places of the result's people who are in them, image by image.
            where: (Q,) the places that their images had.
        """
        people = self.people.only(images)
        moved = people.first[np.searchsorted(images, where)] - self.people.first[where]
        match = np.where(self.match[found] >= 0, self.match[found] + moved, -1)
        return Truth(self.name, people, match, self.oks[found], self.joints[found], self.missed[images])


def compare(result: Result, annotated: Result) -> Truth:
    """Find who is whom: the nearest two of an image first.

    Raises:
        UsageError: the joints differ, or no image is in both.
    """
    skeleton = annotated.skeletons[0]
    if any(one.joints != skeleton.joints for one in (*result.skeletons, *annotated.skeletons)):
        raise UsageError(f"{annotated.path} annotates other joints than {result.path} has")
    truth = _for_images(result, annotated)
    found = result.people
    guess, real = _pairs(found, truth)
    near = joint_similarity(
        found.joints[guess, :, :2], truth.joints[real, :, :2], truth.areas[real], skeleton
    )
    labelled = ~np.isnan(truth.joints[real, :, 2]) & ~np.isnan(found.joints[guess, :, 2])
    near = np.where(labelled, near, np.nan)
    oks = np.where(labelled, near, 0).sum(1) / np.maximum(labelled.sum(1), 1)
    match, joints = np.full(len(found), -1, np.int64), np.full(found.joints.shape[:2], np.nan, np.float32)
    nearness = np.full(len(found), np.nan, np.float32)
    taken = np.zeros(len(truth), bool)
    for pair in np.argsort(-oks, kind="stable"):
        who, whom = int(guess[pair]), int(real[pair])
        if oks[pair] < ASSIGNED:
            break
        if match[who] < 0 and not taken[whom]:
            match[who], taken[whom] = whom, True
            nearness[who], joints[who] = oks[pair], near[pair]
    counts = ~np.isnan(truth.joints[..., 2]).all(1) & ~truth.crowd
    missed = np.zeros(len(result.images), bool)
    missed[truth.images[counts & ~taken]] = True
    return Truth(annotated.path.name, truth, match, nearness, joints, missed)


def _for_images(result: Result, annotated: Result) -> People:
    """Return the annotated people, put to the result's images by name, or by id where names differ."""
    here, there = result.images, annotated.images
    order = _by_name(here, there)
    if (order < 0).all():
        places = {int(number): place for place, number in enumerate(there.ids)}
        order = np.array([places.get(int(number), -1) for number in here.ids], np.int64)
    if (order < 0).all():
        raise UsageError(f"{annotated.path} annotates none of the images of {result.path}")
    return annotated.people.only(order)


def _by_name(here: Images, there: Images) -> NDArray[np.int64]:
    places = {PurePosixPath(name).name: place for place, name in enumerate(there.names)}
    places |= {name: place for place, name in enumerate(there.names)}
    named = (places.get(name, places.get(PurePosixPath(name).name, -1)) for name in here.names)
    return np.fromiter(named, np.int64, len(here))


def _pairs(found: People, truth: People) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Everybody of the result with every annotated person of the same image."""
    first, last = truth.first[:-1][found.images], truth.first[1:][found.images]
    count = last - first
    guess = np.repeat(np.arange(len(found)), count)
    real = np.arange(len(guess)) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    return guess, real
