"""YOLO-pose data sets."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sample_crops import PHOTOS, ROOT, write_coco

from mrpose_cli.errors import UsageError
from mrpose_cli.skeletons import COCO17
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog

JOINTS = {"tip": "nose", "wing_l": "left_wrist", "wing_r": "right_wrist"}
VAL = PHOTOS[-1]
YAML = """\
path: .
train: images/train
val: images/val
names: {0: goose}
kpt_shape: [3, 3]
flip_idx: [0, 2, 1]
kpt_names:
  0: [tip, wing_l, wing_r]
"""


def _write(folder: Path, text: str = YAML, numbers: int = 3) -> Path:
    """The people of a COCO file as a YOLO data set."""
    folder.mkdir(exist_ok=True)
    write_coco(folder / "coco.json", joints=JOINTS)
    content = json.loads((folder / "coco.json").read_text())
    for image in content["images"]:
        split = "val" if image["file_name"] == VAL else "train"
        width, height = image["width"], image["height"]
        picture = folder / "images" / split / image["file_name"]
        labels = (folder / "labels" / split / image["file_name"]).with_suffix(".txt")
        for file in (picture, labels):
            file.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes((ROOT / "samples" / image["file_name"]).read_bytes())
        lines = []
        for row in content["annotations"]:
            if row["image_id"] == image["id"]:
                x, y, w, h = row["bbox"]
                triples = np.reshape(row["keypoints"], (-1, 3)) / (width, height, 1)
                box = [(x + w / 2) / width, (y + h / 2) / height, w / width, h / height]
                lines.append(" ".join(map(str, [0, *box, *triples[:, :numbers].ravel()])))
        labels.write_text("\n".join(lines) + "\n")
    (folder / "data.yaml").write_text(text)
    return folder


def _catalog(path: Path, remark: Callable[[str], None] = lambda note: None, **fields: Any) -> Catalog:
    return Catalog(TrainConfig(data=(path,), **fields), remark=remark)


def test_a_folder_gives_the_crops_of_the_same_coco_file(tmp_path: Path, samples: Path) -> None:
    catalog = _catalog(_write(tmp_path / "geese"))
    other = _catalog(tmp_path / "geese" / "coco.json", images=samples)
    assert catalog.skeleton.joints == tuple(JOINTS) == other.skeleton.joints
    assert catalog.skeleton.flip_pairs == ((1, 2),) and catalog.skeleton.category == "goose"
    assert len(catalog.labels) == len(other.labels) > 10
    mine, theirs = ({name: place for place, name in enumerate(one.labels.names)} for one in (catalog, other))
    first = (mine["data.yaml/basketball1.png:1"], theirs["coco.json/basketball1.png:2"])
    a, b = (one.load(np.array([place]), 1) for one, place in zip((catalog, other), first, strict=True))
    assert np.array_equal(a.labels.weights, b.labels.weights)
    known = a.labels.weights > 0
    assert a.labels.points[known] == pytest.approx(b.labels.points[known], abs=0.01)
    assert np.abs(a.pixels.numpy().astype(int) - b.pixels.numpy()).mean() < 2


def test_val_is_held_out_and_nothing_else(tmp_path: Path) -> None:
    labels = _catalog(_write(tmp_path) / "data.yaml").labels
    train, held = labels.split(0.3, 0)
    assert {labels.photos[i] for i in held} == {f"yolo/data.yaml:val/{VAL}"}
    assert len(train) + len(held) == len(labels)
    assert np.array_equal(labels.split(0.0, 0)[1], held)
    again = _catalog(_write(tmp_path / "same", YAML.replace("images/val", "images/train"))).labels
    assert (again.held == -1).all()  # photos that are named twice are drawn as any


@pytest.mark.parametrize("numbers", [2, 3])
def test_joints_may_come_without_v_and_without_names(tmp_path: Path, numbers: int) -> None:
    text = YAML.split("kpt_names")[0].replace("[3, 3]", f"[3, {numbers}]")
    notes: list[str] = []
    catalog = _catalog(_write(tmp_path, text, numbers), notes.append)
    assert catalog.skeleton.joints == ("joint_1", "joint_2", "joint_3")
    assert catalog.skeleton.flip_pairs == ((1, 2),)
    assert "does not name its joints; they are called joint_1 to joint_3" in notes[0]
    assert 0 < catalog.labels.weights.mean() < 1
    (tmp_path / "own.toml").write_text('name = "own"\njoints = ["beak", "left_wing", "right_wing"]\n')
    named = _catalog(tmp_path, skeleton=str(tmp_path / "own.toml"))
    assert named.skeleton.joints == ("beak", "left_wing", "right_wing")


def test_seventeen_with_cocos_mirror_are_cocos(tmp_path: Path) -> None:
    flips = list(COCO17.mirror_order)
    _write(tmp_path, YAML.split("kpt_shape")[0] + f"kpt_shape: [17, 3]\nflip_idx: {flips}\n")
    for labels in tmp_path.rglob("labels/*/*.txt"):
        labels.write_text("0 0.5 0.5 0.5 0.5" + " 0.5 0.5 2" * 17 + "\n")
    assert _catalog(tmp_path).skeleton == COCO17


def test_lists_of_photos_and_folders_counted_from_elsewhere(tmp_path: Path) -> None:
    _write(
        tmp_path,
        YAML.replace("train: images/train", "train: [train.txt]").replace("path: .", "path: ../gone"),
    )
    names = sorted(path.name for path in (tmp_path / "images/train").iterdir())
    (tmp_path / "train.txt").write_text("".join(f"./images/train/{name}\n" for name in names[:2]))
    photos = set(_catalog(tmp_path).labels.photos)
    assert photos == {f"yolo/data.yaml:train/{name}" for name in names[:2]} | {f"yolo/data.yaml:val/{VAL}"}
    moved = YAML.replace("images/", "../images/").replace("path: .\n", "")
    assert len(_catalog(_write(tmp_path / "moved", moved)).labels) > 10


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("kpt_shape: [3, 3]", "kpt_shape: [3]"), r"kpt_shape should be \[joints, 2 or 3\]"),
        (("kpt_shape: [3, 3]", ""), "it has no kpt_shape"),
        (("[0, 2, 1]", "[0, 2, 2]"), "flip_idx should name for each of the 3 joints"),
        (("[0, 2, 1]", "[0, 1]"), "flip_idx should name"),
        (("[0, 2, 1]", "[2, 1, 0]"), "pairs: .* are no pair"),
        (("wing_r]", "wing_r, tail]"), "kpt_names should be 3 names"),
        (("wing_r]", "wing_l]"), "wing_l"),
        (("images/train", "photos"), "train leads to photos, which is not there"),
        (("path: .", "path: ["), "is not YAML"),
        (("[3, 3]", "[3, 2]"), r"line 1: 14 numbers where kpt_shape \[3, 2\] wants 11"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        _catalog(_write(tmp_path, YAML.replace(*change)) / "data.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("0 100 80 40 60" + " 0.5 0.5 2" * 3, "line 2: the box is not in shares"),
        ("0 0.5 x 0.5 0.5" + " 0.5 0.5 2" * 3, "line 2: there should be nothing but numbers"),
        ("0 0.5 nan 0.5 0.5" + " 0.5 0.5 2" * 3, "line 2: there should be nothing but numbers"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    labels = _write(tmp_path) / "labels" / "train" / "basketball1.txt"
    labels.write_text("0 0.5 0.5 0.5 0.5" + " 0.5 0.5 2" * 3 + f"\n{line}\n")
    with pytest.raises(UsageError, match=rf"basketball1\.txt, {message}"):
        _catalog(tmp_path)
