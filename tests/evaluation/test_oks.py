"""OKS-NMS against a plain implementation, pair by pair and joint by joint."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mrpose_cli.evaluation.oks import oks_nms, pose_similarities, soft_oks_nms
from mrpose_cli.skeletons import COCO17

Floats = NDArray[np.float64]


def plain_oks(a: Floats, b: Floats, area_a: float, area_b: float) -> float:
    total = 0.0
    for (xa, ya), (xb, yb), sigma in zip(a, b, COCO17.sigmas, strict=True):
        e = ((xa - xb) ** 2 + (ya - yb) ** 2) / (2 * sigma) ** 2 / ((area_a + area_b) / 2) / 2
        total += math.exp(-e)
    return total / len(COCO17.sigmas)


def plain_nms(points: Floats, scores: Floats, areas: Floats, threshold: float) -> list[int]:
    left = sorted(range(len(scores)), key=lambda i: -scores[i])
    kept: list[int] = []
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [i for i in left if plain_oks(points[best], points[i], areas[best], areas[i]) <= threshold]
    return kept


def plain_soft_nms(points: Floats, scores: Floats, areas: Floats, threshold: float) -> list[int]:
    fading = {i: float(score) for i, score in enumerate(scores)}
    kept: list[int] = []
    while fading and len(kept) < 20:
        best = max(fading, key=lambda i: fading[i])
        kept.append(best)
        del fading[best]
        for i in fading:
            overlap = plain_oks(points[best], points[i], areas[best], areas[i])
            fading[i] *= math.exp(-(overlap**2) / threshold)
    return kept


def people(seed: int, count: int) -> tuple[Floats, Floats, Floats]:
    """Some of them nearly the same person."""
    rng = np.random.Generator(np.random.PCG64(seed))
    points = rng.uniform(0, 300, (count, 17, 2))
    for i in range(1, count):
        if rng.random() < 0.6:
            points[i] = points[int(rng.integers(0, i))] + rng.normal(0, rng.choice([1, 4, 15]), (17, 2))
    return points, rng.uniform(0, 1, count), rng.uniform(5_000, 60_000, count)


@pytest.mark.parametrize("count", [0, 1, 2, 9, 45])
@pytest.mark.parametrize("threshold", [0.9, 0.5])
def test_suppression_equals_the_plain_one(count: int, threshold: float) -> None:
    for seed in range(8):
        points, scores, areas = people(seed, count)
        expected = plain_nms(points, scores, areas, threshold)
        assert oks_nms(points, scores, areas, COCO17, threshold).tolist() == expected
        assert soft_oks_nms(points, scores, areas, COCO17, threshold).tolist() == plain_soft_nms(
            points, scores, areas, threshold
        )
        if count == 45 and threshold == 0.5:
            assert 1 < len(expected) < count, "nothing is at stake"


def test_similarity_by_hand() -> None:
    a = np.zeros((17, 2))
    b = a.copy()
    b[0, 0] = 10  # the nose, 10 pixels away; mean area 1000
    expected = (16 + math.exp(-100 / (2 * 0.026) ** 2 / 1000 / 2)) / 17
    found = pose_similarities(np.stack([a, b]), np.array([800.0, 1200.0]), COCO17)
    assert found == pytest.approx(np.array([[1, expected], [expected, 1]]), abs=1e-12)


def test_soft_suppression_keeps_twenty() -> None:
    points, scores, areas = people(3, 45)
    assert len(soft_oks_nms(points, scores, areas, COCO17)) == 20
