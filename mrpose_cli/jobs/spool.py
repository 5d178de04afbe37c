"""Rows on their way to the disk, one JSON line each, so that a run that was killed can be resumed.

The first line states the conditions of the run. Lines are appended and handed to the operating system one by
one; what a killed run leaves behind is whole but for, at most, its last line, which is then done again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from mrpose_cli.atomic import writing
from mrpose_cli.errors import UsageError, parameter


class Spool:
    """Appends rows, from any thread; creates the file, or cuts off an incomplete last line first.

    Args:
        path: The file.
        conditions: Of the run.

    Attributes:
        size: Bytes so far.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, conditions: Mapping[str, Any]) -> None:
        self._path = path
        self._lock = threading.Lock()
        with writing(path):
            self.size = _whole_bytes(path)
            self._file = path.open("ab", buffering=0)
            self._file.truncate(self.size)
        if not self.size:
            self.append({"conditions": conditions})

    def append(self, row: Mapping[str, Any]) -> int:
        """Add a row, whole or not at all.

        Returns:
            Where in the file its line begins.

        Raises:
            OutputError: it cannot be written.
            ValueError: a number in it is not finite.
        """
        line = json.dumps(row, allow_nan=False).encode() + b"\n"
        rest = memoryview(line)
        with self._lock, writing(self._path):
            start = self.size
            try:
                while rest:
                    rest = rest[self._file.write(rest) :]
            except OSError:
                self._file.truncate(start)
                raise
            self.size += len(line)
        return start

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_spool(path: Path, conditions: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the rows that were appended, each with the offset of its line.

    Args:
        path: The file.
        conditions: The conditions of the run that resumes.

    Raises:
        UsageError: the file was made under other conditions, is damaged or cannot be read.
    """
    rows = _rows(path)
    for _, row in rows:
        _check(path, row.get("conditions"), conditions)
        break
    yield from rows


def _check(path: Path, theirs: Any, ours: Mapping[str, Any]) -> None:
    if not isinstance(theirs, dict):
        raise UsageError(f"{path} does not state its conditions; start over with {parameter('overwrite')}")
    for key in (*ours, *theirs):
        if theirs.get(key) != ours.get(key):
            raise UsageError(
                f"the run in {path.parent} cannot be resumed: its {key} was {short(theirs.get(key))} and is "
                f"now {short(ours.get(key))}; repeat the first command, or start over with "
                f"{parameter('overwrite')}"
            )


def short(value: Any) -> str:
    """Return a value as messages show it."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    start = 0
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    row = None
                if not isinstance(row, dict):
                    raise UsageError(
                        f"line {number} of {path} is damaged; start over with {parameter('overwrite')}"
                    )
                yield start, row
                start += len(line)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror})") from None


def _whole_bytes(path: Path) -> int:
    """Return how many bytes of a file end with a line break."""
    whole = 0
    if path.exists():
        with path.open("rb") as file:
            whole = sum(len(line) for line in file if line.endswith(b"\n"))
    return whole
