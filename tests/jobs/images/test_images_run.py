"""`mrpose image` at work, with the real pose network, when something goes wrong on the way."""

import json
import threading
import weakref
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mrpose_cli.errors import DiskFullError, UsageError
from mrpose_cli.formats.writer import DatasetWriter, ResultsWriter
from mrpose_cli.jobs import photos as photo_stream
from mrpose_cli.jobs.images.plan import ImageJob, ImageReport, prepare
from mrpose_cli.jobs.images.run import run_images
from mrpose_cli.jobs.images.spool import Done, PhotoSpool
from mrpose_cli.pipeline.detectors.base import Detector, WholeImage
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.poses import Detections, Frame
from mrpose_cli.progress import Progress, silent

BOTH = (DatasetWriter, ResultsWriter)


class Choosy:
    """Every picture is one person, but for some there is not enough memory."""

    name = "choosy"
    engine = None

    def __init__(self, *bad: str) -> None:
        self._bad = set(bad)

    def detect(self, frames: Sequence[Frame]) -> list[Detections]:
        if self._bad & {frame.name for frame in frames}:
            raise RuntimeError("out of memory\n  on line two")
        return WholeImage().detect(frames)


@pytest.fixture
def photos(tmp_path: Path, samples: Path) -> Path:
    """Ten photos, no two alike."""
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = Image.open(samples / "basketball1.png").convert("RGB")
    for number in range(10):
        picture.crop((10 * number, 0, 10 * number + 200, 480)).save(folder / f"{number}.jpg")
    return folder


def run(
    job: ImageJob,
    pipeline: Pipeline,
    detector: Detector | None = None,
    *,
    stop: threading.Event | None = None,
    progress: Progress = silent,
    frame_batch: int = 1,
) -> ImageReport:
    own = Pipeline(detector or WholeImage(), pipeline.estimator, batch_size=4, frame_batch=frame_batch)
    with prepare(job) as plan:
        return run_images(job, plan, own, stop or threading.Event(), progress)


def crash_at(count: int) -> Progress:
    def photo(what: str, done: int, total: int | None, **more: object) -> None:
        if done == count:
            raise RuntimeError("a fault")

    return photo


def stop_at(count: int, stop: threading.Event) -> Progress:
    def photo(what: str, done: int, total: int | None, **more: object) -> None:
        if done == count:
            stop.set()

    return photo


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def names(path: Path) -> list[str]:
    return [row["file_name"] for row in read(path)["images"]]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def expected(photos: Path, tmp_path: Path, pipeline: Pipeline) -> dict[str, bytes]:
    """The files of a run that nothing happened to."""
    run(ImageJob([str(photos)], tmp_path / "expected", formats=BOTH), pipeline)
    return files(tmp_path / "expected")


@pytest.mark.parametrize("frame_batch", [1, 3])
def test_a_photo_that_makes_a_model_raise_costs_no_others(
    photos: Path, tmp_path: Path, pipeline: Pipeline, frame_batch: int
) -> None:
    job = ImageJob([str(photos)], tmp_path / "out")
    report = run(job, pipeline, Choosy("0.jpg", "7.jpg"), frame_batch=frame_batch)
    reason = "RuntimeError: out of memory on line two"
    assert report.failures == [("0.jpg", reason), ("7.jpg", reason)]
    assert not report.partial
    assert names(tmp_path / "out" / "poses.json") == [f"{number}.jpg" for number in (1, 2, 3, 4, 5, 6, 8, 9)]
    assert set(files(tmp_path / "out")) == {"poses.json", *names(tmp_path / "out" / "poses.json")}


def test_a_crash_keeps_what_was_done_and_can_be_resumed(
    photos: Path, tmp_path: Path, pipeline: Pipeline, expected: dict[str, bytes]
) -> None:
    out = tmp_path / "out"
    with pytest.raises(RuntimeError, match="a fault"):
        run(ImageJob([str(photos)], out, formats=BOTH), pipeline, progress=crash_at(6))
    assert read(out / "poses.json")["info"]["partial"] is True
    done = names(out / "poses.json")
    assert 5 <= len(done) < 10
    assert set(done) <= set(files(out))

    report = run(ImageJob([str(photos)], out, formats=BOTH, resume=True), pipeline)
    assert report.resumed == len(done)
    assert len(report.rows) == 10
    assert files(out) == expected


