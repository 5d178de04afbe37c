"""Decoding pictures, with Pillow, into what a viewer shows."""

import ctypes
import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError, _imaging

from mrpose_cli.errors import InputError
from mrpose_cli.media.photo import Photo

MAX_PIXELS: Final = 152_000_000
"""The largest picture that is decoded, in pixels: what the largest sensors of cameras have.

Decoding takes 7 bytes of memory for each of them, and the file.
"""

_MAX_PIXELS: Final = {"WEBP": 70_000_000, "JPEG2000": 60_000_000}
"""The same for formats whose decoders keep copies of their own: 15 and 18 bytes a pixel in all."""

# Only formats that hold photos. Some of Pillow's others start programs (EPS) or take any bytes for a picture.
_WANTED: Final = (
    *("JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM"),
    *("JPEG2000", "AVIF", "TGA", "QOI", "ICO", "PCX", "PSD", "SGI"),
)
Image.init()
_FORMATS: Final = tuple(name for name in _WANTED if name in Image.OPEN)

_SCAN: Final = b"\xff\xda"
_MAX_SCANNED: Final = 5_000_000_000
"""Pixels times scans of a progressive JPEG: ten seconds. Ten scans are usual; empty ones take 20 bytes."""

_STRIP: Final = 1 << 18
"""Pixels that are converted at a time, few enough for the processor's cache."""

_ANIMATIONS: Final = frozenset({"GIF", "PNG", "WEBP", "AVIF"})
_STARTS: Final = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"RIFF")
_TURNS: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS: Final = frozenset(_TURNS[orientation] for orientation in (5, 6, 7, 8))
_LAST_ROW_FIRST: Final = frozenset(_TURNS[orientation] for orientation in (3, 4, 6, 7))

_QUIET: Final = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_quiet_lock = threading.Lock()


def decode(data: bytes, *, upright: bool = True, admit: Callable[[int], None] | None = None) -> Photo:
    """Decode an image. May be called from several threads at once.

    Args:
        data: the content of the file.
        upright: turn it as its EXIF tag says; else the pixels stay as they are stored.
        admit: called with the bytes that the pixels will take, before they are decoded; may wait.

    Returns:
        The picture as a viewer shows it.

    Raises:
        InputError: it is no picture, broken, cut off or too large; the message does not name the file.
    """
    with _explained(data), Image.open(BytesIO(data), formats=_FORMATS) as picture:
        _refuse_bombs(picture)
        _refuse_endless_scans(picture, data)
        if admit is not None:
            admit(3 * picture.width * picture.height)
        notes = _notes(picture)
        return Photo(
            image=_to_rgb(picture, upright=upright),
            # A JPEG that also holds a depth or brightness map, as many phones write.
            format="JPEG" if picture.format == "MPO" else str(picture.format),
            icc_profile=_rgb_profile(picture),
            notes=notes,
        )


def decode_small(data: bytes, side: int, *, upright: bool = True) -> NDArray[np.uint8]:
    """Decode a picture in a small size, JPEGs in a fraction of the time.

    Args:
        data: the content of the file.
        side: the most pixels that width and height may have; smaller pictures keep their size.
        upright: turn it as its EXIF tag says.

    Returns:
        RGB uint8 of shape (height, width, 3).

    Raises:
        InputError: as `decode` does.
    """
    with _explained(data), Image.open(BytesIO(data), formats=_FORMATS) as picture:
        _refuse_bombs(picture)
        _refuse_endless_scans(picture, data)
        picture.draft(None, (side, side))  # a JPEG is decoded at 1/2, 1/4 or 1/8 of its size
        small = Image.fromarray(_to_rgb(picture, upright=upright))
        small.thumbnail((side, side), Image.Resampling.BILINEAR)
        return np.asarray(small)


