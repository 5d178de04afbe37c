"""Reading back what `mrpose video` wrote of a clip: COCO JSON, JSON lines or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, ValidationError

from mrpose_cli.errors import InputError, UsageError
from mrpose_cli.formats.reader import (
    Box,
    Count,
    Id,
    Number,
    Row,
    read_categories,
    read_json,
    read_rows,
)
from mrpose_cli.skeletons import NAMES, Skeleton, from_categories, from_category, get_skeleton

SUFFIXES = (".json", ".jsonl", ".csv")
_WHAT = "the result"
_CSV_HEAD = ("frame_index", "timestamp", "track_id", "score", "x", "y", "width", "height")


@dataclass(frozen=True, slots=True, eq=False)
class ClipPoses:
    """All people of a clip.

    Attributes:
        name: What the clip is called, for files about it.
        skeleton: Of the K joints.
        times: (F,) seconds of the frames, growing.
        frames: (F,) their numbers, growing.
        height: Of the picture in pixels; 0 if the file does not say.
        places: (P,) which of the frames each person is in, growing.
        ids: (P,) track ids; 0 for none.
        keypoints: (P, K, 2) pixels.
        scores: (P, K).
        boxes: (P, 4) x1 y1 x2 y2 in pixels.
        box_scores: (P,).
        bridged: (P,) bool, people who were not found but put between their places in other frames.
    """

    name: str
    skeleton: Skeleton
    times: NDArray[np.float64]
    frames: NDArray[np.int64]
    height: int
    places: NDArray[np.intp]
    ids: NDArray[np.int64]
    keypoints: NDArray[np.float64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64]
    box_scores: NDArray[np.float64]
    bridged: NDArray[np.bool_]


class _Frame(Row):
    id: Id = 0
    frame_index: Count
    timestamp: Number
    height: Count = 0


class _Person(Row):
    image_id: Id = 0
    keypoints: list[Number]
    keypoint_scores: list[Number] | None = None
    bbox: Box
    score: Number = 1.0
    box_score: Number | None = None
    track_id: Annotated[int, Field(ge=0, lt=2**53)] = 0
    bridged: bool = False


def clip_name(path: Path) -> str:
    """Return what the clip of a result is called: ``walk`` for ``walk.json`` and ``walk.partial.jsonl``."""
    return path.stem.removesuffix(".partial")


def read_clip(path: Path) -> ClipPoses:
    """Read a result.

    Raises:
        InputError: it cannot be read, or is something else.
    """
    try:
        if path.suffix.lower() == ".csv":
            return _read_csv(path)
        return _read_lines(path) if path.suffix.lower() == ".jsonl" else _read_dataset(path)
    except UsageError as error:  # one of many inputs here
        raise InputError(str(error.args[0])) from None


def _read_dataset(path: Path) -> ClipPoses:
    content = read_json(path, _WHAT)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise InputError(f"{path} is not a COCO JSON of a clip; pass what mrpose video wrote")
    images = content["images"]
    if images and not (isinstance(images[0], dict) and "timestamp" in images[0]):
        raise InputError(f"{path} holds photos, not the frames of a clip; pass what mrpose video wrote")
    with_joints = {category.id for category in read_categories(path, content) if category.keypoints}
    frames = list(read_rows(path, "images", images, _Frame, unique=("id", "frame_index")))
    grouped: dict[int, list[_Person]] = {frame.id: [] for frame in frames}
    rows = content.get("annotations", [])
    for row in read_rows(path, "annotations", rows, _Person, categories=with_joints or None):
        if row.image_id not in grouped:
            raise InputError(f"{path} has somebody in image {row.image_id}, which is not in its images")
        grouped[row.image_id].append(row)
    skeleton = from_categories(content["categories"], str(path)) if with_joints else None
    return _together(path, ((frame, grouped[frame.id]) for frame in frames), skeleton)


def _read_lines(path: Path) -> ClipPoses:
    def rows() -> Iterator[tuple[_Frame, list[_Person]]]:
        for number, line in enumerate(_lines(path), 1):
            if not line.endswith("\n"):
                return  # of a run that was killed while it wrote
            try:
                content = json.loads(line)
            except (ValueError, RecursionError):
                raise InputError(f"{path}: line {number} is not JSON") from None
            [frame] = read_rows(path, f"line {number}, frame", [content], _Frame)
            people = content.get("annotations", [])
            yield frame, list(read_rows(path, f"line {number}, annotations", people, _Person))

    return _together(path, rows(), None)


def _read_csv(path: Path) -> ClipPoses:
    lines = csv.reader(_lines(path))
    head = tuple(next(lines, ()))
    names = tuple(title.removesuffix("_x") for title in head[len(_CSV_HEAD) :: 3])
    values = [f"{name}_{value}" for name in names for value in ("x", "y", "score")]
    if head != (*_CSV_HEAD, *values) or not names:
        raise InputError(f"{path} is not a CSV of mrpose video --csv: its titles are others")

    def rows() -> Iterator[tuple[_Frame, list[_Person]]]:
        for number, cells in enumerate(lines, 2):
            try:
                index, track = int(cells[0]), int(cells[2] or 0)
                time, score, *rest = map(float, (cells[1], *cells[3:]))
                joints = np.array(rest[4:]).reshape(len(names), 3)
                row = {"bbox": rest[:4], "score": score, "track_id": track}
                row |= {"keypoints": joints.ravel().tolist(), "keypoint_scores": joints[:, 2].tolist()}
                yield _Frame(frame_index=index, timestamp=time), [_Person.model_validate(row)]
            except (ValueError, IndexError, ValidationError):
                raise InputError(f"{path}: line {number} is not a row of mrpose video --csv") from None

    category = {"name": "person", "keypoints": list(names)}
    return _together(path, rows(), from_category(category, str(path)))


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            yield from file
    except OSError as error:
        raise InputError(f"{_WHAT} {path} cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise InputError(f"{_WHAT} {path} is not text") from None


def _together(
    path: Path, rows: Iterable[tuple[_Frame, Sequence[_Person]]], skeleton: Skeleton | None
) -> ClipPoses:
    """Make arrays of all rows, in order of time."""
    frames: dict[int, _Frame] = {}
    numbers: list[int] = []
    people: list[NDArray[np.float64]] = []
    for frame, found in rows:
        frames.setdefault(frame.frame_index, frame)
        for person in found:
            numbers.append(frame.frame_index)
            people.append(_packed(path, person))
    ordered = sorted(frames.values(), key=lambda frame: frame.timestamp)
    times = np.array([frame.timestamp for frame in ordered])
    indices = np.array([frame.frame_index for frame in ordered], np.int64)
    if np.any(np.diff(times) <= 0) or np.any(np.diff(indices) <= 0):
        raise InputError(f"{path} has frames whose numbers and times do not grow together")
    skeleton = _skeleton(path, {(len(person) - _HEAD) // 4 for person in people}, skeleton)
    joints, order = len(skeleton.joints), np.argsort(numbers, kind="stable")
    packed = np.array(people).reshape(len(people), _HEAD + 4 * joints)[order]
    triples = packed[:, _HEAD : _HEAD + 3 * joints].reshape(-1, joints, 3)
    boxes = packed[:, 3:_HEAD].copy()
    boxes[:, 2:] += boxes[:, :2]
    return ClipPoses(
        name=clip_name(path),
        skeleton=skeleton,
        times=times,
        frames=indices,
        height=max((frame.height for frame in ordered), default=0),
        places=np.searchsorted(indices, np.array(numbers, np.int64)[order]),
        ids=packed[:, 0].astype(np.int64),
        keypoints=triples[:, :, :2].copy(),
        scores=packed[:, _HEAD + 3 * joints :],
        boxes=boxes,
        box_scores=packed[:, 2],
        bridged=packed[:, 1] > 0,
    )


_HEAD = 7  # numbers before the joints: id, whether bridged, score of the box, the box


def _packed(path: Path, person: _Person) -> NDArray[np.float64]:
    """Return somebody as numbers, which take a tenth of a row's memory: the head, triples, scores."""
    scores = person.keypoint_scores
    if scores is None:  # of annotations: v is 0 for what is not labeled
        scores = [float(v > 0) for v in person.keypoints[2::3]]
    if len(person.keypoints) % 3 or 3 * len(scores) != len(person.keypoints):
        raise InputError(f"{path} has somebody with {len(scores)} scores for {len(person.keypoints)} numbers")
    sure = person.score if person.box_score is None else person.box_score
    return np.array([person.track_id, person.bridged, sure, *person.bbox, *person.keypoints, *scores])


def _skeleton(path: Path, counts: set[int], skeleton: Skeleton | None) -> Skeleton:
    """Return the skeleton of people with so many joints; JSON lines do not say which it is."""
    if len(counts) > 1:
        raise InputError(f"{path} has people with different numbers of joints")
    if skeleton is None:
        known = [one for one in map(get_skeleton, NAMES) if one.category == "person"]
        fitting = [one for one in known if counts <= {len(one.joints)}]
        if not fitting:
            raise InputError(f"{path} does not say what its joints are; pass the clip's JSON")
        skeleton = fitting[0]
    if not counts <= {len(skeleton.joints)}:
        raise InputError(f"{path} names {len(skeleton.joints)} joints, and its people have others")
    return skeleton
