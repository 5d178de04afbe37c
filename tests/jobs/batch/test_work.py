"""One worker on real photos, tars and clips."""

import io
import tarfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from batch_runs import Outcome, cut_photos, work_through

from mrpose_cli.errors import OutputError
from mrpose_cli.jobs.batch.run import BatchJob
from mrpose_cli.jobs.batch.task import News, ShardDone
from mrpose_cli.pipeline.detectors.base import WholeImage
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.poses import Detections, Frame
from mrpose_cli.tracking.follow import Following

Batch = Callable[[BatchJob], Outcome]


@pytest.fixture
def photos(tmp_path: Path, samples: Path) -> Path:
    """Ten photos, no two alike."""
    return cut_photos(samples, tmp_path / "photos")


@pytest.fixture
def whole(pipeline: Pipeline) -> Pipeline:
    """The real pose network; every picture is one person."""
    return Pipeline(WholeImage(), pipeline.estimator, batch_size=4)


@pytest.fixture
def batch(whole: Pipeline) -> Batch:
    """Work through a batch within this process."""
    return lambda job: work_through(job, whole)


def job(tmp_path: Path, *inputs: Path, **more: object) -> BatchJob:
    return BatchJob([str(path) for path in inputs], str(tmp_path / "out"), whole_image=True, **more)  # type: ignore[arg-type]


def as_tar(path: Path, photos: Path, *more: tuple[str, bytes]) -> Path:
    with tarfile.open(path, "w") as tar:
        for photo in sorted(photos.iterdir()):
            tar.add(photo, photo.name)
        for name, data in more:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_rows_are_what_the_pipeline_gives(
    photos: Path, tmp_path: Path, batch: Batch, whole: Pipeline
) -> None:
    outcome = batch(job(tmp_path, photos, shard_size=3))
    assert [done.shard for done in outcome.done] == [0, 1, 2, 3]
    names = sorted(path.name for path in photos.iterdir())
    assert [one.name for one in outcome.pictures] == names
    for picture, poses in zip(outcome.pictures, whole([photos / name for name in names]), strict=True):
        assert picture.poses is not None
        assert np.array_equal(picture.poses.keypoints, poses.keypoints)
        assert np.array_equal(picture.poses.scores, poses.scores)
        assert np.array_equal(picture.poses.boxes, poses.boxes)
        assert picture.size == (200, 480)


def test_how_shards_are_cut_changes_no_row(photos: Path, tmp_path: Path, batch: Batch) -> None:
    one = batch(job(tmp_path / "1", photos, shard_size=1)).pictures
    all_at_once = batch(job(tmp_path / "2", photos, shard_size=100)).pictures
    for first, second in zip(one, all_at_once, strict=True):
        assert first.name == second.name
        assert first.poses is not None
        assert second.poses is not None
        assert first.poses.keypoints.tobytes() == second.poses.keypoints.tobytes()


def test_inputs_that_fail_are_rows(photos: Path, tmp_path: Path, whole: Pipeline) -> None:
    (photos / "3.jpg").write_bytes(b"no photo")
    (photos / "5.jpg").unlink()
    (photos / "5.jpg").symlink_to("gone.jpg")

    class Choosy(WholeImage):
        def detect(self, frames: Sequence[Frame]) -> list[Detections]:
            if any(frame.name == "7.jpg" for frame in frames):
                raise RuntimeError("out of\nmemory")
            return super().detect(frames)

    outcome = work_through(job(tmp_path, photos, shard_size=4), whole.with_detector(Choosy(), 2))
    assert len(outcome.pictures) == 10
    assert set(outcome.errors) == {"3.jpg", "5.jpg", "7.jpg"}
    assert outcome.errors["7.jpg"] == "RuntimeError: out of memory"
    assert "link to one that is gone" in outcome.errors["5.jpg"]
    assert sum(done.failed for done in outcome.done) == 3
    assert [name for done in outcome.done for name, _ in done.examples] == ["3.jpg", "5.jpg", "7.jpg"]


def test_where_everything_fails_parts_are_written_all_the_same(tmp_path: Path, batch: Batch) -> None:
    (tmp_path / "list.txt").write_text("".join(f"gone/{number}.jpg\n" for number in range(300)))
    outcome = batch(job(tmp_path, tmp_path / "list.txt", shard_size=100))
    assert len(outcome.parts) == 3
    assert len(outcome.errors) == 300


