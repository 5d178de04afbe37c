"""Reading COCO keypoint annotations, and refusing what is something else."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mrpose_cli.errors import UsageError
from mrpose_cli.skeletons import COCO17
from mrpose_cli.weights.store import file_sha256


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image of a dataset.

    Attributes:
        id: The dataset's id of it.
        file_name: Relative to the folder of images.
        width: In pixels as stored.
        height: In pixels as stored.
    """

    id: int
    file_name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """A COCO keypoint annotation file, or some of its images.

    Attributes:
        name: The file's name.
        sha256: Of the file.
        images: Those to be evaluated, in the file's order.
        persons: Annotations of those images as they stand in the file, without segmentations and with
            ``keypoints`` as arrays (51,).
        category: The file's row for persons.
        total_images: How many images the whole file has.
        total_persons: How many people with keypoints the whole file has.
    """

    name: str
    sha256: str
    images: tuple[ImageRow, ...]
    persons: Sequence[Mapping[str, Any]]
    category: Mapping[str, Any]
    total_images: int
    total_persons: int

    @property
    def labelled(self) -> int:
        """How many people of those images have a keypoint."""
        return sum(bool(row["num_keypoints"]) for row in self.persons)

    @property
    def is_val2017(self) -> bool:
        """Whether the file holds as many images and people as the whole of COCO val2017 does."""
        return (self.total_images, self.total_persons) == (5000, 6352)

    @property
    def ids_sha256(self) -> str:
        """SHA-256 of the images' ids, ascending, one a line: the same for each file that holds them."""
        lines = "".join(f"{number}\n" for number in sorted(image.id for image in self.images))
        return hashlib.sha256(lines.encode()).hexdigest()

    def only(self, ids: set[int]) -> Annotations:
        """The same, for these images alone."""
        return replace(
            self,
            images=tuple(image for image in self.images if image.id in ids),
            persons=[row for row in self.persons if row["image_id"] in ids],
        )


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def read_json(path: Path, what: str) -> Any:
    """A JSON file's content.

    Args:
        path: The file.
        what: What the user was asked for, for messages.

    Raises:
        UsageError: it cannot be read or is not JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise UsageError(f"{what} {path} cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise UsageError(f"{what} {path} is not JSON: {error}") from None


def read_annotations(path: Path) -> Annotations:
    """Read a COCO keypoint annotation file such as ``person_keypoints_val2017.json``.

    Raises:
        UsageError: it cannot be read, or is another kind of file; the message says which.
    """
    content = read_json(path, "the annotation file")
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UsageError(
            f"{path} is not a COCO annotation file (an object with images and annotations)"
            + ("; a results file goes with --predictions" if isinstance(content, list) else "")
        )
    rows = content.get("annotations")
    if not isinstance(rows, list) or not rows:
        raise UsageError(
            f"{path} has no annotations to evaluate against, as the files of a test set have none"
        )
    if "caption" in rows[0]:
        raise UsageError(f"{path} holds captions; evaluation needs person_keypoints_*.json")
    if not any("keypoints" in row for row in rows):
        raise UsageError(f"{path} has boxes but no keypoints; evaluation needs person_keypoints_*.json")
    category = _person(path, content.get("categories"))
    persons = [
        _checked(path, index, row)
        for index, row in enumerate(rows)
        if row.get("category_id") == category["id"]
    ]
    images = tuple(_image(path, index, row) for index, row in enumerate(content["images"]))
    strays = {row["image_id"] for row in persons} - {image.id for image in images}
    if strays:
        raise UsageError(f"{path} annotates image {min(strays)}, which is not in its list of images")
    labelled = sum(bool(row["num_keypoints"]) for row in persons)
    return Annotations(path.name, sha256_of(path), images, persons, category, len(images), labelled)


def _person(path: Path, categories: Any) -> dict[str, Any]:
    by_name = {row.get("name"): row for row in categories or ()}
    if "person" not in by_name:
        raise UsageError(f"{path} has no category 'person'")
    category: dict[str, Any] = by_name["person"]
    joints = category.get("keypoints", list(COCO17.joints))
    if len(joints) != len(COCO17.joints):
        raise UsageError(f"{path} has {len(joints)} joints a person; COCO's evaluation is made for 17")
    other = [(theirs, ours) for theirs, ours in zip(joints, COCO17.joints, strict=True) if theirs != ours]
    if other:
        raise UsageError(f"{path} calls a joint '{other[0][0]}' where COCO has '{other[0][1]}'")
    return category


def _checked(path: Path, index: int, row: Mapping[str, Any]) -> dict[str, Any]:
    keypoints = row.get("keypoints")
    if not isinstance(keypoints, list) or len(keypoints) != 3 * len(COCO17.joints):
        number = len(keypoints) / 3 if isinstance(keypoints, list) else 0
        raise UsageError(f"{path}: annotation {index} has {number:g} joints; COCO's people have 17")
    kept = {key: value for key, value in row.items() if key != "segmentation"}
    kept["keypoints"] = np.array(keypoints, np.float64)  # a fifth of a list's memory
    try:
        kept["num_keypoints"] = int(row.get("num_keypoints", sum(v > 0 for v in keypoints[2::3])))
        kept["iscrowd"] = int(row.get("iscrowd", 0))
        for key in ("id", "image_id"):
            kept[key] = int(row[key])
        _, _, width, height = (float(value) for value in row["bbox"])
        # Files of other tools may leave the area out; COCO's own is the segmentation's.
        kept["area"] = float(row.get("area", width * height))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path}: annotation {index} has no usable id, image_id and bbox ({error!r})"
        ) from None
    return kept


def _image(path: Path, index: int, row: Mapping[str, Any]) -> ImageRow:
    try:
        return ImageRow(int(row["id"]), str(row["file_name"]), int(row["width"]), int(row["height"]))
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(
            f"{path}: image {index} has no usable id, file_name, width and height ({error!r})"
        ) from None
