import io
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from media_helpers import open_folder, without_root
from numpy.typing import NDArray
from PIL import Image, ImageCms

from mrpose_cli.atomic import write_atomically
from mrpose_cli.errors import OutputError
from mrpose_cli.media.encode import encode
from mrpose_cli.media.images import overlay_name, read_image, write_image
from mrpose_cli.media.photo import Photo

NOISE = """
import sys
from pathlib import Path
import numpy as np
from mrpose_cli.errors import OutputError
from mrpose_cli.media.images import write_image
{before}
image = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
try:
    write_image(Path(sys.argv[1]), image)
except OutputError as error:
    print(error)
{after}
"""


def pattern() -> NDArray[np.uint8]:
    y, x = np.mgrid[0:48, 0:64]
    return np.stack((4 * x, 5 * y, 255 - 2 * x - 2 * y), axis=-1).astype(np.uint8)


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def photo(format: str, shape: Sequence[int] = (48, 64)) -> Photo:  # noqa: A002
    return Photo(np.zeros((*shape, 3), np.uint8), format)


@pytest.mark.parametrize(
    ("name", "error"),
    [("a.png", 0), ("a.BMP", 0), ("a.tif", 0), ("a.tiff", 0), ("a.jpg", 2), ("a.JPEG", 2), ("a.webp", 4)],
)
def test_what_is_written_can_be_read(name: str, error: float, tmp_path: Path) -> None:
    write_image(tmp_path / name, pattern())
    found = read_image(tmp_path / name).image
    assert np.abs(found.astype(int) - pattern()).mean() <= error
    assert contents(tmp_path) == [name]


def test_thin_colored_lines_survive_jpeg(tmp_path: Path) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, ::8] = (255, 0, 0)
    write_image(tmp_path / "a.jpg", image)
    assert (read_image(tmp_path / "a.jpg").image[:, ::8] > (200, -1, -1)).all()


def test_parts_of_other_pictures_can_be_written(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", pattern()[::-2, ::2, ::-1])
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").image, pattern()[::-2, ::2, ::-1])


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
def test_the_color_profile_is_kept_and_exif_is_not(suffix: str, tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 3
    exif[0x010F] = "Maker"
    Image.fromarray(pattern()).save(tmp_path / f"in.{suffix}", icc_profile=profile, exif=exif)
    source = read_image(tmp_path / f"in.{suffix}")
    write_image(tmp_path / f"out.{suffix}", source.image, like=source)
    assert read_image(tmp_path / f"out.{suffix}").icc_profile == profile
    with Image.open(tmp_path / f"out.{suffix}") as written:
        assert not {0x0112, 0x010F} & set(written.getexif())
    write_image(tmp_path / f"plain.{suffix}", source.image)
    assert read_image(tmp_path / f"plain.{suffix}").icc_profile is None


def test_folders_are_made_and_files_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "c.png"
    write_image(path, pattern())
    write_image(path, pattern()[:10])
    assert read_image(path).image.shape == (10, 64, 3)
    assert contents(path.parent) == ["c.png"]


def test_a_name_as_long_as_the_file_system_allows(tmp_path: Path) -> None:
    name = "n" * 251 + ".png"
    write_image(tmp_path / name, pattern())
    assert contents(tmp_path) == [name]


def test_others_may_read_what_is_written(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    write_image(tmp_path / "a.png", pattern())
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize("name", ["a.gif", "a", "a.mp4"])
def test_kinds_that_are_not_written(name: str, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"its suffix must be one of \.jpg \.jpeg"):
        write_image(tmp_path / name, pattern())


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_not_written(image: NDArray[np.uint8], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not an RGB uint8 picture"):
        write_image(tmp_path / "a.png", image)
    assert contents(tmp_path) == []


def test_a_folder_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "a.png").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"^cannot write .*a\.png: Is a directory$"):
        write_image(tmp_path / "a.png", pattern())
    with pytest.raises(OutputError, match=r"^cannot write .*b\.png: "):
        write_image(tmp_path / "file" / "b.png", pattern())
    assert contents(tmp_path) == ["a.png", "file"]


def test_a_folder_that_may_not_be_written() -> None:
    with open_folder() as folder:
        folder.chmod(0o555)
        with without_root(), pytest.raises(OutputError, match=r"^cannot write .*a\.png: Permission denied$"):
            write_atomically(folder / "a.png", b"x")
        assert contents(folder) == []
        folder.chmod(0o755)


def test_a_write_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """The kernel refuses what goes beyond 10 kB of a file, as a disk does that is nearly full."""
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    before = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))"
    script = NOISE.format(before=before, after="")
    done = subprocess.run([sys.executable, "-c", script, path], capture_output=True, text=True, check=True)
    assert done.stdout == f"cannot write {path}: File too large\n"
    assert contents(tmp_path) == ["a.png"]
    assert path.read_bytes() == b"old"


def test_a_full_disk(tmp_path: Path) -> None:
    mount = f"mount -t tmpfs -o size=64k tmpfs {tmp_path}"
    if (
        not shutil.which("unshare")
        or subprocess.run(["unshare", "-Urm", "sh", "-c", mount], check=False).returncode
    ):
        pytest.skip("no small disk can be made here")
    script = NOISE.format(before="", after="print(*Path(sys.argv[1]).parent.iterdir())")
    command = ["unshare", "-Urm", "sh", "-c", f'{mount} && exec "$0" -c "$1" "$2"']
    path = tmp_path / "a.png"
    done = subprocess.run(
        [*command, sys.executable, script, path], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"no space left on the disk: {path}\n\n"


@pytest.mark.parametrize(
    ("name", "source", "expected"),
    [
        ("a.jpg", photo("JPEG"), "a.jpg"),
        ("d/A.JPEG", photo("JPEG"), "d/A.JPEG"),
        ("a.png", photo("PNG"), "a.png"),
        ("a.webp", photo("WEBP"), "a.webp"),
        ("a.tiff", photo("TIFF"), "a.tiff"),
        ("a.bmp", photo("BMP"), "a.bmp"),
        ("a.gif", photo("GIF"), "a.gif.png"),
        ("d.e/scan", photo("JPEG"), "d.e/scan.png"),
        ("a.jpg", photo("PNG"), "a.jpg.png"),
        ("image.php", photo("JPEG"), "image.php.png"),
        ("a.webp", photo("WEBP", (16_384, 1)), "a.webp.png"),
        ("a.jpg", photo("JPEG", (1, 65_501)), "a.jpg.png"),
        ("a.jpg", photo("JPEG", (1, 65_500)), "a.jpg"),
    ],
)
def test_overlay_names(name: str, source: Photo, expected: str, tmp_path: Path) -> None:
    assert overlay_name(name, source) == expected
    write_image(tmp_path / expected, source.image, like=source)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "BMP"])
def test_no_byte_gets_around_the_file_that_notices_a_full_disk(kind: str, tmp_path: Path) -> None:
    class Counting(io.BufferedWriter):
        count = 0

        def write(self, data: Any, /) -> int:
            self.count += len(memoryview(data).cast("B"))
            return super().write(data)

    picture = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    with Counting(io.FileIO(tmp_path / "picture", "w")) as file:
        encode(file, picture, kind, None)
    assert file.count >= (tmp_path / "picture").stat().st_size > 10_000
