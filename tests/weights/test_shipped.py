"""The weights that come with mrpose: whole, described, and as good as they have to be to stand in."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np

from mrpose_cli import load_pipeline
from mrpose_cli.models.identify import read_entry
from mrpose_cli.pipeline.checkpoints import SHIPPED_MODEL
from mrpose_cli.pipeline.detectors.base import FileBoxes
from mrpose_cli.poses import Detections
from mrpose_cli.skeletons import COCO17
from mrpose_cli.tracking.similarity import pose_similarity
from mrpose_cli.weights.manifest import find_pose
from mrpose_cli.weights.store import WeightsStore

ROOT = Path(__file__).parents[2]
ENTRY = find_pose(SHIPPED_MODEL)
FILE = ROOT / "weights" / ENTRY.file


def test_the_file_is_the_manifests(tmp_path: Path) -> None:
    assert FILE.stat().st_size < 100e6
    assert ENTRY.sha256 is not None and len(ENTRY.sha256) == 64
    store = WeightsStore(home=tmp_path, offline=True)
    assert store.state(ENTRY) == "shipped"
    assert [check.status for check in store.check(ENTRY)] == ["ok"]


def test_the_file_itself_says_what_it_expects() -> None:
    written = read_entry(FILE)
    assert written is not None
    for field in (
        "arch",
        "joints",
        "input_size",
        "color",
        "mean",
        "std",
        "padding",
        "codec",
        "flip_test",
        "score",
    ):
        assert getattr(written, field) == getattr(ENTRY, field), field


def test_its_card_states_the_manifests_figure() -> None:
    card = FILE.with_suffix(".md").read_text()
    for chapter in ("## How good it is", "## Data", "## Run", "## Recipe"):
        assert chapter in card
    [metric] = ENTRY.metrics
    evaluated = re.search(r"ground-truth boxes, .*\| \d+ \| ([\d.]+) \|", card)
    assert evaluated is not None and float(evaluated[1]) == metric.ap
    assert metric.flip and "ground truth" in metric.boxes
    ids = (ROOT / "docs" / "val2017-363.txt").read_bytes()
    assert metric.images_sha256 == hashlib.sha256(ids).hexdigest()


def test_it_finds_the_joints_of_the_samples(samples: Path) -> None:
    people = json.loads((ROOT / "tests" / "fixtures" / "samples.json").read_text())
    given = {}
    for name, found in people.items():
        box = np.array([person["bbox"] for person in found], np.float32)
        given[str(samples / name)] = Detections(
            np.hstack([box[:, :2], box[:, :2] + box[:, 2:]]), np.ones(len(box), np.float32)
        )
    pipeline = load_pipeline(SHIPPED_MODEL, FileBoxes(given, "samples"), device="cpu")
    similar: list[float] = []
    for (path, boxes), poses in zip(given.items(), pipeline(list(given)), strict=True):
        expected = np.array([person["keypoints"] for person in people[Path(path).name]])
        areas = np.prod(boxes.boxes[:, 2:] - boxes.boxes[:, :2], axis=1)
        oks = pose_similarity(
            poses.keypoints,
            np.ones_like(poses.scores),
            expected[..., :2],
            expected[..., 2],
            areas,
            COCO17,
        )
        similar.extend(oks.diagonal())
    assert len(similar) == 17
    assert np.mean(similar) > 0.8
