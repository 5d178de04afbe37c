"""What happens to a joint is what happens to the pixels around it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from mrpose_cli.pipeline.crops import CropSpec, crop_affines
from mrpose_cli.pipeline.decode import decode_heatmaps
from mrpose_cli.skeletons import COCO17
from mrpose_cli.training.batches import Augmenter
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import CropSet
from mrpose_cli.training.geometry import central, random_views
from mrpose_cli.training.labels import MARGIN, PADDING, Labels, Person
from mrpose_cli.training.start import describe
from mrpose_cli.training.targets import heatmaps

CROP, SIZE = (320, 240), (256, 192)
CPU = torch.device("cpu")
UPPER = torch.arange(17) < 11
# Nothing but geometry changes the pixels.
GEOMETRY = TrainConfig(data=(Path("x"),), color=0.0, gray=0.0, blur=0.0, noise=0.0, cutout=0.0, half_body=0.5)


def _bodies(count: int) -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    low, span = torch.tensor([60.0, 80.0]), torch.tensor([120.0, 160.0])
    return low + span * torch.rand(count, 17, 2, generator=rng), torch.ones(count, 17)


def _crops(points: Tensor, weights: Tensor, pixels: Tensor) -> CropSet:
    people = [Person(str(i), "coco", str(i), None, None, 1.0, 1.0) for i in range(len(points))]
    return CropSet(pixels, points, weights, Labels.of(people, GEOMETRY, 17))


def _dots(points: Tensor, joint: int) -> Tensor:
    """Crops, black but for a soft dot at one joint: (N, H, W, 3) uint8."""
    y, x = torch.meshgrid(torch.arange(CROP[0]), torch.arange(CROP[1]), indexing="ij")
    at = points[:, joint]
    squared = (x - at[:, 0, None, None]) ** 2 + (y - at[:, 1, None, None]) ** 2
    return (250 * torch.exp(-squared / (2 * 3.0**2))).round().to(torch.uint8)[..., None].repeat(1, 1, 1, 3)


# A mirror makes a left wrist a right one and leaves the nose what it is.
@pytest.mark.parametrize(("joint", "flip", "seen"), [(0, 0.5, 0), (9, 0.0, 9), (9, 1.0, 10)])
def test_a_dot_stays_on_its_joint_through_augmentation_targets_and_decoding(
    joint: int, flip: float, seen: int
) -> None:
    points, weights = _bodies(80)
    config = replace(GEOMETRY, flip=flip)
    entry = describe(config, COCO17)
    augmenter = Augmenter(config, entry, CPU)
    batch = augmenter.training(_crops(points, weights, _dots(points, joint)), torch.arange(80), seed=3)
    mean, std = (torch.tensor(value).view(1, 3, 1, 1) for value in (entry.mean, entry.std))
    bright = (batch.images * std + mean).mean(1)  # (N, H, W)
    decoded, scores = decode_heatmaps(heatmaps(batch.points, SIZE, 2.0), "udp", SIZE)
    last = torch.tensor([SIZE[1] - 1, SIZE[0] - 1])

    checked = 0
    for sample in range(80):
        target = batch.points[sample, seen]
        if not bool(((target > 24) & (target < last - 24)).all()):
            continue  # the dot, or its heatmap, is cut at the edge
        checked += 1
        assert _apart(target, _centroid(bright[sample])) < 0.05
        assert _apart(decoded[sample, seen], target) < 0.05
        assert scores[sample, seen] > 0.9
    assert checked > 40


def _centroid(picture: Tensor) -> Tensor:
    y, x = torch.meshgrid(torch.arange(picture.shape[0]), torch.arange(picture.shape[1]), indexing="ij")
    weight = picture.clamp(min=0).double()
    weight = torch.where(weight > 2, weight, 0.0)  # half of a gray level everywhere would pull it inwards
    return torch.stack([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def _apart(a: Tensor, b: Tensor) -> float:
    return float((a.double() - b.double()).norm())


def test_the_central_view_is_the_crop_of_inference() -> None:
    box = np.array([[31.0, 17.0, 131.0, 317.0]])
    wide = CropSpec(CROP, (PADDING * MARGIN,) * 2, aligned=True)
    narrow = CropSpec(SIZE, (PADDING,) * 2, aligned=True)
    joints = np.array([[31.0, 17.0], [80.5, 160.25], [131.0, 317.0]])

    def cropped(spec: CropSpec) -> Tensor:
        affine = crop_affines(box, spec)[0]
        return torch.tensor(joints @ affine[:, :2].T + affine[:, 2], dtype=torch.float32)[None]

    view = central(1, CROP, SIZE, CPU)
    assert torch.allclose(view.move(cropped(wide), SIZE), cropped(narrow), atol=1e-3)


def test_the_central_view_of_a_square_network_contains_the_window() -> None:
    view = central(1, CROP, (256, 256), CPU)
    tall = central(1, CROP, SIZE, CPU)
    assert view.extent[0, 1] == tall.extent[0, 1]
    assert float(view.extent[0, 0]) == pytest.approx(float(tall.extent[0, 0]) * 4 / 3, rel=1e-5)


def test_back_is_the_inverse_of_move() -> None:
    points, weights = _bodies(50)
    view = random_views(points, weights, UPPER, CROP, SIZE, GEOMETRY, torch.Generator().manual_seed(1))
    assert torch.allclose(view.back(view.move(points, SIZE), SIZE), points, atol=1e-3)


def test_views_wander_as_far_as_they_are_told() -> None:
    points, weights = _bodies(2000)
    config = TrainConfig(half_body=0.0, scale=0.2, rotation=30.0, rotated=0.5, shift=0.1, flip=0.25)
    view = random_views(points, weights, UPPER, CROP, SIZE, config, torch.Generator().manual_seed(1))
    plain = central(2000, CROP, SIZE, CPU)
    ratio = view.extent / plain.extent
    assert 0.8 <= ratio.min() < 0.81 and 1.19 < ratio.max() <= 1.2001
    degrees = view.angle * 180 / torch.pi
    assert 29 < degrees.abs().max() <= 30
    assert (degrees == 0).float().mean() == pytest.approx(0.5, abs=0.05)
    assert view.mirrored.float().mean() == pytest.approx(0.25, abs=0.05)
    moved = ((view.center - plain.center) / view.extent).abs()
    assert 0.09 < moved.max() <= 0.1001


def test_half_bodies_are_shown_whole_and_closer() -> None:
    points, weights = _bodies(500)
    points[:, 11:, 1] += 60  # legs are below
    config = TrainConfig(half_body=1.0, scale=0.0, rotation=0.0, shift=0.0, flip=0.0)
    view = random_views(points, weights, UPPER, CROP, SIZE, config, torch.Generator().manual_seed(1))
    seen = view.move(points, SIZE)
    inside = ((seen >= 0) & (seen <= torch.tensor([191.0, 255.0]))).all(-1)  # (N, 17)
    upper, lower = inside[:, :11].all(1), inside[:, 11:].all(1)
    assert (upper | lower).all()
    assert upper.float().mean() > 0.5 and lower.float().mean() > 0.3

    weights[:, 5:] = 0  # no more than a head is known: nothing to cut
    whole = random_views(points, weights, UPPER, CROP, SIZE, config, torch.Generator().manual_seed(1))
    assert torch.equal(whole.extent, central(500, CROP, SIZE, CPU).extent)


def test_the_same_seed_gives_the_same_batch() -> None:
    points, weights = _bodies(8)
    crops = _crops(points, weights, torch.randint(0, 255, (8, *CROP, 3), dtype=torch.uint8))
    config = TrainConfig(blur=0.5, noise=0.5)
    augmenter = Augmenter(config, describe(config, COCO17), CPU)
    index = torch.arange(8)
    first, second, other = (augmenter.training(crops, index, seed) for seed in (7, 7, 8))
    assert torch.equal(first.images, second.images) and torch.equal(first.points, second.points)
    assert not torch.equal(first.images, other.images)
