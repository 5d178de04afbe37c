"""The rows of a part: one for each person, one for a picture without people, one for an input that failed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import Skeleton, from_document, to_document

SCHEMA_VERSION = 1
_KEY = "mrpose"  # of what a part says of itself, as JSON, in the file's metadata
_TOGETHER = 4096  # pictures whose rows are made at once
_TEXTS = ("source", "name", "model", "error")


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A photo or a frame and what came of it.

    Attributes:
        source: Address of the file that it is in: the photo, the clip, the tar.
        name: What outputs call it.
        size: Width and height, pixels; None if it could not be read.
        frame: Its number in a clip, from 0; None for a photo.
        time: Seconds from the clip's beginning; None for a photo.
        poses: Its people; None if it failed.
        error: Why it failed; None if it did not.
    """

    source: str
    name: str
    size: tuple[int, int] | None = None
    frame: int | None = None
    time: float | None = None
    poses: Poses | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Summary:
    """What is in a part.

    Attributes:
        pictures: That were done.
        persons: In all of them.
        failed: Inputs that failed.
    """

    pictures: int
    persons: int
    failed: int


def schema(joints: int) -> pa.Schema:
    """Build the columns for so many joints; ``docs/batch.md`` explains them."""
    real = pa.float32()
    return pa.schema(
        [
            pa.field("source", pa.string(), nullable=False),
            pa.field("name", pa.string(), nullable=False),
            pa.field("width", pa.int32()),
            pa.field("height", pa.int32()),
            pa.field("frame", pa.int64()),
            pa.field("time", pa.float64()),
            pa.field("person", pa.int32()),
            pa.field("box", pa.list_(real, 4)),
            pa.field("box_score", real),
            pa.field("score", real),
            pa.field("keypoints", pa.list_(pa.list_(real, 2), joints)),
            pa.field("keypoint_scores", pa.list_(real, joints)),
            pa.field("track", pa.int64()),
            pa.field("bridged", pa.bool_()),
            pa.field("model", pa.string(), nullable=False),
            pa.field("error", pa.string()),
        ]
    )


class PartBuilder:
    """A part as it is on the disk, in memory only as it will be there.

    Args:
        skeleton: Of the poses.
        about: The conditions of the run, with ``model``; they become the part's metadata.
    """

    def __init__(self, skeleton: Skeleton, about: Mapping[str, Any]) -> None:
        self._skeleton, self._about = skeleton, dict(about)
        self._waiting: list[Picture] = []
        self._sink = io.BytesIO()
        self._pictures = self._persons = self._failed = 0
        self._writer = pq.ParquetWriter(
            self._sink,
            schema(len(skeleton.joints)),
            compression="zstd",
            use_dictionary=[*_TEXTS, "width", "height", "frame", "time"],
            use_byte_stream_split=[
                "box.list.element",
                "box_score",
                "score",
                "keypoints.list.element.list.element",
                "keypoint_scores.list.element",
            ],
        )

    @property
    def summary(self) -> Summary:
        """What is in it so far."""
        return Summary(self._pictures, self._persons, self._failed)

    def add(self, picture: Picture) -> None:
        """Add the next picture of the shard."""
        self._pictures += picture.poses is not None
        self._persons += len(picture.poses or ())
        self._failed += picture.error is not None
        self._waiting.append(picture)
        if len(self._waiting) == _TOGETHER:
            self._write()

    def describe_segment(self, start: float, end: float | None, before: list[list[Any]]) -> None:
        """State which part of a clip it is, in seconds, and who was who in the frames before it."""
        self._about["segment"] = {"start": start, "end": end, "before": before}

    def close(self) -> bytes:
        """Finish the file and return it."""
        if self._waiting:
            self._write()
        told = {
            "schema_version": SCHEMA_VERSION,
            **self._about,
            "skeleton": to_document(self._skeleton),
            **asdict(self.summary),
        }
        self._writer.add_key_value_metadata({_KEY: json.dumps(told, sort_keys=True)})
        self._writer.close()
        return self._sink.getvalue()

    def _write(self) -> None:
        self._writer.write_table(_table(self._waiting, self._skeleton, str(self._about["model"])))
        self._waiting.clear()