def test_what_is_missing_or_failed_is_done_again(
    photos: Path, tmp_path: Path, pipeline: Pipeline, expected: dict[str, bytes]
) -> None:
    stop = threading.Event()
    out = tmp_path / "out"
    broken = photos / "1.jpg"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:100])
    job = ImageJob([str(photos)], out, formats=BOTH)
    report = run(job, pipeline, Choosy("2.jpg"), stop=stop, progress=stop_at(5, stop))
    assert report.partial and report.interrupted
    assert [name for name, _ in report.failures] == ["1.jpg", "2.jpg"]
    rows = len(report.rows)

    broken.write_bytes(whole)
    (out / "3.jpg").unlink()
    (out / "4.jpg").write_bytes(b"torn")
    resumed = ImageJob([str(photos)], out, formats=BOTH, resume=True)
    with pytest.raises(UsageError, match="boxes was choosy and is now whole-image"):
        run(resumed, pipeline)
    report = run(resumed, pipeline, Choosy())
    assert report.resumed == rows - 2
    assert not report.failures
    again = read(out / "poses.json")
    assert again["annotations"] == json.loads(expected["poses.json"])["annotations"]
    assert {**files(out), "poses.json": b""} == {**expected, "poses.json": b""}


def test_another_photo_of_the_same_name_is_not_taken_for_done(
    photos: Path, tmp_path: Path, pipeline: Pipeline
) -> None:
    out = tmp_path / "out"
    with pytest.raises(RuntimeError, match="a fault"):
        run(ImageJob([str(photos)], out), pipeline, progress=crash_at(9))
    Image.new("RGB", (50, 60)).save(photos / "0.jpg")
    run(ImageJob([str(photos)], out, resume=True), pipeline)
    first = read(out / "poses.json")["images"][0]
    assert (first["file_name"], first["width"], first["height"]) == ("0.jpg", 50, 60)
    with Image.open(out / "0.jpg") as overlay:
        assert overlay.size == (50, 60)


def test_runs_of_other_flags_and_files_are_not_mixed(
    photos: Path, tmp_path: Path, pipeline: Pipeline
) -> None:
    stop = threading.Event()
    out, boxes = tmp_path / "out", tmp_path / "boxes.json"
    boxes.write_text("one")
    job = ImageJob([str(photos)], out, settings={"--kpt-thr": 0.3, "--boxes": boxes})
    run(job, pipeline, stop=stop, progress=stop_at(1, stop))
    before = files(out)
    other = replace(job, resume=True, settings={**job.settings, "--kpt-thr": 0.5})
    with pytest.raises(UsageError, match=r"its --kpt-thr was 0\.3 and is now 0\.5; repeat the first command"):
        run(other, pipeline)
    boxes.write_text("two")
    with pytest.raises(UsageError, match="its --boxes was"):
        run(replace(job, resume=True), pipeline)
    assert files(out) == before
    (out / "unfinished.jsonl").write_bytes(before["unfinished.jsonl"] + b'{"name": 3}\n')
    boxes.write_text("one")
    with pytest.raises(UsageError, match=r"unfinished\.jsonl is damaged; start over with `overwrite`"):
        run(replace(job, resume=True), pipeline)


def test_inputs_that_a_resumed_run_lacks_are_told(photos: Path, tmp_path: Path, pipeline: Pipeline) -> None:
    stop = threading.Event()
    out = tmp_path / "out"
    run(ImageJob([str(photos)], out), pipeline, stop=stop, progress=stop_at(1, stop))
    with pytest.raises(UsageError, match=r"it had a photo .*\.jpg, which is not among the inputs"):
        run(ImageJob([str(photos / "9.jpg")], out, resume=True), pipeline)


