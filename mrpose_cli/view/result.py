"""Results as arrays: photos or frames, and the people in them."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.formats.reader import (
    PERSON,
    Box,
    Category,
    Count,
    FileName,
    Flag,
    Id,
    Number,
    Row,
    check_row,
    stream_json,
)
from mrpose_cli.skeletons import COCO17, NAMES, Skeleton, from_category, get_skeleton

Kind = Literal["photos", "clip"]
_WHAT = "the result"
_MOST_JOINTS = 1000  # as all people get as much room as the one with the most
_LABELS = frozenset((0.0, 1.0, 2.0))  # COCO's v; a joint's third number that is something else is a score


class _Image(Row):
    id: Id
    file_name: FileName
    width: Count = 0
    height: Count = 0
    frame_index: Count | None = None
    timestamp: Number | None = None


class _Person(Row):
    id: Id | None = None
    image_id: Id
    category_id: Id = PERSON
    bbox: Box | None = None
    keypoints: list[Number]
    keypoint_scores: list[Number] | None = None
    score: Number | None = None
    track_id: Id | None = None
    bridged: bool = False
    iscrowd: Flag = 0
    area: Annotated[float, Field(ge=0, le=1e18)] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Images:
    """The photos of a result, or a clip's frames in order of time.

    Attributes:
        ids: (N,) int64.
        names: As the result has them.
        sizes: (N, 2) int32, width and height; 0 where the result does not say.
        frames: (N,) int64, a frame's place in its clip; of photos, their places.
        times: (N,) float64, seconds; of photos 0.
    """

    ids: NDArray[np.int64]
    names: tuple[str, ...]
    sizes: NDArray[np.int32]
    frames: NDArray[np.int64]
    times: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """The people of all images, image by image.

    Attributes:
        first: (N + 1,) int64: those of image i are ``first[i]`` to ``first[i + 1]``.
        ids: (P,) int64: what the result calls them, or their places in the file.
        joints: (P, K, 3) float32: x, y, score; NaN for joints that the person has no place of, K as many as
            the largest skeleton has.
        boxes: (P, 4) float32, x1 y1 x2 y2.
        scores: (P,) float32, of the person.
        tracks: (P,) int64, who is who from frame to frame; 0 where that is not known.
        bridged: (P,) bool, not found in this frame but put between its neighbors.
        skeletons: (P,) int16, into the result's.
        crowd: (P,) bool, stands for many people.
        areas: (P,) float32, square pixels; a box's where the result does not say.
    """

    first: NDArray[np.int64]
    ids: NDArray[np.int64]
    joints: NDArray[np.float32]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    tracks: NDArray[np.int64]
    bridged: NDArray[np.bool_]
    skeletons: NDArray[np.int16]
    crowd: NDArray[np.bool_]
    areas: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def only(self, images: NDArray[np.int64]) -> People:
        """Those of some images, by the images' new places; of an image -1, nobody."""
        rows = [np.arange(*self.first[image : image + 2]) if image >= 0 else np.arange(0) for image in images]
        index = np.concatenate([np.arange(0), *rows])
        taken = {name: getattr(self, name)[index] for name in self.__slots__ if name != "first"}
        return replace(self, first=np.cumsum([0, *map(len, rows)]), **taken)

    def of(self, image: int) -> range:
        """Those of an image."""
        return range(int(self.first[image]), int(self.first[image + 1]))

    @property
    def images(self) -> NDArray[np.int64]:
        """(P,) the image of each."""
        return np.repeat(np.arange(len(self.first) - 1), np.diff(self.first))

    @property
    def sides(self) -> NDArray[np.float32]:
        """(P,) the longer side of each box, in pixels, at least 1."""
        return np.asarray(np.maximum((self.boxes[:, 2:] - self.boxes[:, :2]).max(1), 1))


@dataclass(frozen=True, slots=True, eq=False)
class Result:
    """A file of poses.

    Attributes:
        path: The file.
        kind: Photos, or the frames of one clip.
        images: Its photos or frames.
        people: Its people.
        skeletons: Of its categories.
        info: What it says of itself.
    """

    path: Path
    kind: Kind
    images: Images
    people: People
    skeletons: tuple[Skeleton, ...]
    info: Mapping[str, Any] = field(default_factory=dict)

    def only(self, images: NDArray[np.intp]) -> Result:
        """Keep some of its images, by their places."""
        kept = {name: getattr(self.images, name)[images] for name in ("ids", "sizes", "frames", "times")}
        names = tuple(self.images.names[image] for image in images)
        return replace(self, images=Images(names=names, **kept), people=self.people.only(images))

    @property
    def upright(self) -> bool:
        """Whether pixels are counted in the picture as a viewer shows it; datasets ignore EXIF."""
        return "upright" in str(self.info.get("coordinates", ""))


