"""Writing clips: drawn frames encoded at the source's times, sound and subtitles copied packet by packet."""

from __future__ import annotations

import io
import math
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import av
import cv2
import numpy as np
from av.codec.context import Flags
from av.error import FFmpegError
from av.video.stream import VideoStream
from numpy.typing import NDArray

from mrpose_cli.atomic import replacing, writing
from mrpose_cli.disk import Reserve, SteadyFile
from mrpose_cli.errors import OutputError, UsageError, parameter
from mrpose_cli.media.video.clip import ClipFrame, ClipInfo, Packet
from mrpose_cli.media.video.frames import ToYuv
from mrpose_cli.media.video.sound import FORMATS, Copies, fits

CodecName = Literal["h264", "hevc", "vp9", "av1"]

_BUFFER: Final = 2**20
_COARSEST: Final = Fraction(1, 1000)  # s; a clock at least this fine keeps times to within a millisecond
_USUAL_CLOCK: Final = Fraction(1, 90_000)
_FINEST: Final = Fraction(1, 1_000_000)  # s; of finer ones MP4 holds minutes only
_LARGEST: Final = 2**31 - 1  # of the numbers that FFmpeg's fractions are made of
_KEY_FRAMES: Final = 4  # seconds between two: how far a player decodes to jump somewhere
_HIGHEST_RATE: Final = 240  # Hz; beyond, encoders ask for decoders nobody has
_LONGEST_SIDE: Final = 16_384  # pixels that H.264 and HEVC can have
_LARGE: Final = 10_000_000  # pixels a frame, from which encoders are told to keep fewer of them


@dataclass(frozen=True, slots=True)
class _Encoder:
    coder: str
    crf: int
    options: dict[str, str]
    large: dict[str, str] = field(default_factory=dict)
    tag: str = ""
    highest_crf: int = 51


# Presets are the fastest ones that still compress well: the cores are wanted for the models.
_ENCODERS: Final[dict[str, _Encoder]] = {
    "h264": _Encoder("libx264", 20, {"preset": "veryfast"}, {"rc-lookahead": "3", "threads": "4"}),
    "hevc": _Encoder(
        "libx265", 24, {"preset": "veryfast", "x265-params": "log-level=error"}, tag="hvc1"
    ),  # the tag under which Apple's players know it
    "vp9": _Encoder(
        "libvpx-vp9", 31, {"b": "0", "deadline": "good", "cpu-used": "5", "row-mt": "1"}, highest_crf=63
    ),
    "av1": _Encoder("libsvtav1", 32, {"preset": "9"}, highest_crf=63),
}

SUFFIXES: Final = tuple(FORMATS)
"""The suffixes that overlays may get."""

_WEBM_PICTURE: Final = frozenset({"vp9", "av1"})


def check_encoder(codec: CodecName, crf: int | None = None) -> None:
    """Check that the installed FFmpeg can encode.

    Args:
        codec: With which codec.
        crf: At which quality.

    Raises:
        UsageError: it cannot.
    """
    highest = _ENCODERS[codec].highest_crf
    if crf is not None and crf > highest:
        raise UsageError(f"{parameter('crf')} goes up to {highest} for {codec}, not {crf}")
    try:
        av.Codec(_ENCODERS[codec].coder, "w")
    except (FFmpegError, ValueError):
        raise UsageError(
            f"the installed PyAV cannot encode {codec}; reinstall it with: pip install --force-reinstall av"
        ) from None


def choose_suffix(info: ClipInfo, others: Sequence[Any], name: str, codec: CodecName) -> str:
    """Choose the container of an overlay, by its suffix.

    It is the source's container if that takes the codec and players expect it there, MP4 otherwise, and
    Matroska, which takes anything, where MP4 does not take the sound.

    Args:
        info: What the source is.
        others: Its streams of sound and subtitles.
        name: Its name.
        codec: What the overlay is encoded with.
    """
    suffix = Path(name).suffix.lower()
    if "matroska" in info.container and suffix == ".webm":
        suffix = ".webm" if codec in _WEBM_PICTURE else ".mp4"
    elif "matroska" in info.container:
        suffix = ".mkv"
    elif not ("mov" in info.container and suffix == ".mov"):
        suffix = ".mp4"
    sounds = [stream for stream in others if stream.type == "audio"]
    return suffix if all(fits(stream, suffix) for stream in sounds) else ".mkv"


