"""`mrpose motion`, run as a user runs it, on results that mrpose's own writers wrote."""

import csv
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from figure import NAMES, figure
from typer.testing import CliRunner, Result

from mrpose_cli.cli import app
from mrpose_cli.formats.lines import CsvWriter, JsonlWriter
from mrpose_cli.formats.writer import DatasetWriter, PoseWriter, person_rows
from mrpose_cli.motion.tracks import Track
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import COCO17, Skeleton, from_category

Run = Callable[..., Result]
RATE, STEPS = 25, 100
FEET = from_category({"name": "person", "keypoints": list(NAMES)}, "figure")
WRITERS: dict[str, type[PoseWriter]] = {"json": DatasetWriter, "jsonl": JsonlWriter, "csv": CsvWriter}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, ["motion", *map(str, args)], env={"COLUMNS": "200"})


def bending() -> dict[str, np.ndarray]:
    """Knees that bend slowly enough for any filter."""
    wave = 40 - 40 * np.cos(2 * np.pi * 0.25 * np.arange(STEPS) / RATE)
    return {"left_knee": wave, "right_knee": wave / 2, "left_hip": wave / 4, "right_elbow": wave}


def poses_of(tracks: Sequence[Track], skeleton: Skeleton, step: int, *, ids: bool) -> Poses:
    chosen = [tracks[0].names.index(name) for name in skeleton.joints]
    joints = np.stack([track.joints[step, chosen] for track in tracks]).astype(np.float32)
    scores = np.stack([track.scores[step, chosen] for track in tracks]).astype(np.float32)
    boxes = np.concatenate([joints.min(1), joints.max(1)], 1)
    people = np.ones(len(tracks), np.float32)
    numbers = np.array([track.number for track in tracks]) if ids else None
    return Poses(joints, scores, boxes, people, people, skeleton, track_ids=numbers)


def write_result(
    path: Path, tracks: Sequence[Track], skeleton: Skeleton = FEET, *, ids: bool = True, form: str = ""
) -> Path:
    """A result in the form that its suffix says, as `mrpose video` writes it."""
    writer = WRITERS[form or path.suffix[1:]](path, skeleton, {"description": "a test"})
    for step in range(STEPS):
        image = {"id": step + 1, "file_name": f"{path.stem}/{step:06d}.jpg", "width": 1280, "height": 720}
        image |= {"frame_index": step, "timestamp": round(step / RATE, 6)}
        writer.add(image, person_rows(poses_of(tracks, skeleton, step, ids=ids), 0.3))
    writer.close()
    return path


def one(number: int = 1, **options: Any) -> Track:
    track = figure(bending(), rate=RATE, **options)
    return Track(number, track.frames, track.times, track.joints, track.scores, track.names)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def numbers(rows: Sequence[dict[str, str]], title: str) -> np.ndarray:
    return np.array([float(row[title]) for row in rows])


def test_angles_through_the_whole_command_are_exact_to_a_hundredth_of_a_degree(run: Run) -> None:
    write_result(Path("walk.json"), [one()])
    result = run("walk.json", "-o", "out", "--cutoff", "0")
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "walk.motion.csv",
        "walk.motion.json",
        "walk.person1.svg",
    ]
    rows = rows_of(Path("out/walk.motion.csv"))
    for name, series in bending().items():
        assert np.abs(numbers(rows, f"{name}_deg") - series).max() < 0.01, name
    assert np.abs(numbers(rows, "trunk_deg")).max() < 0.01
    assert {row["seen_from"] for row in rows} == {"side, facing right"}
    told = json.loads(Path("out/walk.motion.json").read_text())
    assert told["people"][0]["angles_deg"]["left_knee"]["range"] == pytest.approx(80, abs=0.01)
    assert told["settings"]["cutoff"] == 0 and not told["filtered"]
    assert told["angles"]["left_ankle"].startswith("foot, heel to big toe, to shank")


def test_filters_keep_slow_movement(run: Run) -> None:
    write_result(Path("walk.json"), [one()])
    assert run("walk.json", "-o", "out").exit_code == 0
    rows = rows_of(Path("out/walk.motion.csv"))
    for name, series in bending().items():
        assert np.abs(numbers(rows, f"{name}_deg") - series).max() < 0.1, name


