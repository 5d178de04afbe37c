"""`mrpose video`, run as a user runs it, with the real models on the sample clip."""

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from pycocotools.coco import COCO
from typer.testing import CliRunner, Result
from video_clips import repeated

from mrpose_cli.cli import app
from mrpose_cli.cli.video import seconds
from mrpose_cli.errors import UsageError
from mrpose_cli.media.video.window import PreviewWindow

pytestmark = pytest.mark.downloads

Run = Callable[..., Result]
CLIP = Path(__file__).parents[2] / "samples" / "pedestrians.mp4"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output folder of a run over the sample clip, tracked and smoothed, every file written."""
    out = tmp_path_factory.mktemp("done") / "out"
    options = ["--smooth", "one-euro", "--trails", "--jsonl", "--csv", "--profile"]
    result = CliRunner().invoke(app, ["video", str(CLIP), "-o", str(out), *options])
    assert result.exit_code == 0, result.output
    assert "frames/s" in result.output
    assert "after smoothing" in result.output
    assert "pose network" in result.output
    return out


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def frames(path: Path) -> Iterator[tuple[float, np.ndarray[Any, Any]]]:
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            yield frame.time, frame.to_ndarray(format="rgb24")


def sound(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size]


def test_the_overlay_is_the_clip_with_people_drawn_over_it(done: Path) -> None:
    assert sorted(path.name for path in done.iterdir()) == [
        "pedestrians.csv",
        "pedestrians.json",
        "pedestrians.jsonl",
        "pedestrians.mp4",
    ]
    count = 0
    for (time_before, before), (time_after, after) in zip(
        frames(CLIP), frames(done / "pedestrians.mp4"), strict=True
    ):
        assert time_after == pytest.approx(time_before, abs=1e-3)
        changed = np.abs(before.astype(int) - after).max(-1) > 60
        assert 0.001 < changed.mean() < 0.05
        assert np.abs(before.astype(int) - after)[~changed].mean() < 3
        count += 1
    assert count == 80
    assert len(sound(CLIP)) > 300
    assert sound(done / "pedestrians.mp4") == sound(CLIP)
    with av.open(str(done / "pedestrians.mp4")) as container:
        video = container.streams.video[0]
        assert (video.codec_context.name, video.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert video.average_rate == 10


def test_the_json_has_an_image_a_frame(done: Path) -> None:
    coco = COCO(str(done / "pedestrians.json"))
    assert len(coco.imgs) == 80
    for index, image in enumerate(coco.imgs.values()):
        assert image["frame_index"] == index
        assert image["timestamp"] == pytest.approx(index / 10, abs=1e-3)
        assert (image["width"], image["height"]) == (768, 576)
        assert image["file_name"] == f"pedestrians/{index:06}.jpg"
    info = coco.dataset["info"]
    assert info["boxes"] == "yolo26n"
    assert info["clip"] == {
        "file_name": "pedestrians.mp4",
        "width": 768,
        "height": 576,
        "frame_rate": "10",
        "duration": 8.0,
        "rotation": 0,
        "path": CLIP.as_posix(),
    }
    assert info["smoothing"]["filter"] == "one-euro"
    assert info["jitter"]["after"] < 0.75 * info["jitter"]["before"]
    assert "partial" not in info


def test_ids_last(done: Path) -> None:
    # The man in black who waits on the right, and the woman with fair hair, are there all the time.
    coco = COCO(str(done / "pedestrians.json"))
    for first, last in (((656, 356), (528, 293)), ((219, 463), (360, 454))):
        ids = []
        for image_id, place in ((1, first), (80, last)):
            rows = coco.loadAnns(coco.getAnnIds(image_id))
            middles = [np.array(row["bbox"][:2]) + np.array(row["bbox"][2:]) / 2 for row in rows]
            nearest = int(np.argmin([np.linalg.norm(middle - place) for middle in middles]))
            assert np.linalg.norm(middles[nearest] - place) < 15
            ids.append(rows[nearest]["track_id"])
        assert ids[0] == ids[1]
    everybody = {row["track_id"] for row in coco.anns.values() if "track_id" in row}
    assert 8 <= len(everybody) <= 12  # there are eight people
    for image_id in coco.imgs:
        present = [row["track_id"] for row in coco.loadAnns(coco.getAnnIds(image_id)) if "track_id" in row]
        assert len(present) == len(set(present))


def test_lines_and_rows_say_what_the_json_says(done: Path) -> None:
    coco = COCO(str(done / "pedestrians.json"))
    lines = [json.loads(line) for line in (done / "pedestrians.jsonl").read_text().splitlines()]
    assert len(lines) == 80
    for line, image in zip(lines, coco.imgs.values(), strict=True):
        assert {key: line[key] for key in ("frame_index", "timestamp", "file_name")} == {
            key: image[key] for key in ("frame_index", "timestamp", "file_name")
        }
        rows = coco.loadAnns(coco.getAnnIds(image["id"]))
        assert line["annotations"] == [
            {key: value for key, value in row.items() if key not in ("id", "image_id")} for row in rows
        ]
    table = list(csv.DictReader((done / "pedestrians.csv").read_text().splitlines()))
    assert len(table) == len(coco.anns)
    assert {row["track_id"] for row in table if row["frame_index"] == "0"} == {
        str(row.get("track_id", "")) for row in lines[0]["annotations"]
    }


def test_a_part_starts_at_its_time_and_takes_boxes_from_the_json(
    run: Run, done: Path, tmp_path: Path
) -> None:
    boxes = done / "pedestrians.json"
    result = run(
        "video", CLIP, "--start", "0:02", "--end", "4s", "--every", 2, "--boxes", boxes, "-o", "part"
    )
    assert result.exit_code == 0, result.output
    images = read(tmp_path / "part" / "pedestrians.json")["images"]
    assert [image["frame_index"] for image in images] == list(range(20, 40, 2))
    assert [image["timestamp"] for image in images] == pytest.approx([2 + i / 5 for i in range(10)])
    times = [moment for moment, _ in frames(tmp_path / "part" / "pedestrians.mp4")]
    assert times == pytest.approx([i / 5 for i in range(10)], abs=1e-3)
    part = sound(tmp_path / "part" / "pedestrians.mp4")
    assert len(part) == pytest.approx(86, abs=2)  # two seconds of it
    whole = sound(CLIP)
    begin = whole.index(part[0])
    assert part == whole[begin : begin + len(part)]

    before, after = COCO(str(boxes)), COCO("part/pedestrians.json")
    for image_id in after.imgs:
        old, new = (coco.loadAnns(coco.getAnnIds(image_id)) for coco in (before, after))
        assert sorted(row["bbox"] for row in new) == sorted(row["bbox"] for row in old)


def test_sparse_detection_loses_hardly_anybody(run: Run, done: Path) -> None:
    args = ("--det-every", 3, "--json-only", "--end", "3")
    assert run("video", CLIP, *args, "-o", "sparse").exit_code == 0
    assert [path.name for path in Path("sparse").iterdir()] == ["pedestrians.json"]
    every, sparse = COCO(str(done / "pedestrians.json")), COCO("sparse/pedestrians.json")
    assert "3" in sparse.dataset["info"]["boxes"]
    lost = total = 0
    for image_id in sparse.imgs:
        middles = [
            np.array([(r["bbox"][0] + r["bbox"][2] / 2, r["bbox"][1] + r["bbox"][3] / 2) for r in rows])
            for rows in (
                [r for r in coco.loadAnns(coco.getAnnIds(image_id)) if r["box_score"] > 0.5]
                for coco in (every, sparse)
            )
        ]
        distance = np.linalg.norm(middles[0][:, None] - middles[1][None], axis=-1)
        lost += int((distance.min(1) > 12).sum())
        total += len(middles[0])
    assert total > 150
    assert lost < 0.05 * total


def test_clips_in_a_folder_of_photos_and_photos_among_clips(run: Run, samples: Path) -> None:
    assert run("image", samples, "--whole-image", "-o", "photos").exit_code == 0
    result = run("video", samples / "astronaut.png", samples / "camera.png", "-o", "clips")
    assert result.exit_code == 1
    assert result.stderr.count('a photo; use "mrpose image"') == 2


def test_one_bad_clip_does_not_stop_the_rest(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "clips"
    folder.mkdir()
    (folder / "empty.mp4").touch()
    (folder / "text.mov").write_text("not a clip")
    whole = CLIP.read_bytes()
    (folder / "cut.mp4").write_bytes(whole[: len(whole) // 3])
    shutil.copy(CLIP, folder / "good.mp4")
    result = run("video", folder, "missing.mp4", "--whole-image", "--every", 10, "-o", "out")
    assert result.exit_code == 1
    for name in ("empty.mp4", "text.mov", "cut.mp4", "missing.mp4"):
        lines = [line for line in result.stderr.splitlines() if name in line]
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("mrpose: error: ")
    assert "Traceback" not in result.output
    # What there is of the cut clip is kept, and marked.
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "cut.json",
        "cut.mp4",
        "good.json",
        "good.mp4",
    ]
    cut = read(Path("out/cut.json"))
    assert cut["info"]["partial"] is True
    assert "cut off" in cut["info"]["partial_reason"]
    assert len(list(frames(Path("out/cut.mp4")))) == len(cut["images"]) >= 1
    assert len(read(Path("out/good.json"))["images"]) == 8
    assert "partial" not in read(Path("out/good.json"))["info"]


def test_nothing_is_overwritten_without_being_asked(run: Run, tmp_path: Path) -> None:
    args = ("video", CLIP, "--whole-image", "--every", 20, "--quiet")
    assert run(*args).exit_code == 0
    assert run(*args).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mrpose-out", "mrpose-out-2"]
    refused = run(*args, "-o", "mrpose-out")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert run(*args, "-o", "mrpose-out", "--overwrite").exit_code == 0

    own = tmp_path / "own"
    own.mkdir()
    shutil.copy(CLIP, own)
    elsewhere = tmp_path / "elsewhere" / "pedestrians.mp4"
    elsewhere.parent.mkdir()
    elsewhere.symlink_to(own / "pedestrians.mp4")
    refused = run("video", elsewhere, "-o", own, "--overwrite", "--whole-image")
    assert refused.exit_code == 1
    assert "output folder" in refused.stderr
    assert (own / "pedestrians.mp4").read_bytes() == CLIP.read_bytes()


def test_clips_of_like_names_get_files_of_their_own(run: Run, tmp_path: Path) -> None:
    for name in ("a/walk.mp4", "b/walk.mp4", "a/walk.m4v"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(CLIP, tmp_path / name)
    result = run("video", "a", "b", "--whole-image", "--every", 40, "-o", "out", "--codec", "hevc")
    assert result.exit_code == 0, result.output
    written = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*"))
    assert written == [
        "a/walk.m4v.json",
        "a/walk.m4v.mp4",
        "a/walk.mp4.json",
        "a/walk.mp4.mp4",
        "b/walk.json",
        "b/walk.mp4",
    ]


def test_faces_background_and_boxes(run: Run, tmp_path: Path) -> None:
    args = ("video", CLIP, "--whole-image", "--every", 79, "--draw-boxes", "--blur-faces")
    assert run(*args, "--background", "black", "-o", "out").exit_code == 0
    for _, image in frames(Path("out/pedestrians.mp4")):
        assert (image.max(-1) < 40).mean() > 0.9
        assert image.max() > 200


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "Missing argument"),
        (["clip.mp4", "--start", "soon"], 2, "'soon' is not a time"),
        (["clip.mp4", "--start", "5", "--end", "4"], 2, "--end lies before --start"),
        (["clip.mp4", "--crf", "60"], 2, "--crf goes up to 51 for h264"),
        (["clip.mp4", "--start", "1h", "--whole-image"], 1, "no frame at or after 3600 s"),
        (["clip.mp4", "--boxes", "b.json", "--whole-image"], 2, "contradict"),
        (["clip.mp4", "--boxes", "empty.json"], 2, "names no frame of these clips"),
        (["clip.mp4", "--model", "rtmpose"], 2, "did you mean"),
        (["missing.mp4"], 1, "missing.mp4: no such file"),
        (["ftp://host/clip.mp4"], 1, "links can be read"),
        (["rtsp://127.0.0.1:9/live", "--whole-image"], 1, "Connection refused"),
        (["87", "--whole-image"], 1, "camera 87: there is no such camera"),
        (["clip.mp4", "-o", "clip.mp4/out"], 1, "cannot write"),
        (["clip.mp4", "--whole-image", "--show"], 2, "needs a display"),
    ],
)
def test_errors_are_one_line_and_say_what_to_do(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: list[str], code: int, message: str
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    shutil.copy(CLIP, tmp_path / "clip.mp4")
    (tmp_path / "empty.json").write_text("[]")
    result = run("video", *args, "--quiet")
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert "Traceback" not in result.output
    if message != "Missing argument":
        assert len(result.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("90", 90),
        ("90s", 90),
        ("1m30s", 90),
        ("1.5m", 90),
        ("1:30", 90),
        ("00:01:30.25", Fraction(361, 4)),
        ("2h", 7200),
    ],
)
def test_times_are_read_as_people_write_them(text: str, value: Fraction | int) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "-1", "1:x", "5 minutes", "nan", "1/0"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a time"):
        seconds(text)


@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ctrl_c_leaves_playable_and_valid_files(tmp_path: Path, signal_number: signal.Signals) -> None:
    clip = repeated(CLIP, tmp_path / "long.mp4", 20)
    args = [str(clip), "-o", "out", "--whole-image", "--jsonl"]
    process = subprocess.Popen(
        [sys.executable, "-m", "mrpose_cli", "video", *args],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    lines = tmp_path / "out" / "long.partial.jsonl"
    deadline = time.monotonic() + 60
    while not lines.exists() or lines.read_bytes().count(b"\n") < 12:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal_number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors

    content = read(tmp_path / "out" / "long.json")
    assert content["info"]["partial"] is True
    count = len(content["images"])
    assert 12 <= count < 1600
    shown = list(frames(tmp_path / "out" / "long.mp4"))
    assert len(shown) == count
    with av.open(str(tmp_path / "out" / "long.mp4")) as container:
        ends = [float(stream.duration * stream.time_base) for stream in container.streams]  # type: ignore[operator]
    assert ends[1] == pytest.approx(ends[0], abs=0.1)  # the sound ends with the picture
    assert len(lines.read_text().splitlines()) == count
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "long.json",
        "long.mp4",
        "long.partial.jsonl",
    ]


def test_a_full_disk_keeps_what_was_done(tmp_path: Path) -> None:
    clip = repeated(CLIP, tmp_path / "long.mp4", 10)
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=13m tmpfs {disk}"
    if subprocess.run(["unshare", "--mount", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounting a small disk needs the rights for it")
    other = shutil.copy(CLIP, tmp_path / "other.mp4")
    options = f"{clip} {other} --whole-image --crf 0 -o {disk}/out --jsonl --csv"
    script = (
        f"{mount} && {sys.executable} -m mrpose_cli video {options}; echo code $?; "
        f"cp -r {disk}/out {tmp_path}; ls -A {disk}/out"
    )
    command = ["unshare", "--mount", "sh", "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert "code 1" in done.stdout
    assert "no space left on the disk" in done.stderr
    assert "other.mp4: not begun" in done.stderr
    assert "Traceback" not in done.stderr
    out = tmp_path / "out"
    names = sorted(path.name for path in out.iterdir())
    assert names == ["long.json", "long.mp4", "long.partial.csv", "long.partial.jsonl"]
    content = read(out / "long.json")
    assert content["info"]["partial"] is True
    count = len(content["images"])
    assert 5 < count < 800
    assert len(list(frames(out / "long.mp4"))) == count
    assert len([json.loads(line) for line in (out / "long.partial.jsonl").read_text().splitlines()]) == count


def test_yolox_needs_nothing_of_ultralytics(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['ultralytics'] = None\n"
        "from mrpose_cli.cli import app\n"
        f"app(['video', {str(CLIP)!r}, '--every', '40', '--detector', 'yolox-tiny', '--track', '-o', 'out'])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert len(read(tmp_path / "out" / "pedestrians.json")["annotations"]) > 8


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A screen that nobody sees."""
    if shutil.which("Xvfb") is None:
        pytest.skip("a window needs a display; Xvfb gives one")
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", "1024x768x24"],
        pass_fds=[write_end],
        stderr=subprocess.DEVNULL,
    )
    os.close(write_end)
    with os.fdopen(read_end) as answer:
        number = answer.readline().strip()
    monkeypatch.setenv("DISPLAY", f":{number}")
    yield
    server.terminate()
    server.wait()


