"""Long clips in parts: every frame once, and the same people all the way."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from batch_runs import Outcome, work_through
from video_clips import Recipe, make_clip

from mrpose_cli.jobs.batch import segments
from mrpose_cli.jobs.batch.collect import Collecting, collect
from mrpose_cli.jobs.batch.inputs import Item
from mrpose_cli.jobs.batch.run import BatchJob
from mrpose_cli.jobs.batch.segments import cut_clips
from mrpose_cli.media.video.cuts import find_cuts
from mrpose_cli.pipeline.pipeline import Pipeline
from mrpose_cli.tracking.follow import Following


def test_clips_are_cut_at_key_frames_where_there_are_some(tmp_path: Path, samples: Path) -> None:
    assert find_cuts(samples / "pedestrians.mp4", 3.5) == [4]  # a key frame, the only one
    assert find_cuts(samples / "pedestrians.mp4", 2) == [2, 4, 6]
    assert find_cuts(samples / "pedestrians.mp4", 8) == []
    clip = make_clip(tmp_path / "a.mp4", Recipe(gop=5))
    assert all(cut > 0 for cut in find_cuts(clip, 0.3))


def test_short_clips_and_what_cannot_be_read_stay_whole(tmp_path: Path, samples: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"no clip")
    whole = [
        Item("clip", str(samples / "pedestrians.mp4"), "a.mp4"),
        Item("clip", "s3://bucket/b.mp4", "b.mp4"),
        Item("photo", str(samples / "astronaut.png"), "c.png"),
    ]
    assert list(cut_clips(whole, 2.0)) == whole
    broken = [Item("clip", str(tmp_path / name), name) for name in ("bad.mp4", "gone.mp4")]
    assert list(cut_clips(broken, 2.0, small=0)) == broken
    cut = list(cut_clips(whole, 4.0, small=0))
    assert cut == [replace(whole[0], end=4.0), replace(whole[0], start=4.0), *whole[1:]]
    assert list(cut_clips(whole, 0, small=0)) == whole


@pytest.fixture(scope="module")
def outcomes(
    tmp_path_factory: pytest.TempPathFactory, samples: Path, pipeline: Pipeline
) -> Iterator[tuple[Outcome, Outcome]]:
    """The sample clip as it is, and in four parts."""
    folder = tmp_path_factory.mktemp("segments")
    patch = pytest.MonkeyPatch()
    patch.setattr(segments.cut_clips, "__kwdefaults__", {"small": 0})

    def done(seconds: float) -> Outcome:
        clip = str(samples / "pedestrians.mp4")
        out = str(folder / str(seconds))
        job = BatchJob([clip], out, following=Following(5, None), segment=seconds)
        return work_through(job, pipeline)

    yield done(0), done(2)
    patch.undo()


def test_every_frame_is_in_one_part_with_the_same_people(outcomes: tuple[Outcome, Outcome]) -> None:
    whole, cut = outcomes
    assert (whole.plan.shards, cut.plan.shards) == (1, 4)
    assert [one.frame for one in cut.pictures] == [one.frame for one in whole.pictures] == list(range(80))
    assert [one.time for one in cut.pictures] == [one.time for one in whole.pictures]
    for one, other in zip(whole.pictures, cut.pictures, strict=True):
        assert one.poses is not None
        assert other.poses is not None
        found = one.poses.take(~one.poses.bridged)  # type: ignore[operator]
        again = other.poses.take(~other.poses.bridged)  # type: ignore[operator]
        assert found.keypoints.tobytes() == again.keypoints.tobytes()


def people(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text())["annotations"]
    return found


def test_people_keep_their_ids_from_part_to_part(outcomes: tuple[Outcome, Outcome], tmp_path: Path) -> None:
    files = [tmp_path / "whole.json", tmp_path / "cut.json"]
    for outcome, file in zip(outcomes, files, strict=True):
        collect(outcome.plan, Collecting(file))
    by_box: dict[tuple[Any, ...], int] = {
        (row["image_id"], *row["bbox"]): row.get("track_id", 0) for row in people(files[0])
    }
    pairs: Counter[tuple[int, int]] = Counter()
    for row in people(files[1]):
        key = (row["image_id"], *row["bbox"])
        if key in by_box:
            pairs[by_box[key], row.get("track_id", 0)] += 1
    best = {first: max(n for (one, _), n in pairs.items() if one == first) for first, _ in pairs}
    assert sum(best.values()) >= 0.95 * sum(pairs.values())
    lasting = [first for first, count in Counter(by_box.values()).items() if first and count >= 60]
    assert len(lasting) >= 4
    for first in lasting:  # they walk through all four parts
        joined = {second for (one, second), count in pairs.items() if one == first and count > 3}
        assert len(joined) == 1
