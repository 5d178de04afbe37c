"""What a killed run leaves behind, and what may go on from it."""

from pathlib import Path

import numpy as np
import pytest

from mrpose_cli.errors import UsageError
from mrpose_cli.jobs.evaluate.spool import ImagePoses, SpoolWriter, read_spools, spool_path, spools
from mrpose_cli.poses import Poses

CONDITIONS = {"model": "rtmpose-s", "flip": False, "versions": {"torch": "2"}}


def poses(people: int, seed: int = 0) -> Poses:
    rng = np.random.Generator(np.random.PCG64(seed))

    def some(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        return rng.uniform(0, 600, shape).astype(np.float32)

    return Poses(some(people, 17, 2), some(people, 17), some(people, 4), some(people), some(people))


def spool(folder: Path, *images: int, rank: int = 0) -> Path:
    path = spool_path(folder, rank)
    with SpoolWriter(path, CONDITIONS) as writer:
        for image in images:
            writer.add(image, poses(image % 3, image), np.full(image % 3, 9.5))
    return path


def read(folder: Path) -> list[ImagePoses]:
    return list(read_spools(spools(folder), CONDITIONS))


def test_what_is_written_is_read(tmp_path: Path) -> None:
    spool(tmp_path, 3, 4, 5)
    rows = read(tmp_path)
    assert [row.image for row in rows] == [3, 4, 5]
    assert [len(row.scores) for row in rows] == [0, 1, 2]
    expected = poses(2, 5)
    assert rows[2].keypoints[..., :2] == pytest.approx(expected.keypoints, abs=6e-4)
    assert rows[2].keypoints[..., 2] == pytest.approx(expected.scores, abs=1e-4)
    assert rows[2].boxes == pytest.approx(expected.boxes, abs=6e-4)
    assert rows[2].areas.tolist() == [9.5, 9.5]


def test_a_torn_last_line_is_dropped_and_written_again(tmp_path: Path) -> None:
    path = spool(tmp_path, 1, 2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-20])
    assert [row.image for row in read(tmp_path)] == [1]
    spool(tmp_path, 2)
    assert path.read_bytes() == whole


@pytest.mark.parametrize("left", [0, 10])
def test_a_run_that_was_killed_at_once_leaves_nothing_to_stumble_over(tmp_path: Path, left: int) -> None:
    path = spool(tmp_path)
    path.write_bytes(path.read_bytes()[:left])
    assert read(tmp_path) == []
    spool(tmp_path, 1)
    assert [row.image for row in read(tmp_path)] == [1]


def test_spools_of_several_ranks_are_read_together(tmp_path: Path) -> None:
    spool(tmp_path, 1, 3)
    spool(tmp_path, 2, rank=1)
    assert sorted(row.image for row in read(tmp_path)) == [1, 2, 3]


@pytest.mark.parametrize(
    "other",
    [
        {**CONDITIONS, "flip": True},
        {**CONDITIONS, "versions": {"torch": "3"}},
        {"model": "rtmpose-s", "flip": False},
        {**CONDITIONS, "dtype": "float16"},
    ],
)
def test_other_conditions_are_refused(tmp_path: Path, other: dict[str, object]) -> None:
    spool(tmp_path, 1)
    with pytest.raises(UsageError, match=r"cannot be resumed: its .* was .* and is now"):
        list(read_spools(spools(tmp_path), other))


def test_a_damaged_line_in_the_middle_is_not_passed_over(tmp_path: Path) -> None:
    path = spool(tmp_path, 1, 2)
    lines = path.read_bytes().split(b"\n")
    lines[1] = lines[1][:-30]
    path.write_bytes(b"\n".join(lines))
    with pytest.raises(UsageError, match=r"line 2 of .* is damaged"):
        read(tmp_path)


def test_failures_are_noted(tmp_path: Path) -> None:
    with SpoolWriter(spool_path(tmp_path, 0), CONDITIONS) as writer:
        writer.fail(7, "the file is empty")
    [row] = read(tmp_path)
    assert (row.image, row.failure, len(row.scores)) == (7, "the file is empty", 0)
