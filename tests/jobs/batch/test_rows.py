"""Parts: what is written is read back, by mrpose and by the libraries that people use."""

import io
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from mrpose_cli.jobs.batch.rows import PartBuilder, Picture, read_about, read_part
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import COCO17, MPII16, Skeleton

ABOUT = {"model": "rtmpose-s", "version": "0.1.0"}


def people(number: int, skeleton: Skeleton = COCO17, *, followed: bool = False) -> Poses:
    random = np.random.default_rng(number)
    joints = len(skeleton.joints)

    def some(*shape: int) -> NDArray[np.float32]:
        return random.random((number, *shape), np.float32)

    return Poses(
        keypoints=500 * some(joints, 2),
        scores=some(joints),
        boxes=500 * some(4),
        box_scores=some(),
        person_scores=some(),
        skeleton=skeleton,
        track_ids=np.arange(number) if followed else None,
        bridged=np.arange(number) % 2 == 1 if followed else None,
    )


def pictures(skeleton: Skeleton = COCO17) -> list[Picture]:
    return [
        Picture("/a/1.jpg", "1.jpg", (640, 480), poses=people(3, skeleton)),
        Picture("/a/2.jpg", "2.jpg", (64, 48), poses=Poses.empty(skeleton)),
        Picture("/a/3.jpg", "3.jpg", error="permission denied"),
        Picture("/b.mp4", "b/000007.jpg", (320, 240), 7, 0.28, people(2, skeleton, followed=True)),
        Picture("/b.mp4", "b/000008.jpg", (320, 240), 8, 0.32, Poses.empty(skeleton)),
        Picture("/b.mp4", "b.mp4", error="it is cut off"),
    ]


def part(given: list[Picture], skeleton: Skeleton = COCO17) -> bytes:
    builder = PartBuilder(skeleton, ABOUT)
    for picture in given:
        builder.add(picture)
    return builder.close()


@pytest.mark.parametrize("skeleton", [COCO17, MPII16])
def test_pictures_come_back_as_they_were(skeleton: Skeleton) -> None:
    given = pictures(skeleton)
    about, found = read_part(io.BytesIO(part(given, skeleton)))
    assert about["skeleton"]["joints"] == list(skeleton.joints)
    assert (about["pictures"], about["persons"], about["failed"]) == (4, 5, 2)
    for one, other in zip(given, found, strict=True):
        for name in ("source", "name", "size", "frame", "time", "error"):
            assert getattr(one, name) == getattr(other, name)
        assert (one.poses is None) == (other.poses is None)
        for name in ("keypoints", "scores", "boxes", "box_scores", "person_scores", "track_ids", "bridged"):
            theirs = getattr(other.poses, name, None)
            if one.poses is not None and theirs is not None:
                assert np.array_equal(getattr(one.poses, name), theirs)


def test_the_same_pictures_make_the_same_bytes() -> None:
    data = part(pictures())
    assert part(pictures()) == data
    assert part(read_part(io.BytesIO(data))[1]) == data


def test_large_parts_are_read_whole() -> None:
    given = [Picture("a", f"{number}.jpg", (9, 9), poses=people(number % 3)) for number in range(5000)]
    data = part(given)
    assert pq.ParquetFile(io.BytesIO(data)).num_row_groups == 2
    about, found = read_part(io.BytesIO(data))
    assert about["pictures"] == len(found) == 5000
    assert [one.name for one in found] == [one.name for one in given]


def test_a_part_of_nothing_can_be_read() -> None:
    assert read_part(io.BytesIO(part([])))[1] == []


def test_other_files_are_no_parts(tmp_path: Path) -> None:
    import pyarrow as pa

    pq.write_table(pa.table({"x": [1]}), tmp_path / "x.parquet")
    with (tmp_path / "x.parquet").open("rb") as file, pytest.raises(ValueError, match="not a part"):
        read_about(file)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two parts, of photos that failed all and of others: the types hold where all values are missing."""
    (tmp_path / "part-0000000.parquet").write_bytes(part([Picture("/x", "x", error="gone")]))
    (tmp_path / "part-0000001.parquet").write_bytes(part(pictures()))
    return tmp_path


NAMES = [
    "x",
    "1.jpg",
    "1.jpg",
    "1.jpg",
    "2.jpg",
    "3.jpg",
    "b/000007.jpg",
    "b/000007.jpg",
    "b/000008.jpg",
    "b.mp4",
]
EXPECTED = people(3).keypoints


def test_pandas_reads_parts(folder: Path) -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet(folder)
    assert table["name"].tolist() == NAMES
    assert np.array_equal(np.stack(table["keypoints"][1]), EXPECTED[0])


def test_polars_reads_parts(folder: Path) -> None:
    polars = pytest.importorskip("polars")
    table = polars.read_parquet(folder)
    assert table["name"].to_list() == NAMES
    assert np.array_equal(table["keypoints"][1].to_numpy(), EXPECTED[0])


def test_duckdb_reads_parts(folder: Path) -> None:
    duckdb = pytest.importorskip("duckdb")
    query = f"select name, keypoints from '{folder}/*.parquet' where person = 2"
    [(name, keypoints)] = duckdb.sql(query).fetchall()
    assert name == "1.jpg"
    assert np.array_equal(np.array(keypoints, np.float32), EXPECTED[2])


def test_datasets_reads_parts(folder: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    parts = sorted(str(path) for path in folder.glob("*.parquet"))
    data = datasets.Dataset.from_parquet(parts, cache_dir=str(tmp_path / "cache"))
    assert data["name"][:] == NAMES
    assert np.array_equal(np.array(data[1]["keypoints"], np.float32), EXPECTED[0])
