"""Getting a file from one source: an http(s) address, or a wheel on the Python package index.

Nothing here knows what the file should be; the store verifies what comes out before it is used.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import re
import shutil
import subprocess
import sys
import time
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

Progress = Callable[[str, int, int | None], None]
"""Told (description, bytes done, bytes in all or None when unknown); done == all ends it."""


class SourceError(Exception):
    """This source did not deliver the file; the next one may."""


class _BrokenTransferError(Exception):
    """The transfer ended early; another request can go on from there."""


class _NoResumeError(Exception):
    """The server cannot go on from where the partial file ends."""


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """How patient downloads are.

    Attributes:
        connect_timeout: Seconds until a connection must stand.
        read_timeout: Seconds without a byte until a connection counts as broken.
        attempts: Requests per source before it is given up; all but the first go on where the last ended.
        pause: Seconds before the second request; it grows by as much each time.
    """

    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    attempts: int = 4
    pause: float = 1.0


def download(url: str, part: Path, settings: HttpSettings, report: Callable[[int, int | None], None]) -> None:
    """Download ``url`` into ``part``, going on where an earlier download into it stopped.

    Args:
        url: Redirects are followed; proxies are taken from the environment.
        part: Stays as it is when this is interrupted, for the next call to go on from.
        settings: Timeouts and number of attempts.
        report: Told the bytes done and the bytes in all, where the server says how many.

    Raises:
        SourceError: the address is wrong or unreachable, or the connection broke too often.
        OSError: ``part`` cannot be written.
    """
    import httpx

    timeout = httpx.Timeout(settings.read_timeout, connect=settings.connect_timeout)
    try:
        client = httpx.Client(timeout=timeout, follow_redirects=True)
    except (OSError, ValueError, ImportError, httpx.InvalidURL) as error:  # ImportError: SOCKS proxies
        raise SourceError(f"the proxy or certificate settings are not usable ({error})") from error
    broken = (httpx.ReadError, httpx.ReadTimeout, httpx.RemoteProtocolError, _BrokenTransferError)
    problem = ""
    with client:
        for attempt in range(settings.attempts):
            if problem:
                time.sleep(settings.pause * attempt)
            try:
                return _receive(client, url, part, report)
            except _NoResumeError:
                part.unlink(missing_ok=True)
                problem = "the server cannot continue an interrupted download"
            except broken as error:
                problem = str(error) or type(error).__name__
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                raise SourceError(str(error) or type(error).__name__) from error
    raise SourceError(f"gave up after {settings.attempts} attempts ({problem})")


def _receive(client: httpx.Client, url: str, part: Path, report: Callable[[int, int | None], None]) -> None:
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}  # byte counts and ranges must mean the file's own bytes
    if have:
        headers["Range"] = f"bytes={have}-"
    with client.stream("GET", url, headers=headers) as response:
        done, total = _extent(response, have)
        with part.open("ab" if done else "wb") as file:
            report(done, total)
            for chunk in response.iter_raw():
                file.write(chunk)
                done += len(chunk)
                report(done, total)
    if total is not None and done != total:
        raise _BrokenTransferError(f"{done} of {total} bytes came")


def _extent(response: httpx.Response, have: int) -> tuple[int, int | None]:
    """Where in the file the response's body starts, and how long the whole file is."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length")
        return 0, None if length is None else int(length)
    if response.status_code == 206:
        stated = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if stated is None or int(stated[1]) != have:
            raise _NoResumeError
        return have, None if stated[2] == "*" else int(stated[2])
    if response.status_code == 416 and have:
        raise _NoResumeError
    raise SourceError(f"HTTP {response.status_code} {response.reason_phrase}".rstrip())


def download_wheel(wheel: str, folder: Path) -> Path:
    """Have pip download one wheel; nothing of it is installed or run.

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
    if importlib.util.find_spec("pip") is None:
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


def extract_member(archive: Path, member: str, target: Path) -> None:
    """Write the one file of a zip archive (a wheel is one) that matches a glob to ``target``.

    Raises:
        SourceError: the archive is damaged, or no file or several match.
        OSError: ``target`` cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as content:
            names = [name for name in content.namelist() if fnmatch.fnmatchcase(name, member)]
            if len(names) != 1:
                raise SourceError(f"{len(names) or 'no'} files in the archive match '{member}', not one")
            with content.open(names[0]) as stream, target.open("wb") as file:
                shutil.copyfileobj(stream, file, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise SourceError(f"the archive is not readable ({error})") from error
