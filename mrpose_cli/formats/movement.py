"""Movement as tables: CSV, a row a step and person; XLSX, a sheet a person; JSON about both.

Coordinates are x to the right and y up from the picture's lowest row, in meters or pixels.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mrpose_cli.atomic import replacing
from mrpose_cli.errors import OutputError, UsageError
from mrpose_cli.motion.angles import ANGLES
from mrpose_cli.motion.motion import Motion
from mrpose_cli.motion.views import FRONT

DIGITS = {"px": 3, "m": 6}
"""Decimals of coordinates and speeds: a thousandth of a pixel, a thousandth of a millimeter."""
DEGREES = 4
"""Decimals of angles."""

_AT_ONCE = 1000  # rows
_EXCEL_ROWS = 1_048_576


def write_csv(path: Path, motions: Sequence[Motion]) -> None:
    """Write everybody's movement, a row a step.

    Raises:
        OutputError: the file cannot be written.
    """
    heads = [columns(motion, slice(0)) for motion in motions]
    titles = list(dict.fromkeys(title for head in heads for title in head))
    with replacing(path, "x") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(titles)
        for motion, head in zip(motions, heads, strict=True):
            places = [list(head).index(title) if title in head else -1 for title in titles]
            padded = ([*row, None] for row in _rows(motion))
            writer.writerows([row[place] for place in places] for row in padded)


def write_xlsx(path: Path, motions: Sequence[Motion], about: Mapping[str, Any]) -> None:
    """Write a sheet a person, and one that says what the columns mean.

    Raises:
        OutputError: the file cannot be written, or somebody has more rows than Excel.
        UsageError: XlsxWriter is not installed.
    """
    try:
        from xlsxwriter import Workbook
    except ImportError:
        raise missing("XLSX files", "xlsxwriter") from None
    if any(len(motion.track.times) >= _EXCEL_ROWS for motion in motions):
        raise OutputError(f"{path} would have more rows than Excel takes; CSV has no such limit")
    with replacing(path) as file, Workbook(file, {"constant_memory": True}) as book:
        bold = book.add_format({"bold": True})
        sheet = book.add_worksheet("about")
        sheet.set_column(0, 0, 28)
        sheet.set_column(1, 1, 90)
        for number, (name, value) in enumerate(_lines(about)):
            sheet.write_string(number, 0, name, bold)
            sheet.write_string(number, 1, value)
        for motion in motions:
            titles = list(columns(motion, slice(0)))
            sheet = book.add_worksheet(f"person {motion.track.number}")
            sheet.freeze_panes(1, 3)
            sheet.set_column(0, len(titles) - 1, 14)
            sheet.write_row(0, 0, titles, bold)
            for number, row in enumerate(_rows(motion), 1):
                sheet.write_row(number, 0, row)


def write_about(path: Path, about: Mapping[str, Any]) -> None:
    """Write what was done and found as JSON.

    Raises:
        OutputError: the file cannot be written.
    """
    with replacing(path, "x") as file:
        json.dump(about, file, indent=2, allow_nan=False)
        file.write("\n")


def columns(motion: Motion, part: slice = slice(None)) -> dict[str, list[Any]]:
    """Return a person's table, by title; None where nothing is known.

    Args:
        motion: The person.
        part: The steps that are wanted.
    """
    track, axes = motion.track, motion.axes
    places, fast = axes.upright(track.joints[part]), motion.speeds[part] * axes.size
    digits, frames = DIGITS[axes.unit], track.frames[part].tolist()
    table: dict[str, list[Any]] = {
        "track_id": [track.number] * len(frames),
        "frame_index": frames,
        "time_s": _cells(track.times[part], 6),
        "seen_from": _seen_from(motion, part),
        "unit": [axes.unit] * len(frames),
    }
    for name, series in motion.angles.items():
        table[f"{name}_deg"] = _cells(series[part], DEGREES)
    for name, series in motion.velocities.items():
        table[f"{name}_deg_per_s"] = _cells(series[part], 3)
    for joint, name in enumerate(track.names):
        table[f"{name}_x"] = _cells(places[:, joint, 0], digits)
        table[f"{name}_y"] = _cells(places[:, joint, 1], digits)
        table[f"{name}_speed"] = _cells(fast[:, joint], digits)
        table[f"{name}_score"] = _cells(track.scores[part, joint], 5)
    return table


def _rows(motion: Motion) -> Iterator[tuple[Any, ...]]:
    """Yield the table row by row, without holding it."""
    for start in range(0, len(motion.track.times), _AT_ONCE):
        yield from zip(*columns(motion, slice(start, start + _AT_ONCE)).values(), strict=True)


def describe(motion: Motion) -> dict[str, Any]:
    """Return what is to be known of a person's movement, for JSON."""
    track, cleaned = motion.track, motion.cleaned
    joints = len(motion.raw.names)
    missing_share = np.isnan(track.joints[:, :joints]).any(2).mean()
    return {
        "track_id": track.number,
        "start_s": round(float(track.times[0]), 6),
        "end_s": round(float(track.times[-1]), 6),
        "steps": len(track.times),
        "steps_per_second": round(track.rate, 4),
        "seen_from": "front or back" if motion.view.name == FRONT else "side",
        "unit": motion.axes.unit,
        "pixels_per_meter": motion.axes.per_meter and round(motion.axes.per_meter, 4),
        "joints_unsure": int(cleaned.unsure.sum()),
        "joints_outliers": int(cleaned.outliers.sum()),
        "joints_filled": int(cleaned.filled.sum()),
        "joints_missing_share": round(float(missing_share), 4),
        "angles_deg": {
            name: _extremes(series) for name, series in motion.angles.items() if np.isfinite(series).any()
        },
    }


def meanings(motions: Sequence[Motion]) -> dict[str, str]:
    """Say what the angles of these people are, by name."""
    measured = {name for motion in motions for name in motion.angles}
    fronts = {motion.view.name == FRONT for motion in motions}
    found = {}
    for angle in ANGLES:
        if angle.name in measured:
            texts = ([angle.meaning] if False in fronts else []) + ([angle.frontal] if True in fronts else [])
            found[angle.name] = "; from the front: ".join(filter(None, texts))
    return found


def missing(what: str, package: str) -> UsageError:
    """Return the error for a library that is not installed."""
    return UsageError(f"{what} need {package}; install it with: pip install 'mrpose[motion]'")


def _seen_from(motion: Motion, part: slice) -> list[str]:
    front = motion.view.name == FRONT
    names = ("back", "front") if front else ("side, facing left", "side, facing right")
    return [names[int(sign > 0)] for sign in motion.view.right[part]]


def _extremes(series: NDArray[np.float64]) -> dict[str, float]:
    low, high = float(np.nanmin(series)), float(np.nanmax(series))
    return {"min": round(low, DEGREES), "max": round(high, DEGREES), "range": round(high - low, DEGREES)}


def _cells(values: NDArray[np.float64], digits: int) -> list[float | None]:
    rounded = np.round(values, digits) + 0.0  # no -0.0
    return [
        value if known else None for value, known in zip(rounded.tolist(), np.isfinite(values), strict=True)
    ]


def _lines(about: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Return a nested object as names and texts; lists are left to the sheets."""
    found: list[tuple[str, str]] = []
    for name, value in about.items():
        if isinstance(value, Mapping):
            found += _lines(value, f"{prefix}{name}: ")
        elif not isinstance(value, list):
            found.append((f"{prefix}{name}", "" if value is None else str(value)))
    return found
