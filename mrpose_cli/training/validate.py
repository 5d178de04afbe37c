"""How good the network is on crops it has not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from mrpose_cli.evaluation.matching import View, average_precision
from mrpose_cli.evaluation.persons import Found, Truth, pair_up
from mrpose_cli.pipeline.decode import decode_heatmaps, flip_average
from mrpose_cli.pipeline.estimator import mean_scores
from mrpose_cli.skeletons import COCO17
from mrpose_cli.training.batches import Augmenter
from mrpose_cli.training.crops import CropSet
from mrpose_cli.training.geometry import central
from mrpose_cli.training.labels import Labels

_BATCH = 64
_CERTAIN = 0.3  # a teacher's labels above it count as truth


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Figures on the held-out crops, in percent, with flip test.

    Attributes:
        ap: Over all crops, people's labels where there are any, else the teacher's.
        ap_human: Over the crops with people's labels alone; None if there are none.
        oks: Mean similarity over all crops.
        crops: How many.
        crops_human: How many with people's labels.
    """

    ap: float
    ap_human: float | None
    oks: float
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
        points, scores = self.predict(network)
        labels = self._crops.labels
        people = np.flatnonzero(labels.people_said)
        oks, ap = score(labels, points, scores, np.arange(len(labels)))
        ap_human = score(labels, points, scores, people)[1] if len(people) else None
        return HeldOut(ap, ap_human, oks, len(labels), len(people))

    @torch.inference_mode()
    def predict(self, network: nn.Module) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Predict joints (N, 17, 2) in crop pixels and scores (N, 17)."""
        size = self._augmenter.size
        found: list[tuple[Tensor, Tensor]] = []
        for chunk in torch.arange(len(self._crops), device=self._crops.pixels.device).split(_BATCH):
            views = central(len(chunk), self._crops.size, size, self._crops.points.device)
            images = self._augmenter.plain(self._crops, chunk, views)
            with self._autocast():
                straight, mirrored = network(images), network(images.flip(-1))
            maps = flip_average(straight.float(), mirrored.float(), COCO17.mirror_order, shift=False)
            assert isinstance(maps, Tensor)
            points, scores = decode_heatmaps(maps, "udp", size)
            found.append((views.back(points, size), scores))
        # One wait for the device, at the end.
        points, scores = (torch.cat(parts).cpu().double() for parts in zip(*found, strict=True))
        return points.numpy(), scores.numpy()


def score(
    labels: Labels, points: NDArray[np.float64], scores: NDArray[np.float64], chosen: NDArray[np.intp]
) -> tuple[float, float]:
    """Compute mean OKS and AP in percent, every crop as an image of its own.

    Args:
        labels: Of all crops.
        points: (N, 17, 2), predicted, crop pixels.
        scores: (N, 17).
        chosen: Which crops to look at.
    """
    people, found, persons = [], [], mean_scores(scores)
    for crop in chosen.tolist():
        # Where people said something, only what they said is known for certain.
        known = labels.by_people[crop] if labels.people_said[crop] else labels.weights[crop] >= _CERTAIN
        truth = np.concatenate([labels.points[crop], 2.0 * known[:, None]], 1)
        area = float(labels.areas[crop])
        row = {"image_id": crop, "area": area, "iscrowd": 0, "bbox": [0, 0, 0, 0]}
        people.append({**row, "keypoints": truth.ravel(), "num_keypoints": int(known.sum())})
        answer = np.concatenate([points[crop], scores[crop, :, None]], 1)
        found.append({"image_id": crop, "area": area, "keypoints": answer.ravel(), "score": persons[crop]})
    those, these = Truth.of(people), Found.of(found)
    pairs = pair_up(those, these)
    oks = pairs.oks()
    precision = average_precision(those, these, pairs, oks, View(those.ignored))
    return 100 * float(oks[those.counts[pairs.truth]].mean()), precision.ap or 0.0


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
    """

    dataset: str
    images: int
    persons: int
    ap: float
    ap50: float
    ap75: float
    ar: float
