"""Reading COCO keypoint annotations, and refusing what is something else."""

from __future__ import annotations

import hashlib
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.formats.flags import flagged_people
from mrpose_cli.formats.reader import (
    Box,
    Category,
    Count,
    FileName,
    Flag,
    Id,
    Number,
    Row,
    find_person,
    read_json,
    read_rows,
)
from mrpose_cli.skeletons import COCO17
from mrpose_cli.weights.store import file_sha256


class ImageRow(Row):
    """One image of a dataset.

    Attributes:
        id: The dataset's id of it.
        file_name: Relative to the folder of images.
        width: In pixels as stored.
        height: In pixels as stored.
    """

    id: Id
    file_name: FileName
    width: Annotated[Count, Field(gt=0)]
    height: Annotated[Count, Field(gt=0)]


def _of_17_joints(values: list[float]) -> list[float]:
    if len(values) != 3 * len(COCO17.joints):
        raise ValueError(f"{len(values) / 3:g} joints; COCO's people have {len(COCO17.joints)}")
    return values


Joints = Annotated[list[Number], AfterValidator(_of_17_joints)]
"""x y and another number of each of COCO's 17 joints."""


class _Person(Row):
    id: Id
    image_id: Id
    category_id: Id
    bbox: Box
    keypoints: Joints
    num_keypoints: Count | None = None
    iscrowd: Flag = 0
    track_id: Id | None = None
    area: Annotated[float, Field(ge=0, le=1e18)] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """A COCO keypoint annotation file, or some of its images.

    Attributes:
        name: The file's name.
        sha256: Of the file.
        images: Those to be evaluated, in the file's order.
        persons: Annotations of those images with all that COCO's evaluation needs, whatever the file leaves
            out, and with ``keypoints`` as arrays (51,).
        category: The file's row for persons.
        total_images: How many images the whole file has.
        total_persons: How many people with keypoints the whole file has.
        left_out: How many people a file of flags leaves out.
    """

    name: str
    sha256: str
    images: tuple[ImageRow, ...]
    persons: Sequence[Mapping[str, Any]]
    category: Category
    total_images: int
    total_persons: int
    left_out: int = 0

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
        """Return the same annotations for these images alone."""
        return replace(
            self,
            images=tuple(image for image in self.images if image.id in ids),
            persons=[row for row in self.persons if row["image_id"] in ids],
        )


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return file_sha256(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def read_annotations(path: Path, flags: Path | None = None) -> Annotations:
    """Read a COCO keypoint annotation file such as ``person_keypoints_val2017.json``.

    Args:
        path: The file.
        flags: A file of flags. People with a flag lose their labels: finding or missing them changes nothing,
            and nothing is learned from them.

    Raises:
        UsageError: it cannot be read, or is another kind of file; the message says which.
    """
    content = read_json(path, "the annotation file")
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise UsageError(
            f"{path} is not a COCO annotation file (an object with images and annotations)"
            + (f"; a results file goes with {parameter('predictions')}" if isinstance(content, list) else "")
        )
    rows = content.get("annotations")
    if not isinstance(rows, list) or not rows:
        raise UsageError(
            f"{path} has no annotations to evaluate against, as the files of a test set have none"
        )
    if isinstance(rows[0], dict) and "caption" in rows[0]:
        raise UsageError(f"{path} holds captions; evaluation needs person_keypoints_*.json")
    if not any(isinstance(row, dict) and "keypoints" in row for row in rows):
        raise UsageError(f"{path} has boxes but no keypoints; evaluation needs person_keypoints_*.json")
    category = _person(path, content)
    images = tuple(read_rows(path, "images", content["images"], ImageRow, unique=("id",)))
    persons = [
        _completed(row)
        for row in read_rows(path, "annotations", rows, _Person, category=category.id, unique=("id",))
    ]
    left_out = _unlabel(persons, flagged_people(flags, path)) if flags is not None else 0
    strays = {row["image_id"] for row in persons} - {image.id for image in images}
    if strays:
        raise UsageError(f"{path} annotates image {min(strays)}, which is not in its list of images")
    labelled = sum(bool(row["num_keypoints"]) for row in persons)
    digest = sha256_of(path)
    return Annotations(path.name, digest, images, persons, category, len(images), labelled, left_out)


def _unlabel(persons: Sequence[dict[str, Any]], flagged: Callable[[int, int | None], bool]) -> int:
    """Take the labels from people with a flag; how many there were."""
    people = [row for row in persons if flagged(row["id"], row["track_id"])]
    for row in people:
        row |= {"num_keypoints": 0, "keypoints": np.zeros_like(row["keypoints"])}
    return len(people)


def _person(path: Path, content: dict[str, Any]) -> Category:
    category = find_person(path, content)
    if category is None:
        raise UsageError(f"{path} has no category 'person'")
    joints = COCO17.joints if category.keypoints is None else category.keypoints
    if len(joints) != len(COCO17.joints):
        raise UsageError(f"{path} has {len(joints)} joints a person; COCO's evaluation is made for 17")
    other = [(theirs, ours) for theirs, ours in zip(joints, COCO17.joints, strict=True) if theirs != ours]
    if other:
        raise UsageError(f"{path} calls a joint {reprlib.repr(other[0][0])} where COCO has '{other[0][1]}'")
    return category


def _completed(person: _Person) -> dict[str, Any]:
    """Fill in what files of other tools may leave out; COCO's own area is that of the segmentation."""
    _, _, width, height = person.bbox
    seen = sum(v > 0 for v in person.keypoints[2::3])
    return {
        **vars(person),
        "keypoints": np.array(person.keypoints, np.float64),  # a fifth of a list's memory
        "num_keypoints": seen if person.num_keypoints is None else person.num_keypoints,
        "area": max(width * height, 0.0) if person.area is None else person.area,
    }
