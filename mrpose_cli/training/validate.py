"""How good the network is on crops it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mrpose_cli.evaluation.matching import View, average_precision
from mrpose_cli.evaluation.persons import Found, Pairs, Truth
from mrpose_cli.oks import joint_similarity
from mrpose_cli.pipeline.decode import decode_heatmaps, flip_average
from mrpose_cli.pipeline.estimator import mean_scores
from mrpose_cli.skeletons import Skeleton
from mrpose_cli.training.batches import Augmenter
from mrpose_cli.training.crops import CropSet
from mrpose_cli.training.geometry import central
from mrpose_cli.training.labels import Labels

_BATCH = 64
_CERTAIN = 0.3  # a teacher's labels above it count as truth
PCK_SHARE = 0.1  # of the longer side of the person's box, within which a joint is right


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Figures on the held-out crops, in percent, with flip test where the checkpoint has it.

    Attributes:
        ap: OKS-AP over all crops, people's labels where there are any, else the teacher's.
        ap_human: Over the crops with people's labels alone; None if there are none.
        oks: Mean similarity over all crops.
        pck: PCK@0.1 over all crops: joints within a tenth of the longer side of the person's box.
        pck_human: Over the crops with people's labels alone; None if there are none.
        crops: How many.
        crops_human: How many with people's labels.
    """

    ap: float
    ap_human: float | None
    oks: float
    pck: float
    pck_human: float | None
    crops: int
    crops_human: int


class Validator:
    """Held-out crops and their labels.

    Args:
        crops: The crops, on the device of the augmenter or in main memory.
        augmenter: Makes the network's input of them.
        autocast: Makes the context that the network runs in.
    """

    def __init__(self, crops: CropSet, augmenter: Augmenter, autocast: Callable[[], torch.autocast]) -> None:
        self._crops, self._augmenter, self._autocast = crops, augmenter, autocast

    def __call__(self, network: nn.Module) -> HeldOut:
        """Evaluate a network in evaluation mode."""
        return self.figures(*self.predict(network))

    def figures(self, points: NDArray[np.float64], scores: NDArray[np.float64]) -> HeldOut:
        """Evaluate what :meth:`predict` returned."""
        labels = self._crops.labels
        people = np.flatnonzero(labels.people_said)
        skeleton = self._augmenter.entry.skeleton
        everybody = score(labels, points, scores, np.arange(len(labels)), skeleton)
        human = score(labels, points, scores, people, skeleton) if len(people) else None
        return HeldOut(
            ap=everybody.ap,
            ap_human=human.ap if human else None,
            oks=everybody.oks,
            pck=everybody.pck,
            pck_human=human.pck if human else None,
            crops=len(labels),
            crops_human=len(people),
        )

    @torch.inference_mode()
    def predict(self, network: nn.Module) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict joints (N, K, 2) in crop pixels and scores (N, K)."""
        entry, size = self._augmenter.entry, self._augmenter.size
        found: list[tuple[Tensor, Tensor]] = []
        for chunk in torch.arange(len(self._crops), device=self._crops.pixels.device).split(_BATCH):
            views = central(len(chunk), self._crops.size, size, self._crops.points.device)
            images = self._augmenter.plain(self._crops, chunk, views)
            with self._autocast():
                maps = network(images)
                mirrored = network(images.flip(-1)) if entry.flip_test else None
            maps = maps.float()
            if mirrored is not None:
                maps = flip_average(maps, mirrored.float(), entry.skeleton.mirror_order, shift=False)
            points, scores = decode_heatmaps(maps, "udp", size)
            found.append((views.back(points, size), scores))
        # One wait for the device, at the end.
        points, scores = (torch.cat(parts).cpu().double() for parts in zip(*found, strict=True))
        return points.numpy(), scores.numpy()


def known_joints(labels: Labels) -> NDArray[np.bool_]:
    """Return which joints (N, K) are known for certain: where people said something, only what they said."""
    known = np.where(labels.people_said[:, None], labels.by_people, labels.weights >= _CERTAIN)
    return np.asarray(known, bool)


@dataclass(frozen=True, slots=True)
class Score:
    """How good predictions are, in percent; see :class:`HeldOut`."""

    ap: float
    oks: float
    pck: float


def score(
    labels: Labels,
    points: NDArray[np.float64],
    scores: NDArray[np.float64],
    chosen: NDArray[np.intp],
    skeleton: Skeleton,
) -> Score:
    """Compute AP, mean OKS and PCK, every crop as an image of its own.

    Args:
        labels: Of all crops.
        points: (N, K, 2), predicted, crop pixels.
        scores: (N, K).
        chosen: Which crops to look at.
        skeleton: Of the K joints.
    """
    known = known_joints(labels)[chosen]
    truth, areas = labels.points[chosen].astype(np.float64), labels.areas[chosen].astype(np.float64)
    answer, each = points[chosen], np.arange(len(chosen))
    boxes = np.zeros((len(chosen), 4))
    crowd, counts = np.zeros(len(chosen), bool), np.asarray(known.any(1))
    people = Truth(each, truth, known, boxes, areas, crowd, counts, skeleton)
    found = Found(each, answer, scores[chosen], mean_scores(scores[chosen]), areas)
    near = np.where(known, joint_similarity(answer, truth, areas, skeleton), 0.0)
    pairs = Pairs(each, each, near, known, np.zeros(len(chosen)))
    oks = pairs.oks()
    precision = average_precision(people, found, pairs, oks, View(people.ignored))
    within = np.linalg.norm(answer - truth, axis=-1) <= PCK_SHARE * labels.sides[chosen, None]
    counted = oks[people.counts]
    return Score(
        precision.ap or 0.0,
        100 * float(counted.mean()) if len(counted) else 0.0,
        100 * float(within[known].mean()) if known.any() else 0.0,
    )


@dataclass(frozen=True, slots=True)
class CocoScore:
    """A checkpoint on a COCO set, ground-truth boxes and flip test.

    Attributes:
        dataset: The annotation file's name.
        images: How many photos.
        persons: How many people with keypoints.
        ap: In percent, as the following.
        ap50: At OKS 0.5.
        ap75: At OKS 0.75.
        ar: Average recall.
        pck: PCK@0.1; None where nobody has a labeled joint.
    """

    dataset: str
    images: int
    persons: int
    ap: float
    ap50: float
    ap75: float
    ar: float
    pck: float | None
