"""Training, photos, clips and evaluation work with joints that mrpose does not know."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from pycocotools.coco import COCO
from typer.testing import CliRunner

from mrpose_cli.cli import app
from mrpose_cli.evaluation.annotations import read_annotations
from mrpose_cli.models.identify import identify
from mrpose_cli.skeletons import from_categories, read_skeleton, to_category

JOINTS = ["crown", "L_mitt", "R_mitt", "L_boot", "R_boot"]
PUPPET = """
name = "puppet"
category = "puppet"
joints = ["crown", "L_mitt", "R_mitt", "L_boot", "R_boot"]
limbs = [["crown", "L_mitt"], ["crown", "R_mitt"], ["crown", "L_boot"], ["crown", "R_boot"]]
sigmas = [0.05, 0.06, 0.06, 0.1, 0.1]

[colors]
crown = "#ff0000"
"""


def run(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """Train a network of five joints for a few steps; it says itself which they are."""
    folder = tmp_path_factory.mktemp("puppet")
    (folder / "puppet.toml").write_text(PUPPET)
    skeleton = read_skeleton(folder / "puppet.toml")
    labels = json.loads((samples / "boxes.json").read_text())
    labels["categories"] = [to_category(skeleton, 1)]
    for row in labels["annotations"]:
        x, y, width, height = row["bbox"]
        places = [(0.5, 0.1), (0.8, 0.5), (0.2, 0.5), (0.6, 0.9), (0.4, 0.9)]
        row["keypoints"] = [v for a, b in places for v in (x + a * width, y + b * height, 2)]
    (folder / "puppets.json").write_text(json.dumps(labels))
    run("train", folder / "puppets.json", "--images", samples, "--model", "mrfea2-r18", "--init", "random",
        "--input-size", "64x64", "--samples", "16", "--batch-size", "4", "--device", "cpu",
        "--out", folder / "run", "-q")  # fmt: skip
    path = folder / "run" / "best.safetensors"
    assert identify(path).skeleton == skeleton
    return path


def check_category(document: dict[str, Any]) -> None:
    [category] = document["categories"]
    assert category["name"] == "puppet" and category["keypoints"] == JOINTS
    assert category["skeleton"] == [[1, 2], [1, 3], [1, 4], [1, 5]]
    skeleton = from_categories([category], "poses.json")
    assert skeleton.flip_pairs == ((1, 2), (3, 4))
    assert skeleton.sigmas == (0.05, 0.06, 0.06, 0.1, 0.1)
    assert skeleton.colors[0] == (255, 0, 0)


def test_photos(weights: Path, samples: Path, tmp_path: Path) -> None:
    run("image", samples, "--boxes", samples / "boxes.json", "--weights", weights, "--flip",
        "--results-json", "--kpt-thr", "0", "-o", tmp_path)  # fmt: skip
    document = json.loads((tmp_path / "poses.json").read_text())
    check_category(document)
    assert document["info"]["joints"] == "puppet"
    assert all(len(row["keypoints"]) == 15 for row in document["annotations"])
    coco = COCO(tmp_path / "poses.json")
    assert coco.cats[1]["keypoints"] == JOINTS and coco.cats[1]["skeleton"] == [
        [1, 2],
        [1, 3],
        [1, 4],
        [1, 5],
    ]
    (tmp_path / "again.json").write_text(json.dumps(coco.dataset))
    again = read_annotations(tmp_path / "again.json")
    assert again.skeleton == from_categories(document["categories"], "poses.json")
    assert [row["keypoints"].tolist() for row in again.persons] == [
        row["keypoints"] for row in document["annotations"]
    ]
    assert len(coco.loadRes(str(tmp_path / "results.json")).anns) == len(document["annotations"])


def test_a_clip_with_everything(weights: Path, samples: Path, tmp_path: Path) -> None:
    run("video", samples / "pedestrians.mp4", "--whole-image", "--weights", weights, "--end", "1s", "--track",
        "--smooth", "one-euro", "--trails", "--csv", "--jsonl", "--kpt-thr", "0", "-o", tmp_path)  # fmt: skip
    document = json.loads((tmp_path / "pedestrians.json").read_text())
    check_category(document)
    assert {row["track_id"] for row in document["annotations"]} == {1}
    with (tmp_path / "pedestrians.csv").open() as file:
        titles, *rows = csv.reader(file)
    assert titles[-3:] == ["R_boot_x", "R_boot_y", "R_boot_score"]
    assert len(rows) == len(document["annotations"]) > 5 and len(rows[0]) == 8 + 15
    lines = (tmp_path / "pedestrians.jsonl").read_text().splitlines()
    assert len(json.loads(lines[0])["annotations"][0]["keypoints"]) == 15


def test_faces_that_no_joint_tells_of_are_not_blurred_in_silence(weights: Path, samples: Path) -> None:
    command = ["video", str(samples / "pedestrians.mp4"), "--whole-image", "--weights", str(weights)]
    result = CliRunner().invoke(app, [*command, "--blur-faces", "-o", "nowhere"])
    assert result.exit_code == 2
    assert "puppet has no joint of the head, so --blur-faces finds no face" in result.output


def test_evaluation_of_what_it_said_itself(weights: Path, samples: Path, tmp_path: Path) -> None:
    """Labels are the network's own answers, in another order and by other names: all are found."""
    run("image", samples, "--boxes", samples / "boxes.json", "--weights", weights, "--kpt-thr", "0",
        "--no-overlay", "--no-flip", "-o", tmp_path / "out")  # fmt: skip
    document = json.loads((tmp_path / "out" / "poses.json").read_text())
    order = [3, 4, 0, 1, 2]
    document["categories"] = [
        {"id": 1, "name": "puppet", "keypoints": ["boot_left", "boot_right", "Crown", "mitt-l", "mitt-r"],
         "skeleton": [], "sigmas": [0.1, 0.1, 0.05, 0.06, 0.06]}
    ]  # fmt: skip
    for row in document["annotations"]:
        row["keypoints"] = [v for i in order for v in row["keypoints"][3 * i : 3 * i + 3]]
    (tmp_path / "labels.json").write_text(json.dumps(document))
    run("eval", "--ann", tmp_path / "labels.json", "--images", samples, "--boxes", samples / "boxes.json",
        "--weights", weights, "--no-flip", "--worst", "4", "--html", "-o", tmp_path / "eval")  # fmt: skip
    report = json.loads((tmp_path / "eval" / "report.json").read_text())
    assert report["figures"]["ap"] > 99
    assert [row["total"] for row in report["pck"]] == [100, 100]
    assert report["conditions"]["dataset"]["sigmas"] == "labels.json"
    assert [row["joint"] for row in report["mistakes"]["joints"]][2] == "Crown"
    assert (tmp_path / "eval" / "worst.jpg").is_file()
