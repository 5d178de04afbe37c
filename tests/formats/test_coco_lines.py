import csv
import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO

from mrpose_cli.formats.lines import CsvWriter, JsonlWriter, partial_path
from mrpose_cli.formats.writer import DatasetWriter, person_rows
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import COCO17


def people(count: int, first_id: int = 1) -> Poses:
    rng = np.random.default_rng(count)
    corner = rng.uniform(0, 100, (count, 2))
    return Poses(
        keypoints=rng.uniform(0, 200, (count, 17, 2)).astype(np.float32),
        scores=np.tile(np.linspace(0, 1, 17, dtype=np.float32), (count, 1)),
        boxes=np.concatenate([corner, corner + np.array([30, 60])], axis=1).astype(np.float32),
        box_scores=np.full(count, 0.5, np.float32),
        person_scores=np.full(count, 0.25, np.float32),
        track_ids=np.arange(first_id, first_id + count),
        bridged=np.arange(count) == 1,
    )


def test_frames_of_a_clip_load_in_pycocotools(tmp_path: Path) -> None:
    info: dict[str, float] = {}
    writer = DatasetWriter(tmp_path / "clip.json", COCO17, info)
    for index in range(3):
        image = {"id": index + 1, "file_name": f"clip/{index:06}.jpg", "width": 640, "height": 480}
        details = {"frame_index": index, "timestamp": index / 25}
        writer.add({**image, **details}, person_rows(people(2, first_id=0), 0.5))
    assert writer.pending > 2000
    info["jitter"] = 1.5
    writer.close()
    coco = COCO(str(tmp_path / "clip.json"))
    assert coco.imgs[2] == {
        "id": 2,
        "file_name": "clip/000001.jpg",
        "width": 640,
        "height": 480,
        "frame_index": 1,
        "timestamp": 0.04,
    }
    nobody, somebody = coco.loadAnns(coco.getAnnIds(2))
    assert "track_id" not in nobody
    assert "bridged" not in nobody
    assert (somebody["track_id"], somebody["bridged"]) == (1, True)
    assert coco.dataset["info"] == {"jitter": 1.5}


def test_each_line_is_on_the_disk_as_soon_as_it_is_added(tmp_path: Path) -> None:
    path = tmp_path / "walk.jsonl"
    writer = JsonlWriter(path, COCO17, {})
    growing = tmp_path / "walk.partial.jsonl"
    for index in range(3):
        writer.add({"id": 1, "frame_index": index}, person_rows(people(index), 0.5))
        lines = [json.loads(line) for line in growing.read_text().splitlines()]
        assert [line["frame_index"] for line in lines] == list(range(index + 1))
        assert "id" not in lines[-1]
        assert len(lines[-1]["annotations"]) == index
    assert not path.exists()
    writer.close()
    assert [file.name for file in tmp_path.iterdir()] == ["walk.jsonl"]
    assert writer.written == path
    row = json.loads(path.read_text().splitlines()[2])["annotations"][1]
    assert row["track_id"] == 2
    assert row["num_keypoints"] == 9
    assert len(row["keypoints"]) == 51


def test_what_is_cut_short_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    writer = CsvWriter(path, COCO17, {})
    writer.close(partial=True)
    assert writer.written == partial_path(path)
    assert [file.name for file in tmp_path.iterdir()] == ["walk.partial.csv"]


def test_spreadsheets_get_a_row_a_person_and_frame(tmp_path: Path) -> None:
    path = tmp_path / "walk.csv"
    writer = CsvWriter(path, COCO17, {})
    found = people(2, first_id=0)
    writer.add({"frame_index": 7, "timestamp": 0.28}, person_rows(found, 0.5))
    writer.add({"frame_index": 8, "timestamp": 0.32}, [])
    writer.close()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert len(rows) == 2
    assert [row["track_id"] for row in rows] == ["", "1"]
    for person, row in enumerate(rows):
        assert (row["frame_index"], row["timestamp"]) == ("7", "0.28")
        assert float(row["x"]) == pytest.approx(found.boxes[person, 0], abs=1e-3)
        assert float(row["width"]) == pytest.approx(30, abs=1e-3)
        assert float(row["left_wrist_y"]) == pytest.approx(found.keypoints[person, 9, 1], abs=1e-3)
        assert float(row["right_ankle_score"]) == 1
