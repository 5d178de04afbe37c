"""Who is answered, and with what."""

import http.client
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from PIL import Image
from view_results import SAMPLES, clip, photos, served, write

from mrpose_cli.view.server import Server


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with served(photos(tmp_path / "out")) as server:
        yield server


def ask(
    server: Server, path: str, method: str = "GET", body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """What the server says; ``path`` stands behind the token unless it begins with a slash."""
    address = urlsplit(server.address)
    connection = http.client.HTTPConnection(address.netloc, timeout=20)
    wanted = path if path.startswith("/") else address.path + path
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, wanted, body, names)
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), data


def own(server: Server) -> str:
    return f"http://{urlsplit(server.address).netloc}"


def test_it_listens_on_this_machine_alone_and_has_a_long_token(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    assert len(server.token) >= 32


def test_who_lacks_the_token_gets_nothing(server: Server) -> None:
    for path in ("/", "/index.html", "/api/meta", "/x/api/meta", f"/{server.token[:-1]}/", "/static/main.js"):
        assert ask(server, path)[0] == 404, path
    assert ask(server, "")[0] == 200
    assert ask(server, "api/meta")[0] == 200


def test_the_page_may_load_nothing_from_elsewhere(server: Server) -> None:
    for path in ("", "static/main.js", "api/meta", "api/thumb?r=0&i=0", "nothing"):
        policy = ask(server, path)[1]["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy
    text = ask(server, "")[2].decode()
    assert "http:" not in text and "https:" not in text


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "[::1"])
def test_names_of_other_hosts_are_refused(server: Server, host: str) -> None:
    assert ask(server, "api/meta", Host=host)[0] in (400, 403)


def test_a_tunnel_may_have_a_port_of_its_own(server: Server) -> None:
    assert ask(server, "api/meta", Host="localhost:9999")[0] == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://localhost"])
def test_pages_of_other_origins_are_refused(server: Server, origin: str) -> None:
    assert ask(server, "api/people?r=0&images=0", Origin=origin)[0] == 403
    body = json.dumps({"add": [{"result": "poses.json", "kind": "nobody", "image": 1, "person": 1}]}).encode()
    kind = {"Content_Type": "application/json"}
    assert ask(server, "api/flags", "POST", body, Origin=origin, **kind)[0] == 403
    assert ask(server, "api/flags", "POST", body, **kind)[0] == 403  # no browser of ours
    assert ask(server, "api/meta", Sec_Fetch_Site="cross-site")[0] == 403
    assert not server.session.flags.exists()
    assert ask(server, "api/flags", "POST", body, Origin=own(server), **kind)[0] == 200
    assert server.session.flags.exists()


@pytest.mark.parametrize(
    "path",
    [
        "static/../session.py", "static/..%2fsession.py", "static/", "static/none.js", "../", "api/nothing",
        "api/photo?r=0&i=5", "api/photo?r=0&i=-1", "api/photo?r=1&i=0", "api/photo?r=0", "api/photo?r=x&i=0",
        "api/people?r=0&images=5", "api/people?r=0&images=", "api/people?r=0&from=-1&to=1",
        "api/people?r=0&from=-999999999999&to=1", "api/clip?r=0",
        "api/track?r=0&track=1", "api/proxy?r=0",
    ],
)  # fmt: skip
def test_what_is_not_there_is_an_error_and_the_server_goes_on(server: Server, path: str) -> None:
    status, _, data = ask(server, path)
    assert status in (400, 404)
    assert "error" in json.loads(data)
    assert ask(server, "api/meta")[0] == 200


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"add": [{}]}', b'{"add": [{"result": 1, "kind": "x"}]}']
)
def test_flags_that_are_none_change_nothing(server: Server, body: bytes) -> None:
    status, _, _ = ask(server, "api/flags", "POST", body, Origin=own(server), Content_Type="application/json")
    assert status == 400
    assert not server.session.flags.exists()


def test_only_pictures_within_the_folder_are_sent(tmp_path: Path) -> None:
    inside, out = tmp_path / "photos", tmp_path / "out"
    inside.mkdir()
    shutil.copy(SAMPLES / "camera.png", inside / "good.png")
    shutil.copy(SAMPLES / "camera.png", tmp_path / "secret.png")
    (inside / "text.png").write_text("root:x:0:0")
    (inside / "page.html").write_text("<script>alert(1)</script>")
    names = [
        "good.png",
        "../secret.png",
        str(tmp_path / "secret.png"),
        "text.png",
        "page.html",
        "a/../../secret.png",
    ]
    images = [{"id": i, "file_name": name, "width": 9, "height": 9} for i, name in enumerate(names)]
    with served(write(out / "poses.json", images, [], photos="../photos")) as server:
        for door in ("photo", "thumb"):
            answers = [ask(server, f"api/{door}?r=0&i={i}") for i in range(len(names))]
            assert [status for status, _, _ in answers] == [200, 404, 404, 400, 400, 404]
            assert all(b"root:" not in data and b"alert" not in data for _, _, data in answers)


def test_small_pictures_are_small_and_turned(tmp_path: Path) -> None:
    picture = Image.new("RGB", (1200, 800), (200, 30, 30))
    exif = picture.getexif()
    exif[0x0112] = 6
    (tmp_path / "in").mkdir()
    picture.save(tmp_path / "in" / "turned.jpg", exif=exif)
    picture.convert("CMYK").save(tmp_path / "in" / "plain.tif")
    images = [
        {"id": i, "file_name": name, "width": 800, "height": 1200}
        for i, name in enumerate(("turned.jpg", "plain.tif"))
    ]
    with served(write(tmp_path / "out" / "poses.json", images, [], photos="../in")) as server:
        sizes = []
        for i in range(2):
            _, headers, data = ask(server, f"api/thumb?r=0&i={i}")
            (tmp_path / "small.jpg").write_bytes(data)
            assert headers["Content-Type"] == "image/jpeg"
            with Image.open(tmp_path / "small.jpg") as small:
                sizes.append(small.size)
        assert sizes == [(213, 320), (320, 213)]
        assert ask(server, "api/photo?r=0&i=0")[1]["Content-Type"] == "image/jpeg"
        assert ask(server, "api/photo?r=0&i=1")[1]["Content-Type"] == "image/png"  # browsers show no TIFF


def test_parts_of_a_clip(tmp_path: Path) -> None:
    path = clip(tmp_path)
    data = (tmp_path / "walk.mp4").read_bytes()
    size = len(data)

    with served(path) as server:

        def part(wanted: str) -> tuple[int, Any, bytes]:
            status, headers, found = ask(server, "api/clip?r=0", Range=wanted)
            return status, headers.get("Content-Range"), found

        assert ask(server, "api/clip?r=0")[2] == data
        assert part("bytes=0-") == (206, f"bytes 0-{size - 1}/{size}", data)
        assert part("bytes=100-199") == (206, f"bytes 100-199/{size}", data[100:200])
        assert part("bytes=-10") == (206, f"bytes {size - 10}-{size - 1}/{size}", data[-10:])
        assert part(f"bytes=10-{size * 9}") == (206, f"bytes 10-{size - 1}/{size}", data[10:])
        assert part(f"bytes={size}-") == (416, f"bytes */{size}", b"")
        assert part("lines=1-2")[0] == 200
