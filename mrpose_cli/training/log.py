"""The log of a run, and its picture."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import IO, Any

from mrpose_cli.atomic import write_atomically, writing

LOG_FILE = "log.jsonl"
CURVE_FILE = "curve.png"

TRAIN = "train"
VALIDATION = "validation"

_BEGINNING = b'{"event": "'

Line = dict[str, Any]


class Log:
    """``log.jsonl``: one object a line, each with an ``event`` and the ``step`` after which it is true.

    Args:
        folder: Where it is kept.
        step: Go on after this step; what a later one left is dropped. None to begin anew.

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


def read_log(folder: Path) -> list[Line]:
    """All whole lines of a log; none where there is no log."""
    lines: list[Line] = []
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
    """Whether a file of the log's name is there that is no log, not even the beginning of one."""
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = read_log(folder)
    losses = [line for line in lines if line["event"] == TRAIN]
    figures = [line for line in lines if line["event"] == VALIDATION]
    figure = Figure(figsize=(9, 5), layout="constrained")
    canvas = FigureCanvasAgg(figure)
    left = figure.add_subplot()
    left.plot([line["samples"] for line in losses], [line["loss"] for line in losses], color="tab:blue")
    left.set(title=title, xlabel="crops seen", ylabel="training loss", ylim=(0, None))
    left.grid(alpha=0.3)
    right = left.twinx()
    for key, label, style in (("ap", "AP, all held-out crops", "-"), ("ap_human", "AP, human labels", "--")):
        known = [line for line in figures if line.get(key) is not None]
        if known:
            seen = [line["samples"] for line in known]
            right.plot(seen, [line[key] for line in known], style, color="tab:red", marker=".", label=label)
    right.set(ylabel="AP", ylim=(0, 100))
    if right.lines:
        right.legend(loc="center right")
    buffer = io.BytesIO()
    canvas.print_figure(buffer)
    write_atomically(folder / CURVE_FILE, buffer.getvalue())
