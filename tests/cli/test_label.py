"""`mrpose label` and what comes back from annotation tools, in their own forms."""

import copy
import json
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from mrpose_cli.cli import app
from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.annotations import read_annotations
from mrpose_cli.formats.writer import DatasetWriter, person_rows
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import COCO17
from mrpose_cli.training.coco import read_coco

Run = Callable[..., Result]
SIZE = (640, 480)
JOINTS = COCO17.joints


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, [*map(str, args)], env={"COLUMNS": "200"})


def write_poses(path: Path) -> Path:
    """Three photos with two people, nobody, and one who is unsure of everything."""
    writer = DatasetWriter(path, COCO17, {"description": "a test"})
    rng = np.random.default_rng(5)
    for number, sure in enumerate(([0.9, 0.8], [], [0.4]), 1):
        count = len(sure)
        lefts = [60.0 + 250 * person for person in range(count)]
        corners = np.array([[left, 40, left + 200, 440] for left in lefts]).reshape(count, 4)
        joints = rng.uniform(0.05, 0.95, (count, 17, 2)) * [200, 400] + corners[:, None, :2]
        scores = np.array(sure)[:, None] * np.ones((count, 17))
        if count == 2:
            scores[0, 9] = 0.1
        people = np.array(sure, np.float32)
        arrays = (joints.astype(np.float32), scores.astype(np.float32), corners.astype(np.float32))
        poses = Poses(*arrays, people, people) if count else Poses.empty(COCO17)
        name = f"sub/photo {number}.jpg"
        image = {"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]}
        writer.add(image, person_rows(poses, 0.3))
    writer.close()
    return path


def keypoints_of(path: Path) -> dict[int, np.ndarray]:
    """(P, 17, 3) by image, of a COCO file."""
    content = json.loads(path.read_text())
    found: dict[int, list[Any]] = {image["id"]: [] for image in content["images"]}
    for row in content["annotations"]:
        found[row["image_id"]].append(row["keypoints"])
    return {number: np.array(rows).reshape(-1, 17, 3) for number, rows in found.items()}


def made_photos(folder: Path) -> Path:
    for number in (1, 2, 3):
        path = folder / f"sub/photo {number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", SIZE, (90, 120, 90)).save(path)
    return folder


def test_cvat_gets_names_order_limbs_and_what_was_seen(run: Run) -> None:
    write_poses(Path("poses.json"))
    result = run("label", "poses.json", "--to", "cvat", "-o", "out")
    assert result.exit_code == 0 and "3 people in 3 photos" in result.output, result.output
    content = json.loads(Path("out/person_keypoints_default.json").read_text())
    [category] = content["categories"]
    assert category["keypoints"] == list(JOINTS)
    assert category["skeleton"] == [[a + 1, b + 1] for a, b in COCO17.limbs]
    before, after = keypoints_of(Path("poses.json")), keypoints_of(Path("out/person_keypoints_default.json"))
    assert all(np.array_equal(before[number], after[number]) for number in before)
    assert after[1][0, 9, 2] == 0 and set(after[3][0, :, 2]) == {2}
    assert Path("out/images.txt").read_text() == "".join(f"sub/photo {n}.jpg\n" for n in (1, 2, 3))
    [label] = json.loads(Path("out/labels.json").read_text())
    assert (label["name"], label["type"]) == ("person", "skeleton")
    assert [one["name"] for one in label["sublabels"]] == list(JOINTS)
    drawing = ElementTree.fromstring(f"<svg>{label['svg']}</svg>")
    circles = {one.get("data-node-id"): one.get("data-label-name") for one in drawing.iter("circle")}
    assert circles == {str(number): name for number, name in enumerate(JOINTS, 1)}
    edges = [
        (int(one.get("data-node-from", "")), int(one.get("data-node-to", ""))) for one in drawing.iter("line")
    ]
    assert edges == [(a + 1, b + 1) for a, b in COCO17.limbs]


def test_cvats_importer_reads_it(run: Run) -> None:
    datumaro = pytest.importorskip(
        "datumaro", reason="CVAT's importer (pip install datumaro) is not installed"
    )
    write_poses(Path("poses.json"))
    assert run("label", "poses.json", "--to", "cvat", "-o", "out/annotations").exit_code == 0
    Path("out/images/default").mkdir(parents=True)
    dataset = datumaro.Dataset.import_from("out", "coco_person_keypoints")
    rows = json.loads(Path("poses.json").read_text())["annotations"]
    read = [one for item in dataset for one in item.annotations if one.type.name == "points"]
    assert sorted(person.id for person in read) == [row["id"] for row in rows]
    for person in read:
        points = np.array(rows[person.id - 1]["keypoints"]).reshape(17, 3)
        assert [one.value for one in person.visibility] == points[:, 2].tolist()
        rounded = np.array(person.points).reshape(17, 2)  # to hundredths
        assert rounded == pytest.approx(points[:, :2], abs=0.01)
    dataset.export("exported", "coco_person_keypoints", save_media=False)
    [exported] = Path("exported/annotations").glob("*.json")
    back = read_annotations(exported)
    assert back.skeleton.joints == JOINTS and len(back.persons) == 3


