"""What the commands share on the terminal: errors in one line, progress bars, exit codes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from mrpose_cli.errors import MrposeError, UsageError
from mrpose_cli.interrupt import terminations_interrupt

if TYPE_CHECKING:
    from rich.console import Console

    from mrpose_cli.weights.fetch import Progress

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def complain(message: object) -> None:
    """Print an error to stderr."""
    typer.echo(f"mrpose: error: {message}", err=True)


def remark(message: object) -> None:
    """Print to stderr what is no error and yet should be known."""
    typer.echo(f"mrpose: note: {message}", err=True)


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
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=160)


@contextmanager
def download_bars() -> Iterator[Progress]:
    """One bar per downloaded file on stderr; nothing where that is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
    from rich.progress import Progress as Bars

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Bars(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, TaskID] = {}

        def show(description: str, done: int, total: int | None) -> None:
            if description not in tasks:
                tasks[description] = bars.add_task(description, total=None)
            bars.update(tasks[description], completed=done, total=total)

        yield show


@contextmanager
def work_bar(unit: str, total: int, *, quiet: bool = False) -> Iterator[Callable[[int], None]]:
    """A bar with throughput and ETA on stderr; nothing where that is not a terminal.

    Args:
        unit: What is counted, in the plural.
        total: How many there are.
        quiet: No bar at all.

    Yields:
        To be called once per unit done, with the number of people in it.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (
        MofNCompleteColumn(),
        TextColumn(unit),
        BarColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(unit, total=total, rate="")
        people = 0

        def advance(persons: int) -> None:
            nonlocal people
            people += persons
            seconds = max(bar.tasks[task].elapsed or 0.0, 1e-6)
            done = bar.tasks[task].completed + 1
            bar.update(
                task, advance=1, rate=f"{done / seconds:.1f} {unit}/s, {people / seconds:.1f} persons/s"
            )

        yield advance
