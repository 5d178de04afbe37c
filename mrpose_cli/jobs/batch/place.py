"""Where the plan, the parts and the notes of a batch lie: a folder, or an address that fsspec understands."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from mrpose_cli.atomic import write_atomically, writing
from mrpose_cli.claim import LEFTOVER
from mrpose_cli.errors import OutputError, UsageError
from mrpose_cli.media.addresses import connect, is_address, reason

T = TypeVar("T")
R = TypeVar("R")

_READERS = 16
_WITH_FOLDERS = {"file", "local", "sftp", "ssh", "smb", "ftp", "hdfs", "arrow_hdfs", "webhdfs"}
_DEAD = 3600  # seconds after which a temporary file is one of a killed run


class Place(Protocol):
    """A folder of files that are whole or absent. Names are relative, with ``/`` between their parts.

    Attributes:
        address: What the user calls it.
    """

    address: str

    def names(self, folder: str) -> set[str]:
        """List the names of the files in a folder; none if there is no such folder.

        Raises:
            OutputError: it cannot be read.
        """
        ...

    def open(self, name: str) -> BinaryIO:
        """Open a file for random access.

        Raises:
            FileNotFoundError: there is none.
            OutputError: it cannot be read.
        """
        ...

    def put(self, name: str, data: bytes) -> None:
        """Write a file, in place of one that is there.

        Raises:
            OutputError: it cannot be written.
        """
        ...

    def create(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one; False if there was. Of several who try, one succeeds.

        Raises:
            OutputError: it cannot be written.
        """
        ...

    def remove(self, name: str) -> None:
        """Remove a file; it may be gone already."""
        ...

    def sweep(self, folder: str) -> None:
        """Remove what killed runs left half-written in a folder."""
        ...


def open_place(address: str) -> Place:
    """Open the place of an address; nothing is read or written yet.

    Raises:
        UsageError: nothing can be written there.
    """
    if address.startswith("file://"):
        address = address.removeprefix("file://")
    return _Remote(address) if is_address(address) else _Local(address)


def read(place: Place, name: str) -> bytes | None:
    """Read a whole file; None if there is none."""
    try:
        with place.open(name) as file:
            return file.read()
    except FileNotFoundError:
        return None


def in_threads(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yield a function's results for some items, in order, computed in several threads."""
    with ThreadPoolExecutor(_READERS) as pool:
        yield from pool.map(function, items)


class _Local:
    def __init__(self, address: str) -> None:
        self.address = address
        self._folder = Path(address)
        if self._folder.exists() and not self._folder.is_dir():
            raise UsageError(f"{address} is not a folder")

    def names(self, folder: str) -> set[str]:
        try:
            return set(os.listdir(self._folder / folder))  # noqa: PTH208  # names alone, of thousands
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise OutputError(f"{self._folder / folder} cannot be read ({error.strerror or error})") from None

    def open(self, name: str) -> BinaryIO:
        try:
            return (self._folder / name).open("rb")
        except FileNotFoundError:
            raise
        except OSError as error:
            raise OutputError(f"{self._folder / name} cannot be read ({error.strerror or error})") from None

    def put(self, name: str, data: bytes) -> None:
        write_atomically(self._folder / name, data)

    def create(self, name: str, data: bytes) -> bool:
        path = self._folder / name
        part = path.with_name(f".mrpose-{secrets.token_hex(8)}.part")
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                part.write_bytes(data)
                _link(part, path)
            except FileExistsError:
                return False
            finally:
                part.unlink(missing_ok=True)
        return True

    def remove(self, name: str) -> None:
        with writing(self._folder / name):
            (self._folder / name).unlink(missing_ok=True)

    def sweep(self, folder: str) -> None:
        found = [path for path in (self._folder / folder).glob(".mrpose-*") if LEFTOVER.fullmatch(path.name)]
        if not found:
            return
        # By the clock of the file system, which may not be this machine's.
        probe = self._folder / folder / f".mrpose-{secrets.token_hex(8)}.part"
        with contextlib.suppress(OSError):
            probe.touch()
            now = probe.stat().st_mtime
            for path in (probe, *found):
                if path == probe or path.stat().st_mtime < now - _DEAD:
                    path.unlink(missing_ok=True)


def _link(part: Path, path: Path) -> None:
    """Give a file its name; unlike renaming, it replaces nothing."""
    try:
        os.link(part, path)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        with path.open("xb") as file:
            file.write(part.read_bytes())


class _Remote:
    """Objects appear whole: stores take them in one request, or put them together when all is there."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._fs, self._root = connect(self.address)
        self._made: set[str] = set()

    def names(self, folder: str) -> set[str]:
        self._fs.invalidate_cache()
        with self._told(folder):
            try:
                found = self._fs.ls(f"{self._root}/{folder}", detail=False)
            except FileNotFoundError:
                return set()
        return {path.rstrip("/").rpartition("/")[2] for path in found}

    def open(self, name: str) -> BinaryIO:
        with self._told(name):
            file: BinaryIO = self._fs.open(f"{self._root}/{name}", "rb")
        return file

    def put(self, name: str, data: bytes) -> None:
        with self._told(name, writing=True):
            self._make_folder(name)
            self._fs.pipe_file(f"{self._root}/{name}", data)

    def create(self, name: str, data: bytes) -> bool:
        with self._told(name, writing=True):
            self._make_folder(name)
            try:
                self._fs.pipe_file(f"{self._root}/{name}", data, mode="create")
            except FileExistsError:
                return False
            except Exception:
                # S3's refusal of a second object has no class of its own in fsspec.
                self._fs.invalidate_cache()
                if self._fs.exists(f"{self._root}/{name}"):
                    return False
                raise
        return True

    def remove(self, name: str) -> None:
        with self._told(name), contextlib.suppress(FileNotFoundError):
            self._fs.rm_file(f"{self._root}/{name}")

    def sweep(self, folder: str) -> None:
        pass  # there are no half objects

    def _make_folder(self, name: str) -> None:
        folder = f"{self._root}/{name}".rpartition("/")[0]
        protocols = self._fs.protocol
        known = {protocols} if isinstance(protocols, str) else set(protocols)
        if folder not in self._made and known & _WITH_FOLDERS:  # stores would make a bucket
            self._fs.makedirs(folder, exist_ok=True)
            self._made.add(folder)

    @contextlib.contextmanager
    def _told(self, name: str, *, writing: bool = False) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each store's library has its own
            if isinstance(error, FileNotFoundError) and not writing:
                raise
            raise OutputError(f"{self.address}/{name} cannot be reached ({reason(error)})") from error
