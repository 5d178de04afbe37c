"""The page's server: on this machine only, for who has the address, and for nothing but the page.

Other programs and users of the machine lack the token in the address. Pages of other origins that find out
the port are refused by their ``Origin`` and ``Sec-Fetch-Site``, and names of other hosts that were made to
lead here (DNS rebinding) by ``Host``. The page itself may load nothing from elsewhere.
"""

from __future__ import annotations

import json
import re
import secrets
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from hmac import compare_digest
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from mrpose_cli.errors import InputError, Message, MrposeError, OutputError, UsageError
from mrpose_cli.view import session as answers
from mrpose_cli.view.pictures import CLIP_TYPES, THUMB, Cache, Proxies, shown, small
from mrpose_cli.view.session import MOST, Session, Shown

HOST = "127.0.0.1"
_HOSTS = frozenset(("127.0.0.1", "localhost"))  # with any port: a tunnel has one of its own
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
_STATIC = files("mrpose_cli.view") / "static"
_CHUNK = 2**18
_LONGEST_BODY = 2**20  # bytes of a request
_PATIENCE = 60  # seconds a connection may be silent


class Server(ThreadingHTTPServer):
    """Serves one session.

    Args:
        session: What is shown.
        port: Where; 0 for any that is free.

    Attributes:
        address: Of the page, with the token.

    Raises:
        UsageError: the port is taken.
    """

    daemon_threads = True

    def __init__(self, session: Session, port: int = 0) -> None:
        self.session, self.token = session, secrets.token_urlsafe(24)
        self.cache, self.proxies = Cache(), Proxies()
        try:
            super().__init__((HOST, port), _Handler)
        except OSError as error:
            raise UsageError(f"port {port} cannot be used ({error.strerror}); choose another one") from None
        self.address = f"http://{HOST}:{self.server_port}/{self.token}/"

    def server_close(self) -> None:
        """Stop, and remove what was made on the way."""
        super().server_close()
        self.proxies.close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of browsers that hang up."""


class _Refused(Exception):
    def __init__(self, status: HTTPStatus, message: str = "") -> None:
        super().__init__(message)
        self.status = status


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "mrpose", ""
    timeout = _PATIENCE

    def do_GET(self) -> None:
        self._answer({
            "": lambda: self._static("index.html"),
            "api/meta": lambda: self._json(self.server.session.meta()),
            "api/index": self._index,
            "api/people": self._people,
            "api/track": self._track,
            "api/thumb": self._thumb,
            "api/photo": self._photo,
            "api/clip": self._clip,
            "api/proxy": self._proxy_file,
            "api/flags": lambda: self._json({"flags": self.server.session.all_flags()}),
        })  # fmt: skip

    def do_POST(self) -> None:
        self._answer({"api/flags": self._change_flags, "api/proxy": self._proxy})

    def _answer(self, doors: dict[str, Callable[[], None]]) -> None:
        try:
            with suppress(ConnectionError, socket.timeout):
                door = self._allowed()
                if door.startswith("static/"):
                    self._static(door.removeprefix("static/"))
                elif door in doors:
                    doors[door]()
                else:
                    raise _Refused(HTTPStatus.NOT_FOUND)
        except _Refused as refused:
            self._fail(refused.status, str(refused))
        except (UsageError, InputError, ValidationError, ValueError) as error:
            self._fail(HTTPStatus.BAD_REQUEST, _words(error))
        except (OutputError, MrposeError) as error:
            self._fail(HTTPStatus.INTERNAL_SERVER_ERROR, _words(error))
        except (IndexError, KeyError):
            self._fail(HTTPStatus.NOT_FOUND, "there is no such thing")
        except OSError as error:
            self._fail(HTTPStatus.NOT_FOUND, error.strerror or "it cannot be read")

    def _allowed(self) -> str:
        """Return the path behind the token, of requests that may be answered."""
        host = self.headers.get("Host", "")
        if urlsplit(f"//{host}").hostname not in _HOSTS:
            raise _Refused(HTTPStatus.FORBIDDEN)
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site", "none")
        if origin not in (None, f"http://{host}") or site not in ("none", "same-origin"):
            raise _Refused(HTTPStatus.FORBIDDEN)
        if self.command == "POST" and origin is None:
            raise _Refused(HTTPStatus.FORBIDDEN)  # browsers say who sends
        _, token, path = [*urlsplit(self.path).path.split("/", 2), "", ""][:3]
        if not compare_digest(token.encode(), self.server.token.encode()):
            raise _Refused(HTTPStatus.NOT_FOUND)
        return path

    def _query(self) -> dict[str, str]:
        return {key: values[0] for key, values in parse_qs(urlsplit(self.path).query).items()}

    def _shown(self) -> Shown:
        return self.server.session.shown(int(self._query()["r"]))

    def _index(self) -> None:
        data = answers.index(self._shown(), self.server.session.flags)
        self._send("application/octet-stream", data)

    def _people(self) -> None:
        query, shown = self._query(), self._shown()
        count = len(shown.opened.result.images)
        wanted: Sequence[int]
        if "from" in query:
            wanted = range(int(query["from"]), min(int(query["to"]), count))
        else:
            wanted = [int(number) for number in query["images"].split(",")]
        if len(wanted) > MOST or not all(0 <= place < count for place in wanted):
            raise _Refused(HTTPStatus.BAD_REQUEST, "no such images, or too many at once")
        self._json(answers.people_of(shown, wanted))

    def _track(self) -> None:
        number = int(self._query()["track"])
        self._send("application/octet-stream", answers.track_joints(self._shown(), number))

    def _picture(self) -> tuple[Path, bool]:
        """Return the file of a photo, and whether it is to be turned upright."""
        shown, place = self._shown(), int(self._query()["i"])
        if place < 0:
            raise IndexError(place)
        path = shown.opened.photos.find(shown.opened.result.images.names[place])
        if path is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "the photo is not there")
        return path, shown.opened.photos.upright

    def _thumb(self) -> None:
        path, upright = self._picture()
        data = self.server.cache.get(path, lambda: small(path, THUMB, upright=upright))
        self._send("image/jpeg", data, keep=True)

    def _photo(self) -> None:
        path, upright = self._picture()
        kind, data = shown(path, upright=upright)
        self._send(kind, data, keep=True)

    def _clip_path(self) -> Path:
        path = self._shown().opened.clip
        if path is None:
            raise _Refused(HTTPStatus.NOT_FOUND, "the clip is not there")
        return path

    def _clip(self) -> None:
        path = self._clip_path()
        kind = CLIP_TYPES.get(path.suffix.lower())
        if kind is None:
            raise _Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE)
        self._file(path, kind)

    def _proxy(self) -> None:
        proxy = self.server.proxies.of(self._clip_path())
        self._json({"state": proxy.state, "done": proxy.done, "problem": proxy.problem})

    def _proxy_file(self) -> None:
        proxy = self.server.proxies.of(self._clip_path())
        if proxy.state != "ready":
            raise _Refused(HTTPStatus.NOT_FOUND)
        self._file(proxy.path, "video/mp4")

    def _change_flags(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        if not 0 < length <= _LONGEST_BODY or self.headers.get_content_type() != "application/json":
            raise _Refused(HTTPStatus.BAD_REQUEST)
        self._json({"flags": self.server.session.change(json.loads(self.rfile.read(length)))})

    def _static(self, name: str) -> None:
        kind = _TYPES.get(Path(name).suffix)
        if kind is None or not re.fullmatch(r"[a-z]+\.[a-z]+", name):
            raise _Refused(HTTPStatus.NOT_FOUND)
        self._send(f"{kind}; charset=utf-8", (_STATIC / name).read_bytes())

    def _json(self, content: Any) -> None:
        self._send("application/json", json.dumps(content).encode())

    def _send(self, kind: str, data: bytes, *, keep: bool = False) -> None:
        self._head(HTTPStatus.OK, kind, len(data), {"Cache-Control": "private, max-age=600"} if keep else {})
        self.wfile.write(data)

    def _file(self, path: Path, kind: str) -> None:
        """Return a file or the part of it that is asked for, as players do to jump."""
        with path.open("rb") as file:
            size = path.stat().st_size
            asked = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
            first, last, status = 0, size - 1, HTTPStatus.OK
            more = {"Accept-Ranges": "bytes"}
            if asked and any(asked.groups()):
                start, end = asked.groups()
                first = int(start) if start else max(size - int(end), 0)
                last = min(int(end), size - 1) if start and end else size - 1
                if first > last:
                    self._head(
                        HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE,
                        kind,
                        0,
                        {"Content-Range": f"bytes */{size}"},
                    )
                    return
                status = HTTPStatus.PARTIAL_CONTENT
                more["Content-Range"] = f"bytes {first}-{last}/{size}"
            self._head(status, kind, last - first + 1, more)
            file.seek(first)
            left = last - first + 1
            while left > 0 and (data := file.read(min(_CHUNK, left))):
                self.wfile.write(data)
                left -= len(data)

    def _head(self, status: HTTPStatus, kind: str, length: int, more: dict[str, str]) -> None:
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(length), "Cache-Control": "no-store"}
        for name, value in {**headers, **_HEADERS, **more}.items():
            self.send_header(name, value)
        self.end_headers()

    def _fail(self, status: HTTPStatus, message: str) -> None:
        with suppress(ConnectionError, ValueError):
            self.close_connection = True  # what else the request holds is not read
            data = json.dumps({"error": message or status.phrase}).encode()
            self._head(status, "application/json", len(data), {"Connection": "close"})
            self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Keep requests off the terminal."""


def _words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return error.errors()[0]["msg"]
    return Message(str(error.args[0]) if isinstance(error, MrposeError) else str(error)).as_flags
