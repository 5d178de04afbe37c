"""Cameras and streams: the newest frame at any time, old ones dropped, broken connections made again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.error import FFmpegError

from mrpose_cli.errors import InputError
from mrpose_cli.media.video.clip import ClipFrame, ClipInfo, Packet, Window
from mrpose_cli.media.video.filters import HDR, Deinterlacer
from mrpose_cli.media.video.frames import Color, FromYuv, Turn
from mrpose_cli.media.video.open import open_container, video_stream
from mrpose_cli.media.video.reader import Clip

_LIVE_SCHEMES: Final = ("rtsp", "rtsps", "rtmp", "rtmps", "udp", "tcp", "srt")
"""Schemes of links that never lead to a file."""

_CLOCK: Final = Fraction(1, 90_000)
_RATE: Final = Fraction(30)
_TIMEOUT: Final = 10.0  # seconds a server may stay silent
_GLANCE: Final = 0.1  # seconds between two looks at whether the user wants to stop
_FIRST_WAIT: Final = 0.5  # seconds before the first new attempt; each further one waits twice as long
_LONGEST_WAIT: Final = 10.0

Pictures = Iterator[tuple[av.VideoFrame, float | None]]


@dataclass(frozen=True, slots=True, eq=False)
class _Newest:
    picture: av.VideoFrame
    time: Fraction
    index: int


class LiveClip:
    """A camera or a stream, read like a clip.

    A thread takes every frame as it comes; whoever asks gets the newest. Times are those of the source's own
    clock, on which a pause for a new connection counts as long as it took. Sound is not passed on.

    Args:
        location: A camera's number, or a link.
        name: What the frames are called: ``name/000012.jpg``.
        window: The part of it that is wanted, from now on.
        patience: Seconds for which a broken connection is tried again before it is given up; 0 if its end
            is simply the end.
        timeout: Seconds a server may stay silent.

    Attributes:
        info: What it is.
        reconnects: How often the connection was made again so far.
        dropped: Frames that nobody had time for so far.
        cut_off: Why it ended, if not by the user's wish.
        resized: Whether its size changed on the way.
        hdr: How its HDR is encoded, which is made SDR; empty if it is SDR.
        whole: True: what there is ends when the user says so.

    Raises:
        InputError: there is nothing to read; the message does not name it.
    """

    def __init__(
        self,
        location: int | str,
        name: str,
        window: Window | None = None,
        *,
        patience: float = 30.0,
        timeout: float = _TIMEOUT,
    ) -> None:
        self._name = name
        self._window = window or Window()
        self._patience = patience
        self._connect: Callable[[], Pictures] = (
            (lambda: _camera(location)) if isinstance(location, int) else (lambda: _stream(location, timeout))
        )
        self.cut_off = ""
        self.broken = self.jumps = self.reconnects = self.dropped = 0
        self.exact_index, self.resized, self.whole = True, False, True
        self.tail: tuple[Packet, ...] = ()
        self.others: list[Any] = []
        self._deinterlacer = Deinterlacer()
        self._changed = threading.Condition()
        self._newest: _Newest | None = None
        self._seen = -1
        self._taken = -self._window.every
        self._ended = self._left = False
        pictures = self._deinterlacer(self._connect())
        first = next(pictures, None)
        if first is None:
            raise InputError("it sends no pictures")
        self._begin = time.monotonic()
        picture = first[0]
        self.hdr = HDR.get(picture.color_trc, "")
        turn = Turn.of(picture)
        self._size = width, height = picture.width, picture.height
        if turn.transpose:
            width, height = height, width
        self.info = ClipInfo(
            width=width,
            height=height,
            rate=_RATE,
            time_base=_CLOCK,
            duration=None,
            frames=None,
            turn=turn,
            color=Color.shown(picture),
            aspect=Fraction(1),
            container="live",
            codec="",
            live=True,
        )
        self._thread = threading.Thread(
            target=self._grab, args=(first, pictures), name="mrpose-live", daemon=True
        )
        self._thread.start()

    def frames(self, stop: threading.Event | None = None) -> Iterator[ClipFrame]:
        """Yield the newest frame whenever one is requested, until the stream ends or ``stop`` is set."""
        to_rgb = FromYuv()
        end = self._window.end
        while (newest := self._next(stop)) is not None:
            if end is not None and newest.time >= end:
                return
            if newest.time < self._window.start:
                continue
            picture = newest.picture
            self.resized = self.resized or (picture.width, picture.height) != self._size
            yield ClipFrame(
                image=to_rgb(picture, self.info.turn),
                name=f"{self._name}/{newest.index:06}.jpg",
                index=newest.index,
                time=newest.time,
            )

    @property
    def interlaced(self) -> bool:
        """Whether some of its pictures were interlaced so far; they are made whole frames."""
        return self._deinterlacer.used

    def close(self) -> None:
        """Close the source."""
        with self._changed:
            self._left = True
            self._changed.notify_all()
        self._thread.join(1.0)  # a silent server is not waited for

    def _next(self, stop: threading.Event | None) -> _Newest | None:
        with self._changed:
            while True:
                if stop is not None and stop.is_set():
                    return None
                if self._newest is not None and self._newest.index > self._taken:
                    self.dropped += (self._newest.index - self._taken) // self._window.every - 1
                    self._taken = self._newest.index
                    return self._newest
                if self._ended:
                    return None
                self._changed.wait(_GLANCE)

    def _grab(self, first: tuple[av.VideoFrame, float | None], pictures: Pictures) -> None:
        """Take frames, and reconnect when the connection breaks; run by the thread."""
        try:
            self._publish(first, pictures)
            reason = self._take_up_again()
            if not self._left and self._patience:
                self.cut_off = f"it broke off and did not come back within {self._patience:g} s ({reason})"
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _take_up_again(self) -> str:
        """Reconnect, as often as needed, until patience is over; return why the stream ended."""
        last, wait, reason = time.monotonic(), _FIRST_WAIT, "the stream ended"
        while not self._left and time.monotonic() - last < self._patience:
            time.sleep(min(wait, self._patience))
            wait = min(2 * wait, _LONGEST_WAIT)
            try:
                pictures = self._deinterlacer(self._connect())
                again = next(pictures, None)
            except InputError as error:
                reason = str(error)
                continue
            if again is not None and not self._left:
                self.reconnects += 1
                self._publish(again, pictures)
                last, wait = time.monotonic(), _FIRST_WAIT
        return reason

    def _publish(self, first: tuple[av.VideoFrame, float | None], pictures: Pictures) -> None:
        """Publish the frames of one connection until it breaks."""
        arrived = time.monotonic() - self._begin
        picture, stamp = first
        begin = stamp
        while not self._left:
            now = time.monotonic() - self._begin
            seconds = now if stamp is None or begin is None else arrived + stamp - begin
            with self._changed:
                before = self._newest.time if self._newest is not None else -_CLOCK
                moment = max(Fraction(round(seconds / _CLOCK)) * _CLOCK, before + _CLOCK)
                self._seen += 1
                if self._seen % self._window.every == 0:
                    self._newest = _Newest(picture, moment, self._seen)
                    self._changed.notify_all()
            following = next(pictures, None)
            if following is None:
                return
            picture, stamp = following


AnyClip = Clip | LiveClip


def open_clip(location: Path | str | int, name: str, window: Window, *, patience: float) -> AnyClip:
    """Open a file, a link or a camera.

    Args:
        location: A path, a link, or a camera's number.
        name: What the frames are called: ``name/000012.jpg``.
        window: The part of it that is wanted.
        patience: Seconds for which a broken live source is tried again.

    Raises:
        InputError: it cannot be read.
    """
    if isinstance(location, Path):
        return Clip(location, name, window)
    if isinstance(location, str) and not is_live(location):
        clip = Clip(location, name, window)
        if clip.info.duration is not None:
            return clip
        clip.close()  # a web server that sends without end
    return LiveClip(location, name, window, patience=patience)


def is_live(location: Path | str | int) -> bool:
    """Tell by what it is called whether a source is live; a link of another kind may turn out to be."""
    if isinstance(location, str):
        return location.split("://")[0].lower() in _LIVE_SCHEMES
    return isinstance(location, int)


def _stream(link: str, timeout: float) -> Pictures:
    options = {"rtsp_flags": "prefer_tcp"} if link.startswith("rtsp") else {}
    container = open_container(link, timeout, options)
    try:
        video = video_stream(container)
        video.codec_context.thread_type = "SLICE"  # threads by frame hold frames back
        for picture in container.decode(video):
            stamp = picture.pts if picture.pts is not None else picture.dts
            yield picture, None if stamp is None else float(stamp * (picture.time_base or _CLOCK))
    except (FFmpegError, IndexError):  # the latter from PyAV, where streams are added on the way
        return  # whatever broke, the connection is made again
    finally:
        container.close()


def _camera(number: int) -> Pictures:
    import cv2
    from cv2.utils import logging as cv2_logging

    level = cv2_logging.getLogLevel()
    cv2_logging.setLogLevel(cv2_logging.LOG_LEVEL_SILENT)  # OpenCV would tell in its own words what failed
    capture = cv2.VideoCapture(number)
    cv2_logging.setLogLevel(level)
    try:
        if not capture.isOpened():
            raise InputError("there is no such camera, or another program uses it")
        while True:
            there, image = capture.read()
            if not there:
                return
            yield av.VideoFrame.from_ndarray(np.asarray(image, np.uint8), format="bgr24"), None
    finally:
        capture.release()
