"""A real HTTP server for the tests: serves files with ranges, and fails in the ways servers do."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType


@dataclass
class Served:
    """One path of the server and how it behaves.

    Attributes:
        content: The whole file.
        ranges: Whether Range requests are honored (206) or ignored (200).
        breaks: How many responses end after half of their body, with the connection closed.
        gate: If set, every response waits for it after half of its body.
        moved_from: Added to the start a 206 response states, as a broken server would.
        longest_range: The most bytes a 206 response carries; servers may send less than was asked for.
        redirect: Answer with a redirect to this path.
        endless: Announce no length, and send the content over and over.
        surplus: Bytes sent beyond those announced.
        drips: How many responses come a byte at a time after half of their body.
    """

    content: bytes = b""
    ranges: bool = True
    breaks: int = 0
    gate: threading.Event | None = None
    moved_from: int = 0
    longest_range: int | None = None
    redirect: str | None = None
    endless: bool = False
    surplus: int = 0
    drips: int = 0


@dataclass
class FileServer:
    """Serves ``files`` by path on localhost while the context is open and records the requests."""

    files: dict[str, Served] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)

    def __enter__(self) -> FileServer:
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                owner.requests.append((self.path, self.headers["Range"]))
                served = owner.files.get(self.path)
                if served is None:
                    self.send_error(404)
                else:
                    _answer(self, served)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for served in self.files.values():
            if served.gate is not None:
                served.gate.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def url(self, path: str) -> str:
        """The full address of a path."""
        return f"http://127.0.0.1:{self._server.server_address[1]}{path}"

    def ranges(self, path: str) -> list[str | None]:
        """The Range headers of the requests for ``path``, in order."""
        return [asked for requested, asked in self.requests if requested == path]


def _answer(handler: BaseHTTPRequestHandler, served: Served) -> None:
    if served.redirect is not None:
        handler.send_response(302)
        handler.send_header("Location", served.redirect)
        handler.send_header("Content-Length", "0")
        handler.end_headers()
        return
    total, start, end = len(served.content), 0, len(served.content)
    asked = re.fullmatch(r"bytes=(\d+)-", handler.headers["Range"] or "")
    if asked and served.ranges:
        start = int(asked[1])
        if start >= total:
            handler.send_response(416)
            handler.send_header("Content-Range", f"bytes */{total}")
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        if served.longest_range is not None:
            end = min(end, start + served.longest_range)
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start + served.moved_from}-{end - 1}/{total}")
    else:
        handler.send_response(200)
    body = served.content[start:end]
    if not served.endless:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    half = len(body) // 2
    try:
        while served.endless:
            handler.wfile.write(body)
        handler.wfile.write(body[:half])
        if served.breaks > 0:
            served.breaks -= 1
            return
        if served.gate is not None:
            served.gate.wait()
        if served.drips > 0:
            served.drips -= 1
            for position in range(half, len(body)):
                handler.wfile.write(body[position : position + 1])
                time.sleep(0.02)
        handler.wfile.write(body[half:] + bytes(served.surplus))
    except ConnectionError:
        pass  # the client went away, which is what some tests are about
