"""The contact sheet of held-out crops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sample_crops import write_shard

from mrpose_cli.media.images import read_image
from mrpose_cli.skeletons import COCO17
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog, CropSet
from mrpose_cli.training.held_out import _name, draw_held_out

TILE, GAP = (328, 434), 8


@pytest.fixture(scope="module")
def crops(tmp_path_factory: pytest.TempPathFactory) -> CropSet:
    shard = tmp_path_factory.mktemp("crops") / "a.zip"
    count = write_shard(shard, copies=3)
    return Catalog(TrainConfig(data=(shard,))).load(np.arange(count), 2)


def _tiles(path: Path) -> list[np.ndarray]:
    page = read_image(path).image
    rows, columns = (page.shape[0] - GAP) // (TILE[0] + GAP), (page.shape[1] - GAP) // (TILE[1] + GAP)
    corners = [
        (GAP + r * (TILE[0] + GAP), GAP + c * (TILE[1] + GAP)) for r in range(rows) for c in range(columns)
    ]
    return [page[top : top + TILE[0], left : left + TILE[1]].astype(int) for top, left in corners]


def _difference(tile: np.ndarray) -> float:
    """Between the label's picture and the prediction's."""
    return float(np.abs(tile[:288, :216] - tile[:288, 218:]).mean())


def test_the_worst_come_first_and_labels_are_beside_predictions(tmp_path: Path, crops: CropSet) -> None:
    points = crops.labels.points.astype(np.float64)
    bad = [40, 3, 17]
    points[bad] += np.array([25.0, 10.0])
    scores = np.where(crops.labels.by_people, 0.9, 0.0)
    path = tmp_path / "held-out.jpg"
    draw_held_out(path, crops, points, scores, COCO17)
    tiles = _tiles(path)
    assert len(tiles) == 24
    apart = [_difference(tile) for tile in tiles]
    assert min(apart[:3]) > 2 * max(apart[12:])


def test_few_are_all_shown(tmp_path: Path, crops: CropSet) -> None:
    some = crops.take(np.arange(4))
    draw_held_out(tmp_path / "a.jpg", some, some.labels.points.astype(float), np.ones((4, 17)), COCO17)
    assert len(_tiles(tmp_path / "a.jpg")) == 4


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("mine.json/a/b:c.jpg:139", ("a/b:c.jpg", 139)),
        ("data.yaml/goose.png:2", ("goose.png", 2)),
        ("crops-0.zip/00012.webp", ("00012.webp", 7)),
    ],
)
def test_the_sheet_names_the_photo_and_who_in_it(name: str, told: tuple[str, int]) -> None:
    assert _name(name, 7) == told