def from_pillow(picture: Image.Image) -> NDArray[np.uint8]:
    """Convert a picture of Pillow's to the same pixels that its file gives.

    Args:
        picture: In any mode, loaded or just opened. It is turned as its EXIF tag says.

    Returns:
        RGB uint8 of shape (height, width, 3), as in `Photo.image`.

    Raises:
        InputError: it is broken, cut off or too large, or has no pixels.
    """
    with _explained(), _unmapped(picture):
        _refuse_bombs(picture)
        return _to_rgb(picture, upright=True)


@contextmanager
def _unmapped(picture: Image.Image) -> Iterator[None]:
    """Keep Pillow from mapping a file into memory, by hiding its name.

    It (13.0) would scramble TIFFs that lie on their side, and a file that is cut meanwhile kills the process.
    """
    if not isinstance(picture, ImageFile.ImageFile):
        yield
        return
    name, picture.filename = picture.filename, ""
    try:
        yield
    finally:
        picture.filename = name


@contextmanager
def _explained(data: bytes = b"") -> Iterator[None]:
    """Turn whatever decoding raises into an error for the user.

    Args:
        data: The content of the file, where it is known.

    Raises:
        InputError: in place of any exception.
    """
    _hush_pillow()
    _hush_stderr()
    try:
        yield
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise InputError(_unidentified(data)) from error
    except Image.DecompressionBombError as error:
        raise InputError(_too_large(MAX_PIXELS)) from error
    except MemoryError as error:
        raise InputError("too large for the free memory") from error
    except Exception as error:  # On broken files Pillow raises nearly anything.
        if _is_cut_off(data, error):
            raise InputError("the picture is cut off (the file ends too early); copy it again") from error
        raise InputError(f"the picture is broken ({error or type(error).__name__})") from error


def _refuse_bombs(picture: Image.Image) -> None:
    limit = _MAX_PIXELS.get(picture.format or "", MAX_PIXELS)
    if picture.width * picture.height > limit:
        raise InputError(_too_large(limit))


def _refuse_endless_scans(picture: Image.Image, data: bytes) -> None:
    """Refuse a progressive JPEG with more scans over its pixels than any encoder makes."""
    scans = data.count(_SCAN) if picture.info.get("progressive") else 0
    if scans * picture.width * picture.height > _MAX_SCANNED:
        raise InputError(f"a JPEG of {scans} scans; open it in an image editor and save it again")


def _too_large(limit: int) -> str:
    return f"larger than {limit // 10**6} megapixels; make it smaller first"


def _hush_pillow() -> None:
    """Switch Pillow's warnings off for good: what it warns of is handled here or is of no concern.

    A permanent filter, unlike `warnings.catch_warnings`, is safe with threads. It is checked each time
    because others (pytest, for one) restore earlier filters.
    """
    with _quiet_lock:
        if _QUIET not in warnings.filters:
            warnings.filterwarnings("ignore", module=_QUIET[3].pattern)


@cache
def _hush_stderr() -> None:
    """Keep lines about files that they do not name off stderr; Pillow raises these errors as well."""
    # Pillow's own log, which Python would print where nobody has set up logging.
    logging.getLogger("PIL").addHandler(logging.NullHandler())
    # Pillow has no switch for libtiff's, so it is looked up in the library that Pillow is linked with. Where
    # libtiff is built into Pillow (on Windows) it is not found, and the lines appear.
    try:
        switch = ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler
    except (AttributeError, OSError):
        return
    switch.argtypes, switch.restype = [ctypes.c_void_p], ctypes.c_void_p
    switch(None)


def _notes(picture: Image.Image) -> tuple[str, ...]:
    # Not `n_frames`: in some formats that walks through the whole file, in quadratic time.
    if not getattr(picture, "is_animated", False):
        return ()
    if picture.format in _ANIMATIONS:
        return ("animated: only the first frame is used",)
    if picture.format == "TIFF":
        return ("several pages: only the first is used",)
    return ()


