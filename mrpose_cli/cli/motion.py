"""``mrpose motion``."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Annotated

import typer

from mrpose_cli.cli import options
from mrpose_cli.cli.console import FAILED, complain, errors_reported, finish, progress_bar, say, table_console
from mrpose_cli.cli.flags import takes_flags
from mrpose_cli.motion.options import MotionOptions

if TYPE_CHECKING:
    from mrpose_cli.jobs.motion.options import MotionReport

_SHOWN = ("left_knee", "right_knee", "left_hip", "right_hip")


@takes_flags("settings")
def motion(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULT...",
            help="What `mrpose video` wrote: JSON, JSON lines or CSV; folders, globs and .txt lists of them.",
            show_default=False,
        ),
    ],
    out: options.Out = None,
    recursive: options.Recursive = False,
    formats: Annotated[
        str,
        typer.Option(
            "--formats",
            "-f",
            metavar="NAMES",
            help="csv, xlsx (tables); trc, mot (OpenSim); c3d; openpose (for Pose2Sim); svg, png (angles "
            "over time); or all.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = "csv,svg",
    settings: MotionOptions = MotionOptions(),
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Angles, speeds and movement files of the people in clips, from results that exist.

    No network runs again. Joints below --min-score are unknown, outliers are dropped, short gaps filled, and
    the rest low-passed without delay; angles are those in the plane of the picture. docs/motion.md defines
    them. Coordinates are x right, y up from the picture's lowest row, in pixels or meters. NAME.motion.json
    says what was done, and how much was missing.

    **Examples**

    - `mrpose motion out/walk.json`

    - `mrpose motion out/ -o movement/ --formats csv,xlsx,trc,mot --height 1.75`

    - `mrpose motion squat.json --people 1 --facing right --cutoff 8 --formats all`

    - `mrpose motion cam1.json cam2.json --formats openpose -o pose/`

    The exit code is 0 on success, 1 if a result failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    with errors_reported():
        from mrpose_cli.jobs.motion.options import MotionJob, parse_formats
        from mrpose_cli.jobs.motion.run import prepare, run_motion

        job = MotionJob(inputs, out, recursive, parse_formats(formats), settings, overwrite)
        with ExitStack() as stack:
            plan = stack.enter_context(prepare(job))
            for name, reason in plan.problems:
                complain(reason, name)
            if not plan.sources:
                raise typer.Exit(FAILED)
            bar = stack.enter_context(progress_bar("people", quiet=quiet))
            report = run_motion(job, plan, bar)
        if not quiet:
            print_movement(report)
        finish(report, failed=bool(plan.problems), interrupted="")


def print_movement(report: MotionReport) -> None:
    """Print who was measured, a row a person, and the files."""
    from rich import box
    from rich.table import Table

    table = Table("result", box=box.SIMPLE_HEAD)
    for title in (
        "person",
        "s",
        "seen from",
        "px/m",
        *(f"{name} (°)".replace("_", " ") for name in _SHOWN),
        "missing",
    ):
        table.add_column(title, justify="right")
    for row in report.rows:
        for person in row.people:
            scale = person["pixels_per_meter"]
            angles = person["angles_deg"]
            ranges = [
                f"{round(angles[name]['min'])} to {round(angles[name]['max'])}" if name in angles else "-"
                for name in _SHOWN
            ]
            table.add_row(
                row.name,
                str(person["track_id"]),
                f"{person['end_s'] - person['start_s']:.1f}",
                person["seen_from"],
                "-" if scale is None else f"{scale:.1f}",
                *ranges,
                f"{person['joints_missing_share']:.0%}",
            )
    table_console().print(table)
    for row in report.rows:
        for note in row.notes:
            say(f"  {row.name}: {note}")
        people = row.people
        for path in row.outputs:
            own = path.stem.rpartition(".person")[2]
            if not own.isdecimal():
                say(f"  {path}")
            elif own == str(people[0]["track_id"]):
                more = f" ({len(people)} people)" if len(people) > 1 else ""
                say(f"  {path.with_stem(path.stem.removesuffix(own) + '*') if more else path}{more}")
