"""Space on the disk put by for the end of a run, so that a full disk costs no finished work."""

from __future__ import annotations

import errno
import io
import os
import secrets
import shutil
from pathlib import Path
from typing import IO, Any

from mrpose_cli.atomic import DISK_FULL, writing

_STEP = 2**20


class Reserve:
    """A hidden file that holds space, to be given up when the disk is full.

    Files that are put together at the end of a run (an index, a footer, a JSON from its spooled rows) then
    still find their room. A small disk is shared: at least half of what is free is left to the outputs.

    Args:
        folder: Where the outputs lie.
        size: Bytes to hold at first, where there are so many.

    Attributes:
        spent: Whether the disk is full, so that the space is needed now.

    Raises:
        OutputError: the disk is full already, or cannot be written to.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self._path = folder / f".mrpose-{secrets.token_hex(8)}.space"
        self._size = 0
        self._file: IO[bytes] | None = None
        self.spent = False
        with writing(folder):
            held = min(size, shutil.disk_usage(folder).free // 2)
            self._file = self._path.open("xb", buffering=0)
            try:
                while not self._fill(max(held, 1)):  # where quotas allow less than is free
                    if not held:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    held //= 2
            except OSError:
                self.release()
                raise
        self._missing = size - held

    def grow(self, size: int) -> None:
        """Hold at least this many bytes, less what was missing at first; mark as spent if they do not fit.

        What is held then is kept for whoever ends the run, who is not alone in writing.
        """
        size -= self._missing
        if self._file is None or size <= self._size:
            return
        try:
            enough = self._fill(size + size // 8 + _STEP) or self._fill(size)
        except OSError:
            enough = False
        if not enough:
            self.spent = True

    def spend(self) -> bool:
        """Free the space for the caller that found the disk full; return False if none is left to free."""
        self.spent = True
        return self.release()

    def release(self) -> bool:
        """Free the space; return True if there was any."""
        if self._file is None:
            return False
        self._file.close()
        self._file = None
        self._path.unlink(missing_ok=True)
        return True

    def _fill(self, size: int) -> bool:
        """Grow the file; return False if the disk has no room for that.

        Raises:
            OSError: something else is wrong.
        """
        assert self._file is not None
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(self._file.fileno(), 0, size)
            else:
                self._file.seek(self._size)
                for _ in range(self._size, size, _STEP):
                    self._file.write(bytes(_STEP))
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            self._file.truncate(self._size)
            return False
        self._size = size
        return True


class SteadyFile(io.RawIOBase):
    """A file whose writes take the reserve before they fail.

    Args:
        file: An unbuffered binary file.
        reserve: Space to fall back on; None for none.
        name: What the file is called, if not what ``file`` says.
    """

    def __init__(self, file: IO[bytes], reserve: Reserve | None, *, name: str = "") -> None:
        self._file = file
        self._reserve = reserve
        self.name = name or file.name

    def write(self, data: Any, /) -> int:
        """Write everything.

        Raises:
            OSError: it does not fit, not even with the reserve.
        """
        rest = memoryview(data).cast("B")
        size = len(rest)
        while rest:
            try:
                rest = rest[self._file.write(rest) :]
            except OSError as error:
                if error.errno not in DISK_FULL or self._reserve is None or not self._reserve.spend():
                    raise
        return size

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer."""
        data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()

    def readable(self) -> bool:
        """Return True: what was written can be read."""
        return True

    def writable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def truncate(self, size: int | None = None, /) -> int:
        """Cut the file off."""
        return self._file.truncate(size)

    def close(self) -> None:
        """Close the file below, too."""
        if not self.closed:
            super().close()
            self._file.close()
