"""Decoding pictures, with Pillow, into what a viewer shows."""

import re
import threading
import warnings
from collections.abc import Callable
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from mrpose_cli.errors import InputError
from mrpose_cli.media.images import Photo

MAX_PIXELS: Final = 178_956_970
"""The largest picture that is decoded, in pixels; the size at which Pillow itself calls it a bomb."""

# Only formats that hold photos. Some of Pillow's others start programs (EPS) or take any bytes for a picture.
_WANTED: Final = (
    *("JPEG", "MPO", "PNG", "WEBP", "BMP", "DIB", "TIFF", "GIF", "PPM"),
    *("JPEG2000", "AVIF", "TGA", "QOI", "ICO", "PCX", "PSD", "SGI"),
)
Image.init()
_FORMATS: Final = tuple(name for name in _WANTED if name in Image.OPEN)

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

_QUIET: Final = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_quiet_lock = threading.Lock()


def decode(data: bytes, *, upright: bool = True, admit: Callable[[int], None] | None = None) -> Photo:
    """Decodes a picture. May be called from several threads at once.

    Args:
        data: the content of the file.
        upright: turn it as its EXIF tag says; else the pixels stay as they are stored.
        admit: told how many bytes the pixels will take before they are decoded; may wait.

    Returns:
        The picture as a viewer shows it.

    Raises:
        InputError: it is no picture, broken, cut off or too large; the message does not name the file.
    """
    _hush_pillow()
    try:
        with Image.open(BytesIO(data), formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise Image.DecompressionBombError
            if admit is not None:
                admit(3 * picture.width * picture.height)
            notes = _notes(picture)
            picture.load()
            turn = _turn(picture) if upright else None
            turned = _to_rgb(picture) if turn is None else _to_rgb(picture).transpose(turn)
            return Photo(
                image=np.array(turned),
                # A JPEG that also holds a depth or brightness map, as many phones write.
                format="JPEG" if picture.format == "MPO" else str(picture.format),
                icc_profile=_rgb_profile(picture),
                notes=notes,
            )
    except UnidentifiedImageError as error:
        raise InputError(_unidentified(data)) from error
    except Image.DecompressionBombError as error:
        raise InputError(f"larger than {MAX_PIXELS // 10**6} megapixels; make it smaller first") from error
    except MemoryError as error:
        raise InputError("too large for the free memory") from error
    except Exception as error:  # On broken files Pillow raises nearly anything.
        if _is_cut_off(data, error):
            raise InputError("the picture is cut off (the file ends too early); copy it again") from error
        raise InputError(f"the picture is broken ({error or type(error).__name__})") from error


def _hush_pillow() -> None:
    """Switches Pillow's warnings off for good: what it warns of is dealt with here or is no concern.

    A filter that stays, unlike `warnings.catch_warnings`, is safe with threads. It is looked for each time
    because others (pytest, for one) bring back the filters of an earlier time.
    """
    with _quiet_lock:
        if _QUIET not in warnings.filters:
            warnings.filterwarnings("ignore", module=_QUIET[3].pattern)


def _notes(picture: Image.Image) -> tuple[str, ...]:
    count = getattr(picture, "n_frames", 1)
    if count > 1 and picture.format in _ANIMATIONS:
        return (f"animated: only the first of {count} frames is used",)
    if count > 1 and picture.format == "TIFF":
        return (f"only the first of {count} pages is used",)
    return ()


def _turn(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # Broken EXIF data, of which Pillow raises nearly anything, spoil no photo.
        return None


def _to_rgb(picture: Image.Image) -> Image.Image:
    if picture.mode == "F" or picture.mode.startswith("I"):
        return Image.fromarray(_to_8_bits(np.asarray(picture))).convert("RGB")
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        page = Image.new("RGBA", picture.size, "white")
        return Image.alpha_composite(page, colours).convert("RGB")
    return picture.convert("RGB")


def _to_8_bits(grey: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Scales grey values of shape (height, width) to 0..255.

    Integers that fit into 16 bits run from 0, black, to 65535, white. Others have no agreed white, nor have
    floats: their smallest finite value becomes black, their largest white.
    """
    if grey.dtype.kind in "iu" and grey.min() >= 0 and grey.max() <= 65535:
        return np.rint(np.arange(65536) / 257).astype(np.uint8).take(grey.astype(np.uint16))
    values = grey.astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    scale = 255 / (high - low) if high > low else 0.0
    return np.rint((values - low) * scale).astype(np.uint8)


def _rgb_profile(picture: Image.Image) -> bytes | None:
    """The picture's colour profile if it describes RGB; one for grey or CMYK no longer fits the pixels."""
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
