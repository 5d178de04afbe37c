"""Servers that would keep a download for ever."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import httpx
import pytest

from mrpose_cli.download import Pace, answer, make_client

PACE = Pace(bytes_per_second=1000, seconds=0.3)
Serve = Callable[..., str]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a server that sends the same pieces to everybody, with a pause after each."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    over = threading.Event()
    servers: list[socket.socket] = []

    def start(*pieces: bytes, pause: float = 0.0) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        threading.Thread(target=_accept, args=(server, pieces, pause, over), daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}/"

    yield start
    over.set()
    for server in servers:
        server.close()


def _accept(server: socket.socket, pieces: Sequence[bytes], pause: float, over: threading.Event) -> None:
    while True:
        try:
            connection = server.accept()[0]
        except OSError:
            return
        with connection:
            try:
                connection.recv(65536)
                for piece in pieces:
                    connection.sendall(piece)
                    if over.wait(pause):
                        return
            except ConnectionError:
                pass  # the client has had enough


def body(url: str) -> bytes:
    with make_client(timeout=5) as client, answer(client, url, PACE) as response:
        return b"".join(PACE.keep(response.iter_raw()))


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"HTTP/1.1 200 OK\r\n", *[b"x"] * 100], r"no answer within 0.3 s"),
        ([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x"] * 100], r"too slow, less than 1 kB/s for 0.3 s"),
        ([b"HTTP/1.1 302 Found\r\n", *[b"x"] * 100], r"no answer within 0.3 s"),
    ],
)
def test_a_server_that_drips_is_given_up(serve: Serve, pieces: list[bytes], reason: str) -> None:
    url = serve(*pieces, pause=0.05)  # every byte well before any timeout of a read
    began = time.monotonic()
    with pytest.raises(httpx.ReadTimeout, match=reason):
        body(url)
    assert time.monotonic() - began < 2


def test_a_slow_server_is_waited_for(serve: Serve) -> None:
    url = serve(b"HTTP/1.1 200 OK\r\n\r\n", *[bytes(100)] * 10, pause=0.06)
    assert body(url) == bytes(1000)


def test_time_spent_on_what_came_does_not_count() -> None:
    for chunk in Pace(bytes_per_second=1000, seconds=0.1).keep([b"a"] * 3):
        time.sleep(0.1)
        assert chunk == b"a"


def test_bodies_of_redirects_are_not_read(serve: Serve) -> None:
    target = serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
    moved = f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 1000000000\r\n\r\n".encode()
    assert body(serve(moved, b"x", pause=1.0)) == b"hi"


def test_redirects_in_circles_end(serve: Serve) -> None:
    with pytest.raises(httpx.TooManyRedirects):
        body(serve(b"HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"))