def test_the_three_forms_of_a_result_say_the_same(run: Run) -> None:
    tables = []
    for form in WRITERS:
        Path(form).mkdir()
        write_result(Path(f"{form}/walk.{form}"), [one()], COCO17)
        assert run(f"{form}/walk.{form}", "-o", f"out-{form}", "-f", "csv").exit_code == 0
        tables.append(rows_of(Path(f"out-{form}/walk.motion.csv")))
    assert tables[0] == tables[1]
    # CSV does not say how high the picture is: its highest row is 0.
    assert numbers(tables[2], "nose_y") == pytest.approx(numbers(tables[0], "nose_y") - 719, abs=1e-3)
    for title in ("left_knee_deg", "nose_x", "left_wrist_speed", "nose_score"):
        assert numbers(tables[2], title) == pytest.approx(numbers(tables[0], title), abs=1e-3)


def test_a_folder_of_results_in_several_forms_gives_each_clip_once(run: Run) -> None:
    Path("in").mkdir()
    for form in WRITERS:
        write_result(Path(f"in/walk.{form}"), [one()])
    write_result(Path("in/run.jsonl"), [one()], COCO17)
    assert run("in", "-o", "in", "-f", "csv,svg").exit_code == 0
    assert run("in", "-o", "again", "-f", "csv").exit_code == 0  # what it wrote itself is no result
    assert sorted(path.name for path in Path("again").iterdir()) == [
        f"{name}.motion.{form}" for name in ("run", "walk") for form in ("csv", "json")
    ]


def test_without_ids_people_are_followed(run: Run) -> None:
    left, right = one(1, center=(300.0, 300.0)), one(2, center=(800.0, 300.0), forward=-1.0)
    write_result(Path("walk.json"), [left, right], ids=False)
    result = run("walk.json", "-o", "out", "-f", "csv")
    assert result.exit_code == 0 and "followed by their boxes" in result.output
    rows = rows_of(Path("out/walk.motion.csv"))
    facing = {row["track_id"]: row["seen_from"] for row in rows}
    assert facing == {"1": "side, facing right", "2": "side, facing left"}
    for number in "12":
        mine = [row for row in rows if row["track_id"] == number]
        assert np.abs(numbers(mine, "left_knee_deg") - bending()["left_knee"]).max() < 0.1


@pytest.mark.parametrize(
    ("flags", "per_meter"),
    [
        (["--scale", "250"], 250.0),
        (["--ruler", "100,400,400,0=2"], 250.0),
        # The figure's leg and trunk, 315 px, are 77.9 % of a person.
        (["--height", "1.6"], 315 / 0.779 / 1.6),
        (["--height", "1=1.6,2=1.9"], 315 / 0.779 / 1.6),
    ],
)
def test_meters_from_a_height_a_scale_or_two_points(run: Run, flags: list[str], per_meter: float) -> None:
    write_result(Path("walk.json"), [one()])
    assert run("walk.json", "-o", "px", "-f", "csv").exit_code == 0
    assert run("walk.json", "-o", "m", "-f", "csv,trc", *flags).exit_code == 0
    pixels, meters = (rows_of(Path(f"{unit}/walk.motion.csv")) for unit in ("px", "m"))
    assert {row["unit"] for row in pixels} == {"px"} and {row["unit"] for row in meters} == {"m"}
    for title in ("nose_x", "nose_y", "left_ankle_speed", "mid_hip_y"):
        assert numbers(meters, title) == pytest.approx(numbers(pixels, title) / per_meter, rel=1e-3, abs=1e-4)
    assert "\tm\t" in Path("m/walk.person1.trc").read_text().splitlines()[2]


def test_all_formats_of_chosen_people(run: Run) -> None:
    write_result(Path("walk.json"), [one(3), one(8, center=(800.0, 300.0))])
    result = run("walk.json", "-o", "out", "-f", "all", "--people", "8", "--height", "1.8")
    assert result.exit_code == 0, result.output
    names = {path.name for path in Path("out").iterdir()}
    assert names == {
        *(f"walk.motion.{form}" for form in ("csv", "xlsx", "json")),
        *(f"walk.person8.{form}" for form in ("trc", "mot", "c3d", "svg", "png")),
        "walk_json",
    }
    assert len(list(Path("out/walk_json").iterdir())) == STEPS
    people = json.loads(Path("out/walk_json/walk_000042.json").read_text())["people"]
    assert [person["person_id"] for person in people] == [[3], [8]]  # 3D wants everybody
    result = run("walk.json", "-o", "no", "--people", "1")
    assert result.exit_code == 1 and "its ids: 3, 8" in result.output


