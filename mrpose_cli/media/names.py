"""Naming photos so that their outputs never collide."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path, PurePosixPath
from typing import Final

_FORBIDDEN: Final = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff<>:"/\\|?*]')
_DEVICE: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)

_LONGEST: Final = 200
"""Bytes of one part of a name; file systems allow 255, and outputs add suffixes."""


@dataclass(frozen=True, slots=True)
class Found:
    """A photo that needs a name.

    Attributes:
        location: a local path, or a link.
        parts: the parts of the absolute path, or the server and the decoded parts of the link's path.
        depth: for a path, how many of its parts make the folder that it was reached by.
    """

    location: Path | str
    parts: tuple[str, ...]
    depth: int = 0


def name_all(found: Sequence[Found]) -> list[str]:
    """Name photos for outputs.

    A local photo is named by its path from the deepest folder that holds all folders they were reached by, a
    link by the last part of its path or, where another photo has that name, by server and whole path. What
    a file name cannot hold on some system is replaced by "_"; what still collides gets a number.

    Args:
        found: the photos.

    Returns:
        A relative POSIX path for each, no two alike even where case makes no difference.
    """
    roots = {photo.parts[: photo.depth] for photo in found if photo.depth}
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, zip(*roots, strict=False)))
    short = [_safe(photo.parts[shared:] if photo.depth else photo.parts[-1:]) for photo in found]
    uses = Counter(map(_key, short))
    wanted = [
        name if photo.depth or uses[_key(name)] == 1 else _safe(photo.parts)
        for photo, name in zip(found, short, strict=True)
    ]
    return _number(wanted)


def _number(names: Sequence[str]) -> list[str]:
    """Add -2, -3, ... before the suffix of each name that is taken, as it is or with .png added.

    The overlay of x.gif is x.gif.png, so a photo cannot be called that too.
    """
    taken: set[str] = set()
    numbers: dict[str, count[int]] = {}
    unique = []
    for name in names:
        path = PurePosixPath(name)
        numbering = numbers.setdefault(_key(name), count(2))
        while not taken.isdisjoint((_key(name), _key(f"{name}.png"))):
            name = str(path.with_name(f"{path.stem}-{next(numbering)}{path.suffix}"))
        taken |= {_key(name), _key(f"{name}.png")}
        unique.append(name)
    return unique


def _key(name: str) -> str:
    """Return a name as seen by file systems that ignore case, or how an accent is encoded."""
    return unicodedata.normalize("NFC", name).casefold()


def _safe(parts: Sequence[str]) -> str:
    return "/".join(map(_safe_part, parts))


def _safe_part(part: str) -> str:
    """Turn any text into a name that is valid on every system and never means a parent folder."""
    part = _FORBIDDEN.sub("_", part).strip(" ").rstrip(". ")
    if not part or _DEVICE.match(part):
        part = f"_{part}"
    if len(part.encode()) <= _LONGEST:
        return part
    path = PurePosixPath(part)
    suffix = path.suffix if len(path.suffix) < 20 else ""
    stem = part.removesuffix(suffix).encode()[: _LONGEST - len(suffix.encode())]
    return stem.decode(errors="ignore") + suffix
