"""Clips broken at random, the same way for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Final

from video_clips import Recipe, make_clip

_H264: Final = {"preset": "veryfast", "crf": "20"}
_VP9: Final = {"crf": "30", "b": "0", "cpu-used": "8"}

_BASES: Final = {
    "h264.mp4": Recipe(sound="aac", gop=6, options=_H264),
    "text.mp4": Recipe(sound="aac", gop=6, options=_H264, subtitles=True),
    "h264.mov": Recipe(sound="pcm_s16le", gop=6, options=_H264),
    "h264.mkv": Recipe(sound="ac3", gop=6, options=_H264),
    "vp9.webm": Recipe(sound="libopus", gop=6, codec="libvpx-vp9", options=_VP9),
    "h264.ts": Recipe(sound="aac", gop=6, options=_H264),
    "mpeg4.avi": Recipe(sound="mp3", gop=6, codec="mpeg4", options={}, tick=Recipe().rate ** -1),
    "flv1.flv": Recipe(sound="mp3", gop=6, codec="flv1", options={}),
    "mpeg2.mpg": Recipe(sound="mp2", gop=6, codec="mpeg2video", options={}, tick=Recipe().rate ** -1),
    "vp8.ogv": Recipe(sound="flac", gop=6, codec="vp8", options=_VP9),
    "moving.gif": Recipe(codec="gif", pixels="rgb8", options={}, tick=Recipe().rate ** -1),
}


def base_clips(folder: Path) -> list[Path]:
    """Write small whole clips of one second, one for each kind of container, and return their paths."""
    return [make_clip(folder / name, recipe) for name, recipe in _BASES.items()]


def mutate(data: bytes, seed: int) -> bytes:
    """The bytes of a clip with one to three of its parts damaged.

    Args:
        data: A whole clip.
        seed: Decides what happens to it.
    """
    chance = random.Random(seed)
    broken = bytearray(data)
    for _ in range(chance.randint(1, 3)):
        chance.choice(_DAMAGES)(broken, chance)
    return bytes(broken)


def _truncate(data: bytearray, chance: random.Random) -> None:
    del data[_place(data, chance) :]


def _flip(data: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 3, 10, 100)) if data else 0):
        data[_place(data, chance)] ^= 1 << chance.randrange(8)


def _flip_head(data: bytearray, chance: random.Random) -> None:
    """Damage what stands at the beginning, where most containers say what they hold."""
    for _ in range(chance.choice((1, 3, 10)) if data else 0):
        data[chance.randrange(min(len(data), 1000))] = chance.randrange(256)


def _flip_tail(data: bytearray, chance: random.Random) -> None:
    """Damage what stands at the end, where MP4 and AVI have their index."""
    for _ in range(chance.choice((1, 3, 10)) if data else 0):
        data[-1 - chance.randrange(min(len(data), 3000))] = chance.randrange(256)


def _overwrite(data: bytearray, chance: random.Random) -> None:
    begin, size = _place(data, chance), chance.choice((4, 16, 200, 3000))
    fill = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    data[begin : begin + size] = fill[: max(len(data) - begin, 0)]


def _cut_out(data: bytearray, chance: random.Random) -> None:
    begin = _place(data, chance)
    del data[begin : begin + chance.choice((1, 4, 188, 2000))]


def _repeat(data: bytearray, chance: random.Random) -> None:
    begin = _place(data, chance)
    data[begin:begin] = data[begin : begin + chance.choice((1, 16, 188, 4000))]


def _swap(data: bytearray, chance: random.Random) -> None:
    size = chance.choice((16, 188, 1024))
    first, second = sorted((_place(data, chance), _place(data, chance)))
    if first + size <= second:
        part = data[first : first + size]
        data[first : first + size] = data[second : second + size]
        data[second : second + size] = part


def _place(data: bytearray, chance: random.Random) -> int:
    return chance.randrange(len(data)) if data else 0


_DAMAGES: Final[tuple[Callable[[bytearray, random.Random], None], ...]] = (
    _truncate,
    _flip,
    _flip_head,
    _flip_tail,
    _overwrite,
    _cut_out,
    _repeat,
    _swap,
)
