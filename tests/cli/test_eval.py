"""`mrpose eval`, run as a user runs it, with the real models on the sample photos.

The annotations are made of what is known of the samples (fixtures/samples.json); the real ones of COCO
val2017 are used where they lie beside the clone.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from eval_runs import PEOPLE, dataset, images_done, start, wait_for
from PIL import Image
from typer.testing import CliRunner, Result

from mrpose_cli.cli import app
from mrpose_cli.evaluation.report import CocoFigures, Report, read_report
from mrpose_cli.pipeline.precision import computes_bf16

pytestmark = pytest.mark.downloads

ROOT = Path(__file__).parents[2]
VAL = ROOT.parent / "shared" / "data" / "coco_val2017"

Run = Callable[..., Result]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(app, ["eval", *map(str, args)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> tuple[Path, Path]:
    """Annotations and images of the samples."""
    return dataset(tmp_path_factory.mktemp("data"), samples)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, data: tuple[Path, Path]) -> Iterator[tuple[Path, str]]:
    """The output folder and the terminal of a run with everything."""
    out = tmp_path_factory.mktemp("done") / "out"
    args = ["eval", "--ann", data[0], "--images", data[1], "-o", out, "--worst", "5", "--html", "--profile"]
    result = CliRunner().invoke(app, [str(arg) for arg in args], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    yield out, result.output


def coco(report: Report) -> CocoFigures:
    assert isinstance(report.figures, CocoFigures)
    return report.figures


def figures_of(report: Report) -> dict[str, Any]:
    """All that is computed, without what tells when and how fast."""
    return report.model_dump(exclude={"conditions", "timing"})


def test_everything_is_written(done: tuple[Path, str]) -> None:
    out, _ = done
    names = sorted(path.name for path in out.iterdir())
    assert names == ["report.html", "report.json", "results.json", "worst.jpg"]
    with Image.open(out / "worst.jpg") as picture:
        assert picture.format == "JPEG"
        assert picture.width > 1500


def test_figures_of_the_samples(done: tuple[Path, str]) -> None:
    # The annotations are an estimate of the same network, so little is wrong.
    figures = coco(read_report(done[0]))
    assert figures.ap is not None and figures.ap50 is not None
    assert figures.ap > 85
    assert figures.ap50 > 95


def test_the_terminal_shows_figures_and_conditions(done: tuple[Path, str]) -> None:
    _, output = done
    for words in ("AP75", "ground truth", "flip test off", "simcc", "inversion", "OKS-NMS 0.9", "wrist"):
        assert words in output
    for words in ("persons/s", "in forward passes", "pose network", "report.json"):
        assert words in output


def test_the_report_states_every_condition(done: tuple[Path, str], data: tuple[Path, Path]) -> None:
    conditions = read_report(done[0]).conditions
    assert (conditions.dataset.images, conditions.dataset.images_in_file) == (len(PEOPLE), len(PEOPLE))
    assert conditions.dataset.persons == sum(map(len, PEOPLE.values()))
    assert conditions.model is not None and conditions.boxes is not None
    assert (conditions.model.name, conditions.model.flip, conditions.model.decode) == (
        "rtmpose-s",
        False,
        "simcc",
    )
    assert conditions.model.sha256.startswith("85c5d669aa0b")
    assert (conditions.model.engine, conditions.model.device) == ("OpenVINO", "cpu")
    assert conditions.model.dtype == ("bfloat16" if computes_bf16(torch.device("cpu")) else "float32")
    assert conditions.boxes.engine is None  # they were given
    assert (conditions.boxes.kind, conditions.boxes.rule) == ("ground truth", "mmpose")
    assert conditions.suppression == "OKS-NMS 0.9"
    assert {"mrpose", "python", "torch", "openvino", "pycocotools"} <= conditions.versions.keys()


def test_no_other_network_is_evaluated_in_place_of_the_default(
    data: tuple[Path, Path], run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MRPOSE_HOME", str(tmp_path / "nothing"))
    result = run("--ann", data[0], "--images", data[1], "--offline")
    assert result.exit_code == 1
    assert "no weights for 'rtmpose-s'" in result.output
    assert "runs in place of" not in result.output


def test_the_results_file_scores_the_same(
    done: tuple[Path, str], data: tuple[Path, Path], run: Run, tmp_path: Path
) -> None:
    result = run("--ann", data[0], "--predictions", done[0] / "results.json", "-o", "again")
    assert result.exit_code == 0, result.output
    again, first = read_report(tmp_path / "again"), read_report(done[0])
    assert again.figures == first.figures
    assert again.mistakes == first.mistakes
    assert again.breakdown == first.breakdown
    assert again.conditions.predictions is not None
    assert again.conditions.model is None


def test_rescoring_equals_the_plain_rule(data: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    content = json.loads(data[0].read_text())
    boxes = []
    for image in content["images"]:
        first = next(row for row in content["annotations"] if row["image_id"] == image["id"])
        score = 0.1 + 0.07 * (image["id"] % 10)
        boxes.append({"image_id": image["id"], "category_id": 1, "bbox": first["bbox"], "score": score})
    boxes.append({**boxes[0], "category_id": 18})  # a dog
    (tmp_path / "boxes.json").write_text(json.dumps(boxes))
    result = run("--ann", data[0], "--images", data[1], "--boxes", "boxes.json", "-o", "out", "-q")
    assert result.exit_code == 0, result.output
    rows = {row["image_id"]: row for row in json.loads((tmp_path / "out" / "results.json").read_text())}
    assert len(rows) == len(content["images"])
    for box in boxes[:-1]:
        row = rows[box["image_id"]]
        seen = [score for score in row["keypoints"][2::3] if score > 0.2]
        assert row["score"] == pytest.approx(box["score"] * sum(seen) / len(seen), abs=1e-5)
        assert "bbox" not in row
    stated = read_report(tmp_path / "out").conditions.boxes
    assert stated is not None
    assert (stated.kind, stated.name, stated.persons) == ("file", "boxes.json", len(rows))


def test_people_found_by_the_detector(data: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    result = run("--ann", data[0], "--images", data[1], "--boxes", "yolo", "-o", "out")
    assert result.exit_code == 0, result.output
    report = read_report(tmp_path / "out")
    boxes = report.conditions.boxes
    assert boxes is not None and boxes.sha256 is not None
    assert (boxes.kind, boxes.name, boxes.confidence) == ("detector", "yolo26n", 0.05)
    assert boxes.persons > report.conditions.dataset.persons
    assert "detector yolo26n" in result.output
    ar50 = coco(report).ar50
    assert ar50 is not None and ar50 > 80


def test_soft_suppression_and_none(data: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    content = json.loads(data[0].read_text())
    twice = [
        {"image_id": row["image_id"], "category_id": 1, "bbox": row["bbox"], "score": score}
        for row in content["annotations"]
        for score in (0.9, 0.8)
    ]
    (tmp_path / "twice.json").write_text(json.dumps(twice))
    counts = {}
    for nms in ("hard", "soft", "none"):
        args = ("--ann", data[0], "--images", data[1], "--boxes", "twice.json", "-q")
        assert run(*args, "--nms", nms, "-o", nms).exit_code == 0
        counts[nms] = len(json.loads((tmp_path / nms / "results.json").read_text()))
    assert counts["none"] == len(twice)
    assert counts["hard"] <= len(twice) / 2
    # Soft suppression keeps the 20 best of each image.
    per_image = np.unique([row["image_id"] for row in twice], return_counts=True)[1]
    assert counts["soft"] == np.minimum(per_image, 20).sum()


def test_exif_orientation_is_ignored(data: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    """Annotations are in stored pixels; a tag that tells viewers to turn the picture changes nothing."""
    turned = tmp_path / "turned"
    turned.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    for path in data[1].iterdir():
        with Image.open(path) as picture:
            picture.convert("RGB").save(turned / path.name, "PNG", exif=exif)
    result = run("--ann", data[0], "--images", turned, "-o", "out", "-q")
    assert result.exit_code == 0, result.output
    ap = coco(read_report(tmp_path / "out")).ap
    assert ap is not None and ap > 85


def test_missing_images_are_counted_named_and_left_out(
    data: tuple[Path, Path], run: Run, tmp_path: Path
) -> None:
    some = tmp_path / "some"
    some.mkdir()
    names = sorted(path.name for path in data[1].iterdir())
    for name in names[1:]:
        (some / name).symlink_to(data[1] / name)
    (some / names[1]).unlink()
    (some / names[1]).write_bytes(b"\xff\xd8\xff torn")
    args = ("--ann", data[0], "--images", some, "-q")
    result = run(*args, "-o", "out")
    assert result.exit_code == 0, result.output
    assert f"1 images are missing and left out: {names[0]}" in result.stderr
    assert f"1 images are unreadable and left out: {names[1]}" in result.stderr
    stated = read_report(tmp_path / "out").conditions.dataset
    assert (stated.missing, stated.unreadable) == ((names[0],), (names[1],))
    assert stated.images == len(names) - 2
    ap = coco(read_report(tmp_path / "out")).ap
    assert ap is not None and ap > 85  # what is not there does not count as not found

    strict = run(*args, "-o", "strict", "--strict")
    assert strict.exit_code == 1
    assert f"1 images are missing from {some}: {names[0]}" in strict.stderr
    (some / names[0]).symlink_to(data[1] / names[0])
    strict = run(*args, "-o", "strict", "--strict")
    assert strict.exit_code == 1
    assert names[1] in strict.stderr and "cut off or broken" in strict.stderr


def test_limit_and_ids(data: tuple[Path, Path], run: Run, tmp_path: Path) -> None:
    args = ("--ann", data[0], "--images", data[1], "-q")
    assert run(*args, "--limit", "2", "-o", "two").exit_code == 0
    stated = read_report(tmp_path / "two").conditions.dataset
    assert (stated.images, stated.selection) == (2, "--limit 2")
    assert run(*args, "--ids", "100,101" + ",100" * 99, "-o", "same").exit_code == 0
    assert read_report(tmp_path / "same").figures == read_report(tmp_path / "two").figures
    (tmp_path / "ids.txt").write_text("101\n100\n")
    assert run(*args, "--ids", "ids.txt", "-o", "file").exit_code == 0
    assert read_report(tmp_path / "file").figures == read_report(tmp_path / "two").figures
    hashes = {read_report(tmp_path / out).conditions.dataset.images_sha256 for out in ("two", "same", "file")}
    assert hashes == {hashlib.sha256(b"100\n101\n").hexdigest()}


def test_reports_are_compared(done: tuple[Path, str], run: Run, data: tuple[Path, Path]) -> None:
    args = ("--ann", data[0], "--images", data[1], "-q", "-o", "flipped", "--flip")
    assert run(*args).exit_code == 0
    result = run("compare", done[0], "flipped/report.json")
    assert result.exit_code == 0, result.output
    assert "AP75" in result.output
    assert "model.flip" in result.output
    assert "model.name" not in result.output


def test_nothing_is_overwritten_without_being_asked(
    done: tuple[Path, str], data: tuple[Path, Path], run: Run
) -> None:
    args = ("--ann", data[0], "--predictions", done[0] / "results.json", "-q")
    assert [run(*args).exit_code for _ in range(2)] == [0, 0]
    assert sorted(path.name for path in Path().iterdir()) == ["mrpose-eval", "mrpose-eval-2"]
    refused = run(*args, "-o", "mrpose-eval")
    assert refused.exit_code == 2
    assert "--overwrite" in refused.stderr
    assert run(*args, "-o", "mrpose-eval", "--overwrite").exit_code == 0


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["--images", "IMAGES"], 2, "pass --ann"),
        (["--ann", "none.json", "--images", "IMAGES"], 2, "cannot be read"),
        (["--ann", "ANN"], 2, "pass --images"),
        (["--ann", "ANN", "--images", "nowhere"], 2, "none of the images is in nowhere"),
        (["--ann", "ANN", "--images", "IMAGES", "--boxes", "yolo99"], 2, "no detector called 'yolo99'"),
        (["--ann", "ANN", "--images", "IMAGES", "--boxes", "none.json"], 2, "none.json"),
        (["--ann", "ANN", "--images", "IMAGES", "--model", "rtmpose"], 2, "did you mean"),
        (["--ann", "ANN", "--images", "IMAGES", "--ids", "9"], 2, "has no image 9"),
        (["--ann", "ANN", "--images", "IMAGES", "--ids", "x"], 2, "--ids takes numbers"),
        (["--ann", "ANN", "--images", "IMAGES", "--resume"], 2, "nothing to resume"),
        (["--ann", "ANN", "--predictions", "ANN"], 2, "not a list of COCO results"),
        (["--ann", "ANN", "--predictions", "ANN", "--worst", "3"], 2, "pass --images"),
        (["--ann", "ANN", "--images", "IMAGES", "--dataset", "mpii"], 2, "not a list of people"),
        (["--ann", "ANN", "--images", "IMAGES", "--dataset", "ochuman"], 2, "ochuman"),
        (["compare", "ANN"], 2, "two reports or more"),
        (["compare", "ANN", "ANN"], 2, "is not a report"),
    ],
)
def test_errors_say_what_to_do(
    run: Run, data: tuple[Path, Path], args: list[str], code: int, message: str
) -> None:
    places = {"ANN": str(data[0]), "IMAGES": str(data[1])}
    result = run(*(places.get(arg, arg) for arg in args))
    assert result.exit_code == code
    assert message in result.stderr
    assert "Traceback" not in result.output


def test_help_shows_examples(run: Run) -> None:
    for args in ((), ("--help",)):
        output = run(*args).output
        for words in ("mrpose eval --ann", "--boxes", "--resume", "--worst", "compare", "torchrun"):
            assert words in output


def test_a_killed_run_goes_on_to_the_same_figures(samples: Path, tmp_path: Path) -> None:
    ann, images = dataset(tmp_path, samples, copies=8)
    args = ("--ann", ann, "--images", images, "--batch-size", "4")
    whole = CliRunner().invoke(app, ["eval", *map(str, args), "-q", "-o", str(tmp_path / "whole")])
    assert whole.exit_code == 0, whole.output

    out = tmp_path / "out"
    # With decoding processes, which must not outlive the one that was killed.
    process = start(tmp_path, *args, "-o", out, "--workers", "1")
    wait_for(process, out, 10)
    children = children_of(process.pid)
    process.kill()
    process.communicate(timeout=30)
    done = images_done(out)
    assert 10 <= done < 8 * len(PEOPLE)
    assert not (out / "report.json").exists()
    deadline = time.monotonic() + 10
    while any(alive(pid) for pid in children):
        assert time.monotonic() < deadline, "decoding processes outlive their parent"
        time.sleep(0.02)

    runner = CliRunner()
    command = ["eval", *map(str, args), "-o", str(out), "-q"]
    refused = runner.invoke(app, command)
    assert refused.exit_code == 2 and "--resume" in refused.stderr
    other = runner.invoke(app, [*command, "--resume", "--flip"])
    assert other.exit_code == 2 and "its flip was false and is now true" in other.stderr

    [spool] = out.glob("poses-*.jsonl")
    spool.write_bytes(spool.read_bytes()[:-7])  # as if torn in the middle of a line
    resumed = runner.invoke(app, [*command, "--resume"])
    assert resumed.exit_code == 0, resumed.output
    assert not list(out.glob("poses-*.jsonl"))
    report = read_report(out)
    assert figures_of(report) == figures_of(read_report(tmp_path / "whole"))
    assert report.timing.resumed_images == done - 1
    assert (out / "results.json").read_bytes() == (tmp_path / "whole" / "results.json").read_bytes()

    finished = runner.invoke(app, [*command, "--resume"])
    assert finished.exit_code == 2 and "exists" in finished.stderr


def children_of(pid: int) -> list[int]:
    listings = list(Path(f"/proc/{pid}/task").glob("*/children"))  # by the thread that started them
    if not listings:  # not Linux
        return []
    children = [int(word) for listing in listings for word in listing.read_text().split()]
    assert children
    return children


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_ctrl_c_tells_how_to_go_on(samples: Path, tmp_path: Path, name: str) -> None:
    ann, images = dataset(tmp_path, samples, copies=8)
    process = start(tmp_path, "--ann", ann, "--images", images, "-o", "out")
    wait_for(process, tmp_path / "out", 5)
    process.send_signal(getattr(signal, name))
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130, errors
    assert errors.strip().splitlines() == [
        "mrpose: error: interrupted; --out out --resume goes on with what is done"
    ]


def test_two_ranks_report_what_one_process_does(samples: Path, tmp_path: Path) -> None:
    ann, images = dataset(tmp_path, samples, copies=2)
    args = ["eval", "--ann", ann, "--images", images]
    alone = CliRunner().invoke(app, [*map(str, args), "-o", str(tmp_path / "alone"), "-q"])
    assert alone.exit_code == 0, alone.output

    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*torchrun, "-m", "mrpose_cli", *args, "-o", tmp_path / "ranks"]
    process = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        timeout=100,
    )
    assert process.returncode == 0, process.stderr
    report = read_report(tmp_path / "ranks")
    assert report.conditions.ranks == 2
    assert figures_of(report) == figures_of(read_report(tmp_path / "alone"))
    assert process.stdout.count("AP75") == 1  # one rank prints
    assert not list((tmp_path / "ranks").glob("poses-*"))


@pytest.mark.skipif(not VAL.exists(), reason="needs the photos and annotations beside the clone")
def test_rtmpose_on_val2017(run: Run, tmp_path: Path) -> None:
    ann = VAL / "person_keypoints_val2017_363.json"
    result = run("--ann", ann, "--images", VAL / "images", "--no-flip", "-o", "out")
    assert result.exit_code == 0, result.output
    report = read_report(tmp_path / "out")
    ap = coco(report).ap
    assert ap is not None and abs(ap - 71.3) < 0.3
    assert report.conditions.dataset.persons == 1237
    assert report.conditions.dataset.name is None  # 363 images are not val2017