def read_result(path: Path, images: Images | None = None) -> Result:
    """Read a COCO dataset, a COCO results list, or mrpose's lines of JSON.

    Args:
        path: The file.
        images: Those that a results list is about, which has none of its own.

    Raises:
        UsageError: it is none of these, or something in it is not what it should be.
    """
    reader = _Reader(path)
    for name, value in _lines(path) if path.suffix == ".jsonl" else stream_json(path, _WHAT):
        reader.take(name, value)
    return reader.finish(images)


def _lines(path: Path) -> Iterator[tuple[str, Any]]:
    """Lines of JSON as the members of a dataset."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    if not line.endswith(b"\n"):
                        return  # it is being written
                    raise UsageError(f"{path}: line {number} is not JSON: {error}") from None
                people = row.pop("annotations", []) if isinstance(row, dict) else []
                if not isinstance(people, list):
                    raise UsageError(f"{path}: line {number}: annotations should be a list")
                yield "images", _with(row, id=number)
                for person in people:
                    yield "annotations", _with(person, image_id=number)
    except OSError as error:
        raise UsageError(f"{_WHAT} {path} cannot be read ({error.strerror})") from None


def _with(row: Any, **more: Any) -> Any:
    return {**row, **more} if isinstance(row, dict) else row


_COLUMNS = ("id", "image_id", "category_id", "score", "track_id", "bridged", "iscrowd", "area")


class _Reader:
    """Puts the rows of a file into columns."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._images: list[_Image] = []
        self._categories: dict[int, dict[str, Any]] = {}
        self._info: dict[str, Any] = {}
        self._count: dict[str, int] = {}
        self._members: set[str] = set()
        self._joints, self._scores = array("f"), array("f")
        self._lengths, self._scored = array("l"), array("b")
        self._boxes = array("f")
        self._rows: list[tuple[Any, ...]] = []

    def take(self, name: str, value: Any) -> None:
        self._members.add(name)
        at = self._count[name] = self._count.get(name, -1) + 1
        where = f"{name}[{at}]" if name else f"[{at}]"
        if name == "images":
            self._images.append(check_row(self._path, where, value, _Image))
        elif name == "categories":
            self._categories[check_row(self._path, where, value, Category).id] = value
        elif name == "info" and isinstance(value, dict):
            self._info = value
        elif name in ("annotations", "") and not (isinstance(value, dict) and not value.get("keypoints")):
            self._person(check_row(self._path, where, value, _Person), where, at)

    def _person(self, row: _Person, where: str, at: int) -> None:
        count, odd = divmod(len(row.keypoints), 3)
        scores = row.keypoint_scores
        if odd or count > _MOST_JOINTS or (scores is not None and len(scores) != count):
            raise UsageError(f"{self._path}: {where}: keypoints should be x, y, v for each joint")
        self._joints.extend(row.keypoints)
        self._lengths.append(count)
        self._scored.append(scores is not None)
        self._scores.extend(scores if scores is not None else row.keypoints[2::3])
        box = row.bbox
        self._boxes.extend(
            [np.nan] * 4 if box is None else [box[0], box[1], box[0] + box[2], box[1] + box[3]]
        )
        values = (
            *(at if row.id is None else row.id, row.image_id, row.category_id),
            *(np.nan if row.score is None else row.score, row.track_id or 0, row.bridged, row.iscrowd),
            np.nan if row.area is None else row.area,
        )
        self._rows.append(values)

    def finish(self, images: Images | None) -> Result:
        if images is None and not self._members & {"images", "annotations", ""}:
            raise UsageError(f"{self._path} holds no poses: it has neither images nor annotations")
        clip = any(image.timestamp is not None for image in self._images)
        if "" in self._members or not self._members:
            if images is None:
                raise UsageError(
                    f"{self._path} does not name its photos; pass {parameter('ann')} with the annotations"
                )
        else:
            images = _images(self._path, self._images, clip)
        skeletons, numbers = self._skeletons()
        people = self._people(images, numbers, max((len(one.joints) for one in skeletons), default=0))
        return Result(self._path, "clip" if clip else "photos", images, people, skeletons, self._info)

    def _skeletons(self) -> tuple[tuple[Skeleton, ...], NDArray[np.int16]]:
        """Return the skeletons, and which one each person has."""
        lengths = np.array(self._lengths, np.int64)
        categories = np.array([row[_COLUMNS.index("category_id")] for row in self._rows], np.int64)
        skeletons: dict[tuple[int, int], Skeleton] = {}
        numbers = np.zeros(len(lengths), np.int16)
        kinds: Any = np.unique(np.column_stack([categories, lengths]), axis=0) if len(lengths) else []
        for category, length in kinds:
            known = self._categories.get(int(category), {})
            skeletons[category, length] = _skeleton(self._path, known, int(length))
            numbers[(categories == category) & (lengths == length)] = len(skeletons) - 1
        return tuple(skeletons.values()) or (COCO17,), numbers

    def _people(self, images: Images, numbers: NDArray[np.int16], joints: int) -> People:
        count = len(self._lengths)
        lists = list(zip(*self._rows, strict=True)) or [()] * len(_COLUMNS)
        columns = {name: np.array(values) for name, values in zip(_COLUMNS, lists, strict=True)}
        places = {int(image): place for place, image in enumerate(images.ids)}
        where = np.fromiter((places.get(i, -1) for i in lists[_COLUMNS.index("image_id")]), np.int64, count)
        table = np.full((count, joints, 3), np.nan, np.float32)
        lengths = np.array(self._lengths, np.int64)
        filled = np.arange(joints) < lengths[:, None]
        flat = np.array(self._joints, np.float32).reshape(-1, 3)
        scores = np.array(self._scores, np.float32)
        own = np.repeat(np.array(self._scored, bool), lengths)
        if set(np.unique(scores[~own]).tolist()) <= _LABELS:  # labels: a joint is there or it is not
            scores[~own] = np.where(scores[~own] > 0, 1.0, np.nan)
            flat[~own & np.isnan(scores), :2] = np.nan
        flat[:, 2] = scores
        table[filled] = flat
        order = np.argsort(where, kind="stable")
        order = order[where[order] >= 0]  # people of images that are not there are nobody's
        table = table[order]
        taken = {name: values[order] for name, values in columns.items()} if count else columns
        score = np.asarray(taken["score"], np.float32)
        boxes = np.array(self._boxes, np.float32).reshape(-1, 4)[order]
        boxes = np.where(np.isnan(boxes), _around(table), boxes)
        seen = ~np.isnan(table[..., 2])
        area = np.asarray(taken["area"], np.float32)
        mean = np.where(seen, table[..., 2], 0).sum(1) / np.maximum(seen.sum(1), 1)
        return People(
            first=np.searchsorted(where[order], np.arange(len(images) + 1)),
            ids=np.asarray(taken["id"], np.int64),
            joints=table,
            boxes=boxes.astype(np.float32),
            scores=np.where(np.isnan(score), mean, score).astype(np.float32),
            tracks=np.asarray(taken["track_id"], np.int64),
            bridged=np.asarray(taken["bridged"], bool),
            skeletons=numbers[order],
            crowd=np.asarray(taken["iscrowd"], bool),
            areas=np.where(np.isnan(area), (boxes[:, 2:] - boxes[:, :2]).prod(1), area).astype(np.float32),
        )


