"""Reading person boxes from COCO files: annotations, or detection results."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from mrpose_cli.coco.ids import numeric_id
from mrpose_cli.errors import UsageError
from mrpose_cli.poses import Detections


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

    def match(self, names: Iterable[str]) -> dict[str, int]:
        """Ids of those photos that the file knows.

        A photo is known by its relative path, by its plain file name, or by the number in its name.

        Args:
            names: Relative paths of photos.
        """
        by_base = {PurePosixPath(name).name: image_id for name, image_id in self.ids.items()}
        matched: dict[str, int] = {}
        for name in names:
            image_id = self.ids.get(name, by_base.get(PurePosixPath(name).name))
            if image_id is None and not self.ids:
                number = numeric_id(name)
                image_id = number if number in self.boxes else None
            if image_id is not None:
                matched[name] = image_id
        return matched


def read_boxes(path: Path) -> BoxFile:
    """Read the person boxes of a COCO annotation file or a COCO results file.

    Annotations (an object with ``images`` and ``annotations``) count with score 1 unless they have a
    ``score``; results (a list with ``image_id``, ``bbox``, ``score``) are used as they are. Other
    categories than person (id 1, or what the file's own categories call person) are left out.

    Raises:
        UsageError: the file is missing or is neither.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"the boxes file {path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise UsageError(f"the boxes file {path} is not JSON: {error}") from None
    ids: dict[str, int] = {}
    person = 1
    if isinstance(content, dict) and isinstance(content.get("annotations"), list):
        rows = content["annotations"]
        ids = {
            str(image["file_name"]): int(image["id"])
            for image in content.get("images", ())
            if "file_name" in image
        }
        named = [c["id"] for c in content.get("categories", ()) if c.get("name") == "person"]
        person = named[0] if named else 1
    elif isinstance(content, list):
        rows = content
    else:
        raise UsageError(
            f"the boxes file {path} is neither a COCO annotation file nor a list of COCO results"
        )
    grouped: dict[int, list[tuple[float, list[float]]]] = {}
    for index, row in enumerate(rows):
        try:
            if row.get("category_id", person) != person or row.get("iscrowd"):
                continue
            grouped.setdefault(int(row["image_id"]), []).append(
                (float(row.get("score", 1.0)), _xyxy(row["bbox"]))
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UsageError(
                f"entry {index} of the boxes file {path} has no usable image_id and bbox: {error!r}"
            ) from None
    return BoxFile(path.name, {image_id: _detections(found) for image_id, found in grouped.items()}, ids)


def _xyxy(bbox: Any) -> list[float]:
    x, y, width, height = (float(value) for value in bbox)
    return [x, y, x + max(width, 0.0), y + max(height, 0.0)]


def _detections(found: list[tuple[float, list[float]]]) -> Detections:
    ranked = sorted(found, key=lambda pair: -pair[0])
    return Detections(
        np.array([box for _, box in ranked], np.float32), np.array([score for score, _ in ranked], np.float32)
    )
