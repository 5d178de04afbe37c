"""What decoding costs, and that all ways to a picture give the same pixels."""

import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from media_helpers import encoded, pattern
from PIL import Image

from mrpose_cli.errors import InputError
from mrpose_cli.media.decode import decode, from_pillow
from mrpose_cli.media.images import read_image


def modes() -> dict[str, tuple[Image.Image, str]]:
    """A picture in each mode that files hold, with a lossless format that keeps the mode."""
    colors = Image.fromarray(pattern())
    alpha = Image.fromarray(np.linspace(0, 255, 48 * 64).reshape(48, 64).astype(np.uint8))
    gray = np.linspace(0, 65535, 48 * 64).reshape(48, 64)
    clear = colors.quantize(200)
    clear.info["transparency"] = bytes(range(200))
    return {
        "RGB": (colors, "PNG"),
        "RGBA": (Image.merge("RGBA", (*colors.split(), alpha)), "PNG"),
        "LA": (Image.merge("LA", (colors.getchannel(0), alpha)), "PNG"),
        "P": (colors.quantize(200), "PNG"),
        "P transparent": (clear, "PNG"),
        "L": (alpha, "PNG"),
        "1": (alpha.convert("1"), "PNG"),
        "I;16": (Image.fromarray(gray.astype(np.uint16)), "PNG"),
        "I;16B": (Image.frombytes("I;16B", (64, 48), gray.astype(">u2").tobytes()), "TIFF"),
        "I": (Image.fromarray((gray * 3 - 70_000).astype(np.int32)), "TIFF"),
        "F": (Image.fromarray((gray / 700 - 20).astype(np.float32)), "TIFF"),
        "CMYK": (colors.convert("CMYK"), "TIFF"),
        "YCbCr": (colors.convert("YCbCr"), "TIFF"),
        "LAB": (colors.convert("LAB"), "TIFF"),
    }


@pytest.mark.parametrize("mode", modes())
@pytest.mark.parametrize("orientation", [1, 6, 7])
def test_a_picture_of_pillow_gives_the_pixels_of_its_file(
    mode: str, orientation: int, tmp_path: Path
) -> None:
    picture, kind = modes()[mode]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo"
    path.write_bytes(encoded(picture, kind, exif=exif))
    expected = read_image(path).image
    with Image.open(path) as opened:
        assert opened.mode == mode.split()[0]
        np.testing.assert_array_equal(from_pillow(opened), expected)
        opened.load()
        np.testing.assert_array_equal(from_pillow(opened), expected)
    if orientation == 1:
        np.testing.assert_array_equal(from_pillow(picture), expected)


def test_pictures_of_pillow_that_cannot_be_used(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    path.write_bytes(encoded(Image.effect_noise((64, 48), 50), "PNG")[:-500])
    with Image.open(path) as cut, pytest.raises(InputError, match=r"^the picture is cut off"):
        from_pillow(cut)
    with pytest.raises(InputError, match=r"^the picture has no pixels$"):
        from_pillow(Image.new("RGB", (0, 9)))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P transparent", "I;16", "F"])
def test_large_pictures_are_converted_in_strips_that_meet(
    mode: str, orientation: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With strips of 5 rows, of which the last has 3, everything is as in one piece."""
    picture, kind = modes()[mode]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(picture, kind, exif=exif)
    whole = decode(data).image
    monkeypatch.setattr("mrpose_cli.media.decode._STRIP", 5 * 64)
    np.testing.assert_array_equal(decode(data).image, whole)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process's own peak")
@pytest.mark.parametrize(
    ("mode", "stored"), [("RGB", 4), ("RGBA", 4), ("LA", 4), ("P transparent", 1), ("I;16", 2)]
)
def test_memory_holds_the_picture_and_the_result_and_no_more(mode: str, stored: int, tmp_path: Path) -> None:
    picture, kind = modes()[mode]
    large = picture.resize((3000, 2000), Image.Resampling.NEAREST)
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "photo"
    path.write_bytes(encoded(large, kind, compress_level=1, exif=exif))
    small = tmp_path / "small"
    small.write_bytes(encoded(picture, kind, exif=exif))
    script = (
        "import sys; from pathlib import Path; from mrpose_cli.media.images import read_image\n"
        "def peak(): return int(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])\n"
        "read_image(Path(sys.argv[1])); before = peak(); read_image(Path(sys.argv[2]))\n"
        "print(1024 * (peak() - before))"
    )
    command = [sys.executable, "-c", script, str(small), str(path)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(run.stdout) < 3000 * 2000 * (stored + 3) + path.stat().st_size + 8e6


def test_what_libraries_say_about_broken_files_stays_out_of_the_terminal(tmp_path: Path) -> None:
    broken = bytearray(encoded(Image.fromarray(pattern()), "TIFF", compression="tiff_adobe_deflate"))
    broken[40:60] = bytes(20)  # of which libtiff writes
    many = tiff_of_pages(1)
    samples = struct.pack("<HHI", 277, 4, 1)
    many = many.replace(samples + b"\1", samples + b"\x63")  # of which Pillow logs
    (tmp_path / "a.tif").write_bytes(broken)
    (tmp_path / "b.tif").write_bytes(many)
    script = (
        "import sys; from pathlib import Path; from mrpose_cli.media.images import read_image\n"
        "for name in sys.argv[1:]:\n"
        "    try: read_image(Path(name))\n"
        "    except Exception as error: print(error)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == [
        "the picture is broken (decoder error -2)",
        "the picture is cut off or broken; copy it again",
    ]
    assert run.stderr == ""


def tiff_of_pages(count: int) -> bytes:
    """A TIFF whose first page is a picture of one pixel, as are all the others."""
    entries = [(256, 1), (257, 1), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, 1), (279, 1)]
    body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries)
    size = 2 + len(body) + 4
    pages = [
        struct.pack("<H", len(entries)) + body + struct.pack("<I", 12 + (page + 1) * size)
        for page in range(count - 1)
    ]
    last = struct.pack("<H", len(entries)) + body + struct.pack("<I", 0)
    return b"II*\0" + struct.pack("<I", 12) + b"\x80\0\0\0" + b"".join(pages) + last


def test_pages_are_not_counted() -> None:
    data = tiff_of_pages(80_000)
    start = time.perf_counter()
    photo = decode(data)
    assert time.perf_counter() - start < 1
    assert photo.image.tolist() == [[[128] * 3]]
    assert photo.notes == ("several pages: only the first is used",)


def test_frames_are_not_counted() -> None:
    frame = encoded(Image.new("L", (8, 8), 77), "GIF")
    start = frame.index(b",\0\0\0\0")
    data = frame[:-1] + frame[start:-1] * 100_000 + b";"
    began = time.perf_counter()
    photo = decode(data)
    assert time.perf_counter() - began < 1
    assert (photo.image == 77).all()
    assert photo.notes == ("animated: only the first frame is used",)


def test_a_jpeg_that_repeats_its_scans_is_refused() -> None:
    data = encoded(Image.new("L", (4000, 4000), 120), "JPEG", progressive=True)
    last = data[data.rindex(b"\xff\xda") : -2]
    assert decode(data[:-2] + 20 * last + data[-2:]).image.shape == (4000, 4000, 3)
    with pytest.raises(InputError, match=r"^a JPEG of 406 scans; open it in an image editor"):
        decode(data[:-2] + 400 * last + data[-2:])
