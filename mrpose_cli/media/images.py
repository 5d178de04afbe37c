"""Photos in and pictures out.

Pillow and httpx are slow to import, so the modules that use them (`decode`, `encode`, `fetch`) are imported
where they are needed.
"""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from mrpose_cli.atomic import replacing
from mrpose_cli.errors import InputError, OutputError
from mrpose_cli.media.addresses import WEB, read_address
from mrpose_cli.media.photo import Photo

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mrpose_cli.media.inputs import Source

MAX_DOWNLOAD: Final = 200_000_000
"""The most bytes that are downloaded for one photo."""

MAX_FILE: Final = 1_500_000_000
"""The most bytes that are read from a file: more than the largest picture takes at 8 bytes a pixel."""

_FORMATS: Final = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
"""The formats that are written, by suffix."""

_LONGEST_SIDE: Final = {"JPEG": 65_500, "WEBP": 16_383}
"""The largest width or height, in pixels, of formats that have such a limit."""


def read_image(
    source: Source | Path,
    *,
    upright: bool = True,
    timeout: float = 30.0,
    max_download: int = MAX_DOWNLOAD,
    admit: Callable[[int], None] | None = None,
) -> Photo:
    """Read one photo from a file, a link or another address. May be called from several threads at once.

    Args:
        source: where the photo is.
        upright: turn it as its EXIF tag says. Datasets whose annotations are in stored pixels, like COCO,
            are read without.
        timeout: for a link, the seconds after which a server that does not answer, or is too slow, fails.
        max_download: for a link, the most bytes to download.
        admit: called with the bytes that the pixels will take, before they are decoded; may wait.

    Returns:
        The photo.

    Raises:
        InputError: it could not be read; the message does not name the source.
    """
    from mrpose_cli.media.decode import decode

    location = source if isinstance(source, Path) else source.location
    data = read_bytes(location, timeout=timeout, max_download=max_download)
    return decode(data, upright=upright, admit=admit)


def read_bytes(location: Path | str, *, timeout: float = 30.0, max_download: int = MAX_DOWNLOAD) -> bytes:
    """Read the file of a photo, as `read_image` does.

    Raises:
        InputError: it could not be read, or is empty; the message does not name it.
    """
    if isinstance(location, Path):
        data = _read_file(location)
    elif location.lower().startswith(WEB):
        from mrpose_cli.media.fetch import fetch

        data = fetch(location, timeout=timeout, max_bytes=max_download)
    else:
        data = read_address(location, max_bytes=max_download)
    if not data:
        raise InputError("the file is empty")
    return data


def write_image(path: Path, image: NDArray[np.uint8], *, like: Photo | None = None) -> None:
    """Write an image, whole or not at all, in the format of the path's suffix.

    Missing folders are made. An existing file is replaced: whether it may be is the caller's decision.

    Args:
        path: the file to write, named as `overlay_name` does.
        image: RGB uint8 of shape (height, width, 3).
        like: the photo the picture was made from, whose color profile is kept. Its EXIF data are not:
            the orientation is already applied and the place is private.

    Raises:
        OutputError: the picture could not be written, or the suffix is none that can be.
    """
    from mrpose_cli.media.encode import encode

    kind = _FORMATS.get(path.suffix.lower())
    if kind is None:
        raise OutputError(f"cannot write {path}: its suffix must be one of {' '.join(_FORMATS)}")
    with replacing(path) as file:
        encode(file, image, kind, like.icc_profile if like else None)


def overlay_name(name: str, photo: Photo) -> str:
    """Name the overlay of a photo.

    Args:
        name: the photo's name, as in `Source.name`.
        photo: the photo.

    Returns:
        The same name if that format is written and holds true color and the photo's size; else with ".png"
        added.
    """
    same, other = possible_overlays(name)
    kind = _FORMATS.get(PurePosixPath(name).suffix.lower())
    side = max(photo.image.shape[:2])
    fits = side <= _LONGEST_SIDE.get(photo.format, side)
    return same if kind == photo.format and fits else other


def possible_overlays(name: str) -> tuple[str, str]:
    """Return what `overlay_name` may give for a photo of this name."""
    return name, f"{name}.png"


def _read_file(path: Path) -> bytes:
    try:
        info = path.stat()
        if stat.S_ISDIR(info.st_mode):
            raise InputError("it is a folder")
        # Reading a pipe or a device might never end.
        if not stat.S_ISREG(info.st_mode):
            raise InputError("not a regular file")
        if info.st_size > MAX_FILE:
            raise InputError(f"larger than {MAX_FILE / 1e9:g} GB; no photo is")
        return path.read_bytes()
    except FileNotFoundError as error:
        broken = "; it is a link to one that is gone" if path.is_symlink() else ""
        raise InputError(f"the file does not exist{broken}") from error
    except PermissionError as error:
        raise InputError("permission denied") from error
    except OSError as error:  # A link that leads in circles, for one.
        raise InputError(f"the file cannot be read ({error.strerror or error})") from error
