"""``mrpose batch``."""

from __future__ import annotations

import json
import os
from contextlib import ExitStack
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from mrpose_cli.cli import options
from mrpose_cli.cli.console import (
    FAILED,
    complain,
    errors_reported,
    finish,
    progress_bar,
    remark,
    say,
    table_console,
)
from mrpose_cli.cli.flags import takes_flags
from mrpose_cli.errors import UsageError
from mrpose_cli.interrupt import interruptible
from mrpose_cli.pipeline.options import BOXES, ModelOptions
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD

if TYPE_CHECKING:
    from mrpose_cli.jobs.batch.crew import BatchReport
    from mrpose_cli.jobs.batch.plan import Plan
    from mrpose_cli.jobs.batch.status import Status

_WHO = "Who does it"
_CLIPS = "Clips"

_RUN = "run"
_KEPT = "the same command goes on from the parts that are there"


class _Commands(TyperGroup):
    """``mrpose batch INPUT...``, and commands about a batch; inputs called like one need a ``./``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if not args or args[0] == _RUN or args[0] not in self.commands:
            args = [_RUN, *args]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return "" if name == _RUN else name, command, rest


def _see_to_libraries() -> None:
    if find_spec("pyarrow") is None:
        raise UsageError("mrpose batch needs pyarrow: pip install 'mrpose[batch]'")


app = typer.Typer(
    cls=_Commands,
    help="Find the people in any number of photos and clips, on one machine or many.",
    rich_markup_mode="markdown",
)

Folder = Annotated[
    str, typer.Argument(metavar="DIR", help="What --out was: a folder or an address.", show_default=False)
]


@app.command(_RUN)
@takes_flags("models")
def run(
    out: Annotated[
        str,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="A folder, or an address such as s3://bucket/poses/. What is there is gone on with.",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ],
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[INPUT...]",
            help="Photos, clips, WebDataset tars, folders, globs, .txt and Parquet lists, http(s) links, and "
            "addresses such as s3://bucket/photos/. None: go on with what was planned.",
            show_default=False,
        ),
    ] = None,
    recursive: options.Recursive = False,
    models: ModelOptions = ModelOptions(),
    whole_image: options.WholeImage = False,
    track: Annotated[
        bool,
        typer.Option("--track", help="Give people in clips persistent ids.", rich_help_panel=_CLIPS),
    ] = False,
    every: Annotated[
        int, typer.Option(min=1, help="Process every Nth frame of clips only.", rich_help_panel=_CLIPS)
    ] = 1,
    det_every: Annotated[
        int,
        typer.Option(
            min=1,
            max=1000,
            help="Detect on each Nth frame of clips and carry the boxes through the others.",
            rich_help_panel=BOXES,
        ),
    ] = 1,
    segment: Annotated[
        float,
        typer.Option(
            metavar="MINUTES",
            min=0,
            help="Cut long clips into shards of so many minutes; 0 for none.",
            rich_help_panel=_CLIPS,
        ),
    ] = 10.0,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes, or Ray actors at most. [default: one for each GPU, else one for four cores]",
            show_default=False,
            rich_help_panel=_WHO,
        ),
    ] = None,
    shard_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Photos in a shard. [default: 8 to 512, by their number]",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    shard: Annotated[
        str | None,
        typer.Option(
            metavar="I/N",
            help="Do every Nth shard only, from I (0 to N-1). [default: as SLURM, torchrun, MPI, "
            "Kubernetes or SkyPilot number this run; else all]",
            show_default=False,
            rich_help_panel=_WHO,
        ),
    ] = None,
    ray: Annotated[
        bool,
        typer.Option(
            "--ray",
            help="Let actors of a Ray cluster do it: that of RAY_ADDRESS, else this machine's cores. Needs "
            "mrpose[ray].",
            rich_help_panel=_WHO,
        ),
    ] = False,
    ray_address: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Of the Ray cluster, such as auto or ray://head:10001; implies --ray.",
            show_default=False,
            rich_help_panel=_WHO,
        ),
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan", help="Write the plan and stop.", rich_help_panel=_WHO)
    ] = False,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed",
            help="Also do again the inputs that failed; their parts keep the rest.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the people in any number of photos and clips, on one machine or many.

    The work is cut into shards, and each makes one Parquet file in DIR/parts, with a row a person. The same
    command goes on after a crash, and several machines that run it share the work.
    `mrpose batch status DIR` tells how it stands, `mrpose batch collect DIR -o FILE` makes COCO JSON of it.

    **Examples**

    - `mrpose batch photos/ -o poses/ --recursive --workers 4`

    - `mrpose batch s3://bucket/photos/ -o s3://bucket/poses/`

    - `mrpose batch list.parquet clips/ 'shards/*.tar' -o poses/ --track`

    - `mrpose batch status poses/`

    The exit code is 0 on success, 1 if an input failed or shards are missing, 2 for wrong usage, 130 after
    Ctrl-C.
    """
    with errors_reported():
        _see_to_libraries()
        from mrpose_cli.jobs.batch.portion import portion_of_shards
        from mrpose_cli.jobs.batch.run import BatchJob, prepare, run_batch, to_do
        from mrpose_cli.tracking.follow import Following

        if (ray or ray_address) and find_spec("ray") is None:
            raise UsageError("--ray needs Ray: pip install 'mrpose[ray]'")
        portion = portion_of_shards(shard, os.environ)
        job = BatchJob(
            inputs=inputs or [],
            out=out,
            models=models,
            recursive=recursive,
            whole_image=whole_image,
            following=Following() if track else None,
            every=every,
            det_every=det_every,
            segment=60 * segment,
            shard_size=shard_size,
            workers=workers,
            retry=retry_failed,
            ray=ray,
            ray_address=ray_address,
        )
        plan, problems = prepare(job, remark)
        for name, reason in problems:
            complain(reason, name)
        if plan_only:
            if not quiet:
                say(f"  {plan.items} inputs in {plan.shards} shards: {out}/plan.json")
            raise typer.Exit(FAILED if problems else 0)
        mine = portion.of(range(plan.shards))
        shards = to_do(plan, mine, retry=retry_failed)
        with ExitStack() as stack:
            stop = stack.enter_context(interruptible())
            bar = stack.enter_context(progress_bar(quiet=quiet))
            report = run_batch(job, plan, shards, stop, bar, remark)
        if not quiet:
            _print_report(report, plan, len(mine), len(shards))
        finish(report, failed=bool(problems), interrupted=_KEPT)


