"""Telling that two pictures are one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sample_crops import PHOTOS, write_coco, write_shard
from torch import Tensor

from mrpose_cli.ranks import Ranks
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog
from mrpose_cli.training.data import load_data
from mrpose_cli.training.overlap import distances, fingerprints, look_alikes


def _people(tmp_path: Path) -> Tensor:
    count = write_shard(tmp_path / "people.zip")
    return Catalog(TrainConfig(data=(tmp_path / "people.zip",))).load(np.arange(count), 2).pixels


def test_a_picture_is_recognized_after_scaling_recompression_and_in_other_light(tmp_path: Path) -> None:
    people = _people(tmp_path)
    changed = []
    for index, pixels in enumerate(people):
        picture = Image.fromarray(pixels.numpy()).resize((90, 120)).resize((120, 160))
        picture = picture.point(lambda value: value * 0.8 + 10)
        picture.save(tmp_path / f"{index}.jpg", quality=60)
        changed.append(torch.from_numpy(np.array(Image.open(tmp_path / f"{index}.jpg"))))
    prints, others = fingerprints(people), fingerprints(torch.stack(changed))
    assert look_alikes(others, prints).tolist() == list(range(len(people)))


def test_different_people_are_different(tmp_path: Path) -> None:
    prints = fingerprints(_people(tmp_path))
    assert all(distances(prints[i : i + 1], prints[:i]) > 8 for i in range(1, len(prints)))


def test_people_to_be_evaluated_on_are_not_trained_on(tmp_path: Path, samples: Path) -> None:
    # One copy of the crops is cut from exact boxes, the other is a little off. If one crop of a photo is
    # recognized, all of them go.
    write_shard(tmp_path / "all.zip", copies=2, set="other")
    write_coco(tmp_path / "val.json", PHOTOS[-1:])
    evaluated = {"val_ann": tmp_path / "val.json", "val_images": samples}
    config = TrainConfig(data=(tmp_path / "all.zip",), holdout=0.0, **evaluated)  # type: ignore[arg-type]
    data = load_data(config, Catalog(config), Ranks())
    assert (data.facts.evaluated, data.facts.trained) == (12, 22) and len(data.train) == 22
    assert f"other/{PHOTOS[-1]}" not in data.train.labels.photos

    # By its id a photo is left out in any case.
    write_shard(tmp_path / "ids.zip", copies=2, set="coco_train2017", source_id=1)
    config = TrainConfig(data=(tmp_path / "all.zip", tmp_path / "ids.zip"), **evaluated)  # type: ignore[arg-type]
    data = load_data(config, Catalog(config), Ranks())
    assert not any("ids.zip" in name for name in data.train.labels.names)
    assert data.held_out is None or not any("ids.zip" in name for name in data.held_out.labels.names)
