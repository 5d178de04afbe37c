"""Damaged and hostile pictures, the same ones for the same seed."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

_SAMPLES = Path(__file__).parents[2] / "samples"
_NAMES = ("astronaut.png", "pedestrians1.jpg", "basketball1.png", "camera.png")
_SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tiff", "GIF": ".gif", "BMP": ".bmp"}
_MODES = {
    "JPEG": ("RGB", "L", "CMYK"),
    "PNG": ("RGB", "RGBA", "L", "LA", "P", "1", "I;16"),
    "WEBP": ("RGB", "RGBA"),
    "TIFF": ("RGB", "RGBA", "L", "1", "P", "CMYK", "LAB", "I;16", "F", "I"),
    "GIF": ("P", "L"),
    "BMP": ("RGB", "L", "1", "P"),
}
_EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 30_000, 100_000)


def mutated_image(seed: int) -> tuple[str, bytes]:
    """A picture with something wrong with it; now and then still a good one.

    Returns:
        The suffix for its name, and its bytes.
    """
    chance = random.Random(seed)
    if chance.random() < 0.06:
        return chance.choice(_MADE)(chance)
    form = chance.choice(list(_SUFFIXES))
    data = _encoded(chance, form)
    for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
        damage = chance.choice(_DAMAGES)
        data = damage(chance, data)
    suffix = _SUFFIXES[form]
    if chance.random() < 0.05:  # a name that lies
        suffix = chance.choice(list(_SUFFIXES.values()))
    return suffix, data


@cache
def _small(name: str) -> Image.Image:
    with Image.open(_SAMPLES / name) as picture:
        return picture.convert("RGB").resize((160, 120))


def _encoded(chance: random.Random, form: str) -> bytes:
    """A small photo in a format, in a random mode and with random options."""
    picture = _small(chance.choice(_NAMES))
    if chance.random() < 0.1:
        picture = picture.resize((chance.randint(1, 9), chance.choice((1, 7, 3000))))
    mode = chance.choice(_MODES[form])
    if mode in ("I;16", "I", "F"):
        values = np.asarray(picture.convert("L"), np.float32) * 257
        if mode == "F" and chance.random() < 0.5:
            values[:20] = chance.choice((np.nan, np.inf, -np.inf, 3e38))
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        picture = Image.fromarray(values.astype(kind))
    elif mode == "LA":
        picture = picture.convert("RGBA").convert("LA")
    elif mode == "LAB":
        picture = Image.merge("LAB", picture.split())
    else:
        picture = picture.convert(mode)
    options: dict[str, object] = {}
    if form == "JPEG":
        options = {"progressive": chance.random() < 0.3, "quality": chance.choice((5, 75, 95))}
    if form == "TIFF":
        options = {"compression": chance.choice((None, "tiff_lzw", "tiff_deflate", "packbits"))}
        options["tiffinfo"] = {0x0112: chance.choice((1, 3, 6, 8))}
    if form in ("JPEG", "PNG", "WEBP") and chance.random() < 0.4:
        options["exif"] = _exif(chance)
    if form in ("GIF", "TIFF", "WEBP", "PNG") and chance.random() < 0.15:
        options |= {"save_all": True, "append_images": [picture] * chance.randint(1, 5)}
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def _exif(chance: random.Random) -> bytes:
    """Orientation and other fields, some with values that make no sense; or only noise."""
    if chance.random() < 0.3:
        return b"Exif\x00\x00" + chance.randbytes(chance.randint(0, 400))
    exif = Image.Exif()
    exif[0x0112] = chance.choice((0, 1, 3, 5, 6, 8, 9, 255))
    exif[0x010E] = chance.choice(("", "x" * 5000, "\x1b[31m", "a\x00b"))
    data = bytearray(exif.tobytes())
    for _ in range(chance.choice((0, 0, 3))):
        data[chance.randrange(6, len(data))] = chance.randrange(256)
    return bytes(data)


def _cut(chance: random.Random, data: bytes) -> bytes:
    return data[: chance.randint(0, len(data))]


def _flip(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 4, 30)) if changed else 0):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _edge(chance: random.Random, data: bytes) -> bytes:
    """A number near the beginning, where the sizes are, becomes huge, or nothing, or negative."""
    changed = bytearray(data)
    code = chance.choice(("<H", ">H", "<I", ">I"))
    size = struct.calcsize(code)
    if len(changed) > 2 * size:
        place = chance.randrange(min(len(changed) - size, chance.choice((40, 200, 10**6))))
        struct.pack_into(code, changed, place, chance.choice(_EDGES) & (256**size - 1))
    return bytes(changed)


def _swap(chance: random.Random, data: bytes) -> bytes:
    """Two pieces change places, as chunks, segments or pages out of order."""
    if len(data) < 20:
        return data
    size = chance.randint(1, len(data) // 4)
    first, second = sorted(chance.randrange(len(data) - size) for _ in range(2))
    if second < first + size:
        return data[:first] + data[first : first + size] * 2 + data[first + size :]
    a, b = data[first : first + size], data[second : second + size]
    return data[:first] + b + data[first + size : second] + a + data[second + size :]


def _noise(chance: random.Random, data: bytes) -> bytes:
    place = chance.randint(0, len(data))
    return data[:place] + chance.randbytes(chance.choice((1, 16, 5000))) + data[place:]


def _png_size(chance: random.Random, data: bytes) -> bytes:
    """Another size in a PNG's header, with the right checksum; what is no PNG is turned over in part."""
    if data[:8] != b"\x89PNG\r\n\x1a\n" or len(data) < 33:
        return _flip(chance, data)
    sizes = (chance.choice((0, 1, 160, 5000, 13_000, 2**31 - 1)) for _ in range(2))
    header = b"IHDR" + struct.pack(">II", *sizes) + data[24:29]
    return data[:12] + header + struct.pack(">I", zlib.crc32(header)) + data[33:]


