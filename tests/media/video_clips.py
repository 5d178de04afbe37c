"""Clips made for a test: frames that carry their number, any times, turns, sound, subtitles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.codec.context import Flags
from numpy.typing import NDArray

_BITS = 8
RATE = 48000


def numbered(number: int, size: tuple[int, int] = (64, 48)) -> NDArray[np.uint8]:
    """A frame (H, W, 3) whose columns show its number in black and white; the top left corner is red."""
    width, height = size
    image = np.zeros((height, width, 3), np.uint8)
    for bit in range(_BITS):
        if number >> bit & 1:
            image[:, bit * width // _BITS : (bit + 1) * width // _BITS] = 235
    image[: height // 4, : width // _BITS] = (200, 30, 30)
    return image


def number_of(image: NDArray[np.uint8]) -> int:
    """The number that a frame shows."""
    height, width = image.shape[:2]
    row = image[height * 5 // 8, :, 1]
    return sum(
        1 << bit
        for bit in range(_BITS)
        if row[bit * width // _BITS + 2 : (bit + 1) * width // _BITS - 2].mean() > 128
    )


@dataclass(frozen=True)
class Recipe:
    """How a clip is made.

    Attributes:
        times: Seconds of each frame; None for 30 at 25 Hz.
        tick: Unit of the timestamps.
        rate: What the container says of the frame rate.
        size: Stored width and height.
        turn: Degrees counterclockwise, in the display matrix.
        matrix: The whole display matrix instead.
        sound: A codec for a tone, or "".
        subtitles: A line every half second, as mov_text.
        codec: Of the picture.
        pixels: Its pixel format.
        gop: Frames from key frame to key frame.
        options: For the encoder.
        color: Attributes of the encoder's context, such as color_range.
        frames: The pictures themselves; None for numbered ones.
        last: Seconds that the last frame stays; None for what the container makes of it.
    """

    times: Sequence[Fraction] | None = None
    tick: Fraction = Fraction(1, 12800)
    rate: Fraction = Fraction(25)
    size: tuple[int, int] = (64, 48)
    turn: int = 0
    matrix: tuple[int, ...] | None = None
    sound: str = ""
    subtitles: bool = False
    codec: str = "libx264"
    pixels: str = "yuv420p"
    gop: int = 12
    options: dict[str, str] = field(default_factory=lambda: {"preset": "veryfast", "crf": "12"})
    color: dict[str, int] = field(default_factory=dict)
    frames: Sequence[NDArray[np.uint8]] | None = None
    last: Fraction | None = None


def make_clip(path: Path, recipe: Recipe | None = None, *, container: str | None = None) -> Path:
    """Write a clip and return its path."""
    recipe = recipe or Recipe()
    times = recipe.times if recipe.times is not None else [Fraction(i, 25) for i in range(30)]
    with av.open(str(path), "w", format=container) as out:
        video: Any = out.add_stream(recipe.codec, rate=recipe.rate, options=dict(recipe.options))
        video.width, video.height = recipe.size
        video.pix_fmt = recipe.pixels
        video.codec_context.time_base = recipe.tick
        video.codec_context.gop_size = recipe.gop
        for name, value in recipe.color.items():
            setattr(video.codec_context, name, value)
        if recipe.last is not None:
            video.codec_context.flags |= Flags.frame_duration
        if recipe.turn:
            video.set_display_rotation(recipe.turn)
        if recipe.matrix:
            video.set_display_matrix(recipe.matrix)
        audio: Any = out.add_stream(recipe.sound, rate=RATE, layout="mono") if recipe.sound else None
        for number, time in enumerate(times):
            pixels = recipe.frames[number] if recipe.frames is not None else numbered(number, recipe.size)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            if recipe.color:
                frame = frame.reformat(
                    format=recipe.pixels,
                    src_color_range=2,
                    dst_color_range=recipe.color.get("color_range", 1),
                    dst_colorspace=recipe.color.get("colorspace", 5),
                )
            frame.pts, frame.time_base = round(time / recipe.tick), recipe.tick
            if recipe.last is not None:
                end = times[number + 1] if number + 1 < len(times) else time + recipe.last
                frame.duration = round((end - time) / recipe.tick)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if audio is not None:
            _add_tone(out, audio, float(times[-1]) + 0.04)
    if recipe.subtitles:
        _add_subtitles(path, float(times[-1]))
    return path


def _add_tone(out: Any, audio: Any, seconds: float) -> None:
    size = audio.codec_context.frame_size or 1024
    kind = audio.codec_context.format.name
    for begin in range(0, round(seconds * RATE), size):
        wave = np.sin(np.arange(begin, begin + size) * (2 * np.pi * 440 / RATE)) * 0.3
        scale, dtype = {"s16": (2**15 - 1, np.int16), "s32": (2**31 - 1, np.int32)}.get(
            kind[:3], (1, np.float32)
        )
        data = (wave * scale).astype(dtype)
        frame = av.AudioFrame.from_ndarray(data[None], format=kind, layout="mono")
        frame.rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
        out.mux(audio.encode(frame))
    out.mux(audio.encode(None))


def _add_subtitles(path: Path, seconds: float) -> None:
    """Put the clip through once more, with lines of text."""
    bare = path.with_name(f"bare-{path.name}")
    path.rename(bare)
    with av.open(str(bare)) as source, av.open(str(path), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in source.streams}
        lines: Any = out.add_mux_stream("mov_text", time_base=Fraction(1, 1000))
        lines.time_base = Fraction(1, 1000)
        packets: list[Any] = []
        for number in range(int(seconds * 2)):
            text = f"line {number}".encode()
            packet: Any = av.Packet(len(text).to_bytes(2, "big") + text)
            packet.pts = packet.dts = number * 500
            packet.duration, packet.time_base, packet.stream = 400, Fraction(1, 1000), lines
            packets.append(packet)
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                packets.append(packet)
        packets.sort(key=lambda packet: packet.dts * packet.time_base)
        out.mux(packets)
    bare.unlink()


def repeated(source: Path, path: Path, rounds: int) -> Path:
    """Write a clip played several times over, sound included, and return its path."""
    with av.open(str(path), "w") as out:
        streams: dict[str, Any] = {}
        for number in range(rounds):
            with av.open(str(source)) as clip:
                seconds = Fraction(clip.duration or 0, 1_000_000)
                for packet in clip.demux():
                    if packet.dts is None or (packet.dts < 0 and number):
                        continue
                    kind = packet.stream.type
                    if kind not in streams:
                        streams = {s.type: out.add_stream_from_template(s) for s in clip.streams}
                    shift = round(seconds * number / packet.time_base)
                    packet.pts, packet.dts = (packet.pts or 0) + shift, packet.dts + shift
                    packet.stream = streams[kind]
                    out.mux(packet)
    return path


def packets_of(path: Path, kind: str) -> list[tuple[bytes, float]]:
    """Content and time of the packets of all streams of a kind, "audio" or "subtitle"."""
    with av.open(str(path)) as container:
        streams = [stream for stream in container.streams if stream.type == kind]
        return [
            (bytes(packet), float(packet.pts * packet.time_base))
            for packet in (container.demux(streams) if streams else ())
            if packet.size and packet.pts is not None
        ]


def frames_of(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    """Time and picture of every frame as FFmpeg reads it, nothing of ours in between."""
    with av.open(str(path)) as container:
        return [
            (frame.time, np.asarray(frame.to_ndarray(format="rgb24"), np.uint8))
            for frame in container.decode(video=0)
        ]
