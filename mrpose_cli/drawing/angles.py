"""A sheet a person: angles over time, left and right in one plot each, as SVG and as PNG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from io import BytesIO
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from mrpose_cli.atomic import replacing
from mrpose_cli.motion.clean import stretches
from mrpose_cli.motion.motion import Motion
from mrpose_cli.motion.views import FRONT
from mrpose_cli.printable import printable

_LEFT, _RIGHT, _MIDDLE = "#d96f00", "#1673c8", "#2f8f3a"  # as in overlays, darker, for white paper
_INK, _FAINT, _GRID = "#1d2329", "#5b6570", "#dfe3e8"
_WIDTH, _HEIGHT = 430, 190  # of a panel, pixels
_PLOT = (54, 30, 14, 26)  # left, top, right and bottom margins of the plot in its panel
_HEAD = 70
_SHARP = 2  # pixels of the PNG for each of the SVG; drawn twice as large and scaled down

Place = tuple[float, float]


class Canvas(Protocol):
    """What can be drawn on."""

    def line(self, places: Sequence[Place], color: str, width: float) -> None:
        """Draw lines from place to place."""
        ...

    def text(self, place: Place, text: str, size: int, color: str, anchor: str) -> None:
        """Write; ``anchor`` is ``start``, ``middle`` or ``end``, and the place is on the base line."""
        ...


def write_sheet(path: Path, motion: Motion) -> None:
    """Draw a person's angles over time.

    Args:
        path: ``.svg`` or ``.png``.
        motion: The person.

    Raises:
        OutputError: the file cannot be written.
    """
    panels = _panels(motion)
    size = (2 * _WIDTH, _HEAD + math.ceil(len(panels) / 2) * _HEIGHT)
    canvas = _Svg(size) if path.suffix == ".svg" else _Png(size)
    title = f"{path.name.partition('.person')[0]}, person {motion.track.number}"
    _draw(canvas, title, motion, panels)
    with replacing(path) as file:
        file.write(canvas.content())


def _panels(motion: Motion) -> list[tuple[str, list[tuple[str, NDArray[np.float64]]]]]:
    """Titles of the plots, and the color and values of their lines."""
    frontal = motion.view.name == FRONT
    titles = {
        "trunk": "Trunk lean, + to the left" if frontal else "Trunk lean, + forward",
        "hip": "Hip abduction" if frontal else "Hip flexion",
        "knee": "Knee bend" if frontal else "Knee flexion",
        "ankle": "Ankle dorsiflexion",
        "shoulder": "Shoulder abduction" if frontal else "Shoulder flexion",
        "elbow": "Elbow bend" if frontal else "Elbow flexion",
    }
    found = []
    for name, title in titles.items():
        lines = [
            (color, series)
            for key, color in ((name, _MIDDLE), (f"right_{name}", _RIGHT), (f"left_{name}", _LEFT))
            if (series := motion.angles.get(key)) is not None
        ]
        if lines:
            found.append((f"{title} (°)", lines))
    if "mid_hip" in motion.track.names:
        speed = motion.speeds[:, motion.track.names.index("mid_hip")] * motion.axes.size
        found.append((f"Speed of the hips ({motion.axes.unit}/s)", [(_MIDDLE, speed)]))
    return found


def _draw(
    canvas: Canvas,
    title: str,
    motion: Motion,
    panels: Sequence[tuple[str, Sequence[tuple[str, NDArray[np.float64]]]]],
) -> None:
    canvas.text((_PLOT[0], 28), printable(title), 17, _INK, "start")
    seen = "seen from the front or back" if motion.view.name == FRONT else "seen from the side"
    canvas.text((_PLOT[0], 48), f"{seen}, {motion.track.rate:.4g} frames/s", 12, _FAINT, "start")
    for at, name, color in ((130, "left", _LEFT), (68, "right", _RIGHT)):
        canvas.line([(2 * _WIDTH - at, 44), (2 * _WIDTH - at + 18, 44)], color, 3)
        canvas.text((2 * _WIDTH - at + 24, 48), name, 12, _FAINT, "start")
    for number, (name, lines) in enumerate(panels):
        corner = (number % 2 * _WIDTH, _HEAD + number // 2 * _HEIGHT)
        _draw_panel(canvas, corner, name, motion.track.times, lines)


def _draw_panel(
    canvas: Canvas,
    corner: Place,
    name: str,
    times: NDArray[np.float64],
    lines: Sequence[tuple[str, NDArray[np.float64]]],
) -> None:
    left, top, right, bottom = _PLOT
    x0, y0 = corner[0] + left, corner[1] + top
    width, height = _WIDTH - left - right, _HEIGHT - top - bottom
    values = np.concatenate([series for _, series in lines])
    known = values[np.isfinite(values)]
    ticks = nice_ticks(float(known.min()), float(known.max())) if len(known) else [0.0, 1.0]
    low, high = ticks[0], ticks[-1]
    start, end = float(times[0]), max(float(times[-1]), float(times[0]) + 1e-6)

    def place(time: float, value: float) -> Place:
        return x0 + (time - start) / (end - start) * width, y0 + (high - value) / (high - low) * height

    canvas.text((x0, y0 - 9), name, 13, _INK, "start")
    for tick in ticks:
        y = place(start, tick)[1]
        canvas.line([(x0, y), (x0 + width, y)], _FAINT if tick == 0 else _GRID, 1)
        canvas.text((x0 - 6, y + 4), f"{tick:g}", 11, _FAINT, "end")
    for tick in nice_ticks(start, end):
        if start - 1e-9 <= tick <= end + 1e-9:
            x = place(tick, low)[0]
            canvas.line([(x, y0 + height), (x, y0 + height + 4)], _FAINT, 1)
            canvas.text((x, y0 + height + 16), f"{tick:g} s", 11, _FAINT, "middle")
    for color, series in lines:
        for part in stretches(np.isfinite(series)):
            places = [place(t, v) for t, v in zip(times[part].tolist(), series[part].tolist(), strict=True)]
            canvas.line(
                places if len(places) > 1 else [places[0], (places[0][0] + 1, places[0][1])], color, 1.6
            )


def nice_ticks(low: float, high: float) -> list[float]:
    """About five round numbers that enclose two, in steps of 1, 2 or 5 times a power of ten."""
    span = max(high - low, 1e-6)
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 10) for number in range(first, max(last, first + 1) + 1)]


class _Svg:
    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self._marks = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            f'viewBox="0 0 {width} {height}" font-family="Helvetica, Arial, sans-serif">'
            f'<rect width="{width}" height="{height}" fill="#fff"/>'
        ]

    def line(self, places: Sequence[Place], color: str, width: float) -> None:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        self._marks.append(
            f'<polyline points="{points}" fill="none" stroke="{color}" stroke-width="{width:g}" '
            'stroke-linejoin="round"/>'
        )

    def text(self, place: Place, text: str, size: int, color: str, anchor: str) -> None:
        self._marks.append(
            f'<text x="{place[0]:.1f}" y="{place[1]:.1f}" font-size="{size}" fill="{color}" '
            f'text-anchor="{anchor}">{escape(text)}</text>'
        )

    def content(self) -> bytes:
        return ("\n".join([*self._marks, "</svg>"]) + "\n").encode(errors="replace")


class _Png:
    def __init__(self, size: tuple[int, int]) -> None:
        self._scale = 2 * _SHARP
        self._image = Image.new("RGB", (size[0] * self._scale, size[1] * self._scale), "white")
        self._draw = ImageDraw.Draw(self._image)

    def line(self, places: Sequence[Place], color: str, width: float) -> None:
        scaled = [(x * self._scale, y * self._scale) for x, y in places]
        self._draw.line(scaled, fill=color, width=max(round(width * self._scale), 1), joint="curve")

    def text(self, place: Place, text: str, size: int, color: str, anchor: str) -> None:
        font = ImageFont.load_default(size * self._scale)
        where = place[0] * self._scale, place[1] * self._scale
        self._draw.text(
            where, text, fill=color, font=font, anchor={"start": "ls", "middle": "ms", "end": "rs"}[anchor]
        )

    def content(self) -> bytes:
        buffer = BytesIO()
        self._image.reduce(2).save(buffer, "PNG")
        return buffer.getvalue()