def _table(pictures: Sequence[Picture], skeleton: Skeleton, model: str) -> pa.Table:
    joints = len(skeleton.joints)
    columns = schema(joints)
    people = [len(picture.poses) if picture.poses is not None else 0 for picture in pictures]
    rows = np.maximum(people, 1)
    which = np.repeat(np.arange(len(pictures)), rows)
    total = len(which)
    there = np.repeat(np.array(people, np.int64) > 0, rows)
    number = np.arange(total) - np.repeat(np.cumsum(rows) - rows, rows)

    def joined(values: Iterable[NDArray[Any]], shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Put the values of people into the rows of people."""
        array = np.zeros((total, *shape), dtype)
        given = [value for value in values if len(value)]
        if given:
            array[there] = np.concatenate(given)
        return array

    found = [picture.poses for picture in pictures if picture.poses is not None]
    tracks = [p.track_ids if p.track_ids is not None else np.zeros(len(p), np.int64) for p in found]
    bridged = [p.bridged if p.bridged is not None else np.zeros(len(p), bool) for p in found]
    followed = [np.full(len(p), p.track_ids is not None) for p in found]
    track, has_track = joined(tracks, (), np.int64), joined(followed, (), bool)
    points = joined((p.keypoints for p in found), (joints, 2), np.float32)
    absent = pa.array(~there)
    arrays = {
        **{name: [getattr(picture, name) for picture in pictures] for name in _TEXTS if name != "model"},
        "width": [picture.size and picture.size[0] for picture in pictures],
        "height": [picture.size and picture.size[1] for picture in pictures],
        "frame": [picture.frame for picture in pictures],
        "time": [picture.time for picture in pictures],
    }
    taken: dict[str, Any] = {
        name: pa.array(values, columns.field(name).type).take(pa.array(which))
        for name, values in arrays.items()
    }
    taken |= {
        "model": pa.array([model] * total, pa.string()),
        "person": pa.array(number, pa.int32(), mask=~there),
        "box": _fixed(joined((p.boxes for p in found), (4,), np.float32), 4, absent),
        "box_score": pa.array(joined((p.box_scores for p in found), (), np.float32), mask=~there),
        "score": pa.array(joined((p.person_scores for p in found), (), np.float32), mask=~there),
        "keypoints": pa.FixedSizeListArray.from_arrays(_fixed(points, 2), joints, mask=absent),
        "keypoint_scores": _fixed(joined((p.scores for p in found), (joints,), np.float32), joints, absent),
        "track": pa.array(track, mask=track == 0),
        "bridged": pa.array(joined(bridged, (), bool), mask=~has_track),
    }
    return pa.table([taken[name].cast(columns.field(name).type) for name in columns.names], columns)


def _fixed(values: NDArray[Any], size: int, mask: Any = None) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), size, mask=mask)


def read_about(file: BinaryIO) -> dict[str, Any]:
    """Read the metadata of a part.

    Raises:
        ValueError: it is no part.
    """
    return _about(pq.ParquetFile(file))


def read_part(file: BinaryIO) -> tuple[dict[str, Any], list[Picture]]:
    """Read the metadata of a part and its pictures.

    Raises:
        ValueError: it is no part.
    """
    part = pq.ParquetFile(file)
    about = _about(part)
    return about, list(_pictures(part.read().combine_chunks(), from_document(about["skeleton"], "the part")))


def _about(part: pq.ParquetFile) -> dict[str, Any]:
    told = (part.metadata.metadata or {}).get(_KEY.encode())
    about = json.loads(told) if told else {}
    if about.get("schema_version") != SCHEMA_VERSION:
        raise ValueError("not a part of mrpose batch, or of a later version")
    return dict(about)


def _pictures(table: pa.Table, skeleton: Skeleton) -> Iterator[Picture]:
    joints = len(skeleton.joints)

    def floats(name: str, *shape: int) -> NDArray[np.float32]:
        column = table[name].combine_chunks()
        while pa.types.is_fixed_size_list(column.type):
            column = column.values  # unlike flatten(), with what lies under nulls
        values = np.asarray(column.to_numpy(zero_copy_only=False), np.float32)
        return np.nan_to_num(values).reshape(table.num_rows, *shape)

    told = ("source", "name", "width", "height", "frame", "time", "error")
    values_of = [table[name].to_pylist() for name in told]
    people = table["person"].to_pylist()
    tracks, bridged = table["track"].to_pylist(), table["bridged"].to_pylist()
    boxes, points = floats("box", 4), floats("keypoints", joints, 2)
    box_scores, scores, joint_scores = floats("box_score"), floats("score"), floats("keypoint_scores", joints)
    begins = [row for row, person in enumerate(people) if not person]  # person 0, or nobody
    for begin, end in pairwise([*begins, len(people)]):
        source, name, width, height, frame, time, error = (values[begin] for values in values_of)
        poses = None
        if error is None and people[begin] is None:
            poses = Poses.empty(skeleton)
        elif error is None:
            rows = slice(begin, end)
            ids = tracks[rows]
            followed = bridged[begin] is not None
            poses = Poses(
                keypoints=points[rows],
                scores=joint_scores[rows],
                boxes=boxes[rows],
                box_scores=box_scores[rows],
                person_scores=scores[rows],
                skeleton=skeleton,
                track_ids=np.array([one or 0 for one in ids], np.int64) if followed else None,
                bridged=np.array(bridged[rows], bool) if followed else None,
            )
        size = None if width is None else (width, height)
        yield Picture(source, name, size, frame, time, poses, error)
