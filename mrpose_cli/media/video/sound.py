"""Sound and subtitles of overlays: which container takes them, and how they get there packet by packet."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

import av
from av.container import OutputContainer
from av.error import FFmpegError

from mrpose_cli.media.video.clip import Packet

FORMATS: Final = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
"""FFmpeg's names of the containers that overlays may have, by suffix."""

# What players play in MP4; FFmpeg would put more into it than browsers open.
_MP4_SOUND: Final = frozenset({"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"})
_KINDS: Final = {"audio": "sound", "subtitle": "subtitles"}


def fits(stream: Any, suffix: str) -> bool:
    """Return whether players expect the codec of a stream in a container with that suffix."""
    if stream.codec_context is None:
        return False
    codec = stream.codec_context.codec.canonical_name
    if suffix == ".mp4" and stream.type == "audio":
        return codec in _MP4_SOUND
    return stream.codec_context.codec.name in _supported(suffix)


def _supported(suffix: str) -> set[str]:
    with av.open(os.devnull, "w", format=FORMATS[suffix]) as container:
        return container.supported_codecs


class Copies:
    """Copies of a source's streams in a file that is being written.

    A damaged packet must not cost the video: each packet first goes into a muxer of the same kind that has
    no other stream and writes nowhere, and what that refuses is left out. So is a stream of which a whole
    file with only its first packet fails.

    Args:
        container: The file.
        suffix: Of its name.
        others: The source's streams of sound and subtitles.
        warm_up: Whether sound from before the beginning, which only warms its decoder up, is kept.

    Attributes:
        lost: Streams that the container does not take, in words.
        left_out: Packets that were damaged or out of order.
    """

    def __init__(
        self, container: OutputContainer, suffix: str, others: Sequence[Any], *, warm_up: bool
    ) -> None:
        self.lost: list[str] = []
        self.left_out = 0
        self._container = container
        self._suffix = suffix
        self._warm_up = warm_up
        self._waiting: list[Packet] = []
        self._behind: dict[int, int] = {}
        self._streams: dict[int, tuple[Any, OutputContainer]] = {}
        for stream in others:
            if not fits(stream, suffix):
                self._lose(stream)
                continue
            try:
                trial = _trial(stream, suffix)
            except (FFmpegError, ValueError):
                self._lose(stream)
                continue
            copy: Any = container.add_stream_from_template(stream)
            copy.metadata.update({k: v for k, v in stream.metadata.items() if k in ("language", "title")})
            copy.disposition = stream.disposition
            self._streams[stream.index] = copy, trial

    def take(self, packets: Sequence[Packet]) -> None:
        """Take packets in the order of the source."""
        self._waiting += packets

    def write_until(self, time: Fraction | None, offset: Fraction) -> None:
        """Write the packets that begin by a time.

        Args:
            time: Seconds of the source; None for all of them.
            offset: Where in the source the file begins, s.

        Raises:
            OSError: the file cannot be written.
        """
        later = []
        for packet in self._waiting:
            stamp = (packet.pts if packet.pts is not None else packet.dts) * packet.time_base
            if time is None or stamp <= time:
                self._write(packet, stamp, offset)
            else:
                later.append(packet)
        self._waiting = later

    def _write(self, packet: Packet, time: Fraction, offset: Fraction) -> None:
        index = packet.stream.index
        if index not in self._streams or (offset and time < offset):
            return
        if not self._warm_up and time + (packet.duration or 0) * packet.time_base <= 0:
            return
        copy, trial = self._streams[index]
        shift = round(offset / packet.time_base)
        dts = (packet.dts if packet.dts is not None else packet.pts) - shift
        behind = self._behind.get(index)
        if behind is not None and dts < behind:
            self.left_out += 1  # the source's clock went back; no container takes that
            return
        if dts == behind:
            dts += 1
        packet.pts = dts if packet.pts is None else max(packet.pts - shift, dts)
        packet.dts = dts
        packet.duration = max(packet.duration or 0, 0)
        source = packet.stream
        try:
            packet.stream = trial.streams[0]
            trial.mux(packet)
        except FFmpegError:
            self.left_out += 1
            return
        if behind is None and not self._can_end(source, packet):
            return
        self._behind[index] = dts
        packet.stream = copy
        self._container.mux(packet)

    def _can_end(self, source: Any, first: Packet) -> bool:
        """Return whether a file of the stream can be finished: part of its header is written last."""
        copy, trial = self._streams.pop(source.index)
        try:
            trial.close()
            following = _trial(source, self._suffix)
            first.stream = following.streams[0]
            following.mux(first)
        except FFmpegError:
            self._lose(source)
            return False
        self._streams[source.index] = copy, following
        return True

    def _lose(self, stream: Any) -> None:
        context = stream.codec_context
        codec = context.codec.canonical_name if context else "unknown"
        self.lost.append(f"{_KINDS[stream.type]} ({codec})")


def _trial(stream: Any, suffix: str) -> OutputContainer:
    """Open a muxer for a copy of the stream alone that writes nowhere.

    Raises:
        FFmpegError: it does not take the stream.
        ValueError: likewise.
    """
    container = av.open(os.devnull, "w", format=FORMATS[suffix])
    container.add_stream_from_template(stream)
    container.start_encoding()
    return container
