import os
import struct
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from media_helpers import encoded, open_folder, pattern, without_root
from numpy.typing import NDArray
from PIL import Image, ImageCms

from mrpose_cli.errors import InputError
from mrpose_cli.media.decode import decode
from mrpose_cli.media.images import read_image
from mrpose_cli.media.inputs import Source, expand
from mrpose_cli.media.photo import Photo


def distance(one: NDArray[Any], other: NDArray[Any]) -> float:
    assert one.shape == other.shape
    return float(np.abs(one.astype(float) - other.astype(float)).mean())


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, data: bytes = b"") -> bytes:
    """A gray PNG of any size whose pixels may be missing."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(data)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + body


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("TGA", {}),
        ("JPEG2000", {}),
    ],
)
def test_lossless_pictures_keep_each_pixel(kind: str, options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "photo"
    path.write_bytes(encoded(Image.fromarray(pattern()), kind, **options))
    photo = read_image(path)
    assert photo.format == kind
    assert photo.image.dtype == np.uint8
    assert photo.image.flags.c_contiguous
    assert photo.notes == ()
    np.testing.assert_array_equal(photo.image, pattern())


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"subsampling": "4:4:4"}, {"restart_marker_rows": 1}]
)
def test_jpeg(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(pattern()), "JPEG", quality=95, **options))
    photo = read_image(Source(path, "photo.jpg"))
    assert photo.format == "JPEG"
    assert distance(photo.image, pattern()) < 2


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_photos_are_turned_upright(orientation: int, kind: str) -> None:
    upright = pattern()
    # What the camera stored: the picture that the orientation's own definition turns into the upright one.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encoded(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif, **options)
    np.testing.assert_array_equal(decode(data).image, upright)


def test_orientation_of_jpeg() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(Image.fromarray(np.rot90(pattern()).copy()), "JPEG", quality=95, exif=exif)
    assert distance(decode(data).image, pattern()) < 2


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01", b"Exif\0\0nonsense", b"Exif\0\0"]
)
def test_broken_exif_data_spoil_no_photo(exif: bytes) -> None:
    data = encoded(Image.fromarray(pattern()), "JPEG", quality=95, exif=exif)
    assert distance(decode(data).image, pattern()) < 2


def test_gray_and_black_and_white() -> None:
    gray = pattern()[..., 0]
    photo = decode(encoded(Image.fromarray(gray), "PNG"))
    np.testing.assert_array_equal(photo.image, np.stack([gray] * 3, axis=-1))
    bits = Image.fromarray(gray > 100)
    assert bits.mode == "1"
    photo = decode(encoded(bits, "PNG"))
    np.testing.assert_array_equal(photo.image[..., 1], np.where(gray > 100, 255, 0))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_16_bit_gray_is_scaled(kind: str) -> None:
    gray = np.linspace(0, 65535, 48 * 64).reshape(48, 64).astype(np.uint16)
    photo = decode(encoded(Image.fromarray(gray), kind))
    np.testing.assert_array_equal(photo.image[..., 2], np.rint(gray / 257))
    assert photo.image.min() == 0
    assert photo.image.max() == 255


def test_big_endian_16_bit_gray() -> None:
    _, data = cv2.imencode(".png", np.full((2, 3), 0x1234, np.uint16))
    assert (decode(data.tobytes()).image == 0x12).all()
    picture = Image.frombytes("I;16B", (2, 1), b"\xff\xff\x80\x00")
    np.testing.assert_array_equal(decode(encoded(picture, "TIFF")).image[0, :, 0], [255, 128])


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_16_bit_color(suffix: str) -> None:
    deep = pattern().astype(np.uint16) * 257
    _, data = cv2.imencode(suffix, deep[..., ::-1])
    np.testing.assert_array_equal(decode(data.tobytes()).image, pattern())


def test_numbers_without_an_agreed_white_are_stretched() -> None:
    values = np.array([[-1.5, 0.0], [np.nan, 8.5], [np.inf, -np.inf]], np.float32)
    photo = decode(encoded(Image.fromarray(values), "TIFF"))
    np.testing.assert_array_equal(photo.image[..., 0], [[0, 38], [0, 255], [255, 0]])
    wide = np.array([[-100_000, 100_000]], np.int32)
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(wide), "TIFF")).image[0, :, 0], [0, 255])
    flat = np.full((2, 2), 7.0, np.float32)
    assert (decode(encoded(Image.fromarray(flat), "TIFF")).image == 0).all()
    nothing = np.full((2, 2), np.nan, np.float32)
    assert (decode(encoded(Image.fromarray(nothing), "TIFF")).image == 0).all()


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparent_parts_are_white(kind: str) -> None:
    alpha = np.zeros((48, 64), np.uint8)
    alpha[:, 16:32] = 102
    alpha[:, 32:] = 255
    colors = np.dstack([pattern(), alpha])
    options = {"lossless": True} if kind == "WEBP" else {}
    image = decode(encoded(Image.fromarray(colors), kind, **options)).image
    assert (image[:, :16] == 255).all()
    expected = pattern()[:, 16:32] * 0.4 + 255 * 0.6
    assert np.abs(image[:, 16:32] - expected).max() <= 1
    np.testing.assert_array_equal(image[:, 32:], pattern()[:, 32:])


def test_transparency_of_gray_palettes_and_single_colors() -> None:
    gray = Image.new("LA", (2, 1), (0, 0))
    gray.putpixel((1, 0), (80, 255))
    assert decode(encoded(gray, "PNG")).image[0].tolist() == [[255] * 3, [80] * 3]
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    assert decode(encoded(palette, "PNG")).image[0].tolist() == [[10, 20, 30], [40, 50, 60]]
    for transparency in (0, b"\x00\xff"):
        data = encoded(palette, "PNG", transparency=transparency)
        assert decode(data).image[0].tolist() == [[255] * 3, [40, 50, 60]]
    assert decode(encoded(palette, "GIF", transparency=0)).image[0, 0].tolist() == [255] * 3
    colors = Image.fromarray(np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8))
    data = encoded(colors, "PNG", transparency=(1, 2, 3))
    assert decode(data).image[0].tolist() == [[255] * 3, [4, 5, 6]]


@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_cmyk_looks_like_the_colors_it_was_made_from(kind: str) -> None:
    options = {"quality": 95} if kind == "JPEG" else {}
    photo = decode(encoded(Image.fromarray(pattern()).convert("CMYK"), kind, **options))
    assert photo.format == kind
    assert distance(photo.image, pattern()) < 3


def test_ycck_looks_like_the_colors_it_was_made_from() -> None:
    # Such files hold inverted inks; as CMYK is the inverse of RGB, the brightness they hold is inverted too.
    luma = Image.fromarray(255 - pattern()).convert("YCbCr")
    # Pillow inverts the four channels as it writes them, and marks them as CMYK (0); YCCK is 2.
    channels = [
        band.point(lambda value: 255 - value) for band in (*luma.split(), Image.new("L", luma.size, 255))
    ]
    data = encoded(Image.merge("CMYK", channels), "JPEG", quality=95, subsampling="4:4:4")
    marker = data.index(b"Adobe")
    assert data[marker + 11] == 0
    photo = decode(data[: marker + 11] + b"\x02" + data[marker + 12 :])
    assert distance(photo.image, pattern()) < 3


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG"])
def test_only_the_first_frame_of_an_animation_is_used(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "green", "blue")]
    options = {"lossless": True} if kind == "WEBP" else {}
    photo = decode(encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options))
    assert photo.notes == ("animated: only the first frame is used",)
    assert photo.format == kind
    assert (photo.image == (255, 0, 0)).all()


def test_only_the_first_page_is_used() -> None:
    pages = [Image.new("RGB", (8, 8), color) for color in ("red", "green")]
    photo = decode(encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:]))
    assert photo.notes == ("several pages: only the first is used",)
    assert (photo.image == (255, 0, 0)).all()


def test_a_phone_photo_with_a_second_picture_inside_is_a_jpeg() -> None:
    frames = [Image.fromarray(pattern()), Image.new("L", (8, 8))]
    photo = decode(encoded(frames[0], "MPO", save_all=True, append_images=frames[1:], quality=95))
    assert photo.format == "JPEG"
    assert photo.notes == ()
    assert distance(photo.image, pattern()) < 2


def test_only_color_profiles_for_rgb_are_kept() -> None:
    rgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    picture = Image.fromarray(pattern())
    assert decode(encoded(picture, "JPEG", icc_profile=rgb)).icc_profile == rgb
    assert decode(encoded(picture, "JPEG")).icc_profile is None
    assert decode(encoded(picture.convert("CMYK"), "JPEG", icc_profile=lab)).icc_profile is None


def test_one_pixel_and_thirty_megapixels() -> None:
    assert decode(encoded(Image.new("RGB", (1, 1), (9, 8, 7)), "PNG")).image.tolist() == [[[9, 8, 7]]]
    large = np.zeros((5000, 6000), np.uint8)
    large[-1, -1] = 255
    image = decode(encoded(Image.fromarray(large), "TIFF")).image
    assert image.shape == (5000, 6000, 3)
    assert image[-1, -1].tolist() == [255] * 3


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM"])
@pytest.mark.parametrize("part", [0.5, 0.9, 0.99])
def test_a_picture_that_is_cut_off_is_an_error(kind: str, part: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    with pytest.raises(InputError, match=r"^the picture is cut off"):
        decode(data[: int(part * len(data))])


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_jpeg_without_its_last_byte_is_an_error(options: dict[str, Any]) -> None:
    data = encoded(Image.fromarray(pattern()), "JPEG", **options)
    with pytest.raises(InputError, match=r"^the picture is cut off \(the file ends too early\)"):
        decode(data[:-1])


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"])
def test_a_picture_that_ends_in_its_header_is_cut_off(kind: str) -> None:
    data = encoded(Image.fromarray(pattern()), kind)
    with pytest.raises(InputError, match=r"^the picture is cut off"):
        decode(data[:12])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"some text\n", r"^not a picture that can be read \(unknown kind of file\)$"),
        (b"\n<!DOCTYPE html><html></html>", r"^not a picture that can be read \(a web page\)$"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", r"^not a picture that can be read \(HEIC; convert it to JPEG\)$"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", r"^not a picture that can be read \(unknown"),
        (png(20_000, 20_000), r"^larger than 152 megapixels; make it smaller first$"),
        # In this range Pillow only warns.
        (png(12_000, 12_000), r"^the picture is cut off"),
        (png(0, 7), r"^the picture is "),
    ],
)
def test_what_is_no_picture(data: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        decode(data)


def test_corrupted_pictures_are_errors_or_pictures() -> None:
    random = np.random.default_rng(5)
    outcomes: set[type] = set()
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP"):
        whole = encoded(Image.fromarray(pattern()), kind)
        for _ in range(60):
            data = bytearray(whole)
            for place in random.integers(0, min(len(data), 400), 3):
                data[place] = random.integers(0, 256)
            try:
                outcomes.add(type(decode(bytes(data))))
            except InputError as error:
                assert "\n" not in str(error)
                outcomes.add(InputError)
    assert outcomes == {Photo, InputError}


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    os.mkfifo(tmp_path / "pipe.jpg")
    messages = []
    for name in ("empty.jpg", "pipe.jpg", "none.jpg", ".", "empty.jpg/x.jpg"):
        with pytest.raises(InputError) as caught:
            read_image(tmp_path / name)
        messages.append(str(caught.value))
    assert messages == [
        "the file is empty",
        "not a regular file",
        "the file does not exist",
        "it is a folder",
        "the file cannot be read (Not a directory)",
    ]


def test_a_file_that_may_not_be_read() -> None:
    with open_folder() as folder:
        path = folder / "photo.png"
        path.write_bytes(encoded(Image.fromarray(pattern()), "PNG"))
        path.chmod(0)
        with without_root(), pytest.raises(InputError, match=r"^permission denied$"):
            read_image(path)


def test_many_threads_at_once_and_no_warning_in_any() -> None:
    """Pillow warns of each of these pictures, and here a warning is an error."""
    bad_exif = b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\x01"
    jobs = [
        encoded(Image.fromarray(pattern()), "JPEG", exif=bad_exif),
        encoded(Image.fromarray(pattern()), "PNG", exif=bad_exif),
    ] * 60
    with ThreadPoolExecutor(8) as pool:
        assert {photo.image.shape for photo in pool.map(decode, jobs)} == {(48, 64, 3)}


def test_the_sample_photos_can_be_read() -> None:
    sources, problems = expand([str(Path(__file__).parents[2] / "samples")])
    assert problems == []
    assert len(sources) >= 4
    for source in sources:
        assert read_image(source).notes == ()
