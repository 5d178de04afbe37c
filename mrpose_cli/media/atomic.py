"""Writing a file so that it is either there and whole or not there at all."""

import contextlib
import errno
import secrets
from pathlib import Path

from mrpose_cli.errors import OutputError

_FULL = frozenset(getattr(errno, name) for name in ("ENOSPC", "EDQUOT") if hasattr(errno, name))


def write_atomically(path: Path, data: bytes) -> None:
    """Writes a file under a temporary name in its folder, then moves it into place.

    Missing folders are made. An existing file is replaced: whether it may be is the caller's decision.

    Args:
        path: the file to write.
        data: all it shall hold.

    Raises:
        OutputError: the file could not be written; nothing is left behind.
    """
    # Not derived from the file's name, which may already be as long as the file system allows.
    part = path.with_name(f".mrpose-{secrets.token_hex(8)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with part.open("xb") as file:
                file.write(data)
            part.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            raise
    except OSError as error:
        if error.errno in _FULL:
            raise OutputError(f"no space left on the disk: {path}") from error
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
