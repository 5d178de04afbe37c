"""Training crops cut out of photos in which people, or whatever has joints, are labelled."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from zipfile import BadZipFile
from zipfile import Path as ZipPath

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.errors import InputError, UsageError, parameter
from mrpose_cli.media.decode import decode
from mrpose_cli.media.images import read_image
from mrpose_cli.pipeline.crops import CropSpec, crop_affines, warp
from mrpose_cli.skeletons import Skeleton
from mrpose_cli.training.labels import MARGIN, PADDING, Job, Person, Pixels

AnyPath = Path | ZipPath

DAMAGED = (OSError, RuntimeError, EOFError, BadZipFile, zlib.error)
"""What reading a member of a zip file may raise."""

_NAMED = 3  # missing photos that a message names


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """Somebody in a photo, in the pixels of the photo.

    Attributes:
        name: Tells the person from others of the file: the photo, a colon, and a number.
        file: The photo, which may be in a zip file.
        size: Its height and width by the labels' file; None if that does not say.
        photo: What the photo is called among all photos of its set.
        box: (4,) x1 y1 x2 y2.
        joints: (K, 3) x, y and v, as in COCO.
        area: What OKS relates distances to, in square pixels.
        held: Whether the file holds the photo out for validation; None if it does not say.
    """

    name: str
    file: AnyPath
    size: tuple[int, int] | None
    photo: str
    box: NDArray[np.float64]
    joints: NDArray[np.float64]
    area: float
    held: bool | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPhotos:
    """What a file of labels holds.

    Attributes:
        origin: The file's name.
        set: Of the crops.
        skeleton: Of the joints.
        people: All with at least one joint.
        upright: Whether joints are in the pixels of the upright photo, not in those that are stored; None if
            the sizes tell.
        left_out: How many people flags left out.
    """

    origin: str
    set: str
    skeleton: Skeleton
    people: Sequence[Labelled]
    upright: bool | None = None
    left_out: int = 0


class PhotoCrops:
    """The people of labelled photos; a :class:`~mrpose_cli.training.labels.Source`.

    Args:
        photos: The photos with their labels.
        size: Height and width of the crops to be cut.
        margin: Size of their area as a multiple of a network's window.

    Raises:
        UsageError: photos are missing, or nobody is in them.
    """

    def __init__(self, photos: LabelledPhotos, size: tuple[int, int], *, margin: float = MARGIN) -> None:
        missing = sorted({str(one.file) for one in photos.people if not one.file.is_file()})
        if missing:
            named = ", ".join(missing[:_NAMED])
            raise UsageError(
                f"{len(missing)} photos of {photos.origin} are missing ({named}); pass their folder with "
                f"{parameter('images')}"
            )
        if not photos.people:
            raise UsageError(f"{photos.origin} has nobody with keypoints")
        self.size, self.skeleton, self._labels = size, photos.skeleton, photos
        padding = PADDING * margin
        boxes = np.stack([one.box for one in photos.people])
        # In UDP's convention, which is that of the networks trained here.
        self._affines = crop_affines(boxes, CropSpec(size, (padding, padding), aligned=True))  # (P, 2, 3)
        self._files: dict[str, list[int]] = {}
        for index, one in enumerate(photos.people):
            self._files.setdefault(str(one.file), []).append(index)
        self.people: Sequence[Person] = [
            _person(photos, one, affine) for one, affine in zip(photos.people, self._affines, strict=True)
        ]

    def jobs(self, wanted: Collection[int]) -> Iterator[Job]:
        """Yield one job per photo."""
        chosen = set(wanted)
        for indices in self._files.values():
            some = [index for index in indices if index in chosen]
            if some:
                yield partial(self._cut, some)

    def _cut(self, indices: Sequence[int]) -> Sequence[tuple[int, Pixels]]:
        one = self._labels.people[indices[0]]
        try:
            image = self._read(one.file, one.size)
        except InputError as error:
            raise UsageError(f"{one.file}: {error}") from None
        return [(index, warp(image, self._affines[index], self.size)) for index in indices]

    def _read(self, file: AnyPath, size: tuple[int, int] | None) -> Pixels:
        """Read a photo in the pixels that its labels are in: COCO's are as stored, other tools turn first."""
        if self._labels.upright is not None:
            return _read(file, upright=self._labels.upright)
        stored = _read(file, upright=False)
        if size is None or stored.shape[:2] == size:
            return stored
        turned = _read(file, upright=True)
        if turned.shape[:2] == size:
            return turned
        high, wide = stored.shape[:2]
        raise InputError(
            f"it is {wide}x{high} and {self._labels.origin} says {size[1]}x{size[0]}, so its labels are for "
            "another size of it"
        )


def _read(file: AnyPath, *, upright: bool) -> Pixels:
    if isinstance(file, Path):
        return read_image(file, upright=upright).image
    try:
        return decode(file.read_bytes(), upright=upright).image
    except DAMAGED as error:
        raise InputError(f"it cannot be read from the zip file ({error})") from None


def _person(photos: LabelledPhotos, one: Labelled, affine: NDArray[np.float64]) -> Person:
    human = one.joints.astype(np.float32)
    scale = affine[[0, 1], [0, 1]]
    human[:, :2] = one.joints[:, :2] * scale + affine[:, 2]
    return Person(
        name=f"{photos.origin}/{one.name}",
        set=photos.set,
        photo=one.photo,
        human=human,
        teacher=None,
        area=one.area * float(scale.prod()),
        side=float(((one.box[2:] - one.box[:2]) * scale).max()),
        held=one.held,
    )


def settle_skeleton(stated: Skeleton | None, given: Skeleton | None, origin: str) -> Skeleton:
    """Decide between the joints that a file states and those that the user does.

    Raises:
        UsageError: the two have the same joints in another order, or not as many.
    """
    if stated is None or given is None:
        if stated is None and given is None:
            raise UsageError(
                f"{origin} does not name its joints; say which they are with {parameter('skeleton')}"
            )
        return stated or given  # type: ignore[return-value]
    if len(stated.joints) != len(given.joints):
        raise UsageError(
            f"{origin} has {len(stated.joints)} joints, {given.name} of {parameter('skeleton')} has "
            f"{len(given.joints)}"
        )
    if stated.joints != given.joints and sorted(stated.joints) == sorted(given.joints):
        raise UsageError(
            f"{origin} and {given.name} of {parameter('skeleton')} have the joints in another order"
        )
    return given