def test_photos_are_in_memory_as_far_as_they_fit(
    photos: Path,
    tmp_path: Path,
    pipeline: Pipeline,
    expected: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 3 * 200 * 480
    monkeypatch.setattr(photo_stream, "_PIXELS", 2 * size)
    seen: list[weakref.ref[Any]] = []
    most = 0

    class Watched(WholeImage):
        def detect(self, frames: Sequence[Frame]) -> list[Detections]:
            nonlocal most
            seen.extend(weakref.ref(frame.image) for frame in frames)
            most = max(most, sum(image() is not None for image in seen))
            return super().detect(frames)

    out = tmp_path / "out"
    report = run(ImageJob([str(photos)], out, formats=BOTH), pipeline, Watched())
    assert len(report.rows) == 10
    assert 1 <= most <= 2
    assert files(out) == expected


def test_wrong_starts(
    photos: Path, tmp_path: Path, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no unfinished run in out to resume"):
        run(ImageJob(["photos"], Path("out"), resume=True), pipeline)
    with pytest.raises(UsageError, match="no unfinished run in mrpose-out or mrpose-out-N"):
        run(ImageJob(["photos"], resume=True), pipeline)
    assert not Path("out").exists()
    stop = threading.Event()
    run(ImageJob(["photos"]), pipeline, stop=stop, progress=stop_at(1, stop))
    unfinished = Path("mrpose-out")
    with pytest.raises(UsageError, match=r"unfinished run; .*`resume`.*`overwrite`"):
        run(ImageJob(["photos"], unfinished), pipeline)
    with pytest.raises(UsageError, match="contradict"):
        run(ImageJob(["photos"], unfinished, resume=True, overwrite=True), pipeline)
    run(ImageJob(["photos"]), pipeline)
    assert len(names(Path("mrpose-out-2") / "poses.json")) == 10
    report = run(ImageJob(["photos"], resume=True), pipeline)
    assert report.written["COCO JSON"] == unfinished / "poses.json"
    assert files(unfinished) == files(Path("mrpose-out-2"))
    run(ImageJob(["photos"], unfinished, overwrite=True), pipeline)
    assert np.all([path.suffix in (".jpg", ".json") for path in unfinished.iterdir()])


@pytest.mark.parametrize("entry", ["photos", "photos/**/*.jpg"])
def test_photos_in_the_output_folder_are_not_passed_over_in_silence(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, entry: str
) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("photos/sub")
    with prepare(ImageJob([entry], out, recursive=True)) as plan:
        assert not plan.passed_over
    (out / "more").mkdir(parents=True, exist_ok=True)
    with prepare(ImageJob([entry], out, recursive=True)) as plan:
        assert not plan.passed_over
    Image.new("RGB", (9, 9)).save(out / "more" / "10.jpg")
    with prepare(ImageJob([entry], out, recursive=True)) as plan:
        assert plan.passed_over
        assert len(plan.sources) == 10
    with prepare(ImageJob([entry], Path("elsewhere"), recursive=True)) as plan:
        assert not plan.passed_over
        assert len(plan.sources) == 11


def test_an_overlay_whose_row_finds_no_room_does_not_stay(
    photos: Path,
    tmp_path: Path,
    pipeline: Pipeline,
    monkeypatch: pytest.MonkeyPatch,
    expected: dict[str, bytes],
) -> None:
    add = PhotoSpool.add

    def full(spool: PhotoSpool, done: Done) -> None:
        if done.name in ("5.jpg", "6.jpg"):
            raise DiskFullError(f"no space left on the disk: {done.name}")
        add(spool, done)

    job = ImageJob([str(photos)], tmp_path / "out", formats=BOTH)
    with monkeypatch.context() as patch:
        patch.setattr(PhotoSpool, "add", full)
        report = run(job, pipeline)
    assert report.full and report.partial
    done = names(tmp_path / "out" / "poses.json")
    assert not {"5.jpg", "6.jpg"} & set(done)
    assert {path.name for path in (tmp_path / "out").glob("*.jpg")} == set(done)
    run(replace(job, resume=True), pipeline)
    assert files(tmp_path / "out") == expected
