"""From what the user typed to the list of photos or clips it means."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISDIR, S_ISREG
from typing import Final
from urllib.parse import unquote, urldefrag, urlsplit

from mrpose_cli.errors import Message, parameter
from mrpose_cli.media.names import Found, name_all
from mrpose_cli.media.patterns import is_folder, is_pattern, matches

PHOTO_SUFFIXES: Final = frozenset(
    {
        ".jpg",
        ".jpeg",
        ".jpe",
        ".jfif",
        ".png",
        ".apng",
        ".webp",
        ".bmp",
        ".dib",
        ".tif",
        ".tiff",
        ".gif",
        ".avif",
        ".heic",
        ".heif",
        ".jp2",
        ".j2k",
        ".jpx",
        ".ppm",
        ".pgm",
        ".pbm",
        ".pnm",
        ".pfm",
        ".tga",
        ".qoi",
        ".pcx",
        ".psd",
        ".sgi",
    }
)
"""The files that are taken from a folder. HEIC, which cannot be read, is not passed over in silence."""

VIDEO_SUFFIXES: Final = frozenset(
    {
        ".mp4",
        ".m4v",
        ".mov",
        ".avi",
        ".mkv",
        ".webm",
        ".wmv",
        ".flv",
        ".mpg",
        ".mpeg",
        ".mts",
        ".m2ts",
        ".3gp",
        ".3g2",
        ".ogv",
        ".ts",
        ".vob",
        ".asf",
        ".f4v",
        ".mxf",
    }
)
"""The files that are clips, not photos."""

_MOVING_PHOTOS: Final = frozenset({".gif", ".apng"})

_LINK: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)
_DIGITS: Final = re.compile(r"(\d+)")

_LARGEST_LIST: Final = 100_000_000
"""Bytes; a million paths."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of input to look for.

    Attributes:
        one: what it is called.
        suffixes: those that are taken from folders.
        foreign: those that are refused even when named.
        hint: the advice given then.
        schemes: the schemes of links that can be read.
    """

    one: str
    suffixes: frozenset[str]
    foreign: frozenset[str]
    hint: str
    schemes: tuple[str, ...]


PHOTOS: Final = Kind(
    "photo", PHOTO_SUFFIXES, VIDEO_SUFFIXES, 'a video; use "mrpose video"', ("http", "https")
)
CLIPS: Final = Kind(
    "clip",
    VIDEO_SUFFIXES,
    PHOTO_SUFFIXES - _MOVING_PHOTOS,
    'a photo; use "mrpose image"',
    ("http", "https", "rtsp", "rtsps", "rtmp", "rtmps", "udp", "tcp", "srt"),
)


@dataclass(frozen=True, slots=True)
class Source:
    """Where a photo or clip comes from.

    Attributes:
        location: a local path, a link, or an address that fsspec understands.
        name: the relative POSIX path that it has in outputs; unique within the run, also where case makes
            no difference, and valid as a file name on every system.
    """

    location: Path | str
    name: str


@dataclass(frozen=True, slots=True)
class InputProblem:
    """An input, or a part of one, that gave nothing.

    Attributes:
        name: the input as the user wrote it, or the path within it.
        message: one line on what is wrong with it.
    """

    name: str
    message: str


def expand(
    inputs: Sequence[str],
    *,
    recursive: bool = False,
    exclude: Path | None = None,
    kind: Kind = PHOTOS,
    on_excluded: Callable[[Path], None] = lambda path: None,
) -> tuple[list[Source], list[InputProblem]]:
    """Find the photos, or the clips, that inputs stand for.

    The following says "photos" for both. An input is a photo, a folder of photos, a glob pattern, a .txt list
    with one input per line, or a link. A path that exists is never read as a pattern. A pattern matches what
    it would in a shell, except that one like `*` skips files that are not photos. The photos of folders and
    patterns come in natural order (img2 before img10), without hidden ones. A photo that is reached twice is
    taken once. Only folders and lists are opened here; circular links, pipes and devices do not block it.

    Args:
        inputs: what the user typed.
        recursive: whether to descend into the folders within folders; links to folders are not followed.
        exclude: a folder, which need not exist, whose photos are never taken.
        kind: what to look for, `PHOTOS` or `CLIPS`.
        on_excluded: called with folders and photos that were found and skipped because of `exclude`.

    Returns:
        The photos, in the order of the inputs, and the inputs that gave none.
    """
    search = _Search(recursive, Path(os.path.realpath(exclude)) if exclude else None, kind, on_excluded)
    for entry in inputs:
        search.take(entry)
    names = name_all(search.found)
    sources = [Source(found.location, name) for found, name in zip(search.found, names, strict=True)]
    return sources, search.problems


class _Search:
    """Goes through inputs and collects what it finds.

    In its methods, `listed` says where an input is listed, and is empty for what the user typed.
    """

    def __init__(
        self, recursive: bool, exclude: Path | None, kind: Kind, on_excluded: Callable[[Path], None]
    ) -> None:
        self.found: list[Found] = []
        self.problems: list[InputProblem] = []
        self._recursive = recursive
        self._exclude = exclude
        self._kind = kind
        self._on_excluded = on_excluded
        self._seen: set[str] = set()

    def take(self, entry: str, base: Path = Path(), listed: str = "") -> None:
        """Take one input, whose path is relative to `base`."""
        if not entry:
            self._complain(entry, "an empty name", listed)
            return
        if _LINK.match(entry):
            self._take_link(entry, listed)
            return
        path = base / entry
        try:
            mode = path.stat().st_mode
        except (OSError, ValueError) as error:
            # Windows has an error of its own for a path with *, so any error may mean a pattern.
            if is_pattern(entry):
                self._take_pattern(entry, base, listed)
            elif isinstance(error, FileNotFoundError | NotADirectoryError):
                self._complain(entry, "no such file or folder", listed)
            else:
                self._complain(entry, f"cannot be opened ({_reason(error)})", listed)
            return
        if S_ISDIR(mode):
            self._take_folder(path, entry, listed)
        else:
            self._take_file(path, entry, listed)

    def _take_link(self, link: str, listed: str) -> None:
        try:
            parts = urlsplit(link)
            host = parts.hostname
        except ValueError as error:
            self._complain(link, f"not a valid link ({error})", listed)
            return
        if parts.scheme not in self._kind.schemes:
            *most, last = self._kind.schemes
            self._complain(link, f"only {', '.join(most)} and {last} links can be read", listed)
        elif not host:
            self._complain(link, "a link without a server name", listed)
        elif Path(parts.path).suffix.lower() in self._kind.foreign:
            self._complain(link, self._kind.hint, listed)
        else:
            location = urldefrag(link).url
            steps = (unquote(step) for step in parts.path.split("/") if step)
            self._add(Found(location, (host, *steps)), location)

    def _take_pattern(self, pattern: str, base: Path, listed: str) -> None:
        suffix = Path(pattern).suffix
        any_kind = bool(suffix) and not is_pattern(suffix)  # *.dat asks for what it says, * for photos.
        matched = False
        problems = len(self.problems)

        def report(error: OSError) -> None:
            self._complain(str(error.filename), f"the folder cannot be opened ({_reason(error)})", listed)

        for match in sorted(matches(pattern, base, report), key=_natural):
            path = base / match
            if self._is_excluded(path):
                self._on_excluded(path)
                continue
            if S_ISDIR(_mode(path)):
                photos = self._photos_within(path, str(match), listed)
                self._add_within(path, photos)
                matched = matched or bool(photos)
            elif any_kind or path.suffix.lower() in self._kind.suffixes:
                self._take_file(path, str(match), listed)
                matched = True
        if not matched and len(self.problems) == problems:
            self._complain(pattern, f"no {self._kind.one} matches this pattern", listed)

    def _take_folder(self, folder: Path, entry: str, listed: str) -> None:
        if self._is_excluded(folder):
            self._complain(entry, "it lies in the output folder; choose another output folder", listed)
            return
        problems = len(self.problems)
        photos = self._photos_within(folder, entry, listed)
        self._add_within(folder, photos)
        if not photos and len(self.problems) == problems:
            hint = "" if self._recursive else f"; {parameter('recursive')} looks in the folders within it"
            self._complain(entry, f"no {self._kind.one}s in this folder{hint}", listed)

    def _photos_within(self, folder: Path, entry: str, listed: str) -> list[Path]:
        """Return the photos of a folder, relative to it, in natural order."""
        photos: list[Path] = []
        waiting = [str(folder)]
        while waiting:
            place = waiting.pop()
            try:
                with os.scandir(place) as scan:
                    found = [item for item in scan if not item.name.startswith(".")]
            except OSError as error:
                name = str(entry / Path(place).relative_to(folder))
                self._complain(name, f"the folder cannot be opened ({_reason(error)})", listed)
                continue
            for item in found:
                if is_folder(item, follow=False):
                    if not self._recursive:
                        continue
                    if self._is_excluded(Path(item.path)):
                        self._on_excluded(Path(item.path))
                    else:
                        waiting.append(item.path)
                elif Path(item.name).suffix.lower() in self._kind.suffixes and not is_folder(item):
                    photos.append(Path(item.path).relative_to(folder))
        return sorted(photos, key=_natural)

    def _take_file(self, path: Path, entry: str, listed: str) -> None:
        suffix = path.suffix.lower()
        mode = _mode(path)
        # Opening a pipe or a device might never end.
        if mode and not S_ISREG(mode):
            self._complain(entry, "not a regular file", listed)
        elif suffix == ".txt" and listed:
            self._complain(entry, "a list within a list is not read", listed)
        elif suffix == ".txt":
            self._take_list(path, entry)
        elif suffix in self._kind.foreign:
            self._complain(entry, self._kind.hint, listed)
        elif self._is_excluded(path):
            self._complain(entry, "it lies in the output folder; choose another output folder", listed)
        else:
            self._add_within(path.parent, [Path(path.name)])

    def _take_list(self, path: Path, entry: str) -> None:
        try:
            if path.stat().st_size > _LARGEST_LIST:
                self._complain(entry, f"not a list: larger than {_LARGEST_LIST // 10**6} MB", "")
                return
            text = path.read_text(encoding="utf-8-sig")
        except UnicodeDecodeError:
            self._complain(entry, "not a list: it is not UTF-8 text", "")
            return
        except OSError as error:
            self._complain(entry, f"the list cannot be opened ({_reason(error)})", "")
            return
        lines = [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1)]
        listed = [(number, line) for number, line in lines if line and not line.startswith("#")]
        if not listed:
            self._complain(entry, "the list is empty", "")
        for number, line in listed:
            self.take(line, path.parent, f"{entry}, line {number}")

    def _add_within(self, folder: Path, photos: Sequence[Path]) -> None:
        """Add photos given relative to the folder they were reached by."""
        # The links to a folder lead to the same photos; a link to a photo is another photo with its own name.
        real = Path(os.path.realpath(folder))
        for photo in photos:
            parts = (*real.parts, *photo.parts)
            self._add(Found(folder / photo, parts, len(real.parts)), os.path.normcase(real / photo))

    def _add(self, found: Found, key: str) -> None:
        if key not in self._seen:
            self._seen.add(key)
            self.found.append(found)

    def _is_excluded(self, path: Path) -> bool:
        return self._exclude is not None and Path(os.path.realpath(path)).is_relative_to(self._exclude)

    def _complain(self, name: str, message: str, listed: str) -> None:
        self.problems.append(InputProblem(name, Message(f"{message} ({listed})" if listed else message)))


def _mode(path: Path) -> int:
    """Return a file's type and permissions; 0 if there is none, or no right to know."""
    try:
        return path.stat().st_mode
    except OSError:
        return 0


def _natural(path: Path) -> list[tuple[list[str | int], str]]:
    """Make a sort key that compares numbers in names by value."""
    return [
        ([int(part) if part.isdecimal() else part.casefold() for part in _DIGITS.split(name)], name)
        for name in path.parts
    ]


def _reason(error: Exception) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error)