def _turn(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Broken EXIF data, of which Pillow raises nearly anything, spoil no photo.
        return None


def _to_rgb(picture: Image.Image, *, upright: bool) -> NDArray[np.uint8]:
    """Convert the pixels to RGB uint8 of shape (height, width, 3).

    It works in strips, so that memory holds the image and the result but no further copies of either.
    """
    picture.load()
    if 0 in picture.size:
        raise InputError("the picture has no pixels")
    turn = _turn(picture) if upright else None
    convert = _conversion(picture)
    width, height = picture.size
    image = np.empty((width, height, 3) if turn in _SIDEWAYS else (height, width, 3), np.uint8)
    for top, bottom, strip in _strips(picture):
        converted = convert(strip)
        if turn is not None:
            converted = converted.transpose(turn)
        place = slice(height - bottom, height - top) if turn in _LAST_ROW_FIRST else slice(top, bottom)
        image[(slice(None), place) if turn in _SIDEWAYS else place] = np.asarray(converted)
    return image


def _strips(picture: Image.Image) -> Iterator[tuple[int, int, Image.Image]]:
    """Yield the image from top to bottom: first row, last row + 1, and the strip between."""
    width, height = picture.size
    rows = max(_STRIP // width, 1)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        yield top, bottom, picture.crop((0, top, width, bottom))


def _conversion(picture: Image.Image) -> Callable[[Image.Image], Image.Image]:
    """Return the function that converts any strip of the image to RGB."""
    if picture.mode == "F" or picture.mode.startswith("I"):
        scale = _scale(picture)
        return lambda strip: Image.fromarray(scale(np.asarray(strip))).convert("RGB")
    if picture.has_transparency_data:
        return _on_white
    return lambda strip: strip.convert("RGB")


def _on_white(strip: Image.Image) -> Image.Image:
    page = Image.new("RGBA", strip.size, "white")
    return Image.alpha_composite(page, strip.convert("RGBA")).convert("RGB")


def _scale(picture: Image.Image) -> Callable[[NDArray[np.generic]], NDArray[np.uint8]]:
    """Return the function that maps the gray values of an image to 0..255.

    Integers that fit into 16 bits run from 0, black, to 65535, white. Others have no agreed white, nor have
    floats: their smallest finite value becomes black, their largest white.
    """
    strips = (np.asarray(strip) for _, _, strip in _strips(picture))
    finite = (values[np.isfinite(values)] for values in strips)
    ranges = [(float(values.min()), float(values.max())) for values in finite if values.size]
    low = min((least for least, _ in ranges), default=0.0)
    high = max((most for _, most in ranges), default=0.0)
    if picture.mode != "F" and low >= 0 and high <= 65535:
        table = np.rint(np.arange(65536) / 257).astype(np.uint8)
        return lambda gray: table.take(gray.astype(np.uint16))
    factor = 255 / (high - low) if high > low else 0.0

    def stretch(gray: NDArray[np.generic]) -> NDArray[np.uint8]:
        values = np.nan_to_num(gray.astype(np.float64), nan=low, posinf=high, neginf=low)
        return np.rint((values - low) * factor).astype(np.uint8)

    return stretch


def _rgb_profile(picture: Image.Image) -> bytes | None:
    """Return the image's color profile if it describes RGB; others no longer fit the converted pixels."""
    profile = picture.info.get("icc_profile")
    return profile if isinstance(profile, bytes) and profile[16:20] == b"RGB " else None


def _is_cut_off(data: bytes, error: Exception) -> bool:
    if data.startswith(b"RIFF"):  # The WebP decoder does not tell; the container knows its length.
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return any(words in str(error).lower() for words in ("truncated", "not enough image data", "eof"))


def _unidentified(data: bytes) -> str:
    start = data[:512].lstrip().lower()
    if data.startswith(_STARTS):
        return "the picture is cut off or broken; copy it again"
    if data[4:12] in (b"ftypheic", b"ftypheix", b"ftypmif1"):
        return "not a picture that can be read (HEIC; convert it to JPEG)"
    if start.startswith((b"<!doctype html", b"<html")):
        return "not a picture that can be read (a web page)"
    return "not a picture that can be read (unknown kind of file)"
