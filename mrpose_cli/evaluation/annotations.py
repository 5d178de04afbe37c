"""Reading COCO keypoint annotations, and refusing what is something else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import AfterValidator, Field, create_model

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.formats.flags import flagged_people
from mrpose_cli.formats.label_studio import from_label_studio
from mrpose_cli.formats.reader import (
    PERSON,
    Box,
    Count,
    FileName,
    Flag,
    Id,
    Number,
    R,
    Row,
    read_categories,
    read_json,
    read_rows,
)
from mrpose_cli.skeletons import COCO17, Skeleton, from_categories
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


class _Person(Row):
    id: Id
    image_id: Id
    category_id: Id
    bbox: Box
    keypoints: list[Number]
    num_keypoints: Count | None = None
    iscrowd: Flag = 0
    track_id: Id | None = None
    area: Annotated[float, Field(ge=0, le=1e18)] | None = None


def with_joints(row: type[R], skeleton: Skeleton) -> type[R]:
    """Return the model of a row whose ``keypoints`` are x y and another number of each joint."""
    count = len(skeleton.joints)

    def check(values: list[float]) -> list[float]:
        if len(values) != 3 * count:
            raise ValueError(f"{len(values) / 3:g} joints; {skeleton.name} has {count}")
        return values

    joints = Annotated[list[Number], AfterValidator(check)]
    return create_model(row.__name__, __base__=row, keypoints=(joints, ...))


@dataclass(frozen=True, slots=True, eq=False)
class Annotations:
    """A COCO keypoint annotation file, or some of its images.

    Attributes:
        name: The file's name.
        sha256: Of the file.
        images: Those to be evaluated, in the file's order.
        persons: Annotations of those images with all that COCO's evaluation needs, whatever the file leaves
            out, with ``keypoints`` as arrays (3 K,), and all in one category.
        skeleton: Of the K joints.
        categories: Ids of those of the file's categories that have these joints.
        total_images: How many images the whole file has.
        total_persons: How many people with keypoints the whole file has.
    """

    name: str
    sha256: str
    images: tuple[ImageRow, ...]
    persons: Sequence[Mapping[str, Any]]
    skeleton: Skeleton
    categories: frozenset[int]
    total_images: int
    total_persons: int

    @property
    def category(self) -> int:
        """The id of the category that all of them are in here."""
        return min(self.categories)

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


def read_annotations(
    path: Path, skeleton: Skeleton | None = None, remark: Callable[[str], None] = lambda note: None
) -> Annotations:
    """Read a COCO keypoint annotation file such as ``person_keypoints_val2017.json``, of any joints.

    Args:
        path: The file.
        skeleton: Its joints, where its categories do not name them; None for COCO's.
        remark: Called with what had to be assumed of the joints.

    Raises:
        UsageError: it cannot be read, or is another kind of file; the message says which.
    """
    content = from_label_studio(path, read_json(path, "the annotation file"))
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
    skeleton, categories = _joints(path, content, skeleton, remark)
    images = tuple(read_rows(path, "images", content["images"], ImageRow, unique=("id",)))
    row_of = with_joints(_Person, skeleton)
    persons = [
        _completed(row) | {"category_id": min(categories)}
        for row in read_rows(path, "annotations", rows, row_of, categories=categories, unique=("id",))
    ]
    strays = {row["image_id"] for row in persons} - {image.id for image in images}
    if strays:
        raise UsageError(f"{path} annotates image {min(strays)}, which is not in its list of images")
    labelled = sum(bool(row["num_keypoints"]) for row in persons)
    return Annotations(
        path.name, sha256_of(path), images, persons, skeleton, categories, len(images), labelled
    )


def leave_out(annotations: Annotations, flags: Path, path: Path) -> Annotations:
    """Take the labels from people with a flag, so that finding or missing them changes nothing.

    Args:
        annotations: The annotations.
        flags: A file of flags.
        path: The file that the annotations are from.

    Raises:
        UsageError: the flags cannot be read, or are of nobody there.
    """
    flagged = flagged_people(flags, path)
    unlabelled = {"num_keypoints": 0, "keypoints": np.zeros(3 * len(annotations.skeleton.joints))}
    out = [flagged(row["id"], row["track_id"]) for row in annotations.persons]
    if not any(out):
        raise UsageError(f"{flags} flags nobody of {path.name}")
    rows = zip(annotations.persons, out, strict=True)
    return replace(annotations, persons=[{**row, **unlabelled} if gone else row for row, gone in rows])


def _joints(
    path: Path, content: dict[str, Any], given: Skeleton | None, remark: Callable[[str], None]
) -> tuple[Skeleton, frozenset[int]]:
    """Return the skeleton of a file, and the ids of its categories that have it."""
    categories = read_categories(path, content)
    having = frozenset(category.id for category in categories if category.keypoints)
    if having:
        skeleton = from_categories(
            content["categories"], path.name, remark, annotations=content["annotations"]
        )
        return skeleton, having
    people = frozenset(category.id for category in categories if category.name == "person")
    if given is None and not people:
        raise UsageError(
            f"{path} has no category with keypoints; name its joints with {parameter('joints')} NAME or FILE"
        )
    return given or COCO17, people or frozenset(category.id for category in categories) or frozenset([PERSON])


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
