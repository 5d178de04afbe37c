import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO

from mrpose_cli.errors import OutputError
from mrpose_cli.formats.lines import CsvWriter, JsonlWriter
from mrpose_cli.formats.writer import DatasetWriter, PoseWriter, ResultsWriter, person_rows
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


def row(number: int) -> dict[str, Any]:
    return {"id": number, "file_name": f"{number:012}.jpg", "width": 640, "height": 480}


def test_both_files_load_in_pycocotools(tmp_path: Path) -> None:
    poses = {1: people(2), 2: people(0), 139: people(3)}
    for form in (DatasetWriter, ResultsWriter):
        writer = form(tmp_path / form.file, COCO17, {"model": "x"})
        for image_id, found in poses.items():
            writer.add(row(image_id), person_rows(found, 0.5))
        writer.close()

    coco = COCO(str(tmp_path / "poses.json"))
    assert sorted(coco.imgs) == [1, 2, 139]
    assert coco.imgs[139] == {"id": 139, "file_name": "000000000139.jpg", "width": 640, "height": 480}
    assert coco.cats[1]["keypoints"] == list(COCO17.joints)
    assert [16, 14] in coco.cats[1]["skeleton"]
    assert sorted(coco.anns) == [1, 2, 3, 4, 5]
    person = coco.anns[3]
    assert person["image_id"] == 139
    expected = poses[139]
    assert np.array(person["keypoints"]).reshape(17, 3)[:, :2] == pytest.approx(
        expected.keypoints[0], abs=1e-3
    )
    visible = np.array(person["keypoints"])[2::3]
    assert visible.tolist() == [2 if score >= 0.5 else 0 for score in np.linspace(0, 1, 17)]
    assert person["num_keypoints"] == 9
    assert person["bbox"][2:] == pytest.approx([30, 60], abs=1e-3)
    assert person["area"] == pytest.approx(1800, abs=0.2)
    assert person["keypoint_scores"] == pytest.approx(expected.scores[0].tolist(), abs=1e-5)

    loaded = coco.loadRes(str(tmp_path / "results.json"))
    assert len(loaded.anns) == 5
    first = json.loads((tmp_path / "results.json").read_text())[0]
    assert list(first) == ["image_id", "category_id", "keypoints", "score", "bbox"]
    assert len(first["keypoints"]) == 51


def test_no_people_is_still_a_whole_file(tmp_path: Path) -> None:
    for form in (DatasetWriter, ResultsWriter):
        form(tmp_path / form.file, COCO17, {}).close(partial=True)
    content = json.loads((tmp_path / "poses.json").read_text())
    assert content["images"] == content["annotations"] == []
    assert content["info"] == {"partial": True}
    assert json.loads((tmp_path / "results.json").read_text()) == []


def test_nothing_is_seen_before_the_end_and_nothing_stays_behind(tmp_path: Path) -> None:
    target = tmp_path / "poses.json"
    target.write_text("old")
    writer = DatasetWriter(target, COCO17, {})
    writer.add(row(1), person_rows(people(1), 0.5))
    assert target.read_text() == "old"
    writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["poses.json"]
    assert target.read_text() == "old"


def test_a_folder_that_is_not_there_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot write"):
        DatasetWriter(tmp_path / "none" / "poses.json", COCO17, {})


@pytest.mark.parametrize("form", [DatasetWriter, ResultsWriter, JsonlWriter, CsvWriter])
def test_every_format_is_written_in_the_same_way(tmp_path: Path, form: type[PoseWriter]) -> None:
    frame = {**row(1), "frame_index": 0, "timestamp": 0.0}
    for partial in (False, True):
        writer = form(tmp_path / f"walk{form.suffix}", COCO17, {})
        writer.add(frame, person_rows(people(2), 0.5))
        writer.close(partial=partial)
        writer.discard()
        assert writer.written.stat().st_size > 1000
        assert writer.written.name.removeprefix("walk") in form.suffixes()
    assert len(list(tmp_path.iterdir())) == len(form.suffixes())


def test_what_is_not_finite_is_not_json(tmp_path: Path) -> None:
    writer = ResultsWriter(tmp_path / "a.json", COCO17, {})
    [person] = person_rows(people(1), 0.5)
    with pytest.raises(ValueError, match="JSON"):
        writer.add(row(1), [{**person, "score": float("nan")}])
    writer.discard()
    assert not list(tmp_path.iterdir())
