"""What the commands share on the terminal: errors in one line, tables, progress bars, exit codes.

Names and messages may come from anywhere. All of them are printed through here, as plain text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from mrpose_cli.errors import MrposeError, UsageError
from mrpose_cli.interrupt import terminations_interrupt
from mrpose_cli.printable import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

    from mrpose_cli.weights.fetch import Progress

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def say(message: object) -> None:
    """Print a line to stdout."""
    typer.echo(printable(message))


def complain(message: object) -> None:
    """Print an error to stderr."""
    _tell("error", message)


def warn(message: object) -> None:
    """Print to stderr what makes results doubtful."""
    _tell("warning", message)


def remark(message: object) -> None:
    """Print to stderr what is no error and yet should be known."""
    _tell("note", message)


def _tell(kind: str, message: object) -> None:
    typer.echo(f"mrpose: {kind}: {printable(message)}", err=True)


@contextmanager
def errors_reported() -> Iterator[None]:
    """Turn errors that are meant for the user into one line and an exit code."""
    try:
        with terminations_interrupt():
            yield
    except MrposeError as error:
        complain(error)
        raise typer.Exit(WRONG_USAGE if isinstance(error, UsageError) else FAILED) from None
    except ImportError as error:
        complain(explain_import_error(error))
        raise typer.Exit(FAILED) from None
    except KeyboardInterrupt:
        complain("interrupted")
        raise typer.Exit(INTERRUPTED) from None


def explain_import_error(error: ImportError) -> str:
    """What to do about a library that does not load; OpenCV wants desktop libraries slim machines lack."""
    text = str(error)
    if any(library in text for library in ("libGL", "libgthread", "libglib", "libxcb", "libSM", "libXext")):
        return (
            f"OpenCV does not load ({text}). Install the system packages (Debian, Ubuntu: "
            "apt-get install libgl1 libglib2.0-0), or run: "
            "pip uninstall -y opencv-python && pip install opencv-python-headless"
        )
    return f"a library does not load ({text}); reinstall with: pip install --force-reinstall mrpose"


def table_console() -> Console:
    """Where tables go: stdout, as wide as the terminal; wide enough for any name where there is none."""
    console = _console()
    return console if console.is_terminal else _console(width=160)


def bar_console() -> Console:
    """Where progress bars go: stderr."""
    return _console(stderr=True)


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    from rich.console import Console
    from rich.text import Text

    class Plain(Console):
        """Takes no string for markup or emoji codes: a photo may be called ``a[/b].jpg``."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    return Plain(stderr=stderr, width=width)


def bar_column(template: str) -> ProgressColumn:
    """A column of a progress bar with plain text, for instance ``{task.description}``."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Plain(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(printable(template.format(task=task)), no_wrap=True)

    return Plain()


@contextmanager
def download_bars() -> Iterator[Progress]:
    """One bar per downloaded file on stderr; nothing where that is not a terminal."""
    from rich.progress import BarColumn, DownloadColumn, TaskID, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = bar_console()
    columns = (bar_column("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(description: str, done: int, total: int | None) -> None:
            if description not in tasks:
                tasks[description] = bars.add_task(description, total=None)
            bars.update(tasks[description], completed=done, total=total)

        yield show


@dataclass(frozen=True, slots=True)
class WorkBar:
    """A bar with throughput and ETA.

    Attributes:
        start: To be called with the number of units when it is known.
        advance: To be called once per unit done, with the number of people in it.
    """

    start: Callable[[int], None]
    advance: Callable[[int], None]


@contextmanager
def work_bar(unit: str, *, quiet: bool = False) -> Iterator[WorkBar]:
    """A bar on stderr; nothing where that is not a terminal.

    Args:
        unit: What is counted, in the plural.
        quiet: No bar at all.
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    console = bar_console()
    columns = (
        MofNCompleteColumn(),
        bar_column(unit),
        BarColumn(),
        bar_column("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        people = 0

        def start(total: int) -> None:
            bar.add_task(unit, total=total, rate="")

        def advance(persons: int) -> None:
            nonlocal people
            people += persons
            [task] = bar.tasks
            seconds, done = max(task.elapsed or 0.0, 1e-6), task.completed + 1
            rate = f"{done / seconds:.1f} {unit}/s, {people / seconds:.1f} persons/s"
            bar.update(task.id, advance=1, rate=rate)

        yield WorkBar(start, advance)
