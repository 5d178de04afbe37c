"""One file of all parts: the same as other commands write."""

import json
import tarfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from batch_runs import cut_photos, work_through
from pycocotools.coco import COCO

from mrpose_cli.errors import UsageError
from mrpose_cli.formats.ids import assign
from mrpose_cli.formats.writer import DatasetWriter
from mrpose_cli.jobs.batch.collect import Collecting, collect
from mrpose_cli.jobs.batch.plan import Plan
from mrpose_cli.jobs.batch.run import BatchJob
from mrpose_cli.jobs.images.plan import ImageJob, prepare
from mrpose_cli.jobs.images.run import run_images
from mrpose_cli.pipeline.pipeline import Pipeline


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory, samples: Path) -> Path:
    """Photos with people in them, without, and without a picture in them."""
    folder = cut_photos(samples, tmp_path_factory.mktemp("collect") / "photos", 3)
    for name in ("pedestrians1.jpg", "camera.png"):
        (folder / name).write_bytes((samples / name).read_bytes())
    (folder / "bad.jpg").write_bytes(b"no photo")
    return folder


@pytest.fixture(scope="module")
def plan(photos: Path, pipeline: Pipeline) -> Plan:
    """A batch that is done."""
    job = BatchJob([str(photos)], str(photos.parent / "out"), shard_size=2)
    return work_through(job, pipeline).plan


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_dataset_is_the_one_of_mrpose_image(
    plan: Plan, photos: Path, pipeline: Pipeline, tmp_path: Path
) -> None:
    collected = collect(plan, Collecting(tmp_path / "poses.json"))
    assert (collected.pictures, collected.failed, collected.missing) == (5, 1, 0)
    with prepare(ImageJob([str(photos)], tmp_path / "out", overlay=False)) as images:
        run_images(
            ImageJob([str(photos)], tmp_path / "out", overlay=False), images, pipeline, threading.Event()
        )
    ours, theirs = read(tmp_path / "poses.json"), read(tmp_path / "out" / DatasetWriter.file)
    for key in ("images", "annotations", "categories"):
        assert ours[key] == theirs[key]
    assert len(ours["annotations"]) == collected.persons > 5
    assert ours["info"]["model"] == "rtmpose-s"
    assert len(COCO(str(tmp_path / "poses.json")).getAnnIds()) == collected.persons


def test_lines_and_tars_hold_the_same(plan: Plan, photos: Path, tmp_path: Path) -> None:
    collect(plan, Collecting(tmp_path / "poses.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "poses.jsonl").read_text().splitlines()]
    names = [line["file_name"] for line in lines]
    assert names == ["0.jpg", "1.jpg", "2.jpg", "camera.png", "pedestrians1.jpg"]
    written = collect(plan, Collecting(tmp_path / "poses-%03d.tar", images=True)).written
    assert written == [tmp_path / "poses-000.tar"]
    with tarfile.open(written[0]) as tar:
        members = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]
    for number, line in enumerate(lines):
        told = json.loads(members.pop(f"{number:09}.json"))
        assert told["annotations"] == line["annotations"]
        photo = photos / told["file_name"]
        assert members.pop(f"{number:09}{photo.suffix}") == photo.read_bytes()
    assert members == {}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # it closes no file
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_webdataset_reads_the_tars(plan: Plan, tmp_path: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    collect(plan, Collecting(tmp_path / "poses.tar", images=True))
    data = webdataset.WebDataset(str(tmp_path / "poses.tar"), shardshuffle=False).decode("rgb8")
    samples = list(data)
    assert [sample["json"]["file_name"] for sample in samples][:2] == ["0.jpg", "1.jpg"]
    assert samples[0]["jpg"].shape == (480, 200, 3)


def test_what_is_missing_is_told(photos: Path, pipeline: Pipeline, tmp_path: Path) -> None:
    job = BatchJob([str(photos)], str(tmp_path / "out"), shard_size=2, whole_image=True)
    plan = work_through(job, pipeline).plan
    (tmp_path / "out/parts/part-0000001.parquet").unlink()
    collected = collect(plan, Collecting(tmp_path / "poses.json"))
    assert (collected.pictures, collected.missing) == (4, 1)
    assert read(tmp_path / "poses.json")["info"]["partial"] is True


def test_wrong_usage(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "there.json").write_text("{}")
    for job, message in (
        (Collecting(tmp_path / "poses.xyz"), "does not end in"),
        (Collecting(tmp_path / "there.json"), "exists"),
        (Collecting(tmp_path / "poses.json", images=True), "is for a WebDataset"),
    ):
        with pytest.raises(UsageError, match=message):
            collect(plan, job)
    assert {path.name for path in tmp_path.iterdir()} == {"there.json"}


def test_ids_are_assigned_in_little_memory() -> None:
    numbers = np.array([7, -1, 7, 0, -1, 2, 3], np.int64)
    assert assign(numbers).tolist() == [7, 1, 4, 0, 5, 2, 3]
    assert assign(numbers, [0, 1, 2]).tolist() == [7, 4, 5, 6, 8, 9, 3]
    assert assign(np.zeros(0, np.int64)).tolist() == []
    large = assign(np.full(1_000_000, -1, np.int64))
    assert (large == np.arange(1, 1_000_001)).all()