def _images(path: Path, rows: Sequence[_Image], clip: bool) -> Images:
    if len({row.id for row in rows}) < len(rows):
        raise UsageError(f"{path}: two images have the same id")
    if clip:
        rows = sorted(rows, key=lambda row: (row.timestamp or 0.0, row.frame_index or 0))
    frames = (place if row.frame_index is None else row.frame_index for place, row in enumerate(rows))
    return Images(
        ids=np.array([row.id for row in rows], np.int64),
        names=tuple(row.file_name for row in rows),
        sizes=np.array([(row.width, row.height) for row in rows], np.int32).reshape(-1, 2),
        frames=np.array(list(frames), np.int64),
        times=np.array([row.timestamp or 0.0 for row in rows], np.float64),
    )


def _skeleton(path: Path, category: Mapping[str, Any], length: int) -> Skeleton:
    """Return a category's skeleton; without one, the first built-in one with as many joints, or numbers."""
    if not category.get("keypoints"):
        for known in map(get_skeleton, NAMES):
            if len(known.joints) == length:
                return known
        category = {"name": category.get("name"), "keypoints": [f"joint {i + 1}" for i in range(length)]}
    skeleton = from_category(category, str(path))
    if len(skeleton.joints) != length:
        raise UsageError(f"{path}: people have {length} joints, their category names {len(skeleton.joints)}")
    return skeleton


def _around(joints: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P, 4) the boxes that the joints (P, K, 3) span."""
    if not joints.size:
        return np.zeros((len(joints), 4), np.float32)
    absent = np.isnan(joints[..., :1])
    low = np.where(absent, np.inf, joints[..., :2]).min(1)
    high = np.where(absent, -np.inf, joints[..., :2]).max(1)
    return np.asarray(np.nan_to_num(np.column_stack([low, high]), nan=0, posinf=0, neginf=0))


def clip_name(images: Images) -> str:
    """Return what a clip's frames say that it is called: ``walk.mp4`` of ``walk.mp4/000001.jpg``."""
    return str(PurePosixPath(images.names[0]).parent) if len(images) else ""
