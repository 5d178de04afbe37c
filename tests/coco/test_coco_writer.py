import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from mrpose_cli.coco.writer import DatasetWriter, person_row, results_row, write_dataset, write_results
from mrpose_cli.errors import OutputError
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import COCO17


def people(count: int) -> Poses:
    rng = np.random.default_rng(count)
    corner = rng.uniform(0, 100, (count, 2))
    return Poses(
        keypoints=rng.uniform(0, 200, (count, 17, 2)).astype(np.float32),
        scores=np.tile(np.linspace(0, 1, 17, dtype=np.float32), (count, 1)),
        boxes=np.concatenate([corner, corner + np.array([30, 60])], axis=1).astype(np.float32),
        box_scores=np.full(count, 0.5, np.float32),
        person_scores=np.full(count, 0.25, np.float32),
    )


def test_both_files_load_in_pycocotools(tmp_path: Path) -> None:
    poses = {1: people(2), 2: people(0), 139: people(3)}
    dataset = DatasetWriter(tmp_path / "poses.json", COCO17, {"model": "x"}, keypoint_threshold=0.5)
    for image_id, found in poses.items():
        dataset.add(image_id, f"{image_id:012}.jpg", (480, 640), found)
    dataset.close()
    rows = [(i, person_row(found, n, 0.5)) for i, found in poses.items() for n in range(len(found))]
    write_results(tmp_path / "results.json", (results_row(*pair) for pair in rows))

    coco = COCO(str(tmp_path / "poses.json"))
    assert sorted(coco.imgs) == [1, 2, 139]
    assert coco.imgs[139] == {"id": 139, "file_name": "000000000139.jpg", "width": 640, "height": 480}
    assert coco.cats[1]["keypoints"] == list(COCO17.joints)
    assert [16, 14] in coco.cats[1]["skeleton"]
    assert sorted(coco.anns) == [1, 2, 3, 4, 5]
    row = coco.anns[3]
    assert row["image_id"] == 139
    expected = poses[139]
    assert np.array(row["keypoints"]).reshape(17, 3)[:, :2] == pytest.approx(expected.keypoints[0], abs=1e-3)
    visible = np.array(row["keypoints"])[2::3]
    assert visible.tolist() == [2 if score >= 0.5 else 0 for score in np.linspace(0, 1, 17)]
    assert row["num_keypoints"] == 9
    assert row["bbox"][2:] == pytest.approx([30, 60], abs=1e-3)
    assert row["area"] == pytest.approx(1800, abs=0.2)
    assert row["keypoint_scores"] == pytest.approx(expected.scores[0].tolist(), abs=1e-5)

    loaded = coco.loadRes(str(tmp_path / "results.json"))
    assert len(loaded.anns) == 5
    first = json.loads((tmp_path / "results.json").read_text())[0]
    assert list(first) == ["image_id", "category_id", "keypoints", "score", "bbox"]
    assert len(first["keypoints"]) == 51


def test_no_people_is_still_a_whole_file(tmp_path: Path) -> None:
    dataset = DatasetWriter(tmp_path / "poses.json", COCO17, {}, keypoint_threshold=0.5)
    dataset.close(partial=True)
    content = json.loads((tmp_path / "poses.json").read_text())
    assert content["images"] == content["annotations"] == []
    assert content["info"] == {"partial": True}
    write_results(tmp_path / "results.json", [])
    assert json.loads((tmp_path / "results.json").read_text()) == []


def test_nothing_is_seen_before_the_end_and_nothing_stays_behind(tmp_path: Path) -> None:
    target = tmp_path / "poses.json"
    target.write_text("old")
    writer = DatasetWriter(target, COCO17, {}, keypoint_threshold=0.5)
    writer.add(1, "a.jpg", (10, 10), people(1))
    assert target.read_text() == "old"
    writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["poses.json"]
    assert target.read_text() == "old"


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        DatasetWriter(tmp_path / "none" / "poses.json", COCO17, {}, keypoint_threshold=0.5)


def test_rows_that_are_kept_elsewhere_give_the_same_file(tmp_path: Path) -> None:
    poses = {1: people(2), 2: people(0), 139: people(3)}
    writer = DatasetWriter(tmp_path / "a.json", COCO17, {"model": "x"}, keypoint_threshold=0.5)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, found in poses.items():
        writer.add(image_id, f"{image_id}.jpg", (480, 640), found)
        images.append({"id": image_id, "file_name": f"{image_id}.jpg", "width": 640, "height": 480})
        for person in range(len(found)):
            ids = {"id": len(annotations) + 1, "image_id": image_id}
            annotations.append({**ids, **person_row(found, person, 0.5)})
    writer.close()
    write_dataset(tmp_path / "b.json", COCO17, {"model": "x"}, images, annotations)
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def test_what_is_not_finite_is_not_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_results(tmp_path / "a.json", [{"score": float("nan")}])
    assert not list(tmp_path.iterdir())
