"""From what the user typed to the photos, clips and tars of a batch, as a stream."""

from __future__ import annotations

import io
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from mrpose_cli.errors import InputError
from mrpose_cli.media.addresses import WEB, connect, is_address, open_address, reason
from mrpose_cli.media.inputs import PHOTO_SUFFIXES, VIDEO_SUFFIXES, InputProblem, Kind, expand
from mrpose_cli.media.patterns import is_pattern

ItemKind = Literal["photo", "clip", "tar"]

_TAR: Final = ".tar"
_ANYTHING: Final = Kind(
    "photo, clip or tar", PHOTO_SUFFIXES | VIDEO_SUFFIXES | {_TAR}, frozenset(), "", ("http", "https")
)
# What the column of addresses may be called in a Parquet list, the first that is there.
_COLUMNS: Final = ("source", "address", "url", "path", "location", "file", "file_name")
_ROWS: Final = 65536  # of a Parquet list at a time


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to read.

    Attributes:
        kind: What it is.
        location: An absolute path or an address.
        name: What outputs call it.
        start: Seconds from a clip's beginning.
        end: Likewise; None for the rest.
    """

    kind: ItemKind
    location: str
    name: str
    start: float = 0.0
    end: float | None = None


class Inputs:
    """Everything that is to be read, in the order in which it was typed.

    Args:
        entries: What the user typed.
        recursive: Whether to descend into the folders within folders.
        out: Where nothing is taken from.

    Attributes:
        problems: Inputs that gave nothing, so far.
    """

    def __init__(self, entries: Sequence[str], *, recursive: bool, out: str) -> None:
        self._entries, self._recursive = entries, recursive
        self._out = None if is_address(out) else Path(out)
        self.problems: list[InputProblem] = []

    def __iter__(self) -> Iterator[Item]:
        plain: list[str] = []  # what `mrpose image` understands, too, is named together
        for entry in self._entries:
            special = self._special(entry)
            if special is None:
                plain.append(entry)
                continue
            yield from self._plain(plain)
            plain = []
            found = False
            try:
                for item in special:
                    found = True
                    yield item
            except InputError as error:
                self.problems.append(InputProblem(entry, str(error)))
            else:
                if not found:
                    self.problems.append(InputProblem(entry, "there is no photo, clip or tar in it"))
        yield from self._plain(plain)

    def _plain(self, entries: list[str]) -> Iterator[Item]:
        sources, problems = expand(entries, recursive=self._recursive, exclude=self._out, kind=_ANYTHING)
        self.problems += problems
        for source in sources:
            location = source.location
            text = location if isinstance(location, str) else str(location.absolute())
            yield Item(_kind_of(text), text, source.name)

    def _special(self, entry: str) -> Iterable[Item] | None:
        suffix = PurePosixPath(entry).suffix.lower()
        there = is_address(entry) or Path(entry).is_file()
        if there and suffix == ".txt" and not entry.startswith(WEB):
            return _listed(_lines(entry), entry)
        if there and suffix == ".parquet" and not entry.startswith(WEB):
            return _listed(_column(entry), entry)
        if is_address(entry) and not entry.startswith(WEB):
            return self._stored(entry)
        return None

    def _stored(self, address: str) -> Iterator[Item]:
        """Yield what is at an address: one file, or the files of a folder or pattern."""
        fs, path = connect(address)
        try:
            if is_pattern(path):
                found = [one for one in fs.glob(path) if _is_wanted(one)]
                base = str(PurePosixPath(*_fixed(PurePosixPath(path).parts)))
            elif fs.isdir(path):
                found = [
                    one for one in fs.find(path, maxdepth=None if self._recursive else 1) if _is_wanted(one)
                ]
                base = path
            else:
                found, base = [path], str(PurePosixPath(path).parent)
        except Exception as error:  # each store's library has its own
            raise InputError(f"it cannot be reached ({reason(error)})") from error
        for one in sorted(found):
            name = PurePosixPath(one)
            relative = name.relative_to(base) if name.is_relative_to(base) else name
            yield Item(_kind_of(one), fs.unstrip_protocol(one), str(relative))


def _kind_of(location: str) -> ItemKind:
    name = location.rpartition("/")[2]  # as text, not as a path: there may be millions
    if is_address(location):
        name = name.partition("?")[0]
    suffix = f".{name.rpartition('.')[2].lower()}"
    return "clip" if suffix in VIDEO_SUFFIXES else "tar" if suffix == _TAR else "photo"


def _is_wanted(path: str) -> bool:
    name = PurePosixPath(path)
    return name.suffix.lower() in _ANYTHING.suffixes and not name.name.startswith(".")


def _fixed(parts: tuple[str, ...]) -> Iterator[str]:
    """Yield the parts of a pattern before the first wildcard."""
    for part in parts:
        if is_pattern(part):
            return
        yield part


def _listed(entries: Iterable[str], address: str) -> Iterator[Item]:
    """Yield the entries of a list: addresses, and paths relative to the list's folder; none is opened."""
    base = "" if is_address(address) else str(Path(address).absolute().parent)
    for entry in entries:
        location = entry
        if not is_address(entry) and not os.path.isabs(entry):  # noqa: PTH117  # there may be millions
            if not base:
                raise InputError(f"{entry} is a path; a list behind an address holds addresses")
            location = f"{base}{os.sep}{entry}"
        yield Item(_kind_of(location), location, entry)


def _lines(address: str) -> Iterator[str]:
    try:
        with open_address(address) as raw, io.TextIOWrapper(raw, encoding="utf-8-sig") as file:
            for line in file:
                entry = line.strip()
                if entry and not entry.startswith("#"):
                    yield entry
    except UnicodeDecodeError:
        raise InputError("not a list: it is not UTF-8 text") from None
    except OSError as error:
        raise InputError(f"the list cannot be read ({reason(error)})") from None


def _column(address: str) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with open_address(address) as raw:
            file = pq.ParquetFile(raw)
            columns = [
                field.name
                for field in file.schema_arrow
                if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
            ]
            named = [name for name in _COLUMNS if name in columns]
            if not named and len(columns) != 1:
                raise InputError(f"it has no column of text called {', '.join(_COLUMNS)}")
            [name] = named[:1] or columns
            for batch in file.iter_batches(_ROWS, columns=[name]):
                yield from (entry for entry in batch.column(0).to_pylist() if entry)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"the list cannot be read ({reason(error)})") from None
