"""Finding training data: what the files and folders are that were named."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mrpose_cli.errors import UsageError
from mrpose_cli.skeletons import COCO17, Skeleton
from mrpose_cli.skeletons.document import Remark
from mrpose_cli.training.coco import read_coco
from mrpose_cli.training.photos import DAMAGED, AnyPath, LabelledPhotos
from mrpose_cli.training.shards import INDEX, Shard
from mrpose_cli.training.yolo import read_yolo

_YAML = (".yaml", ".yml")
_HELD = ("val", "test")  # beginnings of subsets that are held out where there are others

Opened = Shard | LabelledPhotos


@dataclass(frozen=True, slots=True)
class Reading:
    """How files are read.

    Attributes:
        skeleton: What the joints are; None for what the files say.
        images: The folder of the photos of COCO files; None for where each is.
        flags: A file of flags; people of COCO files with one are left out.
        remark: Called with what had to be assumed.
    """

    skeleton: Skeleton | None
    images: Path | None
    flags: Path | None
    remark: Remark


def open_sources(data: Sequence[Path], how: Reading) -> Iterator[tuple[Path, Opened]]:
    """Open the data of a run, each with the path it is at.

    Args:
        data: Crop shards, COCO files, YOLO's ``data.yaml``, CVAT's exports; or folders of them.
        how: How they are read.

    Raises:
        UsageError: something is none of that, or wrong.
    """
    for path in data:
        if path.is_dir():
            yield from _open_folder(path, how)
        else:
            yield from _open_file(path, how)


def _open_folder(folder: Path, how: Reading) -> Iterator[tuple[Path, Opened]]:
    yaml = [folder / f"data{suffix}" for suffix in _YAML if (folder / f"data{suffix}").is_file()]
    if not yaml:
        yaml = [path for path in sorted(folder.glob("*.y*ml")) if b"kpt_shape" in path.read_bytes()]
    if yaml:
        yield yaml[0], read_yolo(yaml[0], how.skeleton, how.remark)
        return
    if (folder / "annotations").is_dir():
        yield from ((folder, one) for one in read_export(folder, how))
        return
    shards = sorted(folder.glob("*.zip"))
    if not shards:
        raise UsageError(
            f"{folder} has no crop shards (.zip) in it, nor a YOLO-pose data.yaml, nor annotations/*.json"
        )
    for path in shards:
        yield from _open_file(path, how)


def _open_file(path: Path, how: Reading) -> Iterator[tuple[Path, Opened]]:
    if path.suffix == ".json":
        yield path, read_coco(path, how.images, how.skeleton, how.remark, flags=how.flags)
    elif path.suffix in _YAML:
        yield path, read_yolo(path, how.skeleton, how.remark)
    elif (root := _archived(path)) is not None:
        try:
            yield from ((path, one) for one in read_export(root, how))
        except DAMAGED as error:
            raise UsageError(f"{path} is damaged ({error})") from None
    else:
        yield path, Shard(path, how.skeleton or COCO17)


def _archived(path: Path) -> zipfile.Path | None:
    """Return the inside of a zip file that is an export, not a crop shard."""
    try:
        names = zipfile.ZipFile(path).namelist()
    except (OSError, zipfile.BadZipFile):
        return None  # the shard's reader says what is wrong
    exported = INDEX not in names and any(name.startswith("annotations/") for name in names)
    return zipfile.Path(path) if exported else None


def read_export(root: AnyPath, how: Reading) -> Iterator[LabelledPhotos]:
    """Read CVAT's export of COCO keypoints: ``annotations/person_keypoints_*.json`` and ``images/*``.

    Photos of a subset called val or test are held out where there is another.

    Args:
        root: The folder, or the inside of the zip file.
        how: How it is read; its photos are within unless a folder is named.

    Raises:
        UsageError: it is no such export.
    """
    files = sorted(
        (path for path in (root / "annotations").iterdir() if path.name.endswith(".json")),
        key=lambda path: path.name,
    )
    files = [path for path in files if "keypoints" in path.name] or files
    if not files:
        raise UsageError(f"{root} has no annotations/*.json; export it as COCO Keypoints")
    subsets = [path.name.removesuffix(".json").rpartition("_")[2] for path in files]
    held = [subset.lower().startswith(_HELD) for subset in subsets]
    for path, subset, out in zip(files, subsets, held, strict=True):
        yield read_coco(
            path,
            how.images or _photos(root, subset),
            how.skeleton,
            how.remark,
            flags=how.flags,
            held=out if len(set(held)) > 1 else None,
        )


def _photos(root: AnyPath, subset: str) -> AnyPath:
    tries: tuple[AnyPath, ...] = (root / "images" / subset, root / subset, root / "images")
    return next((folder for folder in tries if folder.is_dir()), root)