def test_retrying_keeps_what_was_good(photos: Path, tmp_path: Path, batch: Batch) -> None:
    good = (photos / "3.jpg").read_bytes()
    expected = batch(job(tmp_path / "whole", photos, shard_size=4)).parts
    (photos / "3.jpg").write_bytes(b"no photo")
    first = batch(job(tmp_path, photos, shard_size=4))
    assert set(first.errors) == {"3.jpg"}
    (photos / "3.jpg").write_bytes(good)
    (photos / "2.jpg").unlink()  # it was done, and is not looked at again
    assert batch(job(tmp_path, photos, shard_size=4)).done == []
    again = batch(job(tmp_path, photos, shard_size=4, retry=True))
    assert [(done.shard, done.pictures) for done in again.done] == [(0, 4)]
    assert again.parts == expected


def test_tars_give_the_photos_in_them(photos: Path, tmp_path: Path, batch: Batch) -> None:
    plain = batch(job(tmp_path / "plain", photos)).pictures
    tar = as_tar(tmp_path / "a.tar", photos, ("0.json", b"{}"), ("bad.jpg", b"no photo"))
    outcome = batch(job(tmp_path, tar))
    assert set(outcome.errors) == {"bad.jpg"}
    done = [one for one in outcome.pictures if one.error is None]
    assert {one.source for one in outcome.pictures} == {str(tar)}
    for one, other in zip(plain, done, strict=True):
        assert one.name == other.name
        assert one.poses is not None
        assert other.poses is not None
        assert one.poses.keypoints.tobytes() == other.poses.keypoints.tobytes()


def test_a_tar_that_breaks_off_keeps_what_was_in_it(photos: Path, tmp_path: Path, batch: Batch) -> None:
    tar = as_tar(tmp_path / "a.tar", photos)
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    (tmp_path / "b.tar").write_bytes(b"no tar")
    outcome = batch(job(tmp_path, tar, tmp_path / "b.tar"))
    assert 2 < sum(one.error is None for one in outcome.pictures) < 10
    assert "breaks off" in outcome.errors["a.tar"]
    assert "not a tar" in outcome.errors["b.tar"]


def test_clips_give_their_frames_between_photos(
    photos: Path, tmp_path: Path, samples: Path, pipeline: Pipeline
) -> None:
    clip = samples / "pedestrians.mp4"
    wanted = BatchJob(
        [str(photos / "0.jpg"), str(clip), str(photos / "1.jpg")],
        str(tmp_path / "out"),
        following=Following(5, None),
        every=8,
    )
    outcome = work_through(wanted, pipeline)
    pictures = outcome.pictures
    assert [len(part) > 0 for part in outcome.parts.values()] == [True] * 3
    assert [Path(pictures[place].source).name for place in (0, -1)] == ["0.jpg", "1.jpg"]
    frames = pictures[1:-1]
    assert [one.frame for one in frames] == list(range(0, 80, 8))
    assert [one.time for one in frames] == pytest.approx([0.8 * number for number in range(10)])
    ids = [one.poses.track_ids for one in frames if one.poses is not None]
    assert all(one is not None for one in ids)
    assert {1, 2, 3} <= {int(number) for some in ids for number in some}  # type: ignore[union-attr]


def test_a_clip_that_cannot_be_read_is_a_row(tmp_path: Path, batch: Batch, samples: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no clip")
    cut = (samples / "pedestrians.mp4").read_bytes()
    (tmp_path / "b.ts").write_bytes(cut[: len(cut) // 2])
    outcome = batch(job(tmp_path, tmp_path / "a.mp4", tmp_path / "b.ts"))
    assert set(outcome.errors) == {"a.mp4", "b.ts"}


def test_stopping_leaves_whole_parts_and_the_next_run_does_the_rest(
    photos: Path, tmp_path: Path, batch: Batch, whole: Pipeline
) -> None:
    expected = batch(job(tmp_path / "whole", photos, shard_size=2)).parts
    stop = threading.Event()

    def end(news: News) -> None:
        if isinstance(news, ShardDone):
            stop.set()

    begun = work_through(job(tmp_path, photos, shard_size=2), whole, stop=stop, on_news=end)
    assert 1 <= len(begun.parts) < 5
    rest = batch(job(tmp_path, photos, shard_size=2))
    assert len(begun.done) + len(rest.done) == 5
    assert rest.parts == expected


def test_a_part_that_cannot_be_written_ends_the_run(photos: Path, tmp_path: Path, whole: Pipeline) -> None:
    def get_in_the_way(news: News) -> None:
        (tmp_path / "out/parts").write_text("a file")

    with pytest.raises(OutputError, match="cannot write"):
        work_through(job(tmp_path, photos), whole, on_news=get_in_the_way)
