"""Clips of unusual kinds made for a test: HDR, and fields in place of frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from video_clips import Recipe, make_clip

PQ, HLG, BT2020 = 16, 18, 9
SIZE = (256, 64)


def pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """The signal for an amount of light, SMPTE ST 2084."""
    power = (nits / 10_000) ** (2610 / 16384)
    return np.asarray(((3424 + 2413 * 32 * power) / (4096 + 2392 * 32 * power)) ** (2523 / 32))


def hdr_clip(path: Path, signal: NDArray[np.float64], transfer: int, matrix: int = BT2020) -> Path:
    """A 10-bit clip of gray columns with these signals (0..1), tagged as HDR in BT.2020."""
    width, height = SIZE
    luma = np.round(64 + 876 * signal.repeat(width // len(signal))).astype(np.uint16)
    planes = np.full((height * 3 // 2, width), 512, np.uint16)
    planes[:height] = luma
    with av.open(str(path), "w") as out:
        options = {"crf": "4", "preset": "veryfast", "x265-params": "log-level=error"}
        video: Any = out.add_stream("libx265", rate=25, options=options)
        video.width, video.height, video.pix_fmt = *SIZE, "yuv420p10le"
        context = video.codec_context
        context.color_primaries, context.color_trc, context.colorspace = BT2020, transfer, matrix
        context.color_range = 1
        for number in range(5):
            frame = av.VideoFrame.from_ndarray(planes, format="yuv420p10le")
            frame.color_primaries, frame.color_trc, frame.colorspace = BT2020, transfer, matrix
            frame.color_range, frame.pts, frame.time_base = 1, number, Fraction(1, 25)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return path


def moving_edge(field: int) -> NDArray[np.uint8]:
    """A white bar that moves by six pixels from field to field, before gray."""
    image = np.full((64, 128, 3), 60, np.uint8)
    left = 8 + 6 * field
    image[:, left : left + 24] = 220
    return image


def interlaced_clip(path: Path, count: int = 8) -> Path:
    """A clip whose frames weave two moments, the lower field first."""
    frames = []
    for number in range(count):
        image = moving_edge(2 * number)
        image[::2] = moving_edge(2 * number + 1)[::2]
        frames.append(image)
    options = {"preset": "veryfast", "crf": "6", "x264-params": "bff=1"}
    times = [Fraction(i, 25) for i in range(count)]
    recipe = Recipe(times=times, frames=frames, size=(128, 64), options=options, sound="aac")
    return make_clip(path, recipe)
