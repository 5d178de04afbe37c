"""Labelled photos in a COCO keypoint file, of COCO's people or anybody else's joints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from mrpose_cli.errors import UsageError
from mrpose_cli.evaluation.annotations import ImageRow
from mrpose_cli.formats.flags import flagged_people
from mrpose_cli.formats.label_studio import from_label_studio
from mrpose_cli.formats.reader import Box, Flag, Id, Row, Visible, read_categories, read_json, read_rows
from mrpose_cli.skeletons import COCO17, Skeleton, from_categories
from mrpose_cli.skeletons.document import Remark, silent
from mrpose_cli.training.photos import AnyPath, Labelled, LabelledPhotos, settle_skeleton


class _Annotation(Row):
    id: Id
    image_id: Id
    bbox: Box
    keypoints: list[Visible]
    iscrowd: Flag = 0
    area: Annotated[float, Field(ge=0, le=1e18)] | None = None
    track_id: Id | None = None


def read_coco(
    path: AnyPath,
    images: AnyPath | None,
    given: Skeleton | None = None,
    remark: Remark = silent,
    *,
    flags: Path | None = None,
    held: bool | None = None,
) -> LabelledPhotos:
    """Read a COCO keypoint file; crowds and people without keypoints are left out.

    Args:
        path: ``person_keypoints_*.json``, or the like.
        images: The folder of its photos; None for the file's own.
        given: What its joints are; None for what its categories say.
        remark: Called with what had to be assumed.
        flags: A file of flags; people with one are left out.
        held: Whether its photos are held out for validation; None if that is to be drawn.

    Raises:
        UsageError: it is no such file.
    """
    path = cast(Path, path)  # nothing that is called here needs more than a name and bytes
    content = from_label_studio(path, read_json(path, "the annotation file"))
    rows = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(rows, list) or not isinstance(content.get("images"), list):
        raise UsageError(f"{path} is not a COCO annotation file (an object with images and annotations)")
    skeleton, wanted = _skeleton(path, content, given, remark)
    sizes = {row.id: row for row in read_rows(path, "images", content["images"], ImageRow, unique=("id",))}
    folder: AnyPath = images or path.parent
    people, left_out = [], 0
    flagged = flagged_people(flags, path) if flags is not None else None
    for row in read_rows(path, "annotations", rows, _Annotation, categories=wanted, unique=("id",)):
        image = sizes.get(row.image_id)
        if image is None:
            raise UsageError(f"{path} annotates image {row.image_id}, which is not in its list of images")
        if len(row.keypoints) != 3 * len(skeleton.joints):
            count = f"{len(row.keypoints) / 3:g} joints"
            raise UsageError(
                f"{path}: annotation {row.id} has {count}, {skeleton.name} has {len(skeleton.joints)}"
            )
        if flagged is not None and flagged(row.id, row.track_id):
            left_out += 1
            continue
        joints = np.array(row.keypoints, np.float64).reshape(-1, 3)
        box = _within(row.bbox, image)
        if row.iscrowd or not (joints[:, 2] > 0).any() or (box[2:] <= box[:2]).any():
            continue
        people.append(
            Labelled(
                name=f"{image.file_name}:{row.id}",
                file=folder / image.file_name,
                size=(image.height, image.width),
                photo=_photo(path, image),
                box=box,
                joints=joints,
                area=row.area or row.bbox[2] * row.bbox[3],  # some tools write 0
                held=held,
            )
        )
    return LabelledPhotos(path.name, "coco", skeleton, people, left_out=left_out)


def _skeleton(
    path: Path, content: dict[str, Any], given: Skeleton | None, remark: Remark
) -> tuple[Skeleton, set[int] | None]:
    """Return the file's skeleton, and the categories that have it; None for all."""
    ids = {category.id for category in read_categories(path, content) if category.keypoints}
    if ids:
        stated = from_categories(
            content["categories"],
            path.name,
            silent if given else remark,
            annotations=content["annotations"],
        )
        return settle_skeleton(stated, given, path.name), ids
    if given is None and _first_joints(content["annotations"]) == len(COCO17.joints):
        remark(f"{path.name} does not name its joints; they are {len(COCO17.joints)} and taken for COCO's")
        given = COCO17
    return settle_skeleton(None, given, path.name), None


def _first_joints(rows: list[Any]) -> float:
    first = next((row.get("keypoints") for row in rows if isinstance(row, dict)), None)
    return len(first) / 3 if isinstance(first, list) else 0


def _photo(path: Path, image: ImageRow) -> str:
    """Return COCO's own id, by which its photos are known everywhere; of other photos the name."""
    is_cocos = Path(image.file_name).stem.rpartition("_")[2] == f"{image.id:012d}"
    return str(image.id) if is_cocos else f"{path.name}:{image.file_name}"


def _within(bbox: list[float], image: ImageRow) -> NDArray[np.float64]:
    """Return the corners of a box, clipped to the photo."""
    x, y, width, height = bbox
    corners = np.array([x, y, x + width, y + height], np.float64)
    return np.clip(corners, 0, [image.width, image.height] * 2)
