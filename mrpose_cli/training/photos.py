"""Training crops cut out of the photos of a COCO keypoint file."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.errors import InputError, UsageError, parameter
from mrpose_cli.evaluation.annotations import Annotations, read_annotations
from mrpose_cli.media.images import read_image
from mrpose_cli.pipeline.crops import CropSpec, crop_affines, warp
from mrpose_cli.training.labels import JOINTS, MARGIN, PADDING, Job, Person, Pixels

_NAMED = 3  # missing photos that a message names


class CocoPhotos:
    """The people of a COCO file; a :class:`~mrpose_cli.training.labels.Source`.

    Crowds and people without keypoints are left out.

    Args:
        path: ``person_keypoints_*.json``.
        images: The folder of its photos; None for the file's own.
        size: Height and width of the crops to be cut.
        margin: Size of their area as a multiple of a network's window.
        flags: A file of flags; people with one are left out.

    Attributes:
        left_out: How many people the flags leave out.

    Raises:
        UsageError: it is no such file, or photos are missing.
    """

    def __init__(
        self,
        path: Path,
        images: Path | None,
        size: tuple[int, int],
        *,
        margin: float = MARGIN,
        flags: Path | None = None,
    ) -> None:
        annotations = read_annotations(path, flags)
        self.left_out = annotations.left_out
        folder = images or path.parent
        files = {image.id: folder / image.file_name for image in annotations.images}
        rows, boxes = _people(annotations)
        missing = sorted({files[row["image_id"]] for row in rows if not files[row["image_id"]].is_file()})
        if missing:
            named = ", ".join(str(file) for file in missing[:_NAMED])
            raise UsageError(
                f"{len(missing)} photos of {path.name} are missing ({named}); pass their folder with "
                f"{parameter('images')}"
            )
        if not rows:
            raise UsageError(f"{path} has nobody with keypoints")
        self.size = size
        padding = PADDING * margin
        # In UDP's convention, which is that of the networks trained here.
        self._affines = crop_affines(boxes, CropSpec(size, (padding, padding), aligned=True))  # (P, 2, 3)
        self._photos: dict[Path, list[int]] = {}
        for index, row in enumerate(rows):
            self._photos.setdefault(files[row["image_id"]], []).append(index)
        self.people: Sequence[Person] = [
            _person(path, row, affine) for row, affine in zip(rows, self._affines, strict=True)
        ]

    def jobs(self, wanted: Collection[int]) -> Iterator[Job]:
        """Yield one job per photo."""
        chosen = set(wanted)
        for photo, indices in self._photos.items():
            some = [index for index in indices if index in chosen]
            if some:
                yield partial(self._cut, photo, some)

    def _cut(self, photo: Path, indices: Sequence[int]) -> Sequence[tuple[int, Pixels]]:
        try:
            # COCO's labels are in the pixels as they are stored.
            image = read_image(photo, upright=False).image
        except InputError as error:
            raise UsageError(f"{photo}: {error}") from None
        return [(index, warp(image, self._affines[index], self.size)) for index in indices]


def _people(annotations: Annotations) -> tuple[list[Mapping[str, Any]], NDArray[np.float64]]:
    """Return the annotations of single people with keypoints, and their boxes (P, 4), x1 y1 x2 y2."""
    sizes = {image.id: (image.width, image.height) for image in annotations.images}
    rows, boxes = [], []
    for row in annotations.persons:
        x, y, w, h = row["bbox"]
        width, height = sizes[row["image_id"]]
        box = [max(x, 0.0), max(y, 0.0), min(x + w, width), min(y + h, height)]  # within the photo
        labelled = max(row["keypoints"][2::3]) > 0
        if labelled and not row["iscrowd"] and row["area"] > 0 and box[2] > box[0] and box[3] > box[1]:
            rows.append(row)
            boxes.append(box)
    return rows, np.array(boxes, np.float64).reshape(-1, 4)


def _person(path: Path, row: Mapping[str, Any], affine: NDArray[np.float64]) -> Person:
    human = np.array(row["keypoints"], np.float32).reshape(JOINTS, 3)
    scale = affine[[0, 1], [0, 1]]
    human[:, :2] = human[:, :2] * scale + affine[:, 2]
    return Person(
        name=f"{path.name}/{row['id']}",
        set="coco",
        photo=str(row["image_id"]),
        human=human,
        teacher=None,
        area=float(row["area"]) * float(scale.prod()),
    )
