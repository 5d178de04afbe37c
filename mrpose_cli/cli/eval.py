"""``mrpose eval``."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mrpose_cli.cli import options
from mrpose_cli.cli.console import (
    end_interrupted,
    errors_reported,
    progress_bar,
    remark,
    say,
    table_console,
    warn,
)
from mrpose_cli.cli.flags import takes_flags
from mrpose_cli.pipeline.options import BOXES, EVALUATION, SPEED, ModelOptions

if TYPE_CHECKING:
    from mrpose_cli.evaluation.report import Report
    from mrpose_cli.jobs.evaluate.options import EvalJob
    from mrpose_cli.ranks import Ranks

_DATA = "Data"
_PROTOCOL = "Protocol"

_NAMED = 10  # missing images that are named

app = typer.Typer(no_args_is_help=True, invoke_without_command=True, rich_markup_mode="markdown")


@app.callback()
@takes_flags("models", without={"detector"})
def evaluate(
    context: typer.Context,
    ann: Annotated[
        Path | None,
        typer.Option(
            help="The annotations: person_keypoints_*.json, or MPII's or LSP's JSON.",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(help="The folder of the images.", show_default=False, rich_help_panel=_DATA),
    ] = None,
    dataset: Annotated[
        Literal["coco", "mpii", "lsp"],
        typer.Option(help="What the annotations are; mpii gives PCKh, lsp PCK.", rich_help_panel=_DATA),
    ] = "coco",
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Score this results file (COCO's form, of any tool) in place of running models.",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None,
    heads: Annotated[
        Path | None,
        typer.Option(
            help="MPII's head boxes: the authors' gt_valid.mat (needs scipy), or a JSON or npz file.",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(min=1, help="Evaluate the first N images.", show_default=False, rich_help_panel=_DATA),
    ] = None,
    ids: Annotated[
        str | None,
        typer.Option(
            help="Evaluate these images: ids (MPII: file names) divided by commas, or a file of them.",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None,
    flags: Annotated[
        Path | None,
        typer.Option(
            help="Leave out people of the annotations who are flagged here (flags.json of mrpose view).",
            show_default=False,
            rich_help_panel=_DATA,
        ),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="A missing or unreadable image is an error.", rich_help_panel=_DATA),
    ] = False,
    models: ModelOptions = EVALUATION,
    boxes: Annotated[
        str,
        typer.Option(
            help="gt; a COCO file of detections; yolo, or the name or .pt file of a detector.",
            rich_help_panel=BOXES,
        ),
    ] = "gt",
    gt_boxes: Annotated[
        Literal["auto", "authors", "mmpose"],
        typer.Option(
            help="How boxes of the ground truth are cut at the pictures' edges; auto is as in the code that "
            "the checkpoint comes from.",
            rich_help_panel=BOXES,
        ),
    ] = "auto",
    nms: Annotated[
        Literal["hard", "soft", "none"], typer.Option(help="OKS-NMS.", rich_help_panel=_PROTOCOL)
    ] = "hard",
    nms_thr: Annotated[
        float, typer.Option(min=0, max=1, help="OKS-NMS threshold.", rich_help_panel=_PROTOCOL)
    ] = 0.9,
    pck_thr: Annotated[
        list[float] | None,
        typer.Option(
            min=0,
            help="PCK: share of the box's longer side (LSP: torso); may be repeated. [default: 0.2, 0.1]",
            show_default=False,
            rich_help_panel=_PROTOCOL,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="Output folder. [default: mrpose-eval, or the first free mrpose-eval-N]",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Continue the unfinished run in the folder.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Start over in the folder.", rich_help_panel=options.OUTPUT)
    ] = False,
    worst: Annotated[
        int,
        typer.Option(min=0, help="Write worst.jpg with the N worst persons.", rich_help_panel=options.OUTPUT),
    ] = 0,
    html: Annotated[
        bool, typer.Option("--html", help="Write report.html with plots.", rich_help_panel=options.OUTPUT)
    ] = False,
    quiet: options.Quiet = False,
    workers: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Processes that decode images; 0: threads. [default: 0 on the CPU, up to 8 on a GPU]",
            show_default=False,
            rich_help_panel=SPEED,
        ),
    ] = None,
    profile: options.Profile = False,
) -> None:
    """Measure a model, or score a results file, by the published protocols.

    Writes report.json with every condition of the run, and results.json.

    **Examples**

    - `mrpose eval --ann person_keypoints_val2017.json --images val2017/`

    - `mrpose eval --ann ann.json --images val2017/ --boxes yolo --worst 24 --html`

    - `mrpose eval --ann ann.json --predictions results.json`

    - `mrpose eval --dataset mpii --ann valid.json --images mpii/ --heads gt_valid.mat -m MODEL`

    - `mrpose eval compare runA/report.json runB/report.json`

    - `torchrun --nproc-per-node 4 -m mrpose_cli eval --ann ann.json --images val2017/`

    The exit code is 0 on success, 1 on failure, 2 for wrong usage, 130 after Ctrl-C.
    """
    if context.invoked_subcommand is not None:
        return
    with errors_reported():
        from mrpose_cli.errors import UsageError

        if ann is None:
            raise UsageError("pass --ann with the annotation file")
        from mrpose_cli.jobs.evaluate.options import EvalJob

        job = EvalJob(
            annotations=ann,
            images=images,
            dataset=dataset,
            predictions=predictions,
            boxes=boxes,
            gt_boxes=gt_boxes,
            models=models,
            heads=heads,
            thresholds=tuple(pck_thr or (0.2, 0.1)),
            suppression=nms,
            oks_threshold=nms_thr,
            limit=limit,
            flags=flags,
            ids=ids,
            strict=strict,
            out=out,
            resume=resume,
            overwrite=overwrite,
            worst=worst,
            html=html,
            workers=workers,
            command=("mrpose", *sys.argv[1:]),
        )
        from mrpose_cli.ranks import joined

        with joined() as ranks:
            _evaluate(job, ranks, quiet=quiet or not ranks.first, profile=profile)


def _evaluate(job: EvalJob, ranks: Ranks, *, quiet: bool, profile: bool) -> None:
    from mrpose_cli.jobs.evaluate.run import load, prepare, run
    from mrpose_cli.pipeline.profile import StageClock
    from mrpose_cli.weights.store import WeightsStore

    with ExitStack() as stack:
        plan = stack.enter_context(prepare(job, ranks, remark if ranks.first else lambda note: None))
        loaded = None
        if job.predictions is None:
            with progress_bar("bytes") as progress:
                store = WeightsStore(offline=job.models.offline, progress=progress)
                loaded = load(job, plan.task, store, StageClock(synchronize=profile), ranks, remark)
        bar = stack.enter_context(progress_bar("images", quiet=quiet))
        try:
            report = run(job, plan, loaded, ranks, bar)
        except KeyboardInterrupt:
            end_interrupted(f"--out {plan.out} --resume goes on with what is done", aloud=ranks.first)
    if report is not None:
        if not quiet:
            _print(report, plan.out, profile=profile)
        _warn_of_images(report)


def _print(report: Report, out: Path, *, profile: bool) -> None:
    from mrpose_cli.evaluation.table import print_report
    from mrpose_cli.jobs.evaluate.run import PAGE_FILE, REPORT_FILE, RESULTS_FILE, SHEET_FILE

    print_report(table_console(), report)
    timing = report.timing
    if timing.persons_per_second is not None:
        say(
            f"  {timing.predict:.1f} s, {timing.persons_per_second:.1f} persons/s, "
            f"{timing.forward_share:.0f} % of it in forward passes; scoring {timing.score:.1f} s"
        )
    if profile:
        for stage, seconds in timing.stages.items():
            say(f"    {stage:<16} {seconds:8.3f} s  {100 * seconds / timing.predict:5.1f} %")
    for title, name in (
        ("report", REPORT_FILE),
        ("results", RESULTS_FILE),
        ("worst", SHEET_FILE),
        ("page", PAGE_FILE),
    ):
        if (out / name).exists():
            say(f"  {title:<8} {out / name}")


def _warn_of_images(report: Report) -> None:
    """Name images that have no part in the figures."""
    data = report.conditions.dataset
    for names, what in ((data.missing, "missing"), (data.unreadable, "unreadable")):
        if names:
            more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
            warn(f"{len(names)} images are {what} and left out: {', '.join(names[:_NAMED])}{more}")


@app.command()
def compare(
    reports: Annotated[
        list[Path],
        typer.Argument(metavar="REPORT...", help="report.json files, or their folders.", show_default=False),
    ],
) -> None:
    """Show reports side by side, with the conditions that differ.

    Example: `mrpose eval compare runA/report.json runB/report.json`
    """
    with errors_reported():
        from mrpose_cli.errors import UsageError
        from mrpose_cli.evaluation.compare import compare_reports
        from mrpose_cli.evaluation.report import read_report
        from mrpose_cli.evaluation.table import print_comparison

        if len(reports) < 2:
            raise UsageError("name two reports or more to compare")
        comparison = compare_reports([read_report(path) for path in reports])
        names = [path.parent.name or path.name if path.suffix == ".json" else path.name for path in reports]
        print_comparison(table_console(), names, comparison)
        if not comparison.same_people:
            warn("these runs were not evaluated on the same people; their figures cannot be compared")
