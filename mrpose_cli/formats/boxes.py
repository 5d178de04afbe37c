"""Reading person boxes from COCO files: annotations, or detection results."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from mrpose_cli.errors import UsageError
from mrpose_cli.formats.ids import numeric_id
from mrpose_cli.formats.reader import (
    PERSON,
    Box,
    Flag,
    Id,
    Number,
    Row,
    categories_called,
    read_json,
    read_rows,
)
from mrpose_cli.poses import Detections

_NAMED = 3  # names that a message lists


class _Image(Row):
    id: Id
    file_name: str | None = None


class _Box(Row):
    image_id: Id
    category_id: Id = PERSON
    bbox: Box
    score: Number = 1.0
    box_score: Number | None = None
    iscrowd: Flag = 0


@dataclass(frozen=True, slots=True, eq=False)
class BoxFile:
    """Person boxes by image id.

    Attributes:
        name: The file's name.
        boxes: Detections by image id, best first; crowds are left out.
        ids: Image ids by file name; empty for a results file, which names no files.
    """

    name: str
    boxes: Mapping[int, Detections]
    ids: Mapping[str, int]

    def match(self, names: Collection[str]) -> dict[str, int]:
        """Return the ids of those photos that the file knows, each id once.

        A photo is known by its relative path, else by its plain file name, or by the number in its name where
        the file has no names.

        Args:
            names: Relative paths of photos.

        Raises:
            UsageError: photos or entries of the file share a plain name, so that it does not tell whose boxes
                are whose.
        """
        matched = {name: self.ids[name] for name in names if name in self.ids}
        alike: dict[str | int, list[str]] = {}
        for name in names:
            key = PurePosixPath(name).name if self.ids else numeric_id(name)
            if name not in matched and key is not None:
                alike.setdefault(key, []).append(name)
        known: dict[str | int, list[str]] = {} if self.ids else {number: [] for number in self.boxes}
        for name in self.ids.keys() - matched.keys():
            known.setdefault(PurePosixPath(name).name, []).append(name)
        for key, photos in alike.items():
            entries = known.get(key)
            if entries is None:
                continue
            if len(photos) > 1 or len(entries) > 1:
                remedy = "pass the folder above, so that names agree" if len(entries) > 1 else "rename them"
                raise UsageError(
                    f"the boxes file {self.name} does not tell which boxes are for which photo: "
                    f"{_listed(entries) or f'image {key}'} could be {_listed(photos)}; {remedy}, or run one "
                    "folder at a time with boxes of its own"
                )
            matched[photos[0]] = self.ids[entries[0]] if isinstance(key, str) else key
        return matched


def read_boxes(path: Path, classes: Collection[str] = ("person",)) -> BoxFile:
    """Read the boxes of a COCO annotation file or a COCO results file.

    Annotations (an object with ``images`` and ``annotations``) count with score 1 unless they have a
    ``score``; results (a list with ``image_id``, ``bbox``, ``score``) are used as they are. A ``box_score``,
    which mrpose writes, goes before the ``score`` of the whole person.

    Args:
        path: The file.
        classes: Names of the categories that are wanted, or ``"all"``; see
            :func:`~mrpose_cli.formats.reader.categories_called`. Results name none: without categories, 1 is
            person, and everything else is any category.

    Raises:
        UsageError: the file is missing, is neither, or has an entry that is not what it should be.
    """
    content = read_json(path, "the boxes file")
    ids: dict[str, int] = {}
    wanted: set[int] | None = {PERSON} if set(classes) == {"person"} else None
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        name, rows = "annotations", content["annotations"]
        wanted = categories_called(path, content, classes)
        images = read_rows(path, "images", content.get("images", []), _Image, unique=("id", "file_name"))
        ids = {image.file_name: image.id for image in images if image.file_name is not None}
    elif isinstance(content, list):
        name, rows = "results", content
    else:
        raise UsageError(
            f"the boxes file {path} is neither a COCO annotation file nor a list of COCO results"
        )
    grouped: dict[int, list[_Box]] = {}
    for row in read_rows(path, name, rows, _Box, categories=wanted):
        if not row.iscrowd:
            grouped.setdefault(row.image_id, []).append(row)
    return BoxFile(path.name, {image_id: _detections(found) for image_id, found in grouped.items()}, ids)


def _detections(found: list[_Box]) -> Detections:
    scores = np.array([row.score if row.box_score is None else row.box_score for row in found], np.float32)
    boxes = np.array([row.bbox for row in found], np.float64)
    boxes[:, 2:] = boxes[:, :2] + np.maximum(boxes[:, 2:], 0)
    best_first = np.argsort(-scores, kind="stable")
    return Detections(boxes[best_first].astype(np.float32), scores[best_first])


def _listed(names: list[str]) -> str:
    shown = sorted(names)[:_NAMED]
    return " or ".join([*shown, *(["others"] if len(names) > _NAMED else [])])
