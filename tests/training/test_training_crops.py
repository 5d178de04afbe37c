"""Crops from shards and from photos."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sample_crops import PEOPLE, SURE, photo, write_coco, write_shard

from mrpose_cli.errors import UsageError
from mrpose_cli.pipeline.crops import CropSpec, crop_affines, warp
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog, count_sets
from mrpose_cli.training.labels import MARGIN, PADDING

PHOTOS = ("basketball1.png", "pedestrians1.jpg")  # 2 people and 7


def _config(*data: Path, **fields: object) -> TrainConfig:
    return TrainConfig(data=data, **fields)  # type: ignore[arg-type]


def test_a_shard_gives_its_crops_with_their_labels(tmp_path: Path) -> None:
    count = write_shard(tmp_path / "a.zip", photos=PHOTOS)
    catalog = Catalog(_config(tmp_path))
    told: list[int] = []
    crops = catalog.load(np.arange(count)[::-1].copy(), 3, told.append)
    assert crops.pixels.shape == (9, 160, 120, 3) and sum(told) == 9
    assert (
        crops.labels.names[0] == "a.zip/00008.webp"
        and crops.labels.photos[0] == "coco_samples/pedestrians1.jpg"
    )

    # The last one asked for is the shard's first: labels and pixels are its own.
    person = PEOPLE["basketball1.png"][0]
    x, y, w, h = person["bbox"]
    spec = CropSpec((160, 120), (PADDING * MARGIN,) * 2, aligned=True)
    affine = crop_affines(np.array([[x, y, x + w, y + h]]), spec)[0]
    expected = np.array(person["keypoints"])[:, :2] * affine[[0, 1], [0, 1]] + affine[:, 2]
    sure = np.array(person["keypoints"])[:, 2] >= SURE
    assert crops.points[-1].numpy()[sure] == pytest.approx(expected[sure], abs=0.01)
    assert crops.weights[-1].numpy()[sure].tolist() == [1.0] * sure.sum()
    cut = warp(photo("basketball1.png"), affine, (160, 120)).astype(int)
    assert np.abs(crops.pixels[-1].numpy().astype(int) - cut).mean() < 4  # WebP is not exact
    assert count_sets(crops.labels) == {"coco_samples": (9, 9)}


def test_photos_give_the_same_crops_as_a_shard_cut_from_them(tmp_path: Path, samples: Path) -> None:
    write_shard(tmp_path / "a.zip", (320, 240), photos=PHOTOS, teacher=None)
    write_coco(tmp_path / "people.json", PHOTOS)
    every = np.arange(9)
    shard = Catalog(_config(tmp_path / "a.zip")).load(every, 2)
    photos = Catalog(_config(tmp_path / "people.json", images=samples)).load(every, 2)
    assert photos.size == (320, 240)
    assert np.array_equal(photos.weights, shard.weights)
    known = photos.weights.numpy() > 0
    assert photos.points.numpy()[known] == pytest.approx(shard.points.numpy()[known], abs=0.02)
    assert np.abs(photos.pixels.numpy().astype(int) - shard.pixels.numpy()).mean() < 4
    # A person's area, carried into the crop.
    w, h = PEOPLE["basketball1.png"][0]["bbox"][2:]
    scale = 319 / (h * PADDING * MARGIN)
    assert photos.labels.areas[0] == pytest.approx(w * h * 0.5 * scale**2, rel=0.01)


def test_photos_are_cut_to_the_size_of_shards_that_come_with_them(tmp_path: Path, samples: Path) -> None:
    write_shard(tmp_path / "a.zip", photos=PHOTOS)
    write_coco(tmp_path / "people.json", PHOTOS)
    catalog = Catalog(_config(tmp_path / "people.json", tmp_path / "a.zip", images=samples))
    assert catalog.size == (160, 120) and len(catalog.labels) == 18
    assert Catalog(_config(tmp_path / "people.json", images=samples, input_size="64x96")).size == (80, 120)


def test_crops_without_labels_are_left_out(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.zip", photos=PHOTOS)
    write_shard(tmp_path / "b.zip", photos=PHOTOS, human=None, teacher=[[1, 1, 0.1]] * 17)
    catalog = Catalog(_config(tmp_path))
    assert len(catalog.labels) == 9 and catalog.unlabelled == 9
    assert len(Catalog(_config(tmp_path, limit=4)).labels) == 4
    with pytest.raises(UsageError, match="none of the crops has a joint"):
        Catalog(_config(tmp_path, human_sets="others", pseudo_weight=0.0))


def test_crops_of_different_sizes_do_not_go_together(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.zip", (160, 120), photos=PHOTOS)
    write_shard(tmp_path / "b.zip", (320, 240), photos=PHOTOS)
    with pytest.raises(UsageError, match=r"b\.zip are not of the size"):
        Catalog(_config(tmp_path))


def test_files_that_will_not_do_are_named(tmp_path: Path, samples: Path) -> None:
    broken, empty, other = tmp_path / "broken.zip", tmp_path / "empty.zip", tmp_path / "other.zip"
    broken.write_bytes(b"no zip")
    with zipfile.ZipFile(empty, "w") as archive:
        archive.writestr("labels.jsonl", "")
    with zipfile.ZipFile(other, "w") as archive:
        archive.writestr("labels.jsonl", json.dumps({"file": "0.webp", "source_id": 1, "human": [[1, 2, 3]]}))
    write_coco(tmp_path / "people.json")
    for path, message in (
        (tmp_path / "none.zip", "no crop shard at"),
        (broken, "not a readable zip"),
        (empty, "has no crops"),
        (other, "has 1 joints, coco17 has 17"),
        (samples, "has no crop shards"),
        (tmp_path / "people.json", "5 photos of people.json are missing"),
    ):
        with pytest.raises(UsageError, match=message):
            Catalog(_config(path))


def test_a_damaged_crop_is_named(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.zip", photos=PHOTOS)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["00003.webp"] = b"no picture"
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    with pytest.raises(UsageError, match=r"00003\.webp cannot be read"):
        Catalog(_config(tmp_path / "a.zip")).load(np.arange(9), 2)
