"""The log of a run, and its picture."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import IO, Any

from mrpose_cli.atomic import write_atomically, writing
from mrpose_cli.evaluation.svg import Line, line_plot

LOG_FILE = "log.jsonl"
CURVE_FILE = "curve.svg"

TRAIN = "train"
VALIDATION = "validation"

_BEGINNING = b'{"event": "'

Row = dict[str, Any]

# Plain enough for viewers that are no browsers.
_STYLE = (
    "svg { background: #fff; font: 12px sans-serif } .grid { stroke: #dde1e6 }"
    ".c0 { fill: #2f6fdb; stroke: #2f6fdb } .c1 { fill: #d9822b; stroke: #d9822b }"
    ".c2 { fill: #4c9f70; stroke: #4c9f70 } .line { fill: none; stroke-width: 2 }"
)


class Log:
    """``log.jsonl``: one object a line, each with an ``event`` and the ``step`` after which it is true.

    Args:
        folder: Where it is kept.
        step: Go on after this step; what a later one left is dropped. None to start over.

    Raises:
        OutputError: it cannot be written.
    """

    def __init__(self, folder: Path, step: int | None) -> None:
        self._path = folder / LOG_FILE
        kept = [] if step is None else [line for line in read_log(folder) if line["step"] <= step]
        write_atomically(self._path, "".join(json.dumps(line) + "\n" for line in kept).encode())
        with writing(self._path):
            self._file: IO[str] = self._path.open("a", encoding="utf-8")

    def write(self, event: str, step: int, **values: Any) -> None:
        """Add a line; it is on the disk when this returns.

        Raises:
            OutputError: it could not be written.
        """
        rounded = {key: round(v, 6) if isinstance(v, float) else v for key, v in values.items()}
        with writing(self._path):
            self._file.write(json.dumps({"event": event, "step": step, **rounded}) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_log(folder: Path) -> list[Row]:
    """Read all complete lines of a log; none where there is no log."""
    lines: list[Row] = []
    try:
        text = (folder / LOG_FILE).read_text(encoding="utf-8")
    except FileNotFoundError:
        return lines
    for row in text.splitlines():
        try:
            lines.append(json.loads(row))
        except ValueError:  # the process was killed while it wrote
            break
    return lines


def is_foreign(folder: Path) -> bool:
    """Return whether a file of the log's name exists that is no log, not even the beginning of one."""
    try:
        with (folder / LOG_FILE).open("rb") as file:
            return not _BEGINNING.startswith(file.read(len(_BEGINNING)))
    except FileNotFoundError:
        return False


def draw_curve(folder: Path, title: str) -> None:
    """Draw loss and AP of a log over the crops seen.

    Raises:
        OutputError: the picture could not be written.
    """
    lines = read_log(folder)
    end = _round_up(max((line["samples"] for line in lines), default=0))

    def line(event: str, key: str, name: str, style: str, *, unit: float = 1.0) -> Line:
        rows = [row for row in lines if row["event"] == event and row.get(key) is not None]
        return Line(name, [(row["samples"] / end, row[key] / unit) for row in rows], style, dots=unit != 1)

    drawn = (
        line(TRAIN, "loss", "loss", "c0"),
        line(VALIDATION, "ap", "AP", "c1", unit=100),
        line(VALIDATION, "ap_human", "AP, human labels", "c2", unit=100),
    )
    known = [one for one in drawn if one.points]
    plot = line_plot(title, f"crops seen; {title}", "loss and AP / 100", known, x_end=end, style=_STYLE)
    write_atomically(folder / CURVE_FILE, plot.encode())


def _round_up(crops: int) -> float:
    """Return the next number whose fifths are round."""
    unit = 10.0 ** math.floor(math.log10(max(crops, 1)))
    return next(unit * factor for factor in (1, 2, 2.5, 5, 10) if unit * factor >= crops)
