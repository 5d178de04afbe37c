"""Getting a file from one source: an http(s) address, or a wheel on the Python package index.

Nothing here knows what the file should be; the store verifies what comes out before it is used.
"""

from __future__ import annotations

import fnmatch
import lzma
import re
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import PathFinder
from pathlib import Path
from typing import TYPE_CHECKING

from mrpose_cli.download import Pace, answer, make_client

if TYPE_CHECKING:
    import httpx

_CHUNK = 1 << 20


class SourceError(Exception):
    """This source did not deliver the file; the next one may."""


class _BrokenTransferError(Exception):
    """The transfer ended early; another request can continue from there."""


class _TooLargeError(Exception):
    """The file is larger than what was asked for."""


class _NoResumeError(Exception):
    """The server cannot continue from the end of the partial file."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Timeouts and retries of downloads.

    Attributes:
        connect_timeout: Seconds until a connection must stand.
        read_timeout: Seconds without a byte until a connection counts as broken.
        attempts: Requests per source before it is given up; all but the first continue where the last ended.
        pause: Seconds before the second request; it grows by as much each time.
        pace: Connections that are slower count as broken, too.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    attempts: int = 4
    pause: float = 1.0
    pace: Pace = field(default_factory=Pace)


def download(
    url: str, part: Path, limit: int, settings: HttpSettings, report: Callable[[int, int | None], None]
) -> None:
    """Download ``url`` into ``part``, continuing where an earlier download into it stopped.

    Args:
        url: Redirects are followed; proxies are taken from the environment.
        part: Stays as it is when this is interrupted, for the next call to continue from.
        limit: The most bytes that are taken.
        settings: Timeouts and number of attempts.
        report: Called with the bytes done and, where the server states them, the bytes in all.

    Raises:
        SourceError: the address is wrong or unreachable, the connection broke too often, or there is more
            than ``limit``, of which nothing is kept.
        OSError: ``part`` cannot be written.
    """
    import httpx

    timeout = httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout)
    try:
        client = make_client(timeout=timeout)
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:  # ImportError: SOCKS proxies
        raise SourceError(f"the proxy or certificate settings are not usable ({error})") from error
    broken = (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError, _BrokenTransferError)
    problem = ""
    with client:
        for attempt in range(settings.attempts):
            if problem:
                time.sleep(settings.pause * attempt)
            try:
                return _receive(client, url, part, limit, settings.pace, report)
            except _TooLargeError as error:
                part.unlink(missing_ok=True)
                raise SourceError(str(error)) from error
            except _NoResumeError:
                part.unlink(missing_ok=True)
                problem = "the server cannot continue an interrupted download"
            except broken as error:
                problem = str(error) or type(error).__name__
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise SourceError(str(error) or type(error).__name__) from error
    raise SourceError(f"gave up after {settings.attempts} attempts ({problem})")


def _receive(
    client: httpx.Client,
    url: str,
    part: Path,
    limit: int,
    pace: Pace,
    report: Callable[[int, int | None], None],
) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # byte counts and ranges must mean the file's own bytes
    if have:
        headers["Range"] = f"bytes={have}-"
    with answer(client, url, pace, headers) as response:
        done, total = _extent(response, have)
        if total is not None and total > limit:
            raise _TooLargeError(f"it has {total} bytes, more than the {limit} that were expected at most")
        with part.open("ab" if done else "wb") as file:
            report(done, total)
            for chunk in pace.keep(response.iter_raw()):
                done += len(chunk)
                if done > limit:
                    raise _TooLargeError(f"it sends more than the {limit} bytes that were expected at most")
                file.write(chunk)
                report(done, total)
    if total is not None and done != total:
        raise _BrokenTransferError(f"{done} of {total} bytes came")


def _extent(response: httpx.Response, have: int) -> tuple[int, int | None]:
    """Return where in the file the response's body starts, and how long the whole file is."""
    if response.status_code == 200:
        length = re.fullmatch(r"\d{1,18}", response.headers.get("Content-Length", ""))
        return 0, None if length is None else int(length[0])
    if response.status_code == 206:
        stated = re.fullmatch(
            r"bytes (\d{1,18})-\d+/(\d{1,18}|\*)", response.headers.get("Content-Range", "")
        )
        if stated is None or int(stated[1]) != have:
            raise _NoResumeError
        return have, None if stated[2] == "*" else int(stated[2])
    if response.status_code == 416 and have:
        raise _NoResumeError
    raise SourceError(f"HTTP {response.status_code} {response.reason_phrase}".rstrip())


def download_wheel(wheel: str, folder: Path) -> Path:
    """Download one wheel with pip; nothing of it is installed or run.

    pip's own settings (index, proxy, certificates) apply. The wheel only carries a file for us, so its
    dependencies and the Python versions it is meant for do not matter.

    Args:
        wheel: ``package==version``.
        folder: An empty folder that the wheel is put into.

    Returns:
        The wheel's path.

    Raises:
        SourceError: pip is missing or could not download it.
    """
    # Not importlib.util.find_spec, at which setuptools warns in a process that has imported distutils.
    if PathFinder.find_spec("pip") is None:
        raise SourceError("pip is not installed in this environment (`uv pip install pip` adds it)")
    # -P: a pip.py in the current folder must not be run in pip's place.
    command = [sys.executable, "-P", "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--ignore-requires-python", "--disable-pip-version-check", "--no-input"]
    command += ["-d", str(folder), wheel]
    process = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    wheels = list(folder.glob("*.whl"))
    if process.returncode != 0 or len(wheels) != 1:
        errors = [line for line in process.stderr.splitlines() if line.startswith("ERROR: ")]
        reason = errors[-1].removeprefix("ERROR: ") if errors else f"exit code {process.returncode}"
        raise SourceError(f"pip could not download it ({reason})")
    return wheels[0]


def extract_member(archive: Path, member: str, target: Path, limit: int) -> None:
    """Write the one file of a zip archive (a wheel is one) that matches a glob to ``target``.

    Raises:
        SourceError: the archive is damaged, no file or several match, or it has more than ``limit`` bytes.
        OSError: ``target`` cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            names = [name for name in content.namelist() if fnmatch.fnmatchcase(name, member)]
            if len(names) != 1:
                raise SourceError(f"{len(names) or 'no'} files in the archive match '{member}', not one")
            with content.open(names[0]) as stream, target.open("wb") as file:
                while chunk := stream.read(_CHUNK):  # whatever the archive says of the size
                    file.write(chunk)
                    if file.tell() > limit:
                        raise SourceError(f"{names[0]} is larger than the {limit} bytes expected at most")
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError) as error:
        raise SourceError(f"the archive is not readable ({error})") from error
