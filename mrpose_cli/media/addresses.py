"""Addresses that fsspec understands, such as `s3://bucket/a.jpg`."""

import re
from pathlib import Path
from typing import Any, Final

from mrpose_cli.errors import InputError, UsageError

WEB: Final = ("http://", "https://")
"""What addresses that need no fsspec begin with."""

_ADDRESS: Final = re.compile(r"[a-z][a-z0-9+.-]+://", re.IGNORECASE)


def is_address(text: str) -> bool:
    """Whether a text is an address and not a path."""
    return bool(_ADDRESS.match(text))


def connect(address: str) -> tuple[Any, str]:
    """Find the file system of an address, and the path within it.

    Raises:
        UsageError: there is none that can be used.
    """
    import fsspec

    scheme = address.partition("://")[0]
    try:
        fs, path = fsspec.core.url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UsageError(f"{scheme}:// addresses cannot be used ({error})") from None
    return fs, str(path).rstrip("/")


def open_address(location: str) -> Any:
    """Open a file for reading, by its path or address.

    Raises:
        OSError: it cannot be opened; what libraries of stores raise may be of other kinds.
    """
    if not is_address(location):
        return Path(location).open("rb")
    fs, path = connect(location)
    return fs.open(path, "rb")


def read_address(address: str, *, max_bytes: int) -> bytes:
    """Read the file at an address.

    Raises:
        InputError: it cannot be read, or is larger; the message does not repeat the address.
    """
    try:
        fs, path = connect(address)
        size = fs.size(path)
        if size is not None and size > max_bytes:
            raise InputError(f"larger than {max_bytes / 1e6:g} MB")
        data: bytes = fs.cat_file(path)
    except InputError:
        raise
    except FileNotFoundError as error:
        raise InputError("there is no such file") from error
    except Exception as error:  # each store's library has its own
        raise InputError(f"it cannot be read ({reason(error)})") from error
    return data


def reason(error: Exception) -> str:
    """Put an exception's message into one line."""
    return " ".join(str(error).split()) or type(error).__name__
