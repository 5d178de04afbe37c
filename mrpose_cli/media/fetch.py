"""Downloading one photo."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from ssl import SSLContext
from typing import Final

import httpx

from mrpose_cli import __version__
from mrpose_cli.errors import InputError

_CHUNK: Final = 64_000
"""The bytes that must arrive within each `timeout`; the last ones of a file may be fewer."""

_REDIRECTS: Final = 10

# Encodings of which a few bytes cannot become gigabytes.
_ENCODINGS: Final = frozenset({"identity", "gzip", "deflate"})


@cache
def _certificates() -> SSLContext:
    return httpx.create_ssl_context()


def fetch(url: str, *, timeout: float, max_bytes: int) -> bytes:
    """Download what an http or https link leads to, following redirects.

    Args:
        url: The link.
        timeout: Seconds until the server must have answered, and in which each 64 kB must arrive.
        max_bytes: The most that is read.

    Returns:
        The content, decompressed where the server compressed it.

    Raises:
        InputError: the link could not be followed, or the server is too slow; the message does not repeat
            the link.
    """
    download = _download(url, timeout, max_bytes)
    if not _in_event_loop():
        return asyncio.run(download)
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, download).result()


def _in_event_loop() -> bool:
    """Whether this thread runs an event loop already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


async def _download(url: str, timeout: float, max_bytes: int) -> bytes:
    # A clock over everything, as httpx starts its own anew with each byte.
    too_slow = f"the server did not answer within {timeout:g} s"
    headers = {
        "User-Agent": f"mrpose/{__version__}",
        "Accept": "image/*, */*;q=0.5",
        "Accept-Encoding": "identity",
    }
    try:
        async with (
            asyncio.timeout(timeout) as clock,
            httpx.AsyncClient(headers=headers, timeout=None, verify=_certificates()) as client,
        ):
            response = await _answer(client, url)
            _check(response, max_bytes)
            too_slow = f"the server is too slow (less than {_CHUNK // 1000} kB in {timeout:g} s)"
            body = bytearray()
            clock.reschedule(asyncio.get_running_loop().time() + timeout)
            async for chunk in response.aiter_bytes(_CHUNK):
                body += chunk
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
                clock.reschedule(asyncio.get_running_loop().time() + timeout)
            return bytes(body)
    except TimeoutError as error:
        raise InputError(too_slow) from error
    except httpx.ConnectError as error:
        raise InputError(f"the server could not be reached ({_root(error)})") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise InputError(f"not a link that can be followed ({error})") from error
    except httpx.HTTPError as error:
        raise InputError(f"the download broke off ({error}); try again") from error


async def _answer(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """The first answer that is no redirect, without its body.

    Raises:
        InputError: there are too many redirects.
        httpx.HTTPError: there is no answer.
    """
    request = client.build_request("GET", url)
    for _ in range(_REDIRECTS + 1):
        response = await client.send(request, stream=True)
        if response.next_request is None:
            return response
        await response.aclose()  # httpx itself would read the body, which may have no end
        request = response.next_request
    raise InputError("the link leads in circles (too many redirects)")


def _check(response: httpx.Response, max_bytes: int) -> None:
    """See whether the body is worth reading.

    Raises:
        InputError: it is not.
    """
    if not response.is_success:
        raise InputError(f"the server answered {response.status_code} ({response.reason_phrase})")
    encoding = response.headers.get("Content-Encoding", "identity").lower()
    if encoding not in _ENCODINGS:
        raise InputError(f"the server compresses it ({encoding}); download it yourself and give the file")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> InputError:
    return InputError(f"larger than {max_bytes / 1e6:g} MB; download it yourself and give the file")


def _root(error: BaseException) -> BaseException:
    """What an error came from in the first place."""
    while deeper := error.__cause__ or error.__context__:
        error = deeper
    return error
