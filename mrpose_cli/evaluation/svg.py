"""Plots as SVG. Colors come from the page's style sheet, so that they follow its light or dark theme."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_ROW = 26  # pixels a row of bars


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot.

    Attributes:
        name: For the legend.
        points: x and y, 0..1.
        style: A class of the style sheet.
        dots: Mark the points.
    """

    name: str
    points: Sequence[tuple[float, float]]
    style: str
    dots: bool = False


@dataclass(frozen=True, slots=True)
class Bar:
    """One row of bars.

    Attributes:
        name: What stands beside it.
        parts: Style class and length 0..1 of the pieces, from left to right.
        text: What stands behind it.
    """

    name: str
    parts: Sequence[tuple[str, float]]
    text: str


def line_plot(
    title: str, x_name: str, y_name: str, lines: Sequence[Line], *, x_end: float = 1.0, style: str = ""
) -> str:
    """Draw lines over a unit square, with a legend.

    Args:
        title: What it is called where it is not seen.
        x_name: What stands below.
        y_name: What stands beside it.
        lines: The lines.
        x_end: What the right edge is labelled with.
        style: A style sheet, for a file of its own.
    """
    left, top, size, bottom = 48, 10, 260, 62
    marks = []
    for step in range(6):
        at = step / 5
        x, y = left + at * size, top + (1 - at) * size
        marks.append(f'<line class="grid" x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{top + size}"/>')
        marks.append(f'<line class="grid" x1="{left}" y1="{y:.1f}" x2="{left + size}" y2="{y:.1f}"/>')
        marks.append(f'<text x="{x:.1f}" y="{top + size + 16}" text-anchor="middle">{at * x_end:g}</text>')
        marks.append(f'<text x="{left - 7}" y="{y + 4:.1f}" text-anchor="end">{at:g}</text>')
    for line in lines:
        places = [(left + x * size, top + (1 - min(max(y, 0.0), 1.0)) * size) for x, y in line.points]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        marks.append(f'<polyline class="line {line.style}" points="{path}"/>')
        if line.dots:
            marks += [
                f'<circle class="dot {line.style}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places
            ]
    middle = left + size / 2
    marks.append(
        f'<text class="name" x="{middle}" y="{top + size + 34}" text-anchor="middle">{escape(x_name)}</text>'
    )
    turn = f'transform="rotate(-90 12 {top + size / 2})"'
    marks.append(
        f'<text class="name" x="12" y="{top + size / 2}" text-anchor="middle" {turn}>{escape(y_name)}</text>'
    )
    at = left
    for line in (line for line in lines if line.name):
        marks.append(
            f'<rect class="fill {line.style}" x="{at}" y="{top + size + 45}" width="10" height="10"/>'
        )
        marks.append(f'<text x="{at + 14}" y="{top + size + 54}">{escape(line.name)}</text>')
        at += 26 + 7 * len(line.name)
    return _svg(title, left + size + 12, top + size + bottom, marks, style)


def bar_plot(title: str, bars: Sequence[Bar]) -> str:
    """Draw horizontal bars, each with its name on the left and its text on the right."""
    left, length, right = 130, 220, 150
    marks = []
    for row, bar in enumerate(bars):
        y = row * _ROW + 4
        marks.append(f'<text x="{left - 8}" y="{y + 13}" text-anchor="end">{escape(bar.name)}</text>')
        marks.append(f'<rect class="track" x="{left}" y="{y}" width="{length}" height="{_ROW - 8}"/>')
        x = float(left)
        for style, share in bar.parts:
            width = max(share, 0.0) * length
            marks.append(
                f'<rect class="fill {style}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_ROW - 8}"/>'
            )
            x += width
        marks.append(f'<text x="{left + length + 8}" y="{y + 13}">{escape(bar.text)}</text>')
    return _svg(title, left + length + right, len(bars) * _ROW + 6, marks)


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Render the names of style classes as HTML."""
    parts = [
        f'<span><svg class="key" viewBox="0 0 1 1"><rect class="fill {style}" width="1" height="1"/></svg>'
        f"{escape(name)}</span>"
        for style, name in entries
    ]
    return f'<p class="legend">{"".join(parts)}</p>'


def _svg(title: str, width: float, height: float, marks: Sequence[str], style: str = "") -> str:
    start = '<svg xmlns="http://www.w3.org/2000/svg"' if style else "<svg"
    sheet = f"<style>{style}</style>" if style else ""
    return (
        f'{start} class="plot" role="img" aria-label="{escape(title)}" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}">{sheet}{"".join(marks)}</svg>'
    )
