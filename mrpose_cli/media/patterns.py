"""Glob patterns, searched so that links in circles and closed folders are no trouble."""

import errno
import os
import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

_WILD: Final = re.compile(r"[*?[]")
_ABSENT: Final = frozenset({errno.ENOENT, errno.ENOTDIR})


def is_pattern(text: str) -> bool:
    """Return whether a text has characters that make it a pattern."""
    return bool(_WILD.search(text))


def matches(pattern: str, base: Path, on_error: Callable[[OSError], object]) -> Iterator[Path]:
    """Find what a pattern stands for, as a shell does.

    `*`, `?` and `[...]` stand for parts of a name, `**` for any number of folders, none of them for a leading
    dot. Links to folders are followed, but no folder is searched twice for the same thing, whatever name it
    is reached by.

    Args:
        pattern: The pattern, absolute or relative to `base`.
        base: A folder.
        on_error: Called with the error of each folder that cannot be read.

    Yields:
        Paths relative to `base`, or absolute ones if the pattern is. For a pattern that ends in `**`, the
        folders.
    """
    searched: set[tuple[int, int, tuple[str, ...]]] = set()
    anchor = Path(pattern).anchor
    everything = Path(pattern).parts[bool(anchor) :]
    if pattern.endswith(("/", os.sep)):
        everything = (*everything, ".")  # which only folders have
    waiting = [(Path(anchor), everything)]
    while waiting:
        path, parts = waiting.pop()
        if not parts:
            yield path
            continue
        part, rest = parts[0], parts[1:]
        place = base / path
        if not is_pattern(part):
            if os.path.lexists(f"{place}{os.sep}{part}"):
                waiting.append((path / part, rest))
            continue
        try:
            info = place.stat()
            key = (info.st_dev, info.st_ino, parts)
            if key in searched:
                continue
            searched.add(key)
            found = _entries(place, part, folders=bool(rest) or part == "**")
        except OSError as error:
            if error.errno not in _ABSENT:
                on_error(error)
            continue
        # What comes first in the folder is taken from the end first.
        if part == "**":
            waiting += [(path / name, parts) for name in found]
            waiting.append((path, rest))
        else:
            waiting += [(path / name, rest) for name in found]


def _entries(folder: Path, part: str, *, folders: bool) -> list[str]:
    """Return the names in a folder that match one part of a pattern, in reverse order."""
    with os.scandir(folder) as entries:
        names = [
            entry.name
            for entry in entries
            if (part == "**" or fnmatch(entry.name, part))
            and (part.startswith(".") or not entry.name.startswith("."))
            and (not folders or is_folder(entry))
        ]
    return sorted(names, reverse=True)


def is_folder(entry: os.DirEntry[str], *, follow: bool = True) -> bool:
    """Return whether an entry of a folder is a folder, or with `follow` a link to one."""
    try:
        return entry.is_dir(follow_symlinks=follow)
    except OSError:  # a link that leads in circles
        return False
