from __future__ import annotations

import importlib.util
import io
import threading
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from weights_entries import QUICK, cached, content, entry, pose, sha, store
from weights_server import FileServer, Served

from mrpose_cli.errors import WeightsError
from mrpose_cli.weights import manifest
from mrpose_cli.weights.manifest import Entry
from mrpose_cli.weights.sources import UrlSource

DATA = content()
HALF = len(DATA) // 2


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with FileServer() as running:
        yield running


def net(server: FileServer, *paths: str, data: bytes = DATA) -> Entry:
    return entry(*(UrlSource(url=server.url(path)) for path in paths), sha256=sha(data))


def part_of(tmp_path: Path) -> Path:
    """The one partial file in the cache."""
    [part] = (tmp_path / "home" / "weights").glob("net.bin.*.part")
    return part


def half_done(tmp_path: Path, server: FileServer, wanted: Entry) -> Path:
    """Leave half a download behind, as an interrupted run does."""
    server.files["/net"] = Served(DATA, breaks=1)
    with pytest.raises(WeightsError, match="gave up after 1 attempts"):
        store(tmp_path, http=replace(QUICK, attempts=1)).resolve(wanted)
    server.requests.clear()
    part = part_of(tmp_path)
    assert part.read_bytes() == DATA[:HALF]
    return part


def kept(tmp_path: Path) -> set[str]:
    """What is in the cache besides lock files."""
    folder = tmp_path / "home" / "weights"
    return {path.name for path in folder.iterdir() if path.suffix != ".lock"}


