"""Files that are either there and whole or not there at all."""

from __future__ import annotations

import contextlib
import errno
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from mrpose_cli.errors import DiskFullError, OutputError

DISK_FULL = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name))


@contextlib.contextmanager
def replacing(path: Path, mode: str = "xb") -> Iterator[IO[Any]]:
    """Yield a file that replaces ``path`` when the block succeeds and is removed when it fails.

    Missing folders are made. An existing file is replaced: whether it may be is the caller's decision.

    Args:
        path: The file to write.
        mode: ``"xb"`` for bytes, ``"x"`` for text in UTF-8.

    Raises:
        OutputError: it could not be written; nothing is left behind.
    """
    # Not derived from the file's name, which may already be as long as the file system allows.
    part = path.with_name(f".mrpose-{secrets.token_hex(8)}.part")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open(mode, encoding=None if "b" in mode else "utf-8") as file:
                yield file
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise


def write_atomically(path: Path, data: bytes) -> None:
    """Write a whole file; see :func:`replacing`.

    Raises:
        OutputError: it could not be written; nothing is left behind.
    """
    with replacing(path) as file:
        file.write(data)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what goes wrong while ``path`` is written into an error for the user.

    Raises:
        OutputError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFullError(f"no space left on the disk: {path}") from error
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