def test_nothing_is_replaced_unasked_and_files_of_an_earlier_run_do_not_stay(run: Run) -> None:
    both = [one(1), one(2, center=(800.0, 300.0))]
    write_result(Path("walk.json"), both)
    assert run("walk.json", "-o", "out", "-f", "trc").exit_code == 0
    before = Path("out/walk.person2.trc").read_bytes()
    result = run("walk.json", "-o", "out", "-f", "trc", "--people", "1")
    assert result.exit_code == 2 and "exists" in result.output and "--overwrite" in result.output
    assert Path("out/walk.person2.trc").read_bytes() == before
    Path("out/walk.person2.c3d").write_text("not of this run")
    assert run("walk.json", "-o", "out", "-f", "trc", "--people", "1", "--overwrite").exit_code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "walk.motion.json",
        "walk.person1.trc",
        "walk.person2.c3d",
    ]


def test_one_bad_result_does_not_stop_the_rest(run: Run) -> None:
    write_result(Path("good.json"), [one()])
    Path("photos.json").write_text('{"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []}')
    Path("broken.jsonl").write_text('{"frame_index": 0, "timestamp": 0.0, "annotations": []}\n{"frame\n')
    Path("other.csv").write_text("a,b\n1,2\n")
    result = run(
        "good.json", "photos.json", "broken.jsonl", "other.csv", "gone.json", "-o", "out", "-f", "csv"
    )
    assert result.exit_code == 1
    assert Path("out/good.motion.csv").exists()
    for text in ("holds photos", "line 2 is not JSON", "its titles are others", "gone.json"):
        assert text in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["-f", "csv,btk"], "there is no movement format 'btk'"),
        (["--people", "one"], "--people takes track ids"),
        (["--height", "tall"], "--height takes meters above 0"),
        (["--height", "1=1.7,x=2"], "--height takes 1.75 or 1=1.75"),
        (["--ruler", "1,1,1,1=2"], "--ruler needs two different points"),
        (["--ruler", "1,1,5=2"], "--ruler takes two points"),
        (["--height", "1.7", "--scale", "100"], "contradict each other"),
        (["--scale", "inf"], "--scale takes a number"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, flags: list[str], text: str) -> None:
    write_result(Path("walk.json"), [one()])
    result = run("walk.json", "-o", "out", *flags)
    assert result.exit_code == 2
    assert text in result.output and len(result.output.splitlines()) == 1
    assert not Path("out").exists()


def test_a_clip_with_impossible_times_is_refused(run: Run) -> None:
    frames = [{"id": i, "frame_index": i, "timestamp": t} for i, t in enumerate([0.0, 1e-6, 2e-6, 1e9])]
    Path("odd.json").write_text(json.dumps({"images": frames, "annotations": []}))
    result = run("odd.json", "-o", "out")
    assert result.exit_code == 1 and "cannot be those of a clip" in result.output


def test_what_was_bridged_is_a_gap_again(run: Run) -> None:
    path = write_result(Path("walk.json"), [one()])
    content = json.loads(path.read_text())
    for row in content["annotations"][40:60]:
        row["bridged"] = True
    path.write_text(json.dumps(content))
    assert run("walk.json", "-o", "out", "-f", "csv").exit_code == 0
    rows = rows_of(Path("out/walk.motion.csv"))
    assert [index for index, row in enumerate(rows) if not row["left_knee_deg"]] == list(range(40, 60))
    assert run("walk.json", "-o", "wide", "-f", "csv", "--gap", "1").exit_code == 0
    assert all(row["left_knee_deg"] for row in rows_of(Path("wide/walk.motion.csv")))


def test_names_that_are_no_text_are_names(run: Run) -> None:
    name = os.fsdecode(b"<b>\xff\x1b[31m\n")
    write_result(Path(f"{name}.json"), [one()])
    result = run(".", "-o", "out", "-f", "all")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output
    assert {path.name for path in Path("out").iterdir()} >= {f"{name}.motion.xlsx", f"{name}.person1.c3d"}
    for form in ("svg", "trc"):
        text = Path(f"out/{name}.person1.{form}").read_text()
        assert "\x1b" not in text and "<b>" not in text.replace("(X/Y/Z)\t<b>", "")
