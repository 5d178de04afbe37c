"""Movement files, read back by libraries that are not ours."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from figure import NAMES, figure

from mrpose_cli.errors import OutputError
from mrpose_cli.formats.c3d import write_c3d
from mrpose_cli.formats.clips import ClipPoses
from mrpose_cli.formats.movement import columns, describe, meanings, write_csv, write_xlsx
from mrpose_cli.formats.openpose import write_openpose
from mrpose_cli.formats.opensim import coordinates, write_mot, write_trc
from mrpose_cli.motion.motion import Motion, analyze
from mrpose_cli.motion.options import Cleaning
from mrpose_cli.motion.scale import Scale
from mrpose_cli.motion.tracks import Clock
from mrpose_cli.skeletons import from_category

STEPS, BOTTOM = 50, 720


def squat(*, meters: bool = True, forward: float = 1.0, front: bool = False, hole: bool = True) -> Motion:
    """Somebody who goes down and up again; the left knee is unknown for half a second."""
    bend = 60 - 60 * np.cos(2 * np.pi * np.arange(STEPS) / STEPS)
    shares = {"knee": 1.0, "hip": 0.8, "ankle": 0.2, "shoulder": 0.7}
    angles = {f"{side}_{name}": bend * share for side in ("left", "right") for name, share in shares.items()}
    track = figure({**angles, "trunk": bend / 4}, forward=forward, front=front, rate=29.97)
    if hole:
        track.joints[20:35, NAMES.index("left_knee")] = np.nan
    return analyze(track, Cleaning(), scale=Scale(200.0 if meters else None), bottom=BOTTOM)


def markers(motion: Motion, digits: int) -> np.ndarray:
    """(T, K, 3), what a file of markers is to hold."""
    size = 1 / motion.axes.per_meter if motion.axes.per_meter else 1.0
    x, y = motion.track.joints[..., 0] * size, (BOTTOM - 1 - motion.track.joints[..., 1]) * size
    return np.round(np.stack([x, y, np.where(np.isnan(x), np.nan, 0.0)], -1), digits)


@pytest.mark.parametrize("meters", [True, False])
def test_csv_holds_all_that_is_known(tmp_path: Path, meters: bool) -> None:
    motion = squat(meters=meters)
    write_csv(tmp_path / "a.csv", [motion, motion])
    with (tmp_path / "a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * STEPS
    digits = 6 if meters else 3
    places = markers(motion, digits)
    for step, row in enumerate(rows[:STEPS]):
        assert row["unit"] == ("m" if meters else "px")
        assert row["seen_from"] == "side, facing right"
        assert float(row["time_s"]) == round(step / 29.97, 6)
        assert float(row["nose_y"]) == places[step, NAMES.index("nose"), 1]
        assert float(row["right_knee_deg"]) == pytest.approx(motion.angles["right_knee"][step], abs=5e-5)
        known = not np.isnan(motion.angles["left_knee"][step])
        assert bool(row["left_knee_deg"]) == bool(row["left_knee_x"]) == known
        assert bool(row["left_knee_score"])
    assert sum(not row["left_knee_x"] for row in rows[:STEPS]) == 15


def test_xlsx_is_what_openpyxl_reads(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    motion = squat()
    about = {"angles": meanings([motion]), "people": [describe(motion)]}
    write_xlsx(tmp_path / "a.xlsx", [motion], about)
    book = openpyxl.load_workbook(tmp_path / "a.xlsx")
    assert book.sheetnames == ["about", "person 1"]
    told = {row[0].value: row[1].value for row in book["about"]}
    assert told["angles: left_knee"] == "shank to thigh (flexion), 0 straight"
    titles, *rows = book["person 1"].iter_rows(values_only=True)
    table = columns(motion)
    assert list(titles) == list(table)
    assert [list(column) for column in zip(*rows, strict=True)] == list(table.values())


@pytest.mark.parametrize("meters", [True, False])
def test_trc_is_exact_to_its_last_digit(tmp_path: Path, meters: bool) -> None:
    """A parser of our own, by the format's description; OpenSim's own is below."""
    motion = squat(meters=meters)
    write_trc(tmp_path / "walk.trc", motion)
    lines = (tmp_path / "walk.trc").read_text().split("\n")
    assert lines[0].split("\t") == ["PathFileType", "4", "(X/Y/Z)", "walk.trc"]
    head = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    assert head["NumFrames"] == str(STEPS) and head["NumMarkers"] == str(len(NAMES) + 1)
    assert float(head["DataRate"]) == pytest.approx(29.97) and head["Units"] == ("m" if meters else "px")
    names = lines[3].split("\t")
    assert names[:2] == ["Frame#", "Time"] and names[2::3] == [*NAMES, "mid_hip"]
    assert lines[4].split("\t")[2:5] == ["X1", "Y1", "Z1"] and lines[5] == ""
    table = np.array([[float(cell) for cell in line.split("\t")] for line in lines[6:-1]])
    assert table[:, 0].tolist() == list(range(STEPS))
    assert table[:, 1] == pytest.approx(np.round(np.arange(STEPS) / 29.97, 6), abs=1e-12)
    assert np.array_equal(
        table[:, 2:].reshape(STEPS, -1, 3), markers(motion, 6 if meters else 3), equal_nan=True
    )


def test_opensim_reads_trc_and_mot(tmp_path: Path) -> None:
    opensim = pytest.importorskip("opensim", reason="OpenSim (pip install opensim) is not installed")
    motion = squat()
    write_trc(tmp_path / "a.trc", motion)
    table = opensim.TimeSeriesTableVec3(str(tmp_path / "a.trc"))
    assert list(table.getColumnLabels()) == [*NAMES, "mid_hip"]
    assert table.getTableMetaDataString("Units") == "m"
    rows = [table.getRowAtIndex(step) for step in range(STEPS)]
    read = np.array([[row.getElt(0, joint).to_numpy() for joint in range(row.ncol())] for row in rows])
    assert np.array_equal(read, markers(motion, 6), equal_nan=True)
    write_mot(tmp_path / "a.mot", motion)
    angles = opensim.TimeSeriesTable(str(tmp_path / "a.mot"))
    assert angles.getTableMetaDataString("inDegrees") == "yes"
    expected = coordinates(motion)
    assert list(angles.getColumnLabels()) == list(expected)
    wanted = np.round(np.stack(list(expected.values()), -1), 6)
    assert np.array_equal(angles.getMatrix().to_numpy(), wanted, equal_nan=True)
    assert list(angles.getIndependentColumn()) == pytest.approx(np.round(motion.track.times, 6), abs=1e-12)


def test_mot_bends_the_model_as_the_person_is_bent(tmp_path: Path) -> None:
    right, left = squat(hole=False), squat(hole=False, forward=-1.0)
    for motion, sign in ((right, 1.0), (left, -1.0)):
        found = coordinates(motion)
        assert found["knee_angle_l"] == pytest.approx(motion.angles["left_knee"])
        assert found["pelvis_tilt"] == pytest.approx(-sign * motion.angles["trunk"])
        assert set(found["pelvis_rotation"]) == {0.0 if sign > 0 else 180.0}
        assert found["pelvis_ty"] == pytest.approx(markers(motion, 9)[:, -1, 1])
        # The pelvis turned about z, and the thigh against it, is the thigh in the picture.
        thigh = np.radians(found["hip_flexion_r"] + sign * found["pelvis_tilt"])
        places = markers(motion, 9)[..., :2]
        segment = places[:, NAMES.index("right_knee")] - places[:, NAMES.index("right_hip")]
        assert segment == pytest.approx(0.5 * np.stack([sign * np.sin(thigh), -np.cos(thigh)], -1), abs=1e-3)
    front = coordinates(squat(hole=False, front=True))
    assert front["hip_adduction_r"].min() < -50 and "hip_flexion_r" not in front
    write_mot(tmp_path / "a.mot", right)
    lines = (tmp_path / "a.mot").read_text().splitlines()
    end = lines.index("endheader")
    assert f"nRows={len(lines) - end - 2}" in lines[:end]
    assert f"nColumns={len(lines[end + 1].split())}" in lines[:end]


@pytest.mark.filterwarnings("ignore:No analog data")
@pytest.mark.parametrize("meters", [True, False])
def test_c3d_is_what_another_library_reads(tmp_path: Path, meters: bool) -> None:
    c3d = pytest.importorskip("c3d")
    motion = squat(meters=meters)
    write_c3d(tmp_path / "a.c3d", motion)
    with (tmp_path / "a.c3d").open("rb") as file:
        reader = c3d.Reader(file)
        assert [label.strip() for label in reader.point_labels] == [*NAMES, "mid_hip"]
        assert reader.point_rate == pytest.approx(29.97)
        assert reader.get("POINT:UNITS").string_value.strip() == ("mm" if meters else "px")
        read = np.array([points for _, points, _ in reader.read_frames()])
    expected = markers(motion, 9) * (1000 if meters else 1)
    known = np.isfinite(expected).all(2)
    assert np.array_equal(read[known][:, :3], expected[known].astype(np.float32))
    assert (read[known][:, 3] >= 0).all() and (read[~known][:, 3] < 0).all()
    assert (~known).sum() == 15


def test_c3d_with_more_frames_than_it_counts_is_refused(tmp_path: Path) -> None:
    long = analyze(figure({"left_knee": np.zeros(65_536)}), Cleaning(window=0))
    with pytest.raises(OutputError, match="65535"):
        write_c3d(tmp_path / "a.c3d", long)
    assert not list(tmp_path.iterdir())


def test_openpose_files_are_counted_by_step_and_hold_everybody(tmp_path: Path) -> None:
    times = np.array([0.0, 0.1, 0.3, 0.4])  # a frame is missing
    clip = ClipPoses(
        "cam1",
        from_category({"name": "person", "keypoints": list(NAMES)}, "figure"),
        times,
        np.array([10, 11, 13, 14]),
        720,
        np.array([0, 0, 2]),
        np.array([4, 0, 4]),
        np.arange(3 * len(NAMES) * 2).reshape(3, -1, 2) / 7,
        np.full((3, len(NAMES)), 0.25),
        np.zeros((3, 4)),
        np.ones(3),
        np.zeros(3, bool),
    )
    folder = tmp_path / "cam1_json"
    folder.mkdir()
    (folder / "cam1_000009.json").write_text("of a longer run")
    (folder / "mine.json").write_text("{}")
    assert write_openpose(folder, clip, Clock.of(times, clip.frames)) == 5
    files = sorted(path.name for path in folder.iterdir())
    assert files == [*(f"cam1_{number:06d}.json" for number in range(5)), "mine.json"]
    frames = [json.loads((folder / name).read_text()) for name in files[:5]]
    assert [len(frame["people"]) for frame in frames] == [2, 0, 0, 1, 0]
    assert [person["person_id"] for person in frames[0]["people"]] == [[4], [-1]]
    triples = np.array(frames[3]["people"][0]["pose_keypoints_2d"]).reshape(-1, 3)
    assert triples[:, :2] == pytest.approx(np.round(clip.keypoints[2], 5)) and set(triples[:, 2]) == {0.25}
    assert frames[0]["version"] == 1.3
