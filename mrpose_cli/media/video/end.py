"""Whether a file is all there, where its container lets that be seen."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Final

_HEADER: Final = b"\x1a\x45\xdf\xa3"
_SEGMENT: Final = b"\x18\x53\x80\x67"


def is_whole_matroska(path: Path) -> bool:
    """Return whether a Matroska or WebM file is as long as its header says; False if that does not say."""
    with path.open("rb") as file:
        if file.read(4) != _HEADER:
            return False
        file.seek(_size(file) or 0, 1)
        if file.read(4) != _SEGMENT:
            return False
        size = _size(file)
        return size is not None and file.tell() + size <= path.stat().st_size


def _size(file: IO[bytes]) -> int | None:
    """Read the length of the element at the file's position; None if it is open-ended."""
    first = file.read(1)
    length = 9 - first[0].bit_length() if first and first[0] else 0
    if not length:
        return None
    bits = 7 * length
    value = int.from_bytes(first + file.read(length - 1)) & ((1 << bits) - 1)
    return None if value == (1 << bits) - 1 else value
