"""What the commands share on the terminal: errors in one line, tables, progress bars, exit codes.

Names and messages may come from anywhere. All of them are printed through here, as plain text.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import typer

from mrpose_cli.errors import Message, MrposeError, UsageError
from mrpose_cli.interrupt import terminations_interrupt
from mrpose_cli.printable import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

    from mrpose_cli.jobs.report import RunReport
    from mrpose_cli.progress import Progress

FAILED = 1
WRONG_USAGE = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count


def say(message: object) -> None:
    """Print a line to stdout."""
    typer.echo(printable(message))


def complain(message: object, about: str = "") -> None:
    """Print an error to stderr, and the input that it is about, if any."""
    _tell("error", message, f"{about}: " if about else "")


def warn(message: object) -> None:
    """Print a warning about doubtful results to stderr."""
    _tell("warning", message)


def remark(message: object) -> None:
    """Print a note to stderr that is worth knowing and not an error."""
    _tell("note", message)


def _tell(kind: str, message: object, about: str = "") -> None:
    typer.echo(f"mrpose: {kind}: {printable(about)}{name_flags(message)}", err=True)


def name_flags(message: object) -> str:
    """Return a message as one line, with flags for the parameters it names."""
    if isinstance(message, MrposeError):
        message = message.args[0]
    return printable(message.as_flags if isinstance(message, Message) else message)


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
        end_interrupted()


def end_interrupted(remedy: str = "", *, aloud: bool = True) -> NoReturn:
    """Exit after Ctrl-C, saying what happens to the work that is done."""
    if aloud:
        complain(f"interrupted; {remedy}" if remedy else "interrupted")
    raise typer.Exit(INTERRUPTED) from None


def finish(report: RunReport, *, failed: bool, interrupted: str, full: str = "") -> None:
    """Say what failed, and leave with an exit code unless all went well.

    Args:
        report: What was done.
        failed: Whether something failed before there was a report.
        interrupted: What becomes of what was done, after Ctrl-C.
        full: What to say of a disk that is full.
    """
    for name, reason in report.failures:
        complain(reason, name)
    if report.full:
        complain(full)
    elif report.interrupted:
        end_interrupted(interrupted)
    if failed or report.failures or report.partial:
        raise typer.Exit(FAILED)


def explain_import_error(error: ImportError) -> str:
    """Say what to do about a library that does not load; OpenCV needs libraries that slim machines lack."""
    text = str(error)
    if any(library in text for library in ("libGL", "libgthread", "libglib", "libxcb", "libSM", "libXext")):
        return (
            f"OpenCV does not load ({text}). Install the system packages (Debian, Ubuntu: "
            "apt-get install libgl1 libglib2.0-0), or run: "
            "pip uninstall -y opencv-python && pip install opencv-python-headless"
        )
    return f"a library does not load ({text}); reinstall with: pip install --force-reinstall mrpose"


def table_console() -> Console:
    """Return the console for tables: stdout, as wide as the terminal, or wide enough for any name."""
    console = _console()
    return console if console.is_terminal else _console(width=160)


def bar_console() -> Console:
    """Return the console for progress bars: stderr."""
    return _console(stderr=True)


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    from rich.console import Console
    from rich.text import Text

    class Plain(Console):
        """A console that never reads text as markup or emoji codes: a photo may be called ``a[/b].jpg``."""

        def render_str(self, text: str, **options: Any) -> Text:
            return super().render_str(printable(text), **{**options, "markup": False, "emoji": False})

    return Plain(stderr=stderr, width=width)


def bar_column(template: str) -> ProgressColumn:
    """Make a progress bar column of plain text, for instance ``{task.description}``."""
    from rich.progress import ProgressColumn, Task
    from rich.text import Text

    class Plain(ProgressColumn):
        def render(self, task: Task) -> Text:
            return Text(printable(template.format(task=task)), no_wrap=True)

    return Plain()


@contextmanager
def progress_bar(unit: str = "", *, quiet: bool = False) -> Iterator[Progress]:
    """Yield a progress bar on stderr with throughput and ETA; hidden where stderr is not a terminal.

    Args:
        unit: Plural name of what is counted: ``"bytes"``, or a unit that contains people; empty if the work
            reports its rate itself.
        quiet: Show no bar at all.
    """
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, TaskID, TimeRemainingColumn
    from rich.progress import Progress as Bars

    console = bar_console()
    columns = (
        bar_column("{task.description}"),
        DownloadColumn() if unit == "bytes" else MofNCompleteColumn(),
        BarColumn(bar_width=20),
        bar_column("{task.fields[facts]}"),
        TimeRemainingColumn(),
    )
    with Bars(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bars:
        task: TaskID | None = None
        current = ""

        def show(what: str, done: int, total: int | None, /, *, persons: int = 0, facts: str = "") -> None:
            nonlocal task, current
            if task is None or what != current or not done:
                if task is not None:
                    bars.remove_task(task)
                task, current = bars.add_task(what, facts=""), what
            seconds = max(bars.tasks[-1].elapsed or 0.0, 1e-6)
            if unit == "bytes":
                facts = f"{done / seconds / 1e6:.1f} MB/s"
            elif unit:
                rate = f"{done / seconds:.1f} {unit}/s, {persons / seconds:.1f} persons/s"
                facts = f"{rate}, {facts}" if facts else rate
            bars.update(task, completed=done, total=total, facts=facts)

        yield show
