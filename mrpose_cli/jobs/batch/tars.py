"""The photos in a tar, as WebDataset has them, read from its beginning to its end."""

from __future__ import annotations

import tarfile
from collections.abc import Generator, Iterator
from pathlib import PurePosixPath
from typing import Final

from mrpose_cli.background import in_background
from mrpose_cli.errors import InputError
from mrpose_cli.media.addresses import open_address, reason
from mrpose_cli.media.images import MAX_FILE
from mrpose_cli.media.inputs import PHOTO_SUFFIXES

_AHEAD: Final = 64 * 2**20  # bytes that are read before they are used


def photos_in(location: str) -> Generator[tuple[str, bytes], None, None]:
    """Yield the photos of a tar with their names; other members are skipped.

    Args:
        location: A path or an address.

    Raises:
        InputError: it cannot be read, or breaks off.
    """
    return in_background(_members(location), name="tar", limit=_AHEAD, weigh=lambda member: len(member[1]))


def _members(location: str) -> Iterator[tuple[str, bytes]]:
    last = ""
    try:
        with open_address(location) as raw, tarfile.open(fileobj=raw, mode="r|") as tar:
            for member in tar:
                last = member.name
                if not member.isfile() or PurePosixPath(member.name).suffix.lower() not in PHOTO_SUFFIXES:
                    continue
                if member.size > MAX_FILE:
                    raise InputError(f"{member.name} in it is larger than {MAX_FILE / 1e9:g} GB; no photo is")
                file = tar.extractfile(member)
                assert file is not None
                yield member.name, file.read()
                tar.members = []  # type: ignore[attr-defined]  # it remembers them all
    except FileNotFoundError:
        raise InputError("the file does not exist") from None
    except tarfile.TarError as error:
        where = f" after {last}" if last else ""
        raise InputError(f"it breaks off{where} ({error})" if last else f"not a tar ({error})") from None
    except InputError:
        raise
    except Exception as error:  # each store's library has its own
        raise InputError(f"it cannot be read ({reason(error)})") from error