_DAMAGES: tuple[Callable[[random.Random, bytes], bytes], ...] = (
    *(_cut, _flip, _edge, _swap, _noise, _png_size),
)


def _plain_png(chance: random.Random) -> tuple[str, bytes]:
    """A PNG of one color: a few kB that decode into up to 500 MB."""
    width, height = chance.choice(((9000, 9000), (12_300, 12_300), (40_000, 2000), (60_000, 7), (3, 65_000)))
    depth, kind = chance.choice(((8, 2), (8, 0), (1, 0)))
    row = bytes(1 + (width * (3 if kind == 2 else 1) * depth + 7) // 8)
    packer = zlib.compressobj(1)
    body = b"".join([packer.compress(row) for _ in range(height)] + [packer.flush()])

    def chunk(name: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
        )

    header = struct.pack(">IIBBBBB", width, height, depth, kind, 0, 0, 0)
    return ".png", b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def _many_pages(chance: random.Random) -> tuple[str, bytes]:
    """A TIFF of up to 80,000 pages of one pixel, each a directory of eight fields that share the pixel."""
    count = chance.choice((3, 1000, 80_000))
    fields = ((256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (278, 1), (279, 1))
    data = bytearray(b"II*\x00" + struct.pack("<I", 10) + b"\x80\x00")
    for page in range(count):
        data += struct.pack("<H", len(fields))
        for tag, value in fields:
            data += struct.pack("<HHII", tag, 4, 1, value)
        data += struct.pack("<I", 0 if page == count - 1 else len(data) + 4)
    return ".tiff", bytes(data)


def _other_file(chance: random.Random) -> tuple[str, bytes]:
    """What is no picture at all under a picture's name."""
    choices = (b"", b"\x00" * 100_000, b"<svg xmlns='http://www.w3.org/2000/svg'/>", b"%!PS\nshowpage\n")
    return chance.choice(list(_SUFFIXES.values())), chance.choice((*choices, chance.randbytes(2000)))


_MADE: tuple[Callable[[random.Random], tuple[str, bytes]], ...] = (
    *(_plain_png, _many_pages, _other_file, _other_file),
)
