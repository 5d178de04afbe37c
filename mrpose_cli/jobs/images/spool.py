"""What was done for each photo, on the disk at once; a run that was killed resumes from it."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mrpose_cli.atomic import writing
from mrpose_cli.errors import UsageError, parameter
from mrpose_cli.jobs.spool import Spool, read_spool
from mrpose_cli.media.inputs import Source


@dataclass(frozen=True, slots=True)
class Done:
    """The result for one photo.

    Attributes:
        name: The photo's name.
        state: Which file it was; see :func:`state_of`.
        overlay: Name of the overlay; None if there is none.
        overlay_bytes: Its size, 0 if there is none.
        width: In pixels.
        height: In pixels.
        people: Rows of :func:`mrpose_cli.formats.writer.person_row`.
        seconds: Detector and pose network time spent on it.
        notes: Notes for the user about the photo.
    """

    name: str
    state: Any
    overlay: str | None
    overlay_bytes: int
    width: int
    height: int
    people: Sequence[Mapping[str, Any]]
    seconds: float
    notes: Sequence[str]

    def to_row(self) -> dict[str, Any]:
        """Return a line of the spool."""
        return {field: getattr(self, field) for field in self.__slots__}

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make it from a line of the spool.

        Raises:
            TypeError: it is of another kind.
        """
        return cls(**row)


class PhotoSpool:
    """The spool of one run.

    Args:
        path: The file.
        conditions: What the outputs depend on.
        sources: The photos of the run.
        resume: Continue what is there, instead of starting over.
        overlays: A photo is not done unless its overlay is there.

    Attributes:
        finished: Names of photos that need not be done again.

    Raises:
        UsageError: what is there is of another run.
        OutputError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        conditions: Mapping[str, Any],
        sources: Sequence[Source],
        *,
        resume: bool,
        overlays: bool,
    ) -> None:
        self._path = path
        self._lines: dict[str, int] = {}  # where in the file the latest row of a photo begins
        self.finished: set[str] = set()
        if resume:
            self._read(conditions, {source.name: source for source in sources}, overlays=overlays)
        else:
            with writing(path):
                path.unlink(missing_ok=True)
        self._spool = Spool(path, conditions)

    def _read(self, conditions: Mapping[str, Any], sources: Mapping[str, Source], *, overlays: bool) -> None:
        for start, row in read_spool(self._path, conditions):
            try:
                done = Done.from_row(row)
            except TypeError:
                raise UsageError(
                    f"{self._path} is damaged; start over with {parameter('overwrite')}"
                ) from None
            if done.name not in sources:
                raise UsageError(
                    f"the run in {self._path.parent} cannot be resumed: it had a photo {done.name}, which is "
                    "not among the inputs; repeat the first command, or start over with "
                    f"{parameter('overwrite')}"
                )
            self.finished.discard(done.name)
            self._lines.pop(done.name, None)
            if done.state == state_of(sources[done.name]):
                self._lines[done.name] = start
                if not overlays or self._has_overlay(done):
                    self.finished.add(done.name)

    def _has_overlay(self, done: Done) -> bool:
        if done.overlay is None:
            return False
        try:
            return (self._path.parent / done.overlay).stat().st_size == done.overlay_bytes
        except OSError:
            return False

    @property
    def size(self) -> int:
        """Bytes so far, about those that the dataset will have."""
        return self._spool.size

    def add(self, done: Done) -> None:
        """Append what was done for a photo; from any thread.

        Raises:
            OutputError: it cannot be written.
            ValueError: a number in it is not finite.
        """
        self._lines[done.name] = self._spool.append(done.to_row())

    def read(self, sources: Collection[Source]) -> Iterator[Done]:
        """Yield the results in the order of the photos."""
        with self._path.open("rb") as file:
            for source in sources:
                if source.name in self._lines:
                    file.seek(self._lines[source.name])
                    yield Done.from_row(json.loads(file.readline()))

    def close(self) -> None:
        """Close the file for a run that resumes this one."""
        self._spool.close()

    def remove(self) -> None:
        """Remove the file: the run is finished."""
        self.close()
        with writing(self._path):
            self._path.unlink()


def state_of(source: Source) -> Any:
    """Return what tells that a photo is unchanged, as JSON: size and time of a file, or the link."""
    if isinstance(source.location, str):
        return source.location
    try:
        info = source.location.stat()
    except OSError:
        return None
    return [info.st_size, info.st_mtime_ns]
