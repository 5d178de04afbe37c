"""What is measured on is not trained on: the project's shards against its evaluation photos."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mrpose_cli.ranks import Ranks
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog
from mrpose_cli.training.data import load_data
from mrpose_cli.training.overlap import fingerprints, look_alikes

DATA = Path(__file__).parents[3] / "shared" / "data"
ANNOTATIONS = DATA / "coco_val2017" / "person_keypoints_val2017_363.json"

# Photo 14439 of val2017, as a detector's demonstration shows it: with boxes drawn all over it.
LEAKED = {"mixed/209"}
SOME = 10  # crops of each shard

pytestmark = pytest.mark.skipif(
    not ANNOTATIONS.is_file(), reason="the project's data are not on this machine"
)


@pytest.fixture(scope="module")
def evaluated() -> Catalog:
    config = TrainConfig(data=(ANNOTATIONS,), images=DATA / "coco_val2017" / "images", human_sets="*")
    return Catalog(config, (320, 240))


@pytest.fixture(scope="module")
def trained() -> Catalog:
    return Catalog(TrainConfig(data=(DATA / "train",)))


def test_no_photo_of_val2017_is_trained_on_by_its_id(evaluated: Catalog, trained: Catalog) -> None:
    ids = {photo.rpartition("/")[2] for photo in evaluated.labels.photos}
    coco = {photo.rpartition("/")[2] for photo in trained.labels.photos if photo.startswith("coco")}
    assert len(ids) > 300 and len(coco) > 1000
    assert not ids & coco


def test_no_person_of_val2017_is_trained_on_by_their_looks(evaluated: Catalog, trained: Catalog) -> None:
    prints = fingerprints(evaluated.load(np.arange(len(evaluated.labels)), 4).pixels)
    assert look_alikes(prints[:50], prints).tolist() == list(range(50))
    places = np.array_split(np.arange(len(trained.labels)), 8)
    others = torch.cat([fingerprints(trained.load(some, 4).pixels) for some in places])
    found = {trained.labels.photos[crop] for crop in look_alikes(others, prints)}
    assert found <= LEAKED


def test_what_is_known_to_be_in_the_shards_is_left_out(tmp_path: Path) -> None:
    few = tmp_path / "few.zip"
    with zipfile.ZipFile(few, "w") as archive:
        shards = sorted((DATA / "train").glob("*.zip"))
        rows = [row for path in shards for row in _leaked_and_some(path, archive)]
        archive.writestr("labels.jsonl", "\n".join(rows))
    config = TrainConfig(
        data=(few,), holdout=0.0, val_ann=ANNOTATIONS, val_images=DATA / "coco_val2017" / "images"
    )
    data = load_data(config, Catalog(config), Ranks())
    leaked = len(rows) - len(shards) * SOME
    assert leaked > 1 and (data.facts.evaluated, data.facts.trained) == (leaked, len(shards) * SOME)
    assert not LEAKED & set(data.train.labels.photos)


def _leaked_and_some(path: Path, archive: zipfile.ZipFile) -> list[str]:
    """Copy a shard's first crops and those that are known; their lines of the index."""
    kept = []
    with zipfile.ZipFile(path) as shard:
        for number, row in enumerate(shard.read("labels.jsonl").decode().splitlines()):
            crop = json.loads(row)
            if number < SOME or f"{crop['set']}/{crop['source_id']}" in LEAKED:
                archive.writestr(crop["file"], shard.read(crop["file"]))
                kept.append(row)
    return kept
