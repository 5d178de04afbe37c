"""What ``mrpose video`` shows on the terminal while it works and when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mrpose_cli.cli.console import say, table_console

if TYPE_CHECKING:
    from mrpose_cli.jobs.video.options import VideoReport


def print_rows(report: VideoReport) -> None:
    """Print what was done, a row a clip, and the files."""
    from rich import box
    from rich.table import Table

    table = Table("clip", box=box.SIMPLE_HEAD)
    for title in ("frames", "persons", "ids", "s", "frames/s"):
        table.add_column(title, justify="right")
    if any(row.notes for row in report.rows):
        table.add_column("notes")
    for row in report.rows:
        ids = "-" if row.people is None else str(row.people)
        rate = f"{row.frames / max(row.seconds, 1e-9):.1f}"
        numbers = (str(row.frames), str(row.persons), ids, f"{row.seconds:.1f}", rate)
        table.add_row(row.name, *numbers, "; ".join(row.notes))
    table_console().print(table)
    for row in report.rows:
        for path in row.outputs:
            say(f"  {path}")
        before, after = row.jitter
        if before is not None:
            change = "" if after is None else f", {after:.2f} after smoothing"
            say(f"  jitter of {row.name}: {before:.2f} box sides/s2{change}")


def print_profile(report: VideoReport) -> None:
    """Print where the time went."""
    from rich import box
    from rich.table import Table

    from mrpose_cli.pipeline.profile import busy_seconds

    table = Table("stage", box=box.SIMPLE_HEAD)
    for title in ("s", "% of wall time"):
        table.add_column(title, justify="right")
    for stage, spent in report.stages.items():
        table.add_row(stage, f"{spent:.3f}", f"{100 * spent / report.seconds:.1f}")
    table.add_section()
    for part, spent in busy_seconds(report.stages).items():
        table.add_row(part, f"{spent:.3f}", f"{100 * spent / report.seconds:.1f}")
    table.add_row("wall time after loading", f"{report.seconds:.3f}", "100.0")
    table_console().print(table)
