"""Downloading one photo."""

from typing import Final

import httpx

from mrpose_cli.download import Pace, answer, make_client
from mrpose_cli.errors import InputError
from mrpose_cli.version import __version__

_HEADERS: Final = {
    "User-Agent": f"mrpose/{__version__}",
    "Accept": "image/*, */*;q=0.5",
    "Accept-Encoding": "identity",
}

# Encodings of which a few bytes cannot become gigabytes.
_ENCODINGS: Final = frozenset({"identity", "gzip", "deflate"})


def fetch(url: str, *, timeout: float, max_bytes: int) -> bytes:
    """Download what an http or https link leads to, following redirects.

    Args:
        url: The link.
        timeout: Seconds until the server must have answered, and over which its speed is taken.
        max_bytes: The most that is read.

    Returns:
        The content, decompressed where the server compressed it.

    Raises:
        InputError: the link could not be followed, or the server is too slow; the message does not repeat
            the link.
    """
    pace = Pace(seconds=timeout)
    too_slow = f"the server did not answer within {timeout:g} s"
    try:
        with make_client(timeout=timeout) as client, answer(client, url, pace, _HEADERS) as response:
            _check(response, max_bytes)
            too_slow = f"the server is too slow ({pace})"
            body = bytearray()
            for chunk in pace.keep(response.iter_bytes()):
                body += chunk
                if len(body) > max_bytes:
                    raise _too_large(max_bytes)
            return bytes(body)
    except httpx.TimeoutException as error:
        raise InputError(too_slow) from error
    except httpx.ConnectError as error:
        raise InputError(f"the server could not be reached ({error})") from error
    except httpx.TooManyRedirects as error:
        raise InputError("the link leads in circles (too many redirects)") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise InputError(f"not a link that can be followed ({error})") from error
    except httpx.HTTPError as error:
        raise InputError(f"the download broke off ({error}); try again") from error


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
