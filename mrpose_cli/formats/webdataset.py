"""Poses as a WebDataset: tars with a JSON, and on request the photo, for each picture."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from mrpose_cli.atomic import replacing

_EACH: Final = 10_000  # pictures in a tar


class WebDatasetWriter:
    """Tars that appear whole, one after the other.

    Args:
        path: The tar; with a ``%`` format such as ``poses-%05d.tar``, a tar for some thousand pictures each.

    Attributes:
        written: The tars so far.

    Raises:
        OutputError: by all of it, if a tar cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.written: list[Path] = []
        self._path, self._several = path, "%" in path.name
        self._count = 0
        self._open = ExitStack()
        self._tar: tarfile.TarFile | None = None

    def add(
        self,
        image: Mapping[str, Any],
        people: Sequence[Mapping[str, Any]],
        photo: tuple[str, bytes] | None = None,
    ) -> None:
        """Add a picture.

        Args:
            image: As an entry of a dataset's ``images``.
            people: As of :func:`mrpose_cli.formats.writer.person_rows`.
            photo: Suffix and bytes of the file that it was.
        """
        if self._tar is None or (self._several and self._count % _EACH == 0):
            self._next()
        key = f"{self._count:09}"
        self._count += 1
        self._member(f"{key}.json", json.dumps({**image, "annotations": people}, allow_nan=False).encode())
        if photo is not None:
            self._member(f"{key}{photo[0]}", photo[1])

    def close(self) -> None:
        """Finish the last tar."""
        if self._tar is None:
            self._next()
        self._open.close()

    def discard(self) -> None:
        """Leave nothing of the last tar."""

        class Discarded(Exception):
            pass

        try:
            with self._open.pop_all():
                raise Discarded
        except Discarded:
            pass

    def _next(self) -> None:
        self._open.close()
        path = self._path.with_name(self._path.name % len(self.written)) if self._several else self._path
        file = self._open.enter_context(replacing(path))
        self._tar = self._open.enter_context(tarfile.TarFile.open(fileobj=file, mode="w|"))
        self.written.append(path)

    def _member(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        assert self._tar is not None
        self._tar.addfile(info, io.BytesIO(data))