def test_a_file_is_fetched_verified_and_then_found(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(DATA)
    wanted = net(server, "/net")
    path = store(tmp_path).resolve(wanted)
    assert path == tmp_path / "home" / "weights" / "net.bin"
    assert path.read_bytes() == DATA
    assert kept(tmp_path) == {"net.bin", "net.bin.verified.json"}
    assert store(tmp_path).resolve(wanted) == path
    assert server.ranges("/net") == [None]


def test_redirects_are_followed(tmp_path: Path, server: FileServer) -> None:
    server.files["/old"] = Served(redirect="/net")
    server.files["/net"] = Served(DATA)
    assert store(tmp_path).resolve(net(server, "/old")).read_bytes() == DATA


def test_broken_connections_are_resumed(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(DATA, breaks=2)
    assert store(tmp_path).resolve(net(server, "/net")).read_bytes() == DATA
    assert server.ranges("/net") == [None, f"bytes={HALF}-", f"bytes={HALF + HALF // 2}-"]


def test_a_stalled_connection_is_resumed(tmp_path: Path, server: FileServer) -> None:
    gate = threading.Event()
    server.files["/net"] = Served(DATA, gate=gate)

    def open_the_gate(*report: object, **more: object) -> None:
        if len(server.requests) == 2:
            gate.set()

    assert store(tmp_path, progress=open_the_gate).resolve(net(server, "/net")).read_bytes() == DATA
    assert server.ranges("/net") == [None, f"bytes={HALF}-"]


def test_it_gives_up_on_a_source_that_keeps_breaking(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(DATA, breaks=99)
    with pytest.raises(WeightsError, match=r"gave up after 4 attempts \(peer closed connection"):
        store(tmp_path).resolve(net(server, "/net"))
    assert len(server.requests) == 4
    assert not (tmp_path / "home" / "weights" / "net.bin").exists()


def test_a_later_run_goes_on_where_an_earlier_one_stopped(tmp_path: Path, server: FileServer) -> None:
    wanted = net(server, "/net")
    half_done(tmp_path, server, wanted)
    assert store(tmp_path).resolve(wanted).read_bytes() == DATA
    assert server.ranges("/net") == [f"bytes={HALF}-"]
    assert kept(tmp_path) == {"net.bin", "net.bin.verified.json"}


def test_a_server_without_ranges_means_a_clean_start(tmp_path: Path, server: FileServer) -> None:
    wanted = net(server, "/net")
    half_done(tmp_path, server, wanted)
    server.files["/net"] = Served(DATA, ranges=False)
    assert store(tmp_path).resolve(wanted).read_bytes() == DATA
    assert server.ranges("/net") == [f"bytes={HALF}-"]


def test_a_range_that_starts_elsewhere_means_a_clean_start(tmp_path: Path, server: FileServer) -> None:
    wanted = net(server, "/net")
    half_done(tmp_path, server, wanted)
    server.files["/net"] = Served(DATA, moved_from=-1)
    assert store(tmp_path).resolve(wanted).read_bytes() == DATA
    assert server.ranges("/net") == [f"bytes={HALF}-", None]


def test_a_range_shorter_than_asked_for_is_gone_on_with(tmp_path: Path, server: FileServer) -> None:
    wanted = net(server, "/net")
    half_done(tmp_path, server, wanted)
    server.files["/net"] = Served(DATA, longest_range=HALF - 10)
    assert store(tmp_path).resolve(wanted).read_bytes() == DATA
    assert server.ranges("/net") == [f"bytes={HALF}-", f"bytes={len(DATA) - 10}-"]


def test_a_partial_file_as_long_as_the_whole_means_a_clean_start(tmp_path: Path, server: FileServer) -> None:
    wanted = net(server, "/net")
    part = half_done(tmp_path, server, wanted)
    part.write_bytes(b"x" * len(DATA))
    assert store(tmp_path).resolve(wanted).read_bytes() == DATA
    assert server.ranges("/net") == [f"bytes={len(DATA)}-", None]


def test_a_resumed_file_of_another_version_is_taken_anew(tmp_path: Path, server: FileServer) -> None:
    wanted = net(server, "/net")
    half_done(tmp_path, server, wanted).write_bytes(content(seed=1)[:HALF])
    assert store(tmp_path).resolve(wanted).read_bytes() == DATA
    assert server.ranges("/net") == [f"bytes={HALF}-", None]


def test_partial_files_of_two_sources_are_not_joined(tmp_path: Path, server: FileServer) -> None:
    wanted = net(server, "/net", "/mirror")
    server.files["/net"] = Served(content(seed=1), breaks=99)
    server.files["/mirror"] = Served(DATA)
    assert store(tmp_path).resolve(wanted).read_bytes() == DATA
    assert server.ranges("/mirror") == [None]
    assert kept(tmp_path) == {"net.bin", "net.bin.verified.json"}  # the first source's part is gone too


def test_the_wrong_bytes_are_refused_with_both_hashes(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(content(seed=1))
    with pytest.raises(WeightsError) as caught:
        store(tmp_path).resolve(net(server, "/net"))
    assert f"sha256 is {sha(content(seed=1))} and not {sha(DATA)}" in str(caught.value)
    assert kept(tmp_path) == set()


def test_the_next_source_is_tried(tmp_path: Path, server: FileServer) -> None:
    server.files["/wrong"] = Served(content(seed=1))
    server.files["/net"] = Served(DATA)
    assert store(tmp_path).resolve(net(server, "/gone", "/wrong", "/net")).read_bytes() == DATA
    assert [path for path, _ in server.requests] == ["/gone", "/wrong", "/net"]  # a 404 is not tried again


def test_every_source_is_named_when_all_fail(tmp_path: Path, server: FileServer) -> None:
    server.files["/wrong"] = Served(content(seed=1))
    closed = UrlSource(url="http://127.0.0.1:9/net")
    wanted = pose(
        UrlSource(url=server.url("/gone")), UrlSource(url=server.url("/wrong")), closed, sha256=sha(DATA)
    )
    with pytest.raises(WeightsError) as caught:
        store(tmp_path).resolve(wanted)
    message = str(caught.value)
    place = tmp_path / "home" / "weights" / "posenet.bin"
    assert message.startswith("no weights for 'posenet': it is not on this machine; ")
    assert f"{server.url('/gone')}: HTTP 404 Not Found; " in message
    assert f"{server.url('/wrong')}: the file's sha256 is " in message
    assert f"{closed}: " in message
    assert message.endswith(f"; put the file at {place} or pass `weights` PATH")
    assert "\n" not in message


def test_a_damaged_cached_file_is_replaced(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(DATA)
    path = cached(tmp_path, DATA[:-1])
    assert store(tmp_path).resolve(net(server, "/net")) == path
    assert path.read_bytes() == DATA


def test_progress_counts_up_to_the_whole(tmp_path: Path, server: FileServer) -> None:
    wanted = net(server, "/net")
    half_done(tmp_path, server, wanted)
    told: list[tuple[str, int, int | None]] = []
    store(tmp_path, progress=lambda *report, **more: told.append(report)).resolve(wanted)
    done = [bytes_done for _, bytes_done, _ in told]
    assert done == sorted(done)
    assert (done[0], done[-1]) == (HALF, len(DATA))
    assert {(description, total) for description, _, total in told} == {("net", len(DATA))}


def test_a_server_that_drips_is_given_up_and_gone_on_with(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(DATA, drips=1)
    assert store(tmp_path).resolve(net(server, "/net")).read_bytes() == DATA
    first, second = server.ranges("/net")
    assert first is None
    assert second is not None and HALF <= int(second[6:-1]) < HALF + 1000


@pytest.mark.parametrize("size", [len(DATA), None])
def test_an_endless_download_ends(
    tmp_path: Path, server: FileServer, size: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(manifest, "LARGEST_FILE", 5 * len(DATA))
    server.files["/net"] = Served(DATA, endless=True)
    server.files["/mirror"] = Served(content(seed=1))
    sources = [UrlSource(url=server.url(path)) for path in ("/net", "/mirror")]
    with pytest.raises(WeightsError) as caught:
        store(tmp_path).resolve(entry(*sources, sha256=sha(DATA), size=size))
    assert f"sends more than the {size or 5 * len(DATA)} bytes" in str(caught.value)
    assert len(server.ranges("/net")) == 1  # and is not asked again
    assert kept(tmp_path) == set()


def test_a_file_announced_too_large_is_not_begun(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(DATA + b"x")
    source = UrlSource(url=server.url("/net"))
    with pytest.raises(WeightsError, match=f"it has {len(DATA) + 1} bytes, more than the {len(DATA)}"):
        store(tmp_path).resolve(entry(source, sha256=sha(DATA), size=len(DATA)))
    assert kept(tmp_path) == set()


def test_a_longer_answer_than_announced_is_cut_off(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(DATA, surplus=1000)
    assert store(tmp_path).resolve(net(server, "/net")).read_bytes() == DATA


def test_a_cached_file_of_another_size_is_replaced(tmp_path: Path, server: FileServer) -> None:
    server.files["/net"] = Served(DATA)
    path = cached(tmp_path, DATA[:-1])
    wanted = entry(UrlSource(url=server.url("/net")), sha256=sha(DATA), size=len(DATA))
    with pytest.raises(WeightsError, match=f"damaged, it has {len(DATA) - 1} bytes and not {len(DATA)}"):
        store(tmp_path, offline=True).resolve(wanted)
    assert store(tmp_path).resolve(wanted) == path


def test_a_member_that_unpacks_to_more_than_it_should_is_cut_off(tmp_path: Path, server: FileServer) -> None:
    server.files["/net.zip"] = Served(zipped(end2end=bytes(50_000_000)))
    source = UrlSource(url=server.url("/net.zip"), member="*end2end.onnx")
    with pytest.raises(WeightsError, match=f"is larger than the {len(DATA)} bytes expected at most"):
        store(tmp_path).resolve(entry(source, sha256=sha(DATA), size=len(DATA)))
    assert kept(tmp_path) == set()


def zipped(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(f"export/{name}.onnx", data)
    return buffer.getvalue()


def in_zip(server: FileServer, archive: bytes) -> Entry:
    server.files["/net.zip"] = Served(archive)
    return entry(UrlSource(url=server.url("/net.zip"), member="*end2end.onnx"), sha256=sha(DATA))


def test_one_member_is_taken_out_of_a_zip(tmp_path: Path, server: FileServer) -> None:
    wanted = in_zip(server, zipped(end2end=DATA, other=b"x"))
    server.files["/net.zip"].breaks = 1
    assert store(tmp_path).resolve(wanted).read_bytes() == DATA
    assert kept(tmp_path) == {"net.bin", "net.bin.verified.json"}


@pytest.mark.parametrize(
    ("archive", "reason"),
    [
        (zipped(other=DATA), "no files in the archive match '*end2end.onnx', not one"),
        (zipped(end2end=DATA, second_end2end=DATA), "2 files in the archive match '*end2end.onnx', not one"),
        (zipped(end2end=DATA[1:]), f"sha256 is {sha(DATA[1:])} and not {sha(DATA)}"),
        (b"no archive", "the archive is not readable"),
        (zipped(end2end=DATA).replace(b"PK\x01\x02", b"PK\x01\x03"), "the archive is not readable"),
    ],
)
def test_an_unusable_zip_is_refused(tmp_path: Path, server: FileServer, archive: bytes, reason: str) -> None:
    with pytest.raises(WeightsError) as caught:
        store(tmp_path).resolve(in_zip(server, archive))
    assert reason in str(caught.value)
    assert kept(tmp_path) == set()


@pytest.mark.parametrize(
    "proxy",
    [
        "nonsense://proxy:1",
        pytest.param(
            "socks5://proxy:1",
            marks=pytest.mark.skipif(
                importlib.util.find_spec("socksio") is not None, reason="SOCKS works here"
            ),
        ),
    ],
)
def test_unusable_proxy_settings_are_one_line(
    tmp_path: Path, server: FileServer, monkeypatch: pytest.MonkeyPatch, proxy: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(WeightsError, match="the proxy or certificate settings are not usable"):
        store(tmp_path).resolve(net(server, "/net"))
