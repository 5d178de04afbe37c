import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from view_results import FRAMES, GAP, JUMPED, SWAPPED, clip, photos

from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.persons import Found, Truth, pair_up
from mrpose_cli.formats.clips import read_clip
from mrpose_cli.motion.angles import measure_angles
from mrpose_cli.motion.tracks import Clock, make_track
from mrpose_cli.motion.views import find_view
from mrpose_cli.skeletons import COCO17
from mrpose_cli.view.angles import track_angles
from mrpose_cli.view.find import Request, find_results
from mrpose_cli.view.result import read_result
from mrpose_cli.view.session import Shown
from mrpose_cli.view.suspicion import REASONS, suspect
from mrpose_cli.view.tracks import find_tracks
from mrpose_cli.view.truth import compare


def test_people_are_those_of_the_file(tmp_path: Path) -> None:
    path = photos(tmp_path)
    rows = json.loads(path.read_text())["annotations"]
    result = read_result(path)
    assert result.kind == "photos"
    assert len(result.people) == len(rows) == 17
    for image, number in enumerate(result.images.ids):
        mine = [row for row in rows if row["image_id"] == number]
        assert [row["id"] for row in mine] == [result.people.ids[i] for i in result.people.of(image)]
        for row, at in zip(mine, result.people.of(image), strict=True):
            expected = np.array(row["keypoints"], np.float32).reshape(-1, 3)
            assert (result.people.joints[at, :, :2] == expected[:, :2]).all()
            assert (result.people.joints[at, :, 2] == np.array(row["keypoint_scores"], np.float32)).all()


def test_lines_hold_the_same_people_as_the_dataset(tmp_path: Path) -> None:
    whole = read_result(clip(tmp_path))
    content = json.loads((tmp_path / "out" / "walk.json").read_text())
    with (tmp_path / "walk.jsonl").open("w") as file:
        for image in content["images"]:
            people = [row for row in content["annotations"] if row["image_id"] == image["id"]]
            row = {key: value for key, value in image.items() if key != "id"}
            file.write(json.dumps({**row, "annotations": people}) + "\n")
        file.write('{"file_name": "walk.mp4/0000')  # it is being written
    lines = read_result(tmp_path / "walk.jsonl")
    assert lines.kind == "clip" and lines.skeletons == whole.skeletons
    for name in ("joints", "boxes", "tracks", "first", "scores"):
        assert (getattr(lines.people, name) == getattr(whole.people, name)).all(), name
    assert (lines.images.times == whole.images.times).all()


def test_any_skeleton_and_several_of_them(tmp_path: Path) -> None:
    content: dict[str, Any] = {
        "categories": [
            {"id": 1, "name": "pliers", "keypoints": ["left tip", "right tip", "joint"]},
            {"id": 2, "name": "stick", "keypoints": ["a", "b"], "skeleton": [[1, 2]]},
            {"id": 3, "name": "box"},
        ],
        "images": [{"id": 7, "file_name": "a.jpg", "width": 20, "height": 10}],
        "annotations": [
            {"id": 1, "image_id": 7, "category_id": 2, "keypoints": [1, 2, 2, 3, 4, 1]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [0, 0, 9, 9],
             "keypoints": [1, 1, 2, 5, 5, 2, 0, 0, 0]},
            {"id": 3, "image_id": 7, "category_id": 3, "bbox": [0, 0, 9, 9]},
        ],
    }  # fmt: skip
    path = tmp_path / "tools.json"
    path.write_text(json.dumps(content))
    result = read_result(path)
    assert [one.joints for one in result.skeletons] == [("left tip", "right tip", "joint"), ("a", "b")]
    assert result.people.joints.shape == (2, 3, 3)
    assert np.isnan(result.people.joints[0, 2]).all()  # the stick has two joints
    assert np.isnan(result.people.joints[1, 2]).all()  # no label
    assert result.people.joints[1, 0].tolist() == [1, 1, 1]
    assert result.people.boxes.tolist() == [[1, 2, 3, 4], [0, 0, 9, 9]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not JSON"),
        ('{"images": []} x', "is not JSON"),
        ("[" * 100_000, "nested too deeply"),
        ("{}", "holds no poses"),
        ("3", "is not JSON"),
        ('{"images": [{"id": 1, "file_name": "a", "width": -1}]}', r"images\[0\].width"),
        ('{"annotations": [{"image_id": 1, "keypoints": [1, NaN, 2]}]}', r"annotations\[0\].keypoints\[1\]"),
        ('{"annotations": [{"image_id": 1, "keypoints": [1, 2]}]}', "x, y, v"),
        ("[]", "holds no poses"),
        ('[{"image_id": 1, "keypoints": [1, 2, 0.5]}]', "ann"),
    ],
)
def test_what_is_no_result_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "poses.json"
    path.write_text(text)
    with pytest.raises(UsageError, match=words) as found:
        read_result(path)
    assert "\n" not in str(found.value)


def test_suspicious_people(tmp_path: Path) -> None:
    path = photos(tmp_path)
    content = json.loads(path.read_text())
    first = content["annotations"][0]
    shifted = {
        **first,
        "id": 100,
        "keypoints": [v + 2 if i % 3 < 2 else v for i, v in enumerate(first["keypoints"])],
    }
    content["annotations"].append(shifted)
    path.write_text(json.dumps(content))
    result = read_result(path)
    found = suspect(result.people, result.skeletons)
    twice = {key: bit for bit, (key, _, _) in enumerate(REASONS)}["twice"]
    marked = result.people.ids[(found.people >> twice & 1).astype(bool)]
    assert sorted(marked.tolist()) == [first["id"], 100]
    assert int(np.argmax(found.rank)) == 0  # the photo of the two


