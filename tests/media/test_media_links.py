import socket
import time
from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from media_server import serve
from PIL import Image

from mrpose_cli import __version__
from mrpose_cli.errors import InputError
from mrpose_cli.media.images import read_image
from mrpose_cli.media.inputs import Source
from mrpose_cli.media.photo import Photo

AGENTS: list[str] = []


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    file = BytesIO()
    Image.new("RGB", (30, 20), (10, 200, 30)).save(file, "PNG")
    with serve(
        {"/photo.jpg": file.getvalue(), "/page.jpg": b"<html></html>", "/empty.jpg": b""}, AGENTS
    ) as url:
        yield url


def read(url: str, timeout: float = 5.0, max_download: int = 100_000) -> Photo:
    return read_image(Source(url, "x.jpg"), timeout=timeout, max_download=max_download)


@pytest.mark.parametrize(
    "path", ["/photo.jpg", "/photo.jpg?a=b", "/moved.jpg", "/moved-endless.jpg", "/longer.jpg"]
)
def test_links_are_read(path: str, server: str) -> None:
    photo = read(server + path)
    assert photo.format == "PNG"
    np.testing.assert_array_equal(photo.image, np.full((20, 30, 3), (10, 200, 30)))
    assert AGENTS[-1] == f"mrpose/{__version__}"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/none.jpg", r"^the server answered 404 \(Not Found\)$"),
        ("/page.jpg", r"^not a picture that can be read \(a web page\)$"),
        ("/empty.jpg", r"^the file is empty$"),
        ("/circle.jpg", r"^the link leads in circles"),
        ("/broken-off.jpg", r"^the download broke off \(.*\); try again$"),
        ("/endless.jpg", r"^larger than 0\.1 MB; download it yourself"),
        ("/bomb.jpg", r"^larger than 0\.1 MB; download it yourself"),
        ("/packed.jpg", r"^the server compresses it \(br\); download it yourself"),
        ("/ftp.jpg", r"^not a link that can be followed \(.*ftp.*\)$"),
        ("/local.jpg", r"^not a link that can be followed \(.*file.*\)$"),
        ("/huge.jpg", r"^larger than 0\.1 MB; download it yourself"),
    ],
)
def test_links_that_lead_nowhere(path: str, message: str, server: str) -> None:
    with pytest.raises(InputError, match=message):
        read(server + path)


def test_a_slow_server(server: str) -> None:
    with pytest.raises(InputError, match=r"^the server did not answer within 0\.1 s$"):
        read(server + "/slow.jpg", timeout=0.1)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/drip.jpg", r"^the server is too slow \(less than 1 kB/s for 0\.2 s\)$"),
        ("/drip-headers.jpg", r"^the server did not answer within 0\.2 s$"),
    ],
)
def test_a_server_that_drips(path: str, message: str, server: str) -> None:
    start = time.perf_counter()
    with pytest.raises(InputError, match=message):
        read(server + path, timeout=0.2)
    assert time.perf_counter() - start < 2


def test_no_server() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match=r"^the server could not be reached \(\[Errno .+\)$"):
            read(f"http://127.0.0.1:{free.getsockname()[1]}/a.jpg")


def test_links_that_are_none() -> None:
    with pytest.raises(InputError, match=r"^not a link that can be followed"):
        read("http://[::1/a.jpg")
