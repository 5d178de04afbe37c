"""Files of poses, written without holding the poses, and COCO's two JSON forms among them.

Files are put in their place when they are finished, so that whoever looks sees the old file, none, or a whole
one.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, ClassVar

import numpy as np

from mrpose_cli.atomic import replacing, writing
from mrpose_cli.disk import Reserve, SteadyFile
from mrpose_cli.formats.reader import PERSON
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import Skeleton, to_category

_COORDINATE_DIGITS = 3  # a thousandth of a pixel
_SCORE_DIGITS = 5


class _Spool:
    """Rows of a JSON list, kept on the disk beside the target until the file is put together."""

    def __init__(self, path: Path, reserve: Reserve | None = None) -> None:
        self._path = path
        with writing(path):
            raw = tempfile.TemporaryFile("w+b", buffering=0, dir=path.parent)  # noqa: SIM115
        self._file = io.TextIOWrapper(io.BufferedRandom(SteadyFile(raw, reserve)), encoding="utf-8")
        self.count = 0
        self.size = 0

    def add(self, row: Mapping[str, Any]) -> None:
        text = f"{',' if self.count else ''}\n{json.dumps(row, allow_nan=False)}"
        with writing(self._path):
            self._file.write(text)
        self.count += 1
        self.size += len(text)

    def copy_to(self, file: IO[str]) -> None:
        """Write the rows as a JSON list."""
        file.write("[")
        self._file.seek(0)
        shutil.copyfileobj(self._file, file)
        file.write("\n]")

    def close(self) -> None:
        with suppress(OSError):  # rows that no longer fit on the disk are not wanted any more
            self._file.close()


class PoseWriter:
    """A file of poses: it is fed image by image, then closed or discarded.

    A further format is a class like this and a flag of the commands that offer it.

    Args:
        path: The file.
        skeleton: Of the keypoints.
        info: What was run, as far as it is known; it is read when the file is closed.
        reserve: Space that the last rows, and putting the file together, may take when the disk is full.

    Attributes:
        written: Where the rows are, or will be.
        title: What the file is to the user.
        suffix: How its name ends beside a clip.
        file: What it is called beside photos.

    Raises:
        OutputError: by all of it, if the file cannot be written.
    """

    title: ClassVar[str]
    suffix: ClassVar[str]
    file: ClassVar[str]

    def __init__(
        self, path: Path, skeleton: Skeleton, info: Mapping[str, Any], reserve: Reserve | None = None
    ) -> None:
        self.written = path
        self._skeleton = skeleton
        self._info = info

    def add(self, image: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> None:
        """Add an image, as an entry of a dataset's ``images``, with its people as of :func:`person_rows`."""
        raise NotImplementedError

    def close(self, *, partial: bool = False) -> None:
        """Finish the file; a partial one says so, if its format can."""
        raise NotImplementedError

    def discard(self) -> None:
        """Drop the unfinished file, keeping what is useful as it is. After ``close``, do nothing."""
        raise NotImplementedError

    @property
    def pending(self) -> int:
        """About how many bytes are to be written when the file is closed."""
        return 0

    @classmethod
    def suffixes(cls) -> list[str]:
        """Return all suffixes that the file may have in the end."""
        return [cls.suffix]


class _JsonWriter(PoseWriter):
    """JSON whose rows wait in temporary files beside the target until the file is put together."""

    def __init__(
        self, path: Path, skeleton: Skeleton, info: Mapping[str, Any], reserve: Reserve | None = None
    ) -> None:
        super().__init__(path, skeleton, info, reserve)
        self._images = _Spool(path, reserve)
        self._people = _Spool(path, reserve)

    def close(self, *, partial: bool = False) -> None:
        """Write the file; it is on the disk for good when this returns."""
        with replacing(self.written, "x") as file:
            self._put_together(file, partial=partial)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        self.discard()

    def _put_together(self, file: IO[str], *, partial: bool) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        """Drop the spooled rows without writing a file."""
        self._images.close()
        self._people.close()

    @property
    def pending(self) -> int:
        """Bytes of the rows so far, about the size that the file will have."""
        return self._images.size + self._people.size