def test_moments_of_a_clip(tmp_path: Path) -> None:
    mover, stander = find_tracks(read_result(clip(tmp_path)))
    assert mover.spans == [(0, GAP.start - 1), (GAP.stop, FRAMES - 1)]
    assert [moment[:3] for moment in mover.moments] == [(GAP.start, GAP.stop - 1, "gap")]
    assert [moment[:3] for moment in stander.moments] == [
        (SWAPPED, SWAPPED, "swap"), (SWAPPED + 1, SWAPPED + 1, "swap"), (JUMPED, JUMPED, "jump"),
    ]  # fmt: skip


def test_a_track_that_goes_on_as_another(tmp_path: Path) -> None:
    path = clip(tmp_path)
    content = json.loads(path.read_text())
    for row in content["annotations"]:
        if row["track_id"] == 1 and row["image_id"] > GAP.stop:
            row["track_id"] = 3
    path.write_text(json.dumps(content))
    marks = {
        track.id: [m for m in track.moments if m[2] == "identity"] for track in find_tracks(read_result(path))
    }
    assert marks[1] == [(GAP.start - 1, GAP.start - 1, "identity", 3)]
    assert marks[3] == [(GAP.stop, GAP.stop, "identity", 1)]
    assert marks[2] == []


def test_nearness_to_annotations_is_that_of_the_evaluation(tmp_path: Path) -> None:
    path = photos(tmp_path)
    content = json.loads(path.read_text())
    truth = json.loads(path.read_text())
    shift = np.random.default_rng(1).normal(0, 4, (len(truth["annotations"]), 51))
    for row, moved in zip(truth["annotations"], shift, strict=True):
        row["keypoints"] = [
            v + d if i % 3 < 2 else 2 for i, (v, d) in enumerate(zip(row["keypoints"], moved, strict=True))
        ]
        row |= {"area": row["bbox"][2] * row["bbox"][3], "num_keypoints": 17}
        row.pop("keypoint_scores")
    truth["annotations"].append({**truth["annotations"][0], "id": 99, "bbox": [0, 0, 5, 5]})
    (tmp_path / "truth.json").write_text(json.dumps(truth))
    compared = compare(read_result(path), read_result(tmp_path / "truth.json"))
    for row in content["annotations"]:
        row["keypoints"][2::3] = row["keypoint_scores"]
        row["area"] = 1.0
    real = Truth.of(truth["annotations"], COCO17)
    found = Found.of(content["annotations"], 17)
    pairs = pair_up(real, found)
    best = np.array([pairs.oks()[pairs.found == i].max() for i in range(len(found))])
    assert sorted(compared.oks.tolist()) == pytest.approx(sorted(best.tolist()), abs=1e-5)
    assert compared.missed.tolist() == [True, False, False, False, False]  # the person who is there twice


def test_folders_reports_and_files_are_found(tmp_path: Path) -> None:
    photos(tmp_path / "a")
    clip(tmp_path / "b")
    names = [name for name, _ in find_results(Request(tmp_path))]
    assert names == ["a/poses.json", "b/out/walk.json"]
    opened = find_results(Request(tmp_path))[1][1]()
    assert opened.clip is not None and opened.clip.samefile(tmp_path / "b" / "walk.mp4")
    (tmp_path / "b" / "walk.mp4").unlink()
    opened = find_results(Request(tmp_path))[1][1]()
    assert opened.clip is None and "--images" in opened.notes[0].replace("\0images\0", "--images")
    with pytest.raises(UsageError, match="no result"):
        (tmp_path / "none").mkdir()
        find_results(Request(tmp_path / "none"))


def test_other_joints_cannot_be_compared(tmp_path: Path) -> None:
    result = read_result(photos(tmp_path))
    content = json.loads((tmp_path / "poses.json").read_text())
    content["categories"][0]["keypoints"] = [f"j{i}" for i in range(len(COCO17.joints))]
    (tmp_path / "other.json").write_text(json.dumps(content))
    with pytest.raises(UsageError, match="other joints"):
        compare(result, read_result(tmp_path / "other.json"))


def test_people_without_tracks_are_followed_for_the_page(tmp_path: Path) -> None:
    path = clip(tmp_path)
    content = json.loads(path.read_text())
    ids = [row.pop("track_id") for row in content["annotations"]]
    path.write_text(json.dumps(content))
    [(_, opened)] = find_results(Request(path))
    shown = Shown.of(opened())
    assert shown.followed and len(shown.tracks) >= 2
    found = dict(
        zip(shown.opened.result.people.ids.tolist(), shown.opened.result.people.tracks.tolist(), strict=True)
    )
    before = [
        found[row["id"]]
        for row, track in zip(content["annotations"], ids, strict=True)
        if track == 1 and row["image_id"] <= GAP.start
    ]
    assert len(set(before)) == 1 and before[0] > 0


def test_angles_are_those_of_movement_files(tmp_path: Path) -> None:
    result = read_result(clip(tmp_path))
    _, stander = find_tracks(result)
    found = track_angles(result, stander)
    moving = read_clip(tmp_path / "out" / "walk.json")
    clock = Clock.of(moving.times, moving.frames)
    mine = moving.ids == 2
    joints, scores = moving.keypoints[mine], moving.scores[mine]
    track = make_track(2, clock, moving.times, moving.places[mine], joints, scores, COCO17.joints)
    expected = measure_angles(track, find_view(track))
    assert found.keys() == expected.keys() and "left_knee" in found
    for name, series in expected.items():
        assert found[name] == pytest.approx(series, abs=0.01), name
