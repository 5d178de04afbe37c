"""Joints of one's own, from a file of labels to a drawn photo."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sample_crops import PHOTOS, photo, write_coco, write_shard
from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.errors import UsageError
from mrpose_cli.media.images import read_image
from mrpose_cli.models.identify import read_entry
from mrpose_cli.skeletons import COCO17, get_skeleton
from mrpose_cli.training.config import TrainConfig
from mrpose_cli.training.crops import Catalog
from mrpose_cli.training.log import read_log

# Of another tool, in another order and with other names; two that the shipped network knows as well.
FEW = ("--samples", "48", "--val-every", "2", "--holdout", "0.3", "--log-every", "1", "--device", "cpu")
JOINTS = {
    "Knee.L": "left_knee",
    "Knee.R": "right_knee",
    "beak": "nose",
    "wing_l": "left_wrist",
    "wing_r": "right_wrist",
}


def test_five_joints_go_from_labels_to_a_photo(tmp_path: Path, samples: Path) -> None:
    write_coco(tmp_path / "mine.json", joints=JOINTS, name="goose", skeleton=[[1, 3], [2, 3]])
    out, drawn = tmp_path / "out", tmp_path / "drawn"
    train = ["train", str(tmp_path / "mine.json"), "--images", str(samples), "--out", str(out)]
    result = CliRunner().invoke(app, [*train, *FEW])
    assert result.exit_code == 0, result.output
    assert "Knee.L, Knee.R by name, beak, wing_l, wing_r fresh" in result.output
    assert "PCK@0.1" in result.output

    entry = read_entry(out / "best.safetensors")
    assert entry is not None
    assert (entry.joints, entry.skeleton.joints, entry.skeleton.category) == (5, tuple(JOINTS), "goose")
    assert entry.skeleton.flip_pairs == ((0, 1), (3, 4)) and entry.flip_test
    card = (out / "CARD.md").read_text()
    assert "takes for a goose gets boxes" in card
    assert "the 5 joints of goose" in card and "by name" in card and "0.08 elsewhere" in card
    [*_, last] = [line for line in read_log(out) if line["event"] == "validation"]
    assert 0 <= last["pck"] == last["pck_human"] <= 100

    sheet = read_image(out / "held-out.jpg").image
    assert sheet.shape[1] > 400

    image = str(samples / "camera.png")
    result = CliRunner().invoke(
        app, ["image", image, "--weights", str(out / "best.safetensors"), "--whole-image", "-o", str(drawn)]
    )
    assert result.exit_code == 0, result.output
    poses = json.loads((drawn / "poses.json").read_text())
    [category] = poses["categories"]
    assert category["keypoints"] == list(JOINTS) and category["skeleton"] == [[1, 3], [2, 3]]
    [person] = poses["annotations"]
    assert len(person["keypoints"]) == 15 and person["keypoint_scores"][0] > 0.2  # a knee that it knew
    assert (read_image(drawn / "camera.png").image != photo("camera.png")).any()


def test_files_of_several_joints_are_told_apart(tmp_path: Path, samples: Path) -> None:
    write_coco(tmp_path / "a.json", joints=JOINTS)
    write_coco(tmp_path / "b.json", joints={**JOINTS, "left_ear": "left_ear"})
    write_shard(tmp_path / "c.zip", photos=PHOTOS[:1])

    def catalog(*names: str, **fields: str) -> Catalog:
        data = tuple(tmp_path / name for name in names)
        return Catalog(TrainConfig(data=data, images=samples, **fields))  # type: ignore[arg-type]

    for names in (("a.json", "b.json"), ("c.zip", "a.json")):
        with pytest.raises(UsageError, match=f"{names[1]} has other joints than .*{names[0]}"):
            catalog(*names)
    assert catalog("a.json", "a.json").skeleton.joints == tuple(JOINTS)
    assert catalog("c.zip").skeleton == COCO17
    with pytest.raises(UsageError, match=r"a\.json has 5 joints, coco17 of `skeleton` has 17"):
        catalog("a.json", skeleton="coco17")


def test_a_skeleton_says_what_a_file_does_not(tmp_path: Path, samples: Path) -> None:
    write_coco(tmp_path / "unnamed.json")
    notes: list[str] = []
    config = TrainConfig(data=(tmp_path / "unnamed.json",), images=samples)
    assert Catalog(config, remark=notes.append).skeleton == COCO17
    assert notes == ["unnamed.json does not name its joints; they are 17 and taken for COCO's"]
    given = TrainConfig(data=config.data, images=samples, skeleton="ap10k")
    assert Catalog(given).skeleton == get_skeleton("ap10k")

    content = json.loads((tmp_path / "unnamed.json").read_text())
    for row in content["annotations"]:
        del row["keypoints"][6:]
    (tmp_path / "two.json").write_text(json.dumps(content))
    two = TrainConfig(data=(tmp_path / "two.json",), images=samples)
    with pytest.raises(UsageError, match=r"two\.json does not name its joints; say .* with `skeleton`"):
        Catalog(two)
    (tmp_path / "ends.toml").write_text('name = "ends"\njoints = ["nose", "tail"]\n')
    named = TrainConfig(data=two.data, images=samples, skeleton=str(tmp_path / "ends.toml"))
    assert Catalog(named).skeleton.joints == ("nose", "tail")
    (tmp_path / "ends.toml").write_text('name = "ends"\njoints = ["nose", "tail"]\nsigmas = [0.03, 0.2]\n')
    write_coco(tmp_path / "turned.json", joints={"tail": "left_hip", "nose": "nose"})
    turned = replace(named, data=(tmp_path / "turned.json",))
    with pytest.raises(UsageError, match=r"have the joints in another order"):
        Catalog(turned)


def test_labels_of_a_turned_photo_are_read_as_they_were_made(tmp_path: Path) -> None:
    """Most tools turn a photo before it is labelled, COCO's did not; its size tells."""
    from PIL import Image

    name = "basketball1.png"
    write_coco(tmp_path / "a.json", (name,))
    upright = photo(name)
    exif = Image.Exif()
    exif[0x0112] = 6  # stored lying on its side
    Image.fromarray(np.rot90(upright).copy()).save(tmp_path / name, "PNG", exif=exif)
    config = TrainConfig(data=(tmp_path / "a.json",))
    turned = Catalog(config).load(np.arange(2), 1).pixels
    Image.fromarray(upright).save(tmp_path / name, "PNG")
    assert np.array_equal(turned, Catalog(config).load(np.arange(2), 1).pixels)
    Image.fromarray(upright[::2, ::2]).save(tmp_path / name, "PNG")
    with pytest.raises(UsageError, match=r"a\.json says .* another size of it"):
        Catalog(config).load(np.arange(2), 1)


def test_joints_without_a_mirror_image_are_trained_and_evaluated_as_they_are(
    tmp_path: Path, samples: Path
) -> None:
    one_sided = {"a": "left_knee", "b": "nose", "c": "left_wrist"}
    write_coco(tmp_path / "mine.json", PHOTOS[:-1], one_sided)
    write_coco(tmp_path / "final.json", PHOTOS[-1:], one_sided)
    train = ["train", str(tmp_path / "mine.json"), "--images", str(samples), "--out", str(tmp_path / "out")]
    final = ["--val-ann", str(tmp_path / "final.json"), "--val-images", str(samples), "--samples", "16"]
    result = CliRunner().invoke(app, [*train, *final, "--holdout", "0", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "crops are not mirrored" in result.output and "--flip 0.5 if" in result.output
    entry = read_entry(tmp_path / "out" / "best.safetensors")
    assert entry is not None and not entry.flip_test
    assert [metric.flip for metric in entry.metrics] == [False]
    report = json.loads((tmp_path / "out" / "eval" / "report.json").read_text())
    pck = next(row["total"] for row in report["pck"] if row["threshold"] == 0.1)
    assert f"| {pck:.1f} |" in (tmp_path / "out" / "CARD.md").read_text()
