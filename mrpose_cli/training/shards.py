"""Crop shards: zip files of person crops with a ``labels.jsonl``."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from pydantic import BaseModel, Field, ValidationError

from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.skeletons import Skeleton
from mrpose_cli.training.labels import AREA_SHARE, MARGIN, PADDING, Job, Person, Pixels

INDEX = "labels.jsonl"
_Triples = list[tuple[float, float, float]]


class _Row(BaseModel):
    """One line of the index; more fields than these may be there."""

    file: str
    set: str = "shards"
    source_id: str | int
    human: _Triples | None = None
    teacher: _Triples | None = None
    area: float | None = Field(default=None, gt=0)


class Shard:
    """One zip file; a :class:`~mrpose_cli.training.labels.Source`.

    Args:
        path: The file. Its crops are of one size, with the person's box widened by ``PADDING * MARGIN`` and
            fitted to the crop's aspect ratio.
        skeleton: Of its joints; the file does not name them.

    Raises:
        UsageError: it is no such file.
    """

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        self._path, self.skeleton = path, skeleton
        try:
            self._zip = zipfile.ZipFile(path)
            lines = self._zip.read(INDEX).decode().splitlines()
        except FileNotFoundError:
            raise UsageError(f"there is no crop shard at {path}") from None
        except (OSError, zipfile.BadZipFile) as error:
            raise UsageError(f"{path} is not a readable zip file ({error})") from None
        except (KeyError, UnicodeDecodeError):
            raise UsageError(f"{path} has no {INDEX}; it is not a crop shard") from None
        try:
            self._rows = [_Row.model_validate_json(line) for line in lines if line.strip()]
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join(map(str, problem["loc"]))
            raise UsageError(
                f"{path}: {INDEX} has a line that will not do: {where}: {problem['msg']}"
            ) from None
        if not self._rows:
            raise UsageError(f"{path} has no crops")
        joints = len(skeleton.joints)
        for row in self._rows:
            for said in (row.human, row.teacher):
                if said is not None and len(said) != joints:
                    raise UsageError(
                        f"{path}: {row.file} has {len(said)} joints, {skeleton.name} has {joints}; say what "
                        f"they are with {parameter('skeleton')}"
                    )
        # Decoding threads share one handle, which zipfile locks.
        height, width = self._decode(0).shape[:2]
        self.size = (height, width)
        padding = PADDING * MARGIN
        box, side = height * width / padding**2, max(height, width) / padding
        self.people: Sequence[Person] = [
            Person(
                name=f"{path.name}/{row.file}",
                set=row.set,
                photo=str(row.source_id),
                human=_array(row.human),
                teacher=_array(row.teacher),
                area=row.area or AREA_SHARE * box,
                side=side,
            )
            for row in self._rows
        ]

    def jobs(self, wanted: Collection[int]) -> Iterator[Job]:
        """Yield one job per crop."""
        for index in sorted(wanted):
            yield partial(self._crop, index)

    def _crop(self, index: int) -> Sequence[tuple[int, Pixels]]:
        pixels = self._decode(index)
        if pixels.shape[:2] != self.size:
            raise UsageError(f"{self._path}: {self._rows[index].file} is not of the size of the other crops")
        return [(index, pixels)]

    def _decode(self, index: int) -> Pixels:
        name = self._rows[index].file
        try:
            with Image.open(io.BytesIO(self._zip.read(name))) as picture:
                return np.asarray(picture.convert("RGB"))
        except (KeyError, OSError, UnidentifiedImageError, zipfile.BadZipFile) as error:
            raise UsageError(f"{self._path}: the crop {name} cannot be read ({error})") from None


def _array(triples: _Triples | None) -> NDArray[np.float32] | None:
    return None if triples is None else np.array(triples, np.float32)
