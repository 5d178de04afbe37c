"""CVAT's exports of COCO keypoints, as zip files and as folders."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from sample_crops import PHOTOS, write_coco

from mrpose_cli.errors import UsageError
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog

JOINTS = {"1": "nose", "2": "left_wrist", "3": "right_wrist"}  # CVAT's own names for a skeleton's points


def _export(
    folder: Path, samples: Path, photos: tuple[str, ...], subset: str, *, images: bool = True
) -> None:
    """What CVAT writes, with the fields that COCO does not have, and a category without keypoints."""
    annotations = folder / "annotations" / f"person_keypoints_{subset}.json"
    annotations.parent.mkdir(parents=True, exist_ok=True)
    write_coco(annotations, photos, JOINTS, supercategory="", skeleton=[[1, 2], [1, 3]])
    content = json.loads(annotations.read_text())
    content |= {"licenses": [{"name": "", "id": 0, "url": ""}], "info": {"contributor": "", "year": ""}}
    content["categories"].append(
        {"id": 2, "name": "car", "supercategory": "", "keypoints": [], "skeleton": []}
    )
    for row in content["annotations"]:
        row |= {"segmentation": [], "area": 0.0, "attributes": {"occluded": False}}
    box = {"id": 1000, "image_id": 1, "category_id": 2, "bbox": [0, 0, 5, 5], "area": 25.0, "iscrowd": 0}
    content["annotations"].append({**box, "segmentation": [], "attributes": {"occluded": False}})
    annotations.write_text(json.dumps(content))
    if images:
        (folder / "images" / subset).mkdir(parents=True)
        for name in photos:
            (folder / "images" / subset / name).write_bytes((samples / name).read_bytes())


def _zipped(folder: Path) -> Path:
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    return target


@pytest.mark.parametrize("zipped", [False, True])
def test_an_export_goes_in_as_it_is(tmp_path: Path, samples: Path, zipped: bool) -> None:
    _export(tmp_path / "task", samples, PHOTOS, "default")
    path = _zipped(tmp_path / "task") if zipped else tmp_path / "task"
    catalog = Catalog(TrainConfig(data=(path,)))
    assert catalog.skeleton.joints == ("1", "2", "3") and catalog.skeleton.limbs == ((0, 1), (0, 2))
    write_coco(tmp_path / "plain.json", PHOTOS, JOINTS)
    plain = Catalog(TrainConfig(data=(tmp_path / "plain.json",), images=samples))
    mine, theirs = (one.load(np.arange(len(one.labels)), 4) for one in (catalog, plain))
    assert np.array_equal(mine.pixels, theirs.pixels)
    assert np.array_equal(mine.points, theirs.points)
    assert (mine.labels.areas > theirs.labels.areas).all()  # the box's, as the file says 0


def test_a_subset_for_validation_is_held_out(tmp_path: Path, samples: Path) -> None:
    _export(tmp_path / "task", samples, PHOTOS[:-1], "Train")
    _export(tmp_path / "task", samples, PHOTOS[-1:], "Validation")
    labels = Catalog(TrainConfig(data=(_zipped(tmp_path / "task"),))).labels
    held = {labels.photos[i].rpartition(":")[2] for i in labels.split(0.04, 0)[1]}
    assert held == {PHOTOS[-1]} < {photo.rpartition(":")[2] for photo in labels.photos}


def test_an_export_without_photos_says_where_they_are_wanted(tmp_path: Path, samples: Path) -> None:
    _export(tmp_path / "task", samples, PHOTOS, "default", images=False)
    path = _zipped(tmp_path / "task")
    with pytest.raises(UsageError, match=r"photos of .* are missing .* pass their folder with `images`"):
        Catalog(TrainConfig(data=(path,)))
    assert len(Catalog(TrainConfig(data=(path,), images=samples)).labels) > 10


def test_a_zip_file_that_is_neither_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("annotations/readme.txt", "nothing")
    with pytest.raises(UsageError, match="export it as COCO Keypoints"):
        Catalog(TrainConfig(data=(tmp_path / "a.zip",)))


@pytest.mark.parametrize(
    "member", ["annotations/person_keypoints_default.json", f"images/default/{PHOTOS[1]}"]
)
def test_a_damaged_zip_file_is_told_in_one_line(tmp_path: Path, samples: Path, member: str) -> None:
    _export(tmp_path / "task", samples, PHOTOS, "default")
    path = _zipped(tmp_path / "task")
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(member)
    data = bytearray(path.read_bytes())
    start = info.header_offset + 30 + len(member)
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    with pytest.raises(UsageError, match=r"damaged|cannot be read|is not JSON") as caught:
        catalog = Catalog(TrainConfig(data=(path,)))
        catalog.load(np.arange(len(catalog.labels)), 2)
    assert "\n" not in str(caught.value)