class DatasetWriter(_JsonWriter):
    """A COCO dataset (info, images, categories, annotations) that ``pycocotools.COCO`` loads."""

    title, suffix, file = "COCO JSON", ".json", "poses.json"

    def add(self, image: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> None:
        """Add an image, with all that its row says."""
        self._images.add(image)
        for person in people:
            self._people.add({"id": self._people.count + 1, "image_id": image["id"], **person})

    def _put_together(self, file: IO[str], *, partial: bool) -> None:
        category = to_category(self._skeleton, PERSON)
        info = {**self._info, **({"partial": True} if partial else {})}
        file.write(f'{{"info": {json.dumps(info)},\n"licenses": [],\n"categories": {json.dumps([category])}')
        for key, rows in (("images", self._images), ("annotations", self._people)):
            file.write(f',\n"{key}": ')
            rows.copy_to(file)
        file.write("}")


class ResultsWriter(_JsonWriter):
    """COCO's leaderboard form, a list that ``COCO.loadRes`` takes."""

    title, suffix, file = "results", ".results.json", "results.json"

    def add(self, image: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> None:
        """Add the people of an image, by its id."""
        for person in people:
            self._people.add(results_row(image["id"], person))

    def _put_together(self, file: IO[str], *, partial: bool) -> None:
        self._people.copy_to(file)


def results_row(image_id: int, person: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a person of :func:`person_row` to COCO's leaderboard format."""
    keypoints = list(person["keypoints"])
    keypoints[2::3] = person["keypoint_scores"]
    return {
        "image_id": image_id,
        "category_id": PERSON,
        "keypoints": keypoints,
        "score": person["score"],
        "bbox": person["bbox"],
    }


def person_rows(poses: Poses, threshold: float) -> list[dict[str, Any]]:
    """Return the people of an image as COCO annotations; see :func:`person_row`."""
    return [person_row(poses, person, threshold) for person in range(len(poses))]


def person_row(poses: Poses, person: int, threshold: float) -> dict[str, Any]:
    """Return one person as a COCO annotation, without ids.

    Args:
        poses: The people of an image.
        person: Which of them.
        threshold: Joints at or above get v = 2, others v = 0.
    """
    scores = poses.scores[person]
    seen = scores >= threshold
    triples = np.column_stack([_rounded(poses.keypoints[person]), np.where(seen, 2, 0)])
    box = _xywh(poses.boxes[person])
    row: dict[str, Any] = {
        "category_id": PERSON,
        "iscrowd": 0,
        "bbox": box,
        "area": round(box[2] * box[3], _COORDINATE_DIGITS),
        "score": round(float(poses.person_scores[person]), _SCORE_DIGITS),
        "box_score": round(float(poses.box_scores[person]), _SCORE_DIGITS),
        "num_keypoints": int(seen.sum()),
        "keypoints": [value for x, y, v in triples.tolist() for value in (x, y, int(v))],
        "keypoint_scores": [round(score, _SCORE_DIGITS) for score in scores.tolist()],
    }
    if poses.track_ids is not None and poses.track_ids[person]:
        row["track_id"] = int(poses.track_ids[person])
    if poses.bridged is not None and poses.bridged[person]:
        row["bridged"] = True
    return row


def _rounded(values: np.ndarray[Any, Any], digits: int = _COORDINATE_DIGITS) -> np.ndarray[Any, Any]:
    return np.round(values.astype(np.float64), digits)


def _xywh(box: np.ndarray[Any, Any]) -> list[float]:
    x1, y1, x2, y2 = box.astype(np.float64).tolist()
    return [round(value, _COORDINATE_DIGITS) for value in (x1, y1, x2 - x1, y2 - y1)]
