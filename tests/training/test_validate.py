"""Figures on held-out crops, against what pycocotools says."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from sample_crops import write_shard
from torch import Tensor, nn

from mrpose_cli.skeletons import COCO17
from mrpose_cli.training.batches import Augmenter
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog, CropSet
from mrpose_cli.training.geometry import central
from mrpose_cli.training.start import describe
from mrpose_cli.training.targets import heatmaps
from mrpose_cli.training.validate import Validator, score

CPU = torch.device("cpu")
SIZE = (128, 96)


class Oracle(nn.Module):
    """Knows where the joints are, off by some pixels, and does not look; mirrored crops come second."""

    def __init__(self, crops: CropSet, noise: float) -> None:
        super().__init__()
        points = central(len(crops), crops.size, SIZE, CPU).move(crops.points, SIZE)
        rng = torch.Generator().manual_seed(0)
        points = points + noise * torch.randn(points.shape, generator=rng)
        heights = 0.3 + 0.7 * torch.rand(len(crops), 17, 1, 1, generator=rng)
        self._maps = heatmaps(points, SIZE, 2.0) * heights
        self._order = list(COCO17.mirror_order)
        self._mirrored = False

    def forward(self, x: Tensor) -> Tensor:
        maps = self._maps.flip(-1)[:, self._order] if self._mirrored else self._maps
        self._mirrored = not self._mirrored
        return maps


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> CropSet:
    shard = tmp_path_factory.mktemp("crops") / "a.zip"
    count = write_shard(shard, copies=2)
    return Catalog(TrainConfig(data=(shard,))).load(np.arange(count), 2)


def _validator(crops: CropSet) -> Validator:
    config = TrainConfig(input_size="128x96")
    augmenter = Augmenter(config, describe(config, COCO17), CPU)
    return Validator(crops, augmenter, lambda: torch.autocast("cpu", enabled=False))


def test_who_knows_all_gets_all(crops: CropSet) -> None:
    figures = _validator(crops)(Oracle(crops, 0.0))
    assert figures.oks > 99.9 and figures.ap == pytest.approx(100, abs=0.01)
    assert figures.crops == figures.crops_human == 34 and figures.ap_human == figures.ap


def test_predictions_are_in_crop_pixels(crops: CropSet) -> None:
    points, scores = _validator(crops).predict(Oracle(crops, 0.0))
    inside = ((crops.points > 36) & (crops.points < torch.tensor([84, 124]))).all(-1)
    assert np.abs(points - crops.points.numpy())[inside.numpy()].max() < 0.1
    assert scores.min() > 0.2


@pytest.mark.parametrize("noise", [1.5, 3.0])
def test_ap_is_that_of_pycocotools(crops: CropSet, noise: float) -> None:
    validator, oracle = _validator(crops), Oracle(crops, noise)
    figures = validator(oracle)
    points, scores = validator.predict(oracle)
    assert figures.ap == pytest.approx(_by_pycocotools(crops, points, scores), abs=0.01)
    assert 5 < figures.ap < 95


def _by_pycocotools(crops: CropSet, points: Any, scores: Any) -> float:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    labels = crops.labels
    people, found = [], []
    for i in range(len(crops)):
        known = labels.by_people[i]
        triples = np.concatenate([labels.points[i], 2.0 * known[:, None]], 1)
        people.append(
            {"id": i + 1, "image_id": i, "category_id": 1, "iscrowd": 0, "bbox": [0, 0, 120, 160],
             "area": float(labels.areas[i]), "num_keypoints": int(known.sum()),
             "keypoints": triples.ravel().tolist()}
        )  # fmt: skip
        visible = scores[i][scores[i] > 0.2]
        row = np.concatenate([points[i], scores[i][:, None]], 1).ravel().tolist()
        found.append({"image_id": i, "category_id": 1, "keypoints": row, "score": float(visible.mean())})
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO()
        truth.dataset = {
            "images": [{"id": i} for i in range(len(crops))],
            "annotations": people,
            "categories": [{"id": 1, "name": "person"}],
        }
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "keypoints")
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    return 100 * float(evaluation.eval["precision"].mean())


def test_pck_is_relative_to_the_side_of_the_box(crops: CropSet) -> None:
    labels, people = crops.labels, np.arange(len(crops))
    side = 160 / 1.25**2  # of a crop 160 high
    assert labels.sides == pytest.approx(np.full(len(crops), side))
    scores = np.ones((len(crops), 17))
    for share, expected in ((0.099, 100.0), (0.101, 0.0)):
        off = labels.points + np.array([share * side, 0.0])
        assert score(labels, off, scores, people, COCO17).pck == expected
    off = labels.points.astype(np.float64)
    off[:, 0] += side  # all noses are wrong
    wrong = labels.by_people[:, 0].sum() / labels.by_people.sum()
    assert score(labels, off, scores, people, COCO17).pck == pytest.approx(100 * (1 - wrong))


def test_oks_knows_the_skeletons_sigmas(crops: CropSet) -> None:
    off, scores = crops.labels.points + np.array([4.0, 0.0]), np.ones((len(crops), 17))
    strict, loose = (
        score(crops.labels, off, scores, np.arange(len(crops)), replace(COCO17, sigmas=(sigma,) * 17))
        for sigma in (0.02, 0.2)
    )
    assert strict.oks < loose.oks and strict.ap < loose.ap and strict.pck == loose.pck


def test_without_a_mirror_the_network_is_asked_once(crops: CropSet) -> None:
    config = TrainConfig(input_size="128x96")
    entry = describe(config, COCO17).model_copy(update={"flip_test": False})
    validator = Validator(crops, Augmenter(config, entry, CPU), lambda: torch.autocast("cpu", enabled=False))
    oracle = Oracle(crops, 0.0)
    assert validator(oracle).oks > 99.9 and oracle._mirrored
