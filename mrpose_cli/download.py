"""Reading from servers that may be slow for ever: what weights and photo links have in common."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ssl import SSLContext

    import httpx

_MOST_REDIRECTS = 20


@dataclass(frozen=True, slots=True)
class Pace:
    """The least speed of a download; timeouts of a single read never end a server that drips.

    Attributes:
        bytes_per_second: Less than that, on average over ``seconds``, and the server is given up.
        seconds: Also how long redirects and the answer's headers may take together.
    """

    bytes_per_second: float = 1000.0
    seconds: float = 60.0

    def __str__(self) -> str:
        return f"less than {self.bytes_per_second / 1000:g} kB/s for {self.seconds:g} s"

    def keep(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Pass chunks on as they come in; only the time spent waiting for them counts.

        The chunks must be passed as they are received (``iter_raw()``, ``iter_bytes()`` without a size).

        Raises:
            httpx.ReadTimeout: too few came.
        """
        import httpx

        received, waited, began = 0, 0.0, time.monotonic()
        for chunk in chunks:
            received += len(chunk)
            waited += time.monotonic() - began
            if waited >= self.seconds:
                if received < self.bytes_per_second * waited:
                    raise httpx.ReadTimeout(f"the server is too slow, {self}")
                received, waited = 0, 0.0
            yield chunk
            began = time.monotonic()


def make_client(**settings: Any) -> httpx.Client:
    """Make an HTTP client for :func:`answer`.

    Args:
        **settings: As for ``httpx.Client``.

    Raises:
        OSError, ValueError, ImportError, httpx.InvalidURL: the proxies or certificates that the environment
            names are not usable.
    """
    import httpx

    # Connections are not kept, so that every answer's deadline knows its own.
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(limits=limits, verify=_certificates(), **settings)


@contextmanager
def answer(
    client: httpx.Client, url: str, pace: Pace, headers: Mapping[str, str] | None = None
) -> Iterator[httpx.Response]:
    """Yield the response to a GET request before its body is read; bodies of redirects are never read.

    Raises:
        httpx.HTTPError, httpx.InvalidURL: there is none; ``httpx.ReadTimeout`` if its headers drip.
    """
    import httpx

    sockets: list[socket.socket] = []
    late = threading.Event()

    def connected(event: str, info: Mapping[str, Any]) -> None:
        if event.endswith((".connect_tcp.complete", ".start_tls.complete")):
            sockets.append(info["return_value"].get_extra_info("socket"))

    def give_up() -> None:
        late.set()
        for connection in sockets:
            with suppress(OSError):  # closed already
                connection.shutdown(socket.SHUT_RDWR)

    deadline = threading.Timer(pace.seconds, give_up)
    deadline.daemon = True
    deadline.start()
    try:
        request = client.build_request("GET", url, headers=headers, extensions={"trace": connected})
        for _ in range(_MOST_REDIRECTS + 1):
            response = client.send(request, stream=True, follow_redirects=False)
            if response.next_request is None:
                break
            response.close()
            request = response.next_request
        else:
            raise httpx.TooManyRedirects("too many redirects", request=request)
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError) as error:
        if late.is_set():
            raise httpx.ReadTimeout(f"no answer within {pace.seconds:g} s") from error
        raise
    finally:
        deadline.cancel()
    try:
        yield response
    finally:
        response.close()


@cache
def _certificates() -> SSLContext:
    import httpx

    return httpx.create_ssl_context()
