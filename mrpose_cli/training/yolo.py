"""Labelled photos in a YOLO-pose data set: ``data.yaml``, photos, and a text file of labels for each.

The format is that of https://docs.ultralytics.com/datasets/pose.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from mrpose_cli.errors import Message, UsageError, parameter
from mrpose_cli.media.inputs import PHOTO_SUFFIXES
from mrpose_cli.skeletons import COCO17, Skeleton, from_document
from mrpose_cli.skeletons.document import Remark, silent
from mrpose_cli.training.photos import Labelled, LabelledPhotos, settle_skeleton

_SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that exchange width and height
_BEYOND = 1.01  # of the photo, which rounding makes of 1
_MOST_JOINTS = 1000
_SPLITS = ("train", "val")


def read_yolo(path: Path, given: Skeleton | None = None, remark: Remark = silent) -> LabelledPhotos:
    """Read a YOLO-pose data set; photos of ``val`` are held out, those of ``test`` left out.

    Args:
        path: ``data.yaml``.
        given: What its joints are; None for what the file says.
        remark: Called with what had to be assumed.

    Raises:
        UsageError: it is no such file, or one of its label files is wrong.
    """
    document = _read_yaml(path)
    joints, numbers = _shape(path, document)
    skeleton = _skeleton(path, document, joints, given, remark)
    photos = {split: list(_photos(path, document, split)) for split in _SPLITS}
    train, val = (set(photos[split]) for split in _SPLITS)
    if not train | val:
        raise UsageError(f"{path} leads to no photos: see its train and val")
    held = val - train  # some sets name the same photos twice
    people = [
        person
        for photo in dict.fromkeys(photos["train"] + photos["val"])
        for person in _people(path, photo, joints, numbers, (photo in held) if held and train - val else None)
    ]
    # Its tools turn photos by their EXIF tag.
    return LabelledPhotos(path.name, "yolo", skeleton, people, upright=True)


def _read_yaml(path: Path) -> Mapping[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise UsageError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict) or "kpt_shape" not in document:
        raise UsageError(f"{path} is not the data.yaml of a YOLO-pose data set: it has no kpt_shape")
    return document


def _shape(path: Path, document: Mapping[str, Any]) -> tuple[int, int]:
    """Return the numbers of joints and of values for each."""
    shape = document["kpt_shape"]
    whole = isinstance(shape, list) and len(shape) == 2 and all(type(value) is int for value in shape)
    if not whole or not 0 < shape[0] <= _MOST_JOINTS or shape[1] not in (2, 3):
        raise UsageError(f"{path}: kpt_shape should be [joints, 2 or 3], it is {shape!r}")
    return shape[0], shape[1]


def _skeleton(
    path: Path, document: Mapping[str, Any], joints: int, given: Skeleton | None, remark: Remark
) -> Skeleton:
    flips = document.get("flip_idx")
    if flips is not None and (
        not isinstance(flips, list)
        or len(flips) != joints
        or any(type(other) is not int or not 0 <= other < joints for other in flips)
        or any(flips[other] != place for place, other in enumerate(flips))
    ):
        raise UsageError(
            f"{path}: flip_idx should name for each of the {joints} joints the one that takes its place in a "
            "mirror, counted from 0"
        )
    names = _names(path, document, joints)
    stated = None
    if names is None and given is None:
        if flips is not None and tuple(flips) == COCO17.mirror_order:
            remark(f"{path.name} does not name its joints; they are taken for COCO's")
            return COCO17
        names = [f"joint_{place}" for place in range(1, joints + 1)]
        called = f"{path.name} does not name its joints; they are called joint_1 to joint_{joints}"
        remark(Message(f"{called} (name them with {parameter('skeleton')})"))
    if names is not None:
        pairs = [[names[a], names[b]] for a, b in enumerate(flips or ()) if a < b]
        category = _category(document)
        stated = from_document(
            {"name": category, "category": category, "joints": names, "pairs": pairs},
            path.name,
            silent if given else remark,
        )
    if given is not None and len(given.joints) != joints:
        theirs = f"{given.name} of {parameter('skeleton')} has {len(given.joints)}"
        raise UsageError(f"{path} has {joints} joints, {theirs}")
    return settle_skeleton(stated, given, path.name)


def _names(path: Path, document: Mapping[str, Any], joints: int) -> list[Any] | None:
    """Return the names of the joints: a list, or one for each class."""
    names = document.get("kpt_names")
    if isinstance(names, dict):
        lists = list(names.values())
        if any(other != lists[0] for other in lists):
            raise UsageError(f"{path}: kpt_names differ from class to class; a data set has one skeleton")
        names = lists[0] if lists else None
    if names is None:
        return None
    if not isinstance(names, list) or len(names) != joints:
        raise UsageError(f"{path}: kpt_names should be {joints} names, as kpt_shape says")
    return names


def _category(document: Mapping[str, Any]) -> str:
    names = document.get("names")
    values = list(names.values()) if isinstance(names, dict) else names
    return (
        str(values[0]) if isinstance(values, list) and len(values) == 1 else "animal" if values else "person"
    )


def _photos(path: Path, document: Mapping[str, Any], split: str) -> Iterator[Path]:
    """Yield the photos of a split: of folders, or of text files with one a line."""
    stated = document.get(split)
    for entry in stated if isinstance(stated, list) else [stated] if stated else []:
        if not isinstance(entry, str):
            raise UsageError(f"{path}: {split} should be a folder, a text file, or a list of them")
        place = _find(path, document, entry)
        if place is None:
            raise UsageError(f"{path}: {split} leads to {entry}, which is not there")
        if place.is_dir():
            yield from sorted(file for file in place.rglob("*") if file.suffix.lower() in PHOTO_SUFFIXES)
        else:
            try:
                lines = place.read_text(encoding="utf-8").split("\n")
            except (OSError, UnicodeDecodeError):
                raise UsageError(f"{path}: {split} leads to {place}, which is no list of photos") from None
            yield from (place.parent / line.strip() for line in lines if line.strip())


def _find(path: Path, document: Mapping[str, Any], entry: str) -> Path | None:
    """Find what a split names; files that were exported or moved often count from another folder."""
    root = document.get("path")
    roots = [path.parent / root, path.parent] if isinstance(root, str) else [path.parent]
    tries = [folder / entry for folder in roots]
    tries += [path.parent / entry[3:]] if entry.startswith("../") else []
    return next((place for place in tries if place.exists()), None)


def _people(path: Path, photo: Path, joints: int, numbers: int, held: bool | None) -> Iterator[Labelled]:
    labels = _labels_of(photo)
    try:
        lines = labels.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return  # nobody is in it
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{labels} cannot be read ({error})") from None
    rows = [(number, _numbers(labels, number, line)) for number, line in enumerate(lines, 1) if line.strip()]
    if not rows:
        return
    height, width = _size(photo)
    for number, row in rows:
        wanted = 5 + joints * numbers
        if len(row) != wanted:
            shape = f"[{joints}, {numbers}]"
            raise UsageError(
                f"{labels}, line {number}: {len(row)} numbers where kpt_shape {shape} wants {wanted}"
            )
        if not (np.abs(row[1:5]) <= _BEYOND).all():
            raise UsageError(f"{labels}, line {number}: the box is not in shares of the photo's sides")
        person = _person(row, numbers, width, height)
        if person is not None:
            box, places = person
            yield Labelled(
                name=f"{photo.name}:{number}",
                file=photo,
                size=(height, width),
                photo=f"{path.name}:{photo.parent.name}/{photo.name}",
                box=box,
                joints=places,
                area=float((box[2:] - box[:2]).prod()),
                held=held,
            )


def _person(
    row: NDArray[np.float64], numbers: int, width: int, height: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Return the box and the joints of a line, in pixels; None without any."""
    sides = np.array([width, height])
    center, extent = row[1:3] * sides, row[3:5] * sides
    box = np.clip([*(center - extent / 2), *(center + extent / 2)], 0, [width, height] * 2)
    joints = np.zeros((len(row[5:]) // numbers, 3))
    values = row[5:].reshape(-1, numbers)
    joints[:, :2] = values[:, :2] * sides
    outside = (values[:, :2] <= 0).all(1)  # how the format says that a joint is not labelled
    joints[:, 2] = np.where(outside, 0, values[:, 2] if numbers == 3 else 2)
    if not (joints[:, 2] > 0).any() or (box[2:] <= box[:2]).any():
        return None
    return np.asarray(box, np.float64), joints


def _labels_of(photo: Path) -> Path:
    """Return the file of a photo's labels: in ``labels`` if the photo is in ``images``, else beside it."""
    parts = list(photo.parts)
    for place in range(len(parts) - 2, -1, -1):
        if parts[place] == "images":
            parts[place] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _numbers(labels: Path, number: int, line: str) -> NDArray[np.float64]:
    try:
        values = [float(word) for word in line.split()]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        raise UsageError(f"{labels}, line {number}: there should be nothing but numbers")
    return np.array(values)


def _size(photo: Path) -> tuple[int, int]:
    """Return height and width of a photo as a viewer shows it."""
    try:
        with Image.open(photo) as picture:
            width, height = picture.size
            turned = picture.getexif().get(ExifTags.Base.Orientation) in _SIDEWAYS
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
        raise UsageError(f"{photo} cannot be read ({error})") from None
    return (width, height) if turned else (height, width)
