"""Writing COCO JSON without holding the poses.

Files are put in their place when they are finished, so that whoever looks sees the old file, none, or a whole
one.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from mrpose_cli.atomic import replacing, writing
from mrpose_cli.disk import Reserve, SteadyFile
from mrpose_cli.poses import Poses
from mrpose_cli.skeletons import Skeleton

PERSON = 1  # COCO's category id
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


class DatasetWriter:
    """A COCO dataset (``info``, ``images``, ``categories``, ``annotations``) that ``pycocotools.COCO`` loads.

    Rows wait in temporary files beside the target until the file is put together.

    Args:
        path: The JSON file.
        skeleton: Of the keypoints.
        info: What was run; goes into ``info``.
        keypoint_threshold: Joints at or above get v = 2, others v = 0. Coordinates are written either
            way, and ``keypoint_scores`` says how sure the network was.
        reserve: Space that putting the file together may take when the disk is full.
    """

    def __init__(
        self,
        path: Path,
        skeleton: Skeleton,
        info: Mapping[str, Any],
        *,
        keypoint_threshold: float,
        reserve: Reserve | None = None,
    ) -> None:
        self.path = path
        self._skeleton = skeleton
        self._info = dict(info)
        self._threshold = keypoint_threshold
        self._images = _Spool(path, reserve)
        self._annotations = _Spool(path, reserve)

    @property
    def size(self) -> int:
        """Bytes of the rows so far, about the size that the file will have."""
        return self._images.size + self._annotations.size

    def add(
        self,
        image_id: int,
        file_name: str,
        size: tuple[int, int],
        poses: Poses,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Add one image (size is height, width) and its people.

        Args:
            image_id: The image's id, unique in the file.
            file_name: Its name.
            size: Height and width.
            poses: The people.
            details: What else its entry in ``images`` says.
        """
        row = {"id": image_id, "file_name": file_name, "width": size[1], "height": size[0]}
        self._images.add({**row, **(details or {})})
        for person in range(len(poses)):
            ids = {"id": self._annotations.count + 1, "image_id": image_id}
            self._annotations.add({**ids, **person_row(poses, person, self._threshold)})

    def close(self, *, partial: bool = False, details: Mapping[str, Any] | None = None) -> None:
        """Write the file.

        Args:
            partial: Mark it as cut short in ``info``.
            details: What else ``info`` shall say now that all is known.
        """
        with replacing(self.path, "x") as file:
            info = {**self._info, **(details or {}), **({"partial": True} if partial else {})}
            file.write(_opening(self._skeleton, info))
            for key, rows in (("images", self._images), ("annotations", self._annotations)):
                file.write(f',\n"{key}": ')
                rows.copy_to(file)
            file.write("}\n")
        self.discard()

    def discard(self) -> None:
        """Let the spooled rows go without writing a file."""
        self._images.close()
        self._annotations.close()


def write_dataset(
    path: Path,
    skeleton: Skeleton,
    info: Mapping[str, Any],
    images: Iterable[Mapping[str, Any]],
    annotations: Iterable[Mapping[str, Any]],
) -> None:
    """Write a dataset, as :class:`DatasetWriter` does, whose rows are kept elsewhere.

    Args:
        path: The JSON file; it is on the disk for good when this returns.
        skeleton: Of the keypoints.
        info: What was run.
        images: Rows with ``id``, ``file_name``, ``width`` and ``height``.
        annotations: Rows of :func:`person_row` with ``id`` and ``image_id``.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path, "x") as file:
        file.write(_opening(skeleton, info))
        for key, rows in (("images", images), ("annotations", annotations)):
            file.write(f',\n"{key}": ')
            _write_list(file, rows)
        file.write("}\n")
        _sync(file)


def write_results(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write COCO's leaderboard form, a list that ``COCO.loadRes`` takes.

    Args:
        path: The JSON file; it is on the disk for good when this returns.
        rows: As of :func:`results_row`.

    Raises:
        OutputError: it cannot be written.
    """
    with replacing(path, "x") as file:
        _write_list(file, rows)
        file.write("\n")
        _sync(file)


def _opening(skeleton: Skeleton, info: Mapping[str, Any]) -> str:
    """A dataset as far as ``categories``."""
    category = {
        "id": PERSON,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.limbs],  # COCO counts joints from 1
    }
    return f'{{"info": {json.dumps(info)},\n"licenses": [],\n"categories": {json.dumps([category])}'


def _write_list(file: IO[str], rows: Iterable[Mapping[str, Any]]) -> None:
    file.write("[")
    for number, row in enumerate(rows):
        file.write(f"{',' if number else ''}\n{json.dumps(row, allow_nan=False)}")
    file.write("\n]")


def _sync(file: IO[str]) -> None:
    file.flush()
    os.fsync(file.fileno())


def results_row(image_id: int, person: Mapping[str, Any]) -> dict[str, Any]:
    """A person of :func:`person_row` as COCO's leaderboard wants it."""
    keypoints = list(person["keypoints"])
    keypoints[2::3] = person["keypoint_scores"]
    return {
        "image_id": image_id,
        "category_id": PERSON,
        "keypoints": keypoints,
        "score": person["score"],
        "bbox": person["bbox"],
    }


def person_row(poses: Poses, person: int, threshold: float) -> dict[str, Any]:
    """One person as COCO annotates people, ids aside.

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