class ClipWriter:
    """An overlay that is being written; its file appears when it is whole.

    Sides of odd length, which 4:2:0 cannot have, grow by one repeated row or column. Frames of another size
    than the clip's are scaled into it, and all frames where a side is longer than encoders take.

    Args:
        path: The file; its suffix is one of `SUFFIXES`.
        info: What the clip is.
        others: The source's streams of sound and subtitles, to be copied.
        codec: What to encode with.
        crf: Quality, lower is better; None for the codec's default.
        reserve: Space that finishing the file may take when the disk is full.

    Attributes:
        size: Width and height of its picture.
        copies: The sound and subtitles that are copied.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        info: ClipInfo,
        others: Sequence[Any],
        *,
        codec: CodecName = "h264",
        crf: int | None = None,
        reserve: Reserve | None = None,
    ) -> None:
        self.path = path
        self.size = _encodable(info.width, info.height)
        self._clock = _fine(info.time_base)
        self._offset: Fraction | None = None
        self._last = -1  # times of pictures, in units of the clock
        self._end = 0
        self._origin: tuple[int, int] | None = None  # where the pictures begin, as shown and as decoded
        self._to_yuv = ToYuv(info.color)
        # Sound from before the beginning is known as such and kept from one Matroska file to another; from
        # elsewhere it would push back all the rest.
        warm_up = path.suffix not in (".mkv", ".webm") or "matroska" in info.container
        with ExitStack() as stack:
            file = stack.enter_context(replacing(path))
            # Unbuffered: FFmpeg buffers by itself, and moves the index to the front through a second handle.
            raw = io.FileIO(file.fileno(), "wb", closefd=False)
            steady = SteadyFile(raw, reserve, name=str(file.name))
            with writing(path):
                self._container = av.open(
                    steady,
                    "w",
                    format=FORMATS[path.suffix.lower()],
                    container_options={"movflags": "+faststart"} if path.suffix in (".mp4", ".mov") else {},
                    buffer_size=_BUFFER,
                )
            self._video = self._add_video(info, codec, crf)
            self.copies = Copies(self._container, path.suffix.lower(), others, warm_up=warm_up)
            self._stack = stack.pop_all()

    def _add_video(self, info: ClipInfo, codec: CodecName, crf: int | None) -> VideoStream:
        encoder = _ENCODERS[codec]
        os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 introduces itself on stderr otherwise
        options = {**encoder.options, "crf": str(encoder.crf if crf is None else crf)}
        if self.size[0] * self.size[1] > _LARGE:
            options |= encoder.large
        rate = min(info.rate, Fraction(_HIGHEST_RATE))
        stream = self._container.add_stream(encoder.coder, rate=rate, options=options)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height = self.size
        stream.pix_fmt = "yuv420p"
        stream.sample_aspect_ratio = info.aspect
        context = stream.codec_context
        context.time_base = self._clock
        context.gop_size = max(round(rate * _KEY_FRAMES), 1)
        context.flags |= Flags.frame_duration
        context.colorspace, context.color_range = info.color.space, info.color.range
        context.color_primaries, context.color_trc = info.color.primaries, info.color.transfer
        if encoder.tag and self.path.suffix != ".mkv":
            context.codec_tag = encoder.tag
        with self._writing(), _as_scheduled():
            context.open()
        return stream

    def write(self, image: NDArray[np.uint8], frame: ClipFrame) -> None:
        """Add the next frame.

        Args:
            image: (H, W, 3) uint8 RGB, drawn over.
            frame: The frame it was made from.

        Raises:
            OutputError: it cannot be written.
        """
        if self._offset is None:
            # What begins in the middle of its source begins at 0; what begins late in it, late.
            self._offset = frame.time if frame.index else Fraction(0)
        picture = self._to_yuv(_fit(image, self.size))
        time = frame.time - self._offset
        picture.pts = self._last = max(round(time / self._clock), self._last + 1)
        picture.time_base = self._clock
        picture.duration = round(frame.duration / self._clock)
        self._end = picture.pts + picture.duration
        self.copies.take(frame.packets)
        with self._writing():
            self.copies.write_until(frame.time, self._offset)
            self._mux(self._video.encode(picture))

    def close(self, tail: tuple[Packet, ...] = (), *, until: Fraction | None = None) -> None:
        """Finish the file and put it in its place.

        Args:
            tail: Packets of sound and subtitles after the last frame.
            until: Where they are cut off, in seconds of the source; None for nowhere.

        Raises:
            OutputError: it cannot be written; nothing is left behind.
        """
        self.copies.take(tail)
        with self._stack, self._writing():
            self.copies.write_until(until, self._offset or Fraction(0))
            self._mux(self._video.encode(None), last=True)
            self._container.close()

    def _mux(self, packets: Sequence[Packet], *, last: bool = False) -> None:
        if packets and self._origin is None:
            self._origin = packets[0].pts, packets[0].dts
        if packets and last:
            # MP4 counts to the end of the packet that is decoded last, which need not be the one shown last.
            assert self._origin is not None
            shown, decoded = self._origin
            rest = self._end - shown - (packets[-1].dts - decoded)
            packets[-1].duration = max(packets[-1].duration or 0, rest)
        self._container.mux(packets)

    def discard(self) -> None:
        """Remove the unfinished file."""
        with suppress(_DiscardedError), self._stack:
            with suppress(FFmpegError, OSError):  # the disk may be full; it does not matter any more
                self._container.close()
            raise _DiscardedError

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with writing(self.path):
            try:
                yield
            except FFmpegError as error:
                if isinstance(error, OSError):
                    raise
                raise OutputError(f"cannot write {self.path}: {error.strerror or error}") from error


@contextmanager
def _as_scheduled() -> Iterator[None]:
    """Remove real-time priority from threads that get it within.

    SVT-AV1 gives it to its own threads and to the caller's, whose later threads inherit it, where the process
    may: as root, so in most containers. Such a process lets nothing else on the machine run.
    """
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        for thread in (int(task.name) for task in Path("/proc/self/task").iterdir()):
            with suppress(ProcessLookupError):
                if os.sched_getscheduler(thread) != before[0]:
                    os.sched_setscheduler(thread, *before)


class _DiscardedError(Exception):
    """Raised to remove an unfinished file."""


def _fine(clock: Fraction) -> Fraction:
    """Divide the source's clock until it is fine enough for times that are no multiples of it."""
    while clock > _COARSEST:
        clock /= 10
    return clock if clock >= _FINEST and clock.denominator <= _LARGEST else _USUAL_CLOCK


def _encodable(width: int, height: int) -> tuple[int, int]:
    """Return the size of an image that encoders take."""
    scale = min(1.0, _LONGEST_SIDE / max(width, height))
    return _even(width * scale), _even(height * scale)


def _even(length: float) -> int:
    """Round up to an even number."""
    return 2 * math.ceil(length / 2)


def _fit(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Fit the image to (width, height): unchanged, grown by one row or column, or scaled into the middle."""
    height, width = image.shape[:2]
    right, below = size[0] - width, size[1] - height
    if right == below == 0:
        return image
    if right in (0, 1) and below in (0, 1):
        return np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_REPLICATE), np.uint8)
    scale = min(size[0] / width, size[1] / height)
    inner = (max(round(width * scale), 1), max(round(height * scale), 1))
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    left, top = (size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2
    canvas[top : top + inner[1], left : left + inner[0]] = cv2.resize(
        image, inner, interpolation=cv2.INTER_AREA
    )
    return canvas
