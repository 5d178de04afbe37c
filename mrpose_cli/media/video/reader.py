"""Reading clips: upright RGB frames with the source's own timestamps, sound and subtitles passed along."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import av
from av.error import FFmpegError

from mrpose_cli.cores import cores
from mrpose_cli.errors import InputError
from mrpose_cli.media.video.clip import ClipFrame, ClipInfo, Packet, Window
from mrpose_cli.media.video.end import is_whole_matroska
from mrpose_cli.media.video.filters import HDR, Deinterlacer
from mrpose_cli.media.video.frames import Color, FromYuv, Turn
from mrpose_cli.media.video.open import open_container, video_stream

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_TIMEOUT: Final = 20.0  # seconds a server may stay silent
_THREADS: Final = min(cores(), 8)
_MICROSECOND: Final = Fraction(1, 1_000_000)
_USUAL_RATE: Final = Fraction(25)
_HIGHEST_RATE: Final = 1000
_JUMP: Final = 1  # seconds back in time that are a new start of the source's clock and not disorder
_LEAP: Final = 6 * 3600  # seconds between two pictures that are a broken clock; MP4 holds hardly more
_FAULTS: Final = 3  # timestamps out of order that are an oversight and not the rule
_SEEK_BACK: Final = (0, 2, 10)  # seconds; some containers find a place only roughly, or not at all
_SOUND_BEHIND: Final = 2  # seconds by which sound may lie behind its pictures in the file
_PATIENCE: Final = 1.0  # seconds that closing waits for reading
_CUT: Final = 1  # seconds that must be missing at the end before a clip counts as cut off


class Clip:
    """A clip that is being read.

    Args:
        location: A file or a link.
        name: What the clip's frames are called: ``name/000012.jpg``.
        window: The part of it that is wanted.
        timeout: Seconds a server may stay silent.

    Attributes:
        info: What it is.
        broken: Packets that could not be decoded so far.
        jumps: How often its clock jumped so far.
        cut_off: Why it ended before its time; empty if it did not.
        exact_index: Whether frame indices are counted rather than worked out from the time.
        resized: Whether its size changed on the way.
        hdr: How its HDR is encoded, which was made SDR; empty if it is SDR.
        whole: Whether all wanted frames are through.
        tail: Sound and subtitles after the last frame, once the frames are through.

    Raises:
        InputError: it cannot be read or holds no picture; the message does not name it.
    """

    def __init__(
        self, location: Path | str, name: str, window: Window | None = None, *, timeout: float = _TIMEOUT
    ) -> None:
        self._window = window or Window()
        self._name = name
        self.broken = self.jumps = 0
        self.cut_off = ""
        self.exact_index, self.resized, self.whole = True, False, False
        self.tail: tuple[Packet, ...] = ()
        self._deinterlacer = Deinterlacer()
        self._reading = threading.Lock()
        self._location, self._timeout = location, timeout
        self._container, self._video = self._opened()
        try:
            self._origin = _MICROSECOND * max(self._container.start_time or 0, 0)
            rate = _rate(self._video)
            self._step = 1 / rate
            self._packets: list[Packet] = []
            self._read_until = Fraction(0)
            self._pictures = self._from_start()
            first = next(self._pictures, None)
            if first is None:
                raise InputError(self._nothing_found())
            self.info = self._describe(first[0], rate)
            self.hdr = HDR.get(first[0].color_trc, "")
            self._first = first
        except BaseException:
            self._container.close()
            raise

    def _opened(self) -> tuple[InputContainer, VideoStream]:
        container = open_container(self._location, self._timeout)
        try:
            video = video_stream(container)
        except InputError:
            container.close()
            raise
        video.codec_context.thread_type = "AUTO"
        video.codec_context.thread_count = _THREADS
        return container, video

    @property
    def others(self) -> list[Any]:
        """The streams of sound and subtitles whose packets come along."""
        return [*self._container.streams.audio, *self._container.streams.subtitles]

    @property
    def interlaced(self) -> bool:
        """Whether some of its pictures were interlaced so far; they were made whole frames."""
        return self._deinterlacer.used

    def close(self) -> None:
        """Close the file, unless a thread is still waiting for a server: it would not survive that."""
        if self._reading.acquire(timeout=_PATIENCE):
            self._container.close()

    def frames(self, stop: threading.Event | None = None) -> Iterator[ClipFrame]:
        """Yield the requested frames, in order, once.

        Args:
            stop: Ends the frames where they are when it is set.
        """
        with self._reading:
            yield from self._wanted(stop)

    def _wanted(self, stop: threading.Event | None) -> Iterator[ClipFrame]:
        window, turn, to_rgb = self._window, self.info.turn, FromYuv()
        size = (self._first[0].width, self._first[0].height)
        index = self._first_index(self._first[1])
        for number, (picture, time) in enumerate(chain([self._first], self._pictures)):
            if stop is not None and stop.is_set():
                return
            if window.end is not None and time >= window.end:
                self._read_sound_until(window.end)
                break
            if number % window.every:
                continue
            self.resized = self.resized or (picture.width, picture.height) != size
            packets, self._packets = tuple(self._packets), []
            yield ClipFrame(
                image=to_rgb(picture, turn),
                name=f"{self._name}/{index + number:06}.jpg",
                index=index + number,
                time=time,
                duration=self._shown(picture) * window.every,
                packets=packets,
            )
        else:
            self._look_for_the_end()
        self.tail = tuple(self._packets)
        self.whole = not self.cut_off

    def _from_start(self) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """Yield frames with their times, from the first one of the window on."""
        start = self._window.start
        if not start:
            yield from self._decoded()
            return
        for back in _SEEK_BACK:
            pictures = self._sought(max(start - back, Fraction(0)))
            first = next(pictures, None)
            if first is not None and first[1] <= start:
                pictures = chain([first], pictures)
                break
        else:  # it finds nothing, or begins later than that
            self._container.close()
            self._container, self._video = self._opened()
            pictures = self._decoded()
        self.broken = 0  # what cannot be decoded before the first key frame is not wanted either
        wanted = start - min(self._step / 2, Fraction(1, 2000))  # timestamps are rounded
        yield from ((picture, time) for picture, time in pictures if time >= wanted)

    def _sought(self, time: Fraction) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """Yield frames from the key frame at or before a time on, as far as the container knows it."""
        try:
            self._container.seek(int((time + self._origin) / self._tick), stream=self._video)
        except FFmpegError:
            return iter(())  # it cannot be searched
        return self._decoded()

    @property
    def _tick(self) -> Fraction:
        return Fraction(self._video.time_base or _MICROSECOND)

    def _decoded(self) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        """Yield whole frames with their times from the file's position on; the times strictly increase."""
        return self._deinterlacer(self._timed())

    def _timed(self) -> Iterator[tuple[av.VideoFrame, Fraction]]:
        shift, last = Fraction(0), None
        self._packets.clear()
        chosen = _Stamps("avi" in self._container.format.name)
        for picture in self._decode():
            stamp = chosen.of(picture)
            if stamp is None:
                time = Fraction(0) if last is None else last + self._step
            else:
                time = stamp * Fraction(picture.time_base or self._tick) - self._origin + shift
            before = self._window.start - self._step if last is None else last
            if time - before > _LEAP or (last is not None and last - time > _JUMP):
                shift += before + self._step - time
                time = before + self._step
                self.jumps += 1
            elif last is not None and time <= last:
                time = last + min(self._step / 2, Fraction(1, 1000))
            last = time
            self._read_until = max(self._read_until, time + max(self._step, self._shown(picture)))
            yield picture, time

    def _shown(self, picture: av.VideoFrame) -> Fraction:
        """Return the seconds that a frame is shown; 0 if that is not known."""
        seconds = (picture.duration or 0) * Fraction(picture.time_base or self._tick)
        return seconds if 0 < seconds <= _LEAP else Fraction(0)

    def _decode(self) -> Iterator[av.VideoFrame]:
        try:
            for packet in self._container.demux([self._video, *self.others]):
                if packet.stream is not self._video:
                    self._keep(packet)
                    continue
                try:
                    pictures = packet.decode()
                except FFmpegError:
                    self.broken += 1
                    continue
                yield from (picture for picture in pictures if isinstance(picture, av.VideoFrame))
        except IndexError:
            return  # PyAV at the end of a file in which streams were added on the way; the others are through
        except FFmpegError as error:
            self.cut_off = f"it breaks off at {float(self._read_until):.2f} s ({error.strerror or error})"

    def _keep(self, packet: Packet) -> None:
        if packet.dts is None and packet.pts is None:
            return  # the end of a stream
        shift = round(self._origin / packet.time_base)
        packet.pts = None if packet.pts is None else packet.pts - shift
        packet.dts = None if packet.dts is None else packet.dts - shift
        self._packets.append(packet)
        stamp = packet.pts if packet.pts is not None else packet.dts
        self._read_until = max(self._read_until, (stamp + (packet.duration or 0)) * packet.time_base)

    def _read_sound_until(self, end: Fraction) -> None:
        """Collect what belongs to the frames before ``end`` and lies behind them in the file."""
        if not self.others:
            return
        try:
            for packet in self._container.demux([self._video, *self.others]):
                if packet.stream is not self._video:
                    self._keep(packet)
                if packet.stream is self._video and packet.dts is not None:
                    time = packet.dts * packet.time_base - self._origin
                    if time > end + _SOUND_BEHIND:
                        return
        except (FFmpegError, IndexError):
            return  # what was there is there

    def _look_for_the_end(self) -> None:
        if self._video.duration and self._video.time_base:
            promised = (self._video.duration + (self._video.start_time or 0)) * self._video.time_base
        elif self._container.duration:
            promised = Fraction(self._container.duration) * _MICROSECOND
        else:
            return
        if self.cut_off or promised - self._origin - self._read_until <= _CUT:
            return
        # Matroska does not say how long its last picture stays.
        silent = "matroska" in self._container.format.name and isinstance(self._location, Path)
        if not (silent and is_whole_matroska(Path(self._location))):
            self.cut_off = f"it is cut off at {float(self._read_until):.2f} s of {float(promised):.2f} s"

    def _nothing_found(self) -> str:
        if self._window.start:
            return f"it has no frame at or after {float(self._window.start):g} s"
        if self.broken:
            return "none of its frames can be decoded; the file is broken"
        return f"it holds no frames{f' ({self.cut_off})' if self.cut_off else ''}"

    def _describe(self, picture: av.VideoFrame, rate: Fraction) -> ClipInfo:
        turn, video = Turn.of(picture), self._video
        width, height, aspect = picture.width, picture.height, Fraction(video.sample_aspect_ratio or 1)
        if turn.transpose:
            width, height, aspect = height, width, 1 / aspect
        duration = None
        if video.duration and video.time_base:
            duration = float(video.duration * video.time_base)
        elif self._container.duration:
            duration = self._container.duration / 1_000_000
        return ClipInfo(
            width=width,
            height=height,
            rate=rate / self._window.every,
            time_base=self._tick,
            duration=duration,
            frames=self._expected(duration, rate),
            turn=turn,
            color=Color.shown(picture),
            aspect=aspect,
            container=self._container.format.name,
            codec=video.codec_context.name,
        )

    def _expected(self, duration: float | None, rate: Fraction) -> int | None:
        window = self._window
        if self._video.frames and not window.start and window.end is None:
            return -(-self._video.frames // window.every)
        if duration is None:
            return None
        end = min(duration, float(window.end)) if window.end is not None else duration
        return max(round((end - float(window.start)) * float(rate) / window.every), 1)

    def _first_index(self, time: Fraction) -> int:
        """Return the first requested frame's index, counted in the container's index if it has one."""
        if not self._window.start:
            return 0
        stamps = [entry.timestamp for entry in self._video.index_entries]
        if self._video.frames and len(stamps) == self._video.frames:
            # The entries have decoding times, which run ahead of the pictures by the depth of reordering.
            ahead = bisect_left(stamps, self._video.start_time or 0)
            stamp = round((time + self._origin) / self._tick)
            beyond = max(round((stamp - stamps[-1]) * self._tick / self._step) - 1, 0)
            return max(bisect_left(stamps, stamp) + beyond - ahead, 0)
        self.exact_index = False
        begin = (self._video.start_time or 0) * self._tick - self._origin
        return max(round((time - begin) / self._step), 0)


class _Stamps:
    """Chooses between the two timestamps of a picture: when to show it, and when its packet was decoded.

    The first is right wherever it grows from picture to picture. In AVI it does not when codecs reorder:
    there, packets just lie one after the other.

    Args:
        by_decoding: The container is known for that.
    """

    def __init__(self, by_decoding: bool) -> None:
        self._last: list[int | None] = [None, None]
        self._faults = [_FAULTS + 1 if by_decoding else 0, 0]

    def of(self, picture: av.VideoFrame) -> int | None:
        stamps = (picture.pts, picture.dts)
        for kind, stamp in enumerate(stamps):
            last = self._last[kind]
            if stamp is not None:
                self._faults[kind] += last is not None and stamp <= last
                self._last[kind] = stamp
        shown, decoded = stamps
        return decoded if shown is None or self._faults[0] > self._faults[1] + _FAULTS else shown


def _rate(video: VideoStream) -> Fraction:
    """Return the frames per second; some files state the resolution of their clock instead."""
    for rate in (video.average_rate, video.guessed_rate, video.base_rate):
        if rate and Fraction(1, _LEAP) <= rate < _HIGHEST_RATE:
            return Fraction(rate)
    return _USUAL_RATE
