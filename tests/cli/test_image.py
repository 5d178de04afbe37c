"""`mrpose image`, run as a user runs it, with the real models on the sample photos."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from typer.testing import CliRunner, Result

from mrpose_cli.cli import app

pytestmark = pytest.mark.downloads

EXPECTED = json.loads((Path(__file__).parents[1] / "fixtures" / "samples.json").read_text())

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


def read(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """The output folder of a run over all samples, every option that writes switched on."""
    out = tmp_path_factory.mktemp("done") / "out"
    result = CliRunner().invoke(app, ["image", str(samples), "-o", str(out), "--results-json", "--profile"])
    assert result.exit_code == 0, result.output
    assert "basketball1.png" in result.output
    assert "detector + pose network" in result.output
    return out


def test_keypoints_of_the_samples(done: Path) -> None:
    coco = COCO(str(done / "poses.json"))
    for image in coco.imgs.values():
        found = coco.loadAnns(coco.getAnnIds(image["id"]))
        for person in EXPECTED[image["file_name"]]:
            box = np.array(person["bbox"])
            distance = [np.abs(np.array(row["bbox"]) - box).max() for row in found]
            # Where the CPU computes bf16, a large box's edges move by up to 2 % of it.
            assert min(distance) < max(3, 0.02 * box[3]), f"{image['file_name']}: nobody at {person['bbox']}"
            match = found[int(np.argmin(distance))]
            expected = np.array(person["keypoints"])
            points = np.array(match["keypoints"]).reshape(17, 3)[:, :2]
            sure = expected[:, 2] > 0.5
            assert sure.any()
            error = np.abs(points - expected[:, :2])[sure]
            assert error.max() < max(3, 0.02 * box[3])
    assert sorted(image["file_name"] for image in coco.imgs.values()) == sorted(EXPECTED)


def test_people_stand_where_one_sees_them(done: Path) -> None:
    # Read off the photos by eye: nose of the astronaut, head and feet of the man with the ball.
    coco = COCO(str(done / "poses.json"))
    people = {image["file_name"]: coco.loadAnns(coco.getAnnIds(i)) for i, image in coco.imgs.items()}

    def nearest(name: str, joint: int, place: tuple[int, int]) -> float:
        points = [np.array(row["keypoints"]).reshape(17, 3)[joint, :2] for row in people[name]]
        return float(min(np.linalg.norm(point - place) for point in points))

    assert nearest("astronaut.png", 0, (224, 124)) < 10
    assert nearest("astronaut.png", 1, (245, 103)) < 10
    assert nearest("basketball1.png", 0, (96, 116)) < 10
    assert nearest("basketball1.png", 16, (58, 460)) < 15


def test_without_network_the_shipped_weights_do_the_samples(
    run: Run, samples: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRPOSE_HOME", str(tmp_path / "nothing"))
    monkeypatch.setenv("MRPOSE_OFFLINE", "1")
    result = run("image", samples, "--boxes", samples / "boxes.json", "-o", "out")
    assert result.exit_code == 0, result.output
    assert (
        "mrpose: note: mrfea2-cspnext-s, which comes with mrpose, runs in place of rtmpose-s, "
        in result.output
    )
    coco = COCO(str(tmp_path / "out" / "poses.json"))
    assert coco.dataset["info"]["model"] == "mrfea2-cspnext-s"
    ids = {image["file_name"]: i for i, image in coco.imgs.items()}
    assert sorted(ids) == sorted(EXPECTED)
    [astronaut] = coco.loadAnns(coco.getAnnIds(ids["astronaut.png"]))
    points = np.array(astronaut["keypoints"]).reshape(17, 3)[:, :2]
    assert np.linalg.norm(points[0] - (224, 124)) < 15
    assert np.linalg.norm(points[1] - (245, 103)) < 15


def test_the_overlay_differs_where_people_are_and_nowhere_else(done: Path, samples: Path) -> None:
    before = np.array(Image.open(samples / "basketball1.png").convert("RGB")).astype(int)
    with Image.open(done / "basketball1.png") as picture:
        assert (picture.format, picture.size, picture.mode) == ("PNG", (640, 480), "RGB")
        changed = (np.abs(np.array(picture).astype(int) - before) > 30).any(-1)
    assert changed[80:470, 35:185].mean() > 0.03
    assert not changed[:, 200:430].any()
    with Image.open(done / "pedestrians1.jpg") as picture:
        assert picture.format == "JPEG"


def test_results_load_into_coco(done: Path) -> None:
    coco = COCO(str(done / "poses.json"))
    results = coco.loadRes(str(done / "results.json"))
    assert len(results.anns) == len(coco.anns) > 10
    for row, annotation in zip(read(done / "results.json"), coco.anns.values(), strict=True):
        assert row["score"] == annotation["score"]
        assert row["keypoints"][2::3] == annotation["keypoint_scores"]


def test_the_json_states_its_conditions(done: Path) -> None:
    info = read(done / "poses.json")["info"]
    assert info["model"] == "rtmpose-s"
    assert info["boxes"] == "yolo26n"
    assert info["flip_test"] is False
    assert "EXIF" in info["coordinates"]
    assert "partial" not in info


def test_nothing_is_overwritten_without_being_asked(run: Run, samples: Path, tmp_path: Path) -> None:
    photo = samples / "basketball1.png"
    args = ("image", photo, "--whole-image", "--quiet")
    assert run(*args).exit_code == 0
    assert run(*args).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mrpose-out", "mrpose-out-2"]

    target = tmp_path / "mrpose-out" / "poses.json"
    before = target.stat().st_mtime_ns
    refused = run(*args, "-o", "mrpose-out")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert target.stat().st_mtime_ns == before
    assert run(*args, "-o", "mrpose-out", "--overwrite").exit_code == 0
    assert target.stat().st_mtime_ns > before

    own = tmp_path / "own"
    shutil.copytree(samples, own)
    bytes_before = (own / "basketball1.png").read_bytes()
    refused = run("image", own / "basketball1.png", "-o", own, "--overwrite", "--whole-image")
    assert refused.exit_code == 1
    assert "output folder" in refused.stderr
    assert (own / "basketball1.png").read_bytes() == bytes_before


def test_one_bad_file_does_not_stop_the_rest(run: Run, samples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    whole = (samples / "pedestrians1.jpg").read_bytes()
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "text.png").write_text("not a picture")
    (folder / "circle.jpg").symlink_to("circle.jpg")
    (folder / "up").symlink_to("..")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    Image.open(samples / "basketball1.png").convert("L").save(folder / "gray.png")
    Image.open(samples / "basketball1.png").convert("RGBA").save(folder / "rgba.png")
    Image.open(samples / "basketball1.png").convert("CMYK").save(folder / "cmyk.jpg")
    frames = [Image.open(samples / "basketball1.png").convert("P")] * 2
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])

    result = run("image", folder, "missing.jpg", "-o", "out")
    assert result.exit_code == 1
    for name in ("empty.jpg", "cut.jpg", "text.png", "circle.jpg", "missing.jpg"):
        lines = [line for line in result.stderr.splitlines() if name in line]
        assert len(lines) == 1, result.stderr
        assert lines[0].startswith("mrpose: error: ")
    assert "Traceback" not in result.output

    coco = COCO("out/poses.json")
    counts = {image["file_name"]: len(coco.getAnnIds(i)) for i, image in coco.imgs.items()}
    assert counts == {"cmyk.jpg": 2, "dot.png": 0, "gray.png": 2, "moving.gif": 2, "rgba.png": 2}
    written = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert written == ["cmyk.jpg", "dot.png", "gray.png", "moving.gif.png", "poses.json", "rgba.png"]


def test_exif_turned_photos_come_out_upright(run: Run, samples: Path, tmp_path: Path) -> None:
    upright = Image.open(samples / "basketball1.png").convert("RGB")
    exif = Image.Exif()
    exif[274] = 6  # the camera was held turned: a viewer rotates by 90 degrees clockwise
    upright.rotate(90, expand=True).save(tmp_path / "turned.jpg", quality=95, exif=exif)
    assert run("image", tmp_path / "turned.jpg", "-o", "out").exit_code == 0
    coco = COCO("out/poses.json")
    [image] = coco.imgs.values()
    assert (image["width"], image["height"]) == (640, 480)
    with Image.open("out/turned.jpg") as overlay:
        assert overlay.size == (640, 480)
        assert overlay.getexif().get(274, 1) == 1
    noses = [row["keypoints"][:2] for row in coco.anns.values()]
    assert min(np.hypot(x - 96, y - 116) for x, y in noses) < 10


def test_same_names_in_different_folders(run: Run, samples: Path, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        shutil.copy(samples / "basketball1.png", tmp_path / folder / "7.png")
    assert run("image", "a", "b/*.png", "--whole-image", "-o", "out").exit_code == 0
    rows = read(tmp_path / "out" / "poses.json")["images"]
    assert sorted(row["file_name"] for row in rows) == ["a/7.png", "b/7.png"]
    assert len({row["id"] for row in rows}) == 2
    assert {row["id"] for row in rows} > {7} - {row["id"] for row in rows}
    assert (tmp_path / "out" / "a" / "7.png").exists()
    assert (tmp_path / "out" / "b" / "7.png").exists()


def test_boxes_from_a_file(run: Run, samples: Path, done: Path, tmp_path: Path) -> None:
    names = [samples / name for name in ("basketball1.png", "astronaut.png")]
    assert run("image", *names, "--boxes", done / "poses.json", "-o", "out", "--no-overlay").exit_code == 0
    detected, given = COCO(str(done / "poses.json")), COCO("out/poses.json")
    by_name = {image["file_name"]: i for i, image in detected.imgs.items()}
    for image_id, image in given.imgs.items():
        assert image_id == by_name[image["file_name"]]  # the boxes file's own ids
        rows, others = (coco.loadAnns(coco.getAnnIds(image_id)) for coco in (given, detected))
        for row, other in zip(rows, others, strict=True):
            # The file's boxes are rounded to a thousandth, which may tip a joint into the next SimCC bin.
            assert np.abs(np.array(row["keypoints"]) - np.array(other["keypoints"])).max() < 3
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["poses.json"]
    assert given.dataset["info"]["boxes"] == "poses.json"

    stranger = run("image", samples / "camera.png", "--boxes", tmp_path / "none.json", "-o", "other")
    assert stranger.exit_code == 2
    (tmp_path / "empty.json").write_text("[]")
    stranger = run("image", samples / "camera.png", "--boxes", tmp_path / "empty.json", "-o", "other")
    assert stranger.exit_code == 2
    assert "names none of the photos" in stranger.stderr


def test_heatmaps_are_drawn_over_the_people(run: Run, samples: Path, tmp_path: Path) -> None:
    photo = samples / "basketball1.png"
    assert run("image", photo, "-o", "out", "--draw-heatmaps", "--kpt-thr", "1").exit_code == 0
    before = np.array(Image.open(photo).convert("RGB")).astype(int)
    changed = (np.abs(np.array(Image.open("out/basketball1.png")).astype(int) - before) > 30).any(-1)
    nose = changed[106:126, 86:106].mean()
    assert nose > 0.5
    assert not changed[:, 215:400].any()


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        ([], 2, "Missing argument"),
        (["photo.png", "--model", "rtmpose"], 2, "did you mean"),
        (["photo.png", "--detector", "yolo26x"], 2, "did you mean"),
        (["photo.png", "--detector", "none.pt"], 2, "no detector file"),
        (["photo.png", "--device", "cuda:7"], 2, "no usable device"),
        (["photo.png", "--device", "tpu"], 2, "not a device"),
        (["photo.png", "--engine", "onnx", "--dtype", "bf16"], 2, "computes in fp32"),
        (["photo.png", "--boxes", "b.json", "--whole-image"], 2, "contradict"),
        (["photo.png", "--weights", "none.onnx"], 1, "no weights file"),
        (["photo.png", "--weights", "photo.png"], 1, "not a readable checkpoint"),
        (["photo.png", "--weights", "photo.png", "--model", "rsn-18"], 1, "not a readable checkpoint"),
        (["photo.png", "--model", "rsn-18"], 2, "nobody published weights"),
        (["photo.png", "--model", "mrfea2-r50"], 1, "--weights PATH"),
        (["missing.png"], 1, "missing.png: no such file"),
        (["photo.png", "-o", "photo.png/out"], 1, "cannot write"),
    ],
)
def test_errors_are_one_line_and_say_what_to_do(
    run: Run, samples: Path, tmp_path: Path, args: list[str], code: int, message: str
) -> None:
    shutil.copy(samples / "basketball1.png", tmp_path / "photo.png")
    extra = [] if "--boxes" in args or "--detector" in args else ["--whole-image"]
    result = run("image", *args, *extra)
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output
    if code == 1:
        assert len(result.stderr.strip().splitlines()) == 1


def test_a_machine_without_opengl_is_told_what_to_install(samples: Path, tmp_path: Path) -> None:
    # The loader finds this file first and cannot load it, as it can load none on a slim machine.
    (tmp_path / "libGL.so.1").write_bytes(b"")
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    probe = subprocess.run([sys.executable, "-c", "import cv2"], env=environment, capture_output=True)
    if probe.returncode == 0:
        pytest.skip("this build of OpenCV does not need libGL")
    command = [sys.executable, "-m", "mrpose_cli", "image", str(samples)]
    process = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    errors = process.stderr
    assert process.returncode == 1
    assert len(errors.strip().splitlines()) == 1
    assert "apt-get install libgl1" in errors
    assert "opencv-python-headless" in errors