@pytest.mark.usefixtures("display")
def test_show_opens_a_window_where_there_is_a_display(run: Run) -> None:
    args = ("--whole-image", "--every", 4, "--show", "--json-only", "--quiet")
    result = run("video", CLIP, *args, "-o", "out")
    assert result.exit_code == 0, result.output
    assert len(read(Path("out/pedestrians.json"))["images"]) == 20


@pytest.mark.usefixtures("display")
def test_a_closed_window_is_noticed() -> None:
    window = PreviewWindow("test")
    image = np.zeros((1200, 2000, 3), np.uint8)
    assert window.show(image)
    window._process.terminate()  # as if the user had closed it
    deadline = time.monotonic() + 10
    while window.show(image):
        assert time.monotonic() < deadline
    window.close()


def test_a_display_that_cannot_be_reached_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":987")
    result = run("video", CLIP, "--whole-image", "--show", "--quiet", "-o", "out")
    assert result.exit_code == 2
    assert "cannot be used" in result.stderr


def test_progress_names_the_slowest_part() -> None:
    from mrpose_cli.pipeline.profile import slowest

    assert slowest({}) == ""
    times = {"read frames": 3.0, "letterbox": 1.0, "detector": 2.5, "crop": 1.0, "pose network": 2.0}
    assert slowest(times) == "detector"
    for stage, name in (("draw", "drawing"), ("encode", "writing"), ("read frames", "reading")):
        assert slowest({**times, stage: 9.0}) == name


def test_help_shows_every_option_that_image_has_too() -> None:
    image, video = (
        CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"}).output
        for command in ("image", "video")
    )
    shared = set(re.findall(r"--[a-z][a-z-]*", image)) - {
        "--overlay",
        "--no-overlay",
        "--results-json",
        "--resume",
    }
    assert len(shared) > 20
    for option in shared:
        assert option in video


def test_movement_files_are_those_of_mrpose_motion(run: Run) -> None:
    command = ["video", CLIP, "--end", "2s", "--json-only", "--motion", "csv,trc", "-o", "out"]
    result = run(*command)
    assert result.exit_code == 0, result.output
    written = sorted(path.name for path in Path("out").iterdir())
    assert {"pedestrians.json", "pedestrians.motion.csv", "pedestrians.person1.trc"} <= set(written)
    assert run("motion", "out/pedestrians.json", "-f", "csv,trc", "-o", "later").exit_code == 0
    for name in written[1:]:
        assert (Path("later") / name).read_bytes() == (Path("out") / name).read_bytes(), name
    Path("out/pedestrians.json").unlink()
    again = run(*command)  # refused before any clip is read
    assert again.exit_code == 2 and "pedestrians.motion.json exists" in again.output