def _print_report(report: BatchReport, plan: Plan, mine: int, asked: int) -> None:
    if mine < plan.shards:
        say(f"  {mine} of all {plan.shards} shards are this run's")
    if asked < mine:
        say(f"  {mine - asked} of {mine} shards had been done before")
    if asked:
        rate = report.pictures / max(report.seconds, 1e-9)
        say(
            f"  {report.persons} persons in {report.pictures} pictures, {report.shards} shards, "
            f"{report.seconds:.2f} s ({rate:.1f} pictures/s)"
        )
    if report.failed:
        say(f"  {report.failed} inputs failed; their rows say why, and --retry-failed tries them again")
    say(f"  parts  {plan.place.address.rstrip('/')}/parts")


@app.command()
def status(
    folder: Folder,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell how a batch stands: done, running, failed, rate, time left, slowest shards.

    The exit code is 0 if everything is done and nothing failed, else 1.
    """
    with errors_reported():
        _see_to_libraries()
        from mrpose_cli.jobs.batch.status import status as status_of

        state = status_of(_plan_in(folder))
        if as_json:
            typer.echo(json.dumps(asdict(state), indent=1))
        else:
            _print_status(state)
        if state.done < state.shards or state.failed:
            raise typer.Exit(FAILED)


@app.command()
def collect(
    folder: Folder,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="poses.json is a COCO dataset, poses.jsonl a line a picture, poses.tar a WebDataset, and "
            "poses-%05d.tar one of several tars.",
            show_default=False,
        ),
    ],
    form: Annotated[
        Literal["coco", "jsonl", "webdataset"] | None,
        typer.Option("--format", help="What to write. [default: by the suffix]", show_default=False),
    ] = None,
    keypoint_threshold: options.KeypointThreshold = KEYPOINT_THRESHOLD,
    images: Annotated[bool, typer.Option("--images", help="Put the photos into the WebDataset.")] = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Make one file of all parts, in bounded memory.

    The exit code is 1 if shards are missing; what is there is collected all the same.
    """
    with errors_reported():
        _see_to_libraries()
        from mrpose_cli.jobs.batch.collect import Collecting
        from mrpose_cli.jobs.batch.collect import collect as collect_parts

        plan = _plan_in(folder)
        job = Collecting(out, form, keypoint_threshold, images, overwrite)
        with progress_bar("shards", quiet=quiet) as bar:
            collected = collect_parts(plan, job, bar)
        if not quiet:
            say(f"  {collected.persons} persons in {collected.pictures} pictures")
            for path in collected.written:
                say(f"  {path}")
            if collected.failed:
                say(f"  {collected.failed} inputs failed and are not in it")
        if collected.missing:
            complain(f"{collected.missing} of {plan.shards} shards are not done yet")
            raise typer.Exit(FAILED)


def _plan_in(folder: str) -> Plan:
    from mrpose_cli.jobs.batch.place import open_place
    from mrpose_cli.jobs.batch.plan import read_plan

    plan = read_plan(open_place(folder))
    if plan is None:
        raise UsageError(f"there is no batch in {folder}")
    return plan


def _print_status(state: Status) -> None:
    from rich import box
    from rich.table import Table

    percent = 100 * state.done / state.shards
    say(f"  done      {state.done} of {state.shards} shards ({percent:.1f} %)")
    if state.running:
        say(f"  running   {len(state.running)} shards")
    if state.left_out:
        say(f"  left out  {', '.join(map(str, state.left_out))}: their workers died three times")
    say(f"  pictures  {state.pictures}, with {state.persons} persons")
    if state.failed:
        again = "--retry-failed does them again"
        say(f"  failed    {state.failed} inputs in {len(state.failed_shards)} shards; {again}")
    if state.pictures_per_second:
        persons = f"{state.persons_per_second:.1f} persons/s"
        say(f"  rate      {state.pictures_per_second:.1f} pictures/s, {persons}")
    if state.eta is not None:
        hours, rest = divmod(round(state.eta), 3600)
        say(f"  left      {hours}:{rest // 60:02}:{rest % 60:02}")
    if state.slowest:
        say("  slowest   " + ", ".join(f"{shard} ({seconds:.1f} s)" for shard, seconds in state.slowest))
    if state.runs:
        table = Table("run on", box=box.SIMPLE_HEAD)
        table.add_column("state")
        for title in ("workers", "shards", "pictures", "persons", "s"):
            table.add_column(title, justify="right")
        for one in state.runs:
            numbers = (one.workers, one.shards, one.pictures, one.persons, round(one.seconds))
            table.add_row(one.host, one.state, *map(str, numbers))
        table_console().print(table)
