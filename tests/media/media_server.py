"""A real HTTP server for the tests."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Handler(BaseHTTPRequestHandler):
    pages: dict[str, bytes]
    agents: list[str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        self.agents.append(self.headers["User-Agent"])
        if path in self.pages:
            self._send(self.pages[path], "image/jpeg")
        elif path == "/moved.jpg":
            self.send_response(302)
            self.send_header("Location", "/photo.jpg?from=moved")
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/circle.jpg":
            self.send_response(302)
            self.send_header("Location", "/circle.jpg")
            self.send_header("Content-Length", "0")
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