def test_worst_first(run: Run) -> None:
    write_poses(Path("poses.json"))
    assert run("label", "poses.json", "--to", "cvat", "-o", "all", "--worst", 10).exit_code == 0
    assert Path("all/images.txt").read_text().splitlines() == ["sub/photo 3.jpg", "sub/photo 1.jpg"]
    assert run("label", "poses.json", "--to", "label-studio", "-o", "one", "--worst", 1).exit_code == 0
    [task] = json.loads(Path("one/tasks.json").read_text())
    assert task["data"]["file_name"] == "sub/photo 3.jpg"
    assert task["data"]["image"] == "/data/local-files/?d=sub/photo%203.jpg"


def corrected(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What Label Studio exports after somebody went through it, keeping predictions as they are."""
    done = copy.deepcopy(tasks)
    for number, task in enumerate(done, 7):
        [prediction] = task["predictions"]
        result = copy.deepcopy(prediction["result"])
        task |= {"id": number, "project": 1, "total_annotations": 1, "drafts": [], "meta": {}}
        row: dict[str, Any] = {
            "id": 90 + number,
            "completed_by": 1,
            "ground_truth": False,
            "lead_time": 8.5,
            "task": number,
        }
        row |= {"created_at": "2026-03-09T21:52:49.513742Z", "was_cancelled": False, "result": result}
        for one in result:
            one["origin"] = "prediction"
        task["annotations"] = [{**row, "was_cancelled": True, "result": []}, row]
    return done


def test_label_studio_gives_back_what_it_was_given(run: Run) -> None:
    write_poses(Path("poses.json"))
    assert run("label", "poses.json", "--to", "label-studio", "-o", "out").exit_code == 0
    tasks = json.loads(Path("out/tasks.json").read_text())
    Path("export.json").write_text(json.dumps(corrected(tasks)))
    back = read_annotations(Path("export.json"))
    assert back.skeleton == COCO17
    assert [image.file_name for image in back.images] == ["sub/photo 1.jpg", "sub/photo 3.jpg"]
    before = keypoints_of(Path("poses.json"))
    people = [row["keypoints"].reshape(17, 3) for row in back.persons]
    for person, points in zip(people, [*before[1], *before[3]], strict=True):
        seen = points[:, 2] > 0
        assert person[:, 2].tolist() == points[:, 2].tolist()
        assert person[seen] == pytest.approx(points[seen], abs=0.001)
    boxes = [row["bbox"] for row in json.loads(Path("poses.json").read_text())["annotations"]]
    assert [row["bbox"] for row in back.persons] == [pytest.approx(box, abs=0.002) for box in boxes]


def test_corrections_in_label_studio_are_taken(run: Run) -> None:
    write_poses(Path("poses.json"))
    assert run("label", "poses.json", "--to", "label-studio", "-o", "out").exit_code == 0
    tasks = corrected(json.loads(Path("out/tasks.json").read_text()))
    result = tasks[0]["annotations"][-1]["result"]
    mine = [row for row in result if row.get("parentID") == "p0"]
    points = {row["value"]["keypointlabels"][0]: row for row in mine}
    nose, eye, ear = (points[name] for name in ("nose", "left_eye", "left_ear"))
    common: dict[str, Any] = {
        key: nose[key] for key in ("to_name", "original_width", "original_height", "image_rotation")
    }
    nose["value"] |= {"x": 25.0, "y": 50.0}  # moved
    result.remove(eye)
    hidden = {"id": ear["id"], "from_name": "visibility", "type": "choices"}
    result.append({**hidden, "value": {"choices": ["hidden"]}, **common})
    wrist = {"x": 20.0, "y": 45.0, "width": 0.6, "keypointlabels": ["left_wrist"]}  # was missing
    result.append({"id": "new", "from_name": "joint", "type": "keypointlabels", "value": wrist, **common})
    Path("export.json").write_text(json.dumps(tasks))
    person = read_annotations(Path("export.json")).persons[0]["keypoints"].reshape(17, 3)
    assert person[0].tolist() == [0.25 * 640 - 0.5, 0.5 * 480 - 0.5, 2]
    assert person[1].tolist() == [0, 0, 0]
    assert person[3, 2] == 1
    assert person[9].tolist() == [0.2 * 640 - 0.5, 0.45 * 480 - 0.5, 2]
    twice = {"id": "twice", "parentID": nose["parentID"], "from_name": "joint", "type": "keypointlabels"}
    result.append({**twice, "value": wrist, **common})
    result[-2]["parentID"] = nose["parentID"]
    Path("export.json").write_text(json.dumps(tasks))
    with pytest.raises(UsageError, match="'left_wrist' twice in one person"):
        read_annotations(Path("export.json"))


def test_label_studios_own_library_takes_the_tasks(run: Run) -> None:
    library = pytest.importorskip(
        "label_studio_sdk.label_interface", reason="label-studio-sdk is not installed"
    )
    write_poses(Path("poses.json"))
    assert run("label", "poses.json", "--to", "label-studio", "-o", "out").exit_code == 0
    interface = library.LabelInterface(Path("out/config.xml").read_text())
    interface.validate()
    for task in json.loads(Path("out/tasks.json").read_text()):
        assert interface.validate_prediction(task["predictions"][0])


def cvat_export(poses: Path) -> dict[str, Any]:
    """What CVAT exports as COCO Keypoints 1.0 after somebody hid a joint: its fields, its names."""
    content = json.loads(poses.read_text())
    images = [
        {"id": row["id"], "width": SIZE[0], "height": SIZE[1], "file_name": row["file_name"], "license": 0,
         "flickr_url": "", "coco_url": "", "date_captured": 0} for row in content["images"]
    ]  # fmt: skip
    people = []
    for row in content["annotations"]:
        points = [float(value) if index % 3 != 2 else value for index, value in enumerate(row["keypoints"])]
        points[5] = 1
        attributes = {"occluded": False, "keyframe": False}
        kept = {name: row[name] for name in ("id", "image_id", "bbox", "iscrowd", "num_keypoints")}
        rest = {"category_id": 1, "segmentation": [], "area": 0, "attributes": attributes}
        people.append({**kept, **rest, "keypoints": points})
    limbs = [[b + 1, a + 1] for a, b in reversed(COCO17.limbs)]
    names = {"keypoints": list(JOINTS), "skeleton": limbs}
    return {
        "licenses": [{"name": "", "id": 0, "url": ""}],
        "info": {"contributor": "", "description": "", "version": "", "year": ""},
        "categories": [{"id": 1, "name": "person", "supercategory": "", **names}],
        "images": images,
        "annotations": people,
    }


@pytest.mark.parametrize("tool", ["cvat", "label-studio"])
def test_corrected_exports_are_trained_on_and_evaluated_with(run: Run, tool: str) -> None:
    write_poses(Path("poses.json"))
    if tool == "cvat":
        export: Any = cvat_export(Path("poses.json"))
    else:
        assert run("label", "poses.json", "--to", tool, "-o", "out").exit_code == 0
        export = corrected(json.loads(Path("out/tasks.json").read_text()))
    Path("export.json").write_text(json.dumps(export))
    photos = made_photos(Path("photos"))
    labelled = read_coco(Path("export.json"), photos)
    assert labelled.skeleton.joints == JOINTS and len(labelled.people) == 3
    assert all(one.file.is_file() for one in labelled.people)
    if tool == "cvat":
        assert [one.joints[1, 2] for one in labelled.people] == [1, 1, 1]
    truth = read_annotations(Path("export.json")).persons
    results = [
        {"image_id": row["image_id"], "category_id": 1, "keypoints": row["keypoints"].tolist(), "score": 0.9}
        for row in truth
    ]
    Path("results.json").write_text(json.dumps(results))
    scored = run("eval", "--ann", "export.json", "--predictions", "results.json", "-o", "report")
    assert scored.exit_code == 0, scored.output
    assert re.search(r"\bAP\b.*100\.0", scored.output)


def test_what_is_no_result_is_refused_in_one_line(run: Run) -> None:
    Path("list.json").write_text("[]")
    Path("nameless.json").write_text('{"images": [], "annotations": []}')
    for name, text in (("list.json", "not a COCO dataset"), ("nameless.json", "no category has keypoints")):
        result = run("label", name, "--to", "cvat", "-o", "out")
        assert result.exit_code == 2 and text in result.output and len(result.output.splitlines()) == 1
    write_poses(Path("poses.json"))
    assert run("label", "poses.json", "--to", "cvat", "-o", "out").exit_code == 0
    again = run("label", "poses.json", "--to", "cvat", "-o", "out")
    assert again.exit_code == 2 and "--overwrite" in again.output


@pytest.mark.downloads
def test_frames_of_a_clip_come_out_as_photos(run: Run) -> None:
    clip = Path(__file__).parents[2] / "samples" / "pedestrians.mp4"
    assert run("video", clip, "--end", "1s", "--json-only", "-o", "poses").exit_code == 0
    result = run("label", "poses/pedestrians.json", "--to", "cvat", "--worst", 3, "--clip", clip, "-o", "out")
    assert result.exit_code == 0, result.output
    names = Path("out/images.txt").read_text().splitlines()
    assert len(names) == 3
    written = {path.relative_to("out/images").as_posix() for path in Path("out/images").rglob("*.jpg")}
    assert written == set(names)
    with Image.open(Path("out/images") / names[0]) as image:
        assert image.size == (768, 576)
    other = run("label", "poses/pedestrians.json", "--to", "cvat", "-o", "no")
    assert "has no pictures of its own; pass its clip with --clip" in other.output


def test_frames_are_written_nowhere_else(run: Run) -> None:
    content = json.loads(write_poses(Path("poses.json")).read_text())
    for image in content["images"]:
        image["file_name"] = f"../../{image['file_name']}"
    Path("poses.json").write_text(json.dumps(content))
    result = run("label", "poses.json", "--to", "cvat", "--clip", "clip.mp4", "-o", "out")
    assert result.exit_code == 2 and "are not the frames of one clip" in result.output
