"""Photos from a store, parts into it: S3 on this machine, and fsspec's memory."""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from batch_runs import cut_photos, outcome_of, work_through

from mrpose_cli.errors import OutputError, UsageError
from mrpose_cli.jobs.batch.place import Place, open_place, read
from mrpose_cli.jobs.batch.run import BatchJob
from mrpose_cli.jobs.batch.status import status
from mrpose_cli.pipeline.detectors.base import WholeImage
from mrpose_cli.pipeline.pipeline import Pipeline

BUCKET = "bucket"


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The address of a bucket in an S3 of this machine's."""
    server = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    patch = pytest.MonkeyPatch()
    for name, value in environment.items():
        patch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir(BUCKET)
    yield f"s3://{BUCKET}"
    s3fs.S3FileSystem.clear_instance_cache()
    patch.undo()
    running.stop()


@pytest.fixture(params=["local", "memory", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    addresses = {"local": str(tmp_path / "out"), "memory": f"memory://{tmp_path.name}"}
    if request.param == "s3":
        return open_place(f"{request.getfixturevalue('store')}/{tmp_path.name}/")
    return open_place(addresses[request.param])


def test_a_place_holds_whole_files(place: Place) -> None:
    assert place.names("parts") == set()
    assert read(place, "parts/a") is None
    place.put("parts/a", b"first")
    place.put("parts/a", b"second")
    place.put("parts/b", b"")
    assert place.names("parts") == {"a", "b"}
    assert read(place, "parts/a") == b"second"
    with place.open("parts/a") as file:
        file.seek(2)
        assert file.read(2) == b"co"
    place.remove("parts/a")
    place.remove("parts/a")
    assert place.names("parts") == {"b"}
    place.sweep("parts")
    assert place.names("parts") == {"b"}


def test_what_killed_runs_left_behind_is_removed_once_it_is_old(tmp_path: Path) -> None:
    place = open_place(str(tmp_path))
    old, new, mine = (tmp_path / f".mrpose-{name}.part" for name in ("0" * 16, "1" * 16, "mine"))
    for path in (old, new, mine):
        path.touch()
    for path in (old, mine):
        os.utime(path, (0, 0))
    place.sweep("")
    assert {path.name for path in tmp_path.iterdir()} == {new.name, mine.name}


def test_of_two_who_create_a_file_one_does(place: Place) -> None:
    assert place.create("plan.json", b"mine")
    assert not place.create("plan.json", b"yours")
    assert read(place, "plan.json") == b"mine"


def test_of_many_who_create_an_object_one_does(store: str) -> None:
    start, created = threading.Barrier(6), list[bool]()

    def create(number: int) -> None:
        place = open_place(f"{store}/race")
        start.wait()
        created.append(place.create("plan.json", b"%d" % number))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(created) == [False] * 5 + [True]


def test_a_store_that_cannot_be_reached_is_told() -> None:
    with pytest.raises(UsageError, match="nonsense:// addresses cannot be used"):
        open_place("nonsense://bucket")


def test_a_bucket_that_is_not_there_is_told(store: str) -> None:
    with pytest.raises(OutputError, match="cannot be reached"):
        open_place("s3://gone/out").put("a", b"")


def test_photos_come_from_a_store_and_parts_go_there(
    store: str, tmp_path: Path, samples: Path, pipeline: Pipeline
) -> None:
    import s3fs

    whole = Pipeline(WholeImage(), pipeline.estimator, batch_size=4)
    photos = cut_photos(samples, tmp_path / "photos", 6)
    (photos / "x.jpg").write_bytes(b"no photo")
    fs = s3fs.S3FileSystem()
    fs.put(f"{photos}/", f"{BUCKET}/photos/", recursive=True)
    fs.put_file(str(samples / "pedestrians.mp4"), f"{BUCKET}/clip.mp4")
    (tmp_path / "list.txt").write_text(f"{store}/photos/0.jpg\n{store}/gone.jpg\n")

    def job(out: str, *inputs: str) -> BatchJob:
        return BatchJob(inputs, out, whole_image=True, shard_size=3, every=40)

    local = work_through(job(str(tmp_path / "out"), str(photos)), whole).pictures
    for inputs in ([f"{store}/photos/"], [f"{store}/photos/*.jpg"]):
        there = work_through(job(f"{store}/out{len(inputs[0])}", *inputs), whole)
        assert [one.name for one in there.pictures] == [one.name for one in local]
        assert set(there.errors) == {"x.jpg"}
        for one, other in zip(local, there.pictures, strict=True):
            assert other.source == f"{store}/photos/{one.name}"
            if one.poses is not None and other.poses is not None:
                assert one.poses.keypoints.tobytes() == other.poses.keypoints.tobytes()
        state = status(there.plan)
        assert (state.done, state.pictures, state.failed) == (3, 6, 1)
    mixed = work_through(job(f"{store}/mixed", str(tmp_path / "list.txt"), f"{store}/clip.mp4"), whole)
    assert mixed.errors == {f"{store}/gone.jpg": "there is no such file"}
    assert [one.frame for one in mixed.pictures] == [None, None, 0, 40]


@pytest.mark.downloads
def test_the_command_works_on_a_store(store: str, tmp_path: Path, samples: Path) -> None:
    photos = cut_photos(samples, tmp_path / "photos", 9)
    words = [sys.executable, "-m", "mrpose_cli", "batch", str(photos), "--whole-image", "--device", "cpu"]
    more = ["--shard-size", "2", "--workers", "2", "-o", f"{store}/command"]
    done = subprocess.run([*words, *more], capture_output=True, text=True, env=dict(os.environ))
    assert (done.returncode, done.stderr) == (0, "")
    assert len(outcome_of(f"{store}/command").pictures) == 9
