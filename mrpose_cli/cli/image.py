"""``mrpose image``."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from mrpose_cli.interrupt import interruptible
from mrpose_cli.pipeline.options import BOXES, ModelOptions
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD

if TYPE_CHECKING:
    from mrpose_cli.jobs.images.plan import ImageReport

_MOST_ROWS = 40
_KEPT = "what was done until then is complete, and the same command with --resume does the rest"


@takes_flags("models")
def image(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Photos, folders, globs, .txt lists of them, and http(s) links.",
            show_default=False,
        ),
    ],
    out: options.Out = None,
    recursive: options.Recursive = False,
    models: ModelOptions = ModelOptions(),
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Take the boxes from a COCO annotation or results JSON instead of a detector; "
            "ultralytics is not used then.",
            show_default=False,
            rich_help_panel=BOXES,
        ),
    ] = None,
    whole_image: options.WholeImage = False,
    profile: options.Profile = False,
    keypoint_threshold: options.KeypointThreshold = KEYPOINT_THRESHOLD,
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay/--no-overlay", help="Write an overlay per photo.", rich_help_panel=options.OUTPUT
        ),
    ] = True,
    draw_boxes: options.DrawBoxes = False,
    draw_heatmaps: options.DrawHeatmaps = False,
    results_json: Annotated[
        bool,
        typer.Option(
            "--results-json",
            help="Also write results.json, COCO's leaderboard format, for COCO.loadRes.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue an unfinished run: the one in --out, or the last in mrpose-out-N.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the people in photos and estimate the keypoints of each, COCO's 17 unless --joints says otherwise.

    Writes one overlay per photo and one COCO JSON for all (poses.json). Coordinates are pixels of the
    upright image, EXIF orientation applied.

    **Examples**

    - `mrpose image samples/`

    - `mrpose image photo.jpg 'holiday/*.jpg' list.txt https://host/a.png -o out/`

    - `mrpose image crops/ --whole-image --no-overlay --results-json`

    - `mrpose image val2017/ --boxes person_keypoints_val2017.json --no-overlay`

    - `mrpose image val2017/ -o out/ --resume`

    - `mrpose image gait/ --joints halpe26`

    - `mrpose image farm/ --det-class cow,horse --weights animals.safetensors`

    The exit code is 0 on success, 1 if an input failed or the disk is full, 2 for wrong usage, 130
    after Ctrl-C. After Ctrl-C, a full disk or a crash the same command with --resume does the rest.
    """
    with errors_reported():
        from mrpose_cli.drawing import Style
        from mrpose_cli.formats.writer import DatasetWriter, ResultsWriter
        from mrpose_cli.jobs.images.plan import ImageJob, prepare
        from mrpose_cli.jobs.images.run import run_images

        job = ImageJob(
            inputs=inputs,
            out=out,
            recursive=recursive,
            boxes=boxes,
            classes=models.class_names(),
            whole_image=whole_image,
            keypoint_threshold=keypoint_threshold,
            style=Style(keypoint_threshold=keypoint_threshold, boxes=draw_boxes, heatmaps=draw_heatmaps),
            overlay=overlay,
            formats=(DatasetWriter, ResultsWriter) if results_json else (DatasetWriter,),
            overwrite=overwrite,
            resume=resume,
            settings={
                **models.fixed(),
                "--boxes": boxes,
                "--kpt-thr": keypoint_threshold,
                "--draw-boxes": draw_boxes,
                "--draw-heatmaps": draw_heatmaps,
            },
        )
        with ExitStack() as stack:
            plan = stack.enter_context(prepare(job))
            for name, reason in plan.problems:
                complain(reason, name)
            if plan.passed_over:
                remark(f"photos in {plan.out} are not taken: it is the output folder")
            if not plan.sources:
                raise typer.Exit(FAILED)

            pipeline = options.open_models(models, plan.detector, heatmaps=draw_heatmaps, profile=profile)
            stop = stack.enter_context(interruptible())
            bar = stack.enter_context(progress_bar("photos", quiet=quiet))
            report = run_images(job, plan, pipeline, stop, bar)
        if not quiet:
            _print_rows(report, plan.out, overlays=overlay)
        if profile:
            _print_profile(report)
        full = f"no space left on the disk: {plan.out}; {_KEPT}"
        finish(report, failed=bool(plan.problems), interrupted=_KEPT, full=full)


def _print_rows(report: ImageReport, out: Path, *, overlays: bool) -> None:
    from rich import box
    from rich.table import Table

    table = Table("photo", box=box.SIMPLE_HEAD)
    for title in ("persons", "mean score", "ms"):
        table.add_column(title, justify="right")
    if any(row.notes for row in report.rows):
        table.add_column("notes")
    for row in report.rows[:_MOST_ROWS]:
        score = "-" if row.mean_score is None else f"{row.mean_score:.2f}"
        table.add_row(row.name, str(row.persons), score, f"{row.seconds * 1000:.0f}", "; ".join(row.notes))
    table_console().print(table)
    if len(report.rows) > _MOST_ROWS:
        say(f"  ... and {len(report.rows) - _MOST_ROWS} more photos")
    photos = len(report.rows)
    rate = f"{(photos - report.resumed) / max(report.seconds, 1e-9):.1f} photos/s"
    say(f"  {report.persons} persons in {photos} photos, {report.seconds:.2f} s ({rate})")
    if report.resumed:
        say(f"  {report.resumed} of these photos had been done before")
    for title, path in [*([("overlays", out)] if overlays else []), *report.written.items()]:
        say(f"  {title:<9}  {path}")


def _print_profile(report: ImageReport) -> None:
    from rich import box
    from rich.table import Table

    from mrpose_cli.pipeline.profile import Stage

    table = Table("stage", box=box.SIMPLE_HEAD)
    for title in ("s", "%"):
        table.add_column(title, justify="right")
    accounted = sum(report.stages.values())
    for stage, seconds in (*report.stages.items(), ("everything else", report.seconds - accounted)):
        table.add_row(stage, f"{seconds:.3f}", f"{100 * seconds / report.seconds:.1f}")
    table.add_section()
    forward = report.stages.get(Stage.DETECTOR, 0.0) + report.stages.get(Stage.POSE_NETWORK, 0.0)
    table.add_row("detector + pose network", f"{forward:.3f}", f"{100 * forward / report.seconds:.1f}")
    table.add_row("wall time after loading", f"{report.seconds:.3f}", "100.0")
    table_console().print(table)
