"""A real HTTP server for the tests."""

import gzip
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_ELSEWHERE = {
    "/moved.jpg": "/photo.jpg?from=moved",
    "/circle.jpg": "/circle.jpg",
    "/ftp.jpg": "ftp://localhost/photo.jpg",
    "/local.jpg": "file:///etc/hostname",
}


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, bytes]
    agents: list[str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.agents.append(self.headers["User-Agent"])
        if path in self.pages:
            self._send(self.pages[path], "image/jpeg")
        elif path in _ELSEWHERE:
            self.send_response(302)
            self.send_header("Location", _ELSEWHERE[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/moved-endless.jpg":  # A redirect whose own page has no end.
            self.send_response(302)
            self.send_header("Location", "/photo.jpg")
            self.end_headers()
            while True:
                self.wfile.write(bytes(100_000))
        elif path == "/drip.jpg":  # A byte now and then, for ever.
            self.send_response(200)
            self.end_headers()
            self._drip()
        elif path == "/drip-headers.jpg":
            self.wfile.write(b"HTTP/1.0 200 OK\r\nX-Drip: ")
            self._drip()
        elif path == "/longer.jpg":  # Sends more than it announces.
            self._send(self.pages["/photo.jpg"], "image/jpeg")
            self.wfile.write(b"more")
        elif path == "/bomb.jpg":  # Many more bytes than are sent.
            self.send_response(200)
            self.send_header("Content-Encoding", "gzip")
            self.end_headers()
            self.wfile.write(gzip.compress(bytes(20_000_000), 1))
        elif path == "/packed.jpg":
            self.send_response(200)
            self.send_header("Content-Encoding", "br")
            self.end_headers()
        elif path == "/slow.jpg":
            time.sleep(0.5)
            self._send(b"late", "image/jpeg")
        elif path == "/endless.jpg":  # Announces no length and goes on for a megabyte.
            self.send_response(200)
            self.end_headers()
            for _ in range(100):
                self.wfile.write(bytes(10_000))
        elif path in ("/broken-off.jpg", "/huge.jpg"):  # Neither sends what it announces.
            self.send_response(200)
            self.send_header("Content-Length", "1000" if path == "/broken-off.jpg" else "300000000")
            self.end_headers()
            self.wfile.write(b"\xff\xd8\xff")
        else:
            self.send_error(404)

    def _drip(self) -> None:
        while True:
            time.sleep(0.02)
            self.wfile.write(b"x")

    def _send(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle(self) -> None:
        # The client hangs up on what is too large or too slow.
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def serve(pages: dict[str, bytes], agents: list[str] | None = None) -> Iterator[str]:
    """Serves the pages, and some paths that misbehave, and gives the server's address."""
    handler = type("Handler", (_Handler,), {"pages": pages, "agents": [] if agents is None else agents})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
