"""Downloading one photo."""

from functools import cache
from ssl import SSLContext

import httpx

from mrpose_cli import __version__
from mrpose_cli.errors import InputError

_CHUNK = 1 << 16


@cache
def _certificates() -> SSLContext:
    return httpx.create_ssl_context()


def fetch(url: str, *, timeout: float, max_bytes: int) -> bytes:
    """Downloads what an http or https link leads to, following redirects.

    Args:
        url: the link.
        timeout: seconds the server may stay silent.
        max_bytes: the most that is read.

    Returns:
        The content, decompressed where the server compressed it.

    Raises:
        InputError: the link could not be followed; the message does not repeat the link.
    """
    headers = {"User-Agent": f"mrpose/{__version__}", "Accept": "image/*, */*;q=0.5"}
    try:
        with (
            httpx.Client(
                headers=headers, timeout=timeout, follow_redirects=True, verify=_certificates()
            ) as client,
            client.stream("GET", url) as response,
        ):
            if not response.is_success:
                raise InputError(f"the server answered {response.status_code} ({response.reason_phrase})")
            return _body(response, max_bytes)
    except httpx.TimeoutException as error:
        raise InputError(f"the server did not answer within {timeout:g} s") from error
    except httpx.ConnectError as error:
        raise InputError(f"the server could not be reached ({error})") from error
    except httpx.TooManyRedirects as error:
        raise InputError("the link leads in circles (too many redirects)") from error
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
        raise InputError(f"not a link that can be followed ({error})") from error
    except httpx.HTTPError as error:
        raise InputError(f"the download broke off ({error}); try again") from error


def _body(response: httpx.Response, max_bytes: int) -> bytes:
    too_large = InputError(f"larger than {max_bytes / 1e6:g} MB; download it yourself and give the file")
    announced = response.headers.get("Content-Length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise too_large
    body = bytearray()
    for chunk in response.iter_bytes(_CHUNK):
        body += chunk
        if len(body) > max_bytes:
            raise too_large
    return bytes(body)
