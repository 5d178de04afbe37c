"""The pictures of a result: where they are, small ones of photos, clips that browsers play."""

from __future__ import annotations

import hashlib
import io
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

from mrpose_cli.errors import InputError, MrposeError
from mrpose_cli.media.images import MAX_FILE, possible_overlays

THUMB = 320  # pixels of the longer side
_CACHE = 64 * 2**20  # bytes of small pictures
_PROXY_CRF = 24

# What browsers show, by how the files begin. Everything else is sent as JPEG or PNG.
_SHOWN = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF8", "image/gif"),
    (b"BM", "image/bmp"),
)
CLIP_TYPES = {
    ".mp4": "video/mp4",
    ".m4v": "video/mp4",
    ".mov": "video/mp4",
    ".webm": "video/webm",
    ".mkv": "video/x-matroska",
    ".ogv": "video/ogg",
}
"""What clips are sent as; those with other suffixes are converted first."""


def inside(folder: Path, name: str) -> Path | None:
    """Return the file of a name within a folder; None if the name leads out of it."""
    parts = PurePosixPath(name.replace("\\", "/")).parts
    if not parts or any(part in ("..", "/") or ":" in part or "\0" in part for part in parts):
        return None
    return folder.joinpath(*parts)


@dataclass(frozen=True, slots=True)
class PhotoFolder:
    """Where photos are looked for.

    Attributes:
        folders: The first one that has a photo counts.
        drawn: The folder of pictures with skeletons drawn in, if there is nothing better.
        upright: Whether the result counts pixels in the upright picture.
    """

    folders: Sequence[Path]
    drawn: Path | None
    upright: bool

    def find(self, name: str) -> Path | None:
        """Return the file of a photo; by its plain name where the folder has no subfolders of that name."""
        names = dict.fromkeys((name, PurePosixPath(name.replace("\\", "/")).name))
        wanted = (inside(folder, one) for folder in self.folders for one in names)
        return next((path for path in wanted if path is not None and _is_file(path)), None) or self.overlay(
            name
        )

    def overlay(self, name: str) -> Path | None:
        """Return the file of a photo with its skeletons drawn in."""
        wanted = (
            (inside(self.drawn, one) for one in possible_overlays(name)) if self.drawn is not None else ()
        )
        return next((path for path in wanted if path is not None and _is_file(path)), None)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def read_photo(path: Path) -> bytes:
    """Return a photo's file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        if path.stat().st_size > MAX_FILE:
            raise InputError("too large")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror})") from None


def shown(path: Path, *, upright: bool) -> tuple[str, bytes]:
    """Return a photo as browsers show it: its own bytes where they can, else as PNG.

    Raises:
        InputError: it is no picture.
    """
    data = read_photo(path)
    kind = next((kind for start, kind in _SHOWN if data.startswith(start)), "")
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        kind = "image/webp"
    if kind:
        return kind, data
    from mrpose_cli.media.decode import decode
    from mrpose_cli.media.encode import encode

    file = io.BytesIO()
    encode(file, decode(data, upright=upright).image, "PNG", None)
    return "image/png", file.getvalue()


def small(path: Path, side: int, *, upright: bool, quality: int = 80) -> bytes:
    """Return a photo as a JPEG of at most ``side`` pixels.

    Raises:
        InputError: it is no picture.
    """
    from PIL import Image

    from mrpose_cli.media.decode import decode_small

    file = io.BytesIO()
    picture = Image.fromarray(decode_small(read_photo(path), side, upright=upright))
    picture.save(file, "JPEG", quality=quality)
    return file.getvalue()


class Cache:
    """Bytes that were made, as many as there is room for; the ones that were not asked for longest go."""

    def __init__(self, size: int = _CACHE) -> None:
        self._room, self._lock = size, threading.Lock()
        self._kept: OrderedDict[object, bytes] = OrderedDict()

    def get(self, key: object, make: Callable[[], bytes]) -> bytes:
        """Return what is kept under a key, made where there is nothing."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        data = make()
        with self._lock:
            if key not in self._kept:
                self._kept[key] = data
                self._room -= len(data)
            while self._room < 0 and self._kept:
                self._room += len(self._kept.popitem(last=False)[1])
        return data


@dataclass(slots=True)
class Proxy:
    """A clip on its way to what browsers play.

    Attributes:
        path: The file that comes of it.
        state: How far it is.
        done: Seconds that are through.
        problem: Why it failed.
    """

    path: Path
    state: Literal["working", "ready", "failed"] = "working"
    done: float = 0.0
    problem: str = ""


@dataclass(slots=True)
class Proxies:
    """Clips converted for browsers, in a folder that vanishes with this."""

    _folder: tempfile.TemporaryDirectory[str] | None = None
    _made: dict[str, Proxy] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stop: threading.Event = field(default_factory=threading.Event)

    def of(self, clip: Path) -> Proxy:
        """Return the proxy of a clip, which is begun if there is none."""
        with self._lock:
            key = hashlib.sha256(str(clip).encode(errors="surrogateescape")).hexdigest()[:16]
            if key not in self._made:
                if self._folder is None:
                    self._folder = tempfile.TemporaryDirectory(prefix="mrpose-view-")
                proxy = self._made[key] = Proxy(Path(self._folder.name) / f"{key}.mp4")
                threading.Thread(target=self._make, args=(clip, proxy), daemon=True).start()
            return self._made[key]

    def _make(self, clip: Path, proxy: Proxy) -> None:
        try:
            for done in convert(clip, proxy.path, self._stop):
                proxy.done = done
            proxy.state = "ready"
        except MrposeError as error:
            proxy.problem, proxy.state = str(error), "failed"
        except Exception as error:  # of a library; the page says so
            proxy.problem, proxy.state = type(error).__name__, "failed"

    def close(self) -> None:
        """Remove what was made."""
        self._stop.set()
        with self._lock:
            if self._folder is not None:
                self._folder.cleanup()


def convert(clip: Path, target: Path, stop: threading.Event, crf: int = _PROXY_CRF) -> Iterator[float]:
    """Write a clip as H.264 in MP4, every frame at its own time and upright; yields the seconds so far."""
    from mrpose_cli.media.video.reader import Clip
    from mrpose_cli.media.video.writer import ClipWriter

    with closing(Clip(clip, clip.name)) as source:
        writer = ClipWriter(target, source.info, source.others, codec="h264", crf=crf)
        try:
            for frame in source.frames(stop):
                writer.write(frame.image, frame)
                yield frame.timestamp
            writer.close(source.tail)
        finally:
            writer.discard()
