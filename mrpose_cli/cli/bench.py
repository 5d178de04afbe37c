"""``mrpose bench``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mrpose_cli.cli import options
from mrpose_cli.cli.console import (
    errors_reported,
    finish,
    name_flags,
    progress_bar,
    remark,
    say,
    table_console,
)
from mrpose_cli.cli.flags import takes_flags
from mrpose_cli.pipeline.options import ModelOptions

if TYPE_CHECKING:
    from mrpose_cli.jobs.bench import BenchReport, Part

_MEASURE = "What is measured"


@takes_flags("models", without=("batch_size", "frame_batch"))
def bench(
    images: Annotated[
        str | None,
        typer.Option(
            help="Measure on these photos, a folder or a glob, and the whole way, too. [default: made-up "
            "pictures]",
            show_default=False,
            rich_help_panel=_MEASURE,
        ),
    ] = None,
    batch_sizes: Annotated[
        list[int],
        typer.Option(
            "--batch-size", min=1, help="Crops per pass; may be repeated.", rich_help_panel=_MEASURE
        ),
    ] = [1, 8, 32],  # noqa: B006
    frame_batches: Annotated[
        list[int],
        typer.Option(
            "--det-batch", min=1, help="Frames per detector pass; may be repeated.", rich_help_panel=_MEASURE
        ),
    ] = [1, 8],  # noqa: B006
    rounds: Annotated[
        int, typer.Option(min=1, help="Turns that each variant has.", rich_help_panel=_MEASURE)
    ] = 5,
    seconds: Annotated[
        float,
        typer.Option(
            "--seconds-per-measurement", min=0, help="How long a turn is at least.", rich_help_panel=_MEASURE
        ),
    ] = 0.3,
    models: ModelOptions = ModelOptions(),
    print_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print JSON with every condition and round.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
) -> None:
    """Measure how fast this machine runs the networks, with every engine and type it has.

    The variants take turns, so that other work on the machine slows all of them alike; all of
    them take a minute or more. With --images, it also tells how far each one's joints and boxes are from
    those of float32, and how fast `mrpose image` does all of the photos, without overlays. "auto" marks
    what runs without flags. No files are written.

    **Examples**

    - `mrpose bench`

    - `mrpose bench --images photos/`

    - `mrpose bench -m hrnet-w32-udp-mmpose --engine torch --batch-size 1 --batch-size 64`

    - `mrpose bench --dtype bf16 --device cpu --json > bench.json`

    The exit code is 0 on success, 1 if a photo failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    with errors_reported():
        from mrpose_cli.jobs.bench import BenchJob, as_json
        from mrpose_cli.jobs.bench_run import run_bench
        from mrpose_cli.weights.store import WeightsStore

        job = BenchJob(
            models, images, {"pose": batch_sizes, "detector": frame_batches}, rounds=rounds, seconds=seconds
        )
        auto = options.open_models(job.without_flags, None, heatmaps=False, profile=False)
        store = WeightsStore(offline=models.offline)
        with progress_bar() as bar:
            report = run_bench(job, auto, store, remark, bar)
        if print_json:
            typer.echo(json.dumps(as_json(report), indent=2))
        else:
            _print(report)
        if report.whole_run:
            full = "no space left on the disk for temporary files"
            finish(report.whole_run, failed=False, interrupted="", full=full)


def _print(report: BenchReport) -> None:
    facts = report.conditions
    load = "" if facts["load"] is None else f", load {facts['load']:.1f}"
    say(f"{facts['cpu']}, {facts['cores']} cores{load}; the networks run on {facts['device']}")
    size, flip = "{}x{}".format(*facts["input_size"]), " with flip test" if facts["flip_test"] else ""
    _print_rows(report, "pose", f"pose network: {facts['model']}, crops of {size}{flip}", "crop")
    size = "{}x{}".format(*facts["frame_size"])
    _print_rows(report, "detector", f"detector: {facts['detector']}, frames of {size}", "frame")
    taken = [f"{row.engine} {row.dtype} for the {row.title}" for row in report.rows if row.auto]
    say(f"  auto takes {', '.join(taken)}")
    for note in report.notes:
        say(f"  {name_flags(note)}")
    if whole := report.whole_run:
        photos, seconds = len(whole.rows), max(whole.seconds, 1e-9)
        say(
            f"  mrpose image --no-overlay: {whole.persons} persons in {photos} photos, {seconds:.1f} s "
            f"({photos / seconds:.1f} photos/s, {whole.persons / seconds:.1f} persons/s)"
        )
        shares = sorted(((spent / seconds, stage) for stage, spent in whole.stages.items()), reverse=True)
        say(f"    {', '.join(f'{stage} {share:.0%}' for share, stage in shares if share >= 0.01)}")


def _print_rows(report: BenchReport, part: Part, title: str, unit: str) -> None:
    from rich import box
    from rich.table import Table

    rows = sorted((row for row in report.rows if row.part == part), key=lambda row: (row.batch, row.ms))
    if not rows:
        return
    compared = any(row.pixels is not None for row in rows)
    boxes, memory = compared and part == "detector", any(row.peak_mb for row in rows)
    if compared:
        title += f"; px from {rows[0].reference}"
    table = Table("", "engine", "type", box=box.SIMPLE_HEAD, title=title, title_justify="left")
    headings = ["batch", f"ms/{unit}", "min", "max", f"{unit}s/s", *(["px", "px 95 %"] if compared else [])]
    for heading in [*headings, *(["boxes lost"] if boxes else []), *(["GPU MB"] if memory else [])]:
        table.add_column(heading, justify="right", no_wrap=True)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        cells = ["auto" if row.auto else "", row.engine, row.dtype, str(row.batch)]
        cells += [f"{ms:.2f}" for ms in (row.ms, min(row.rounds), max(row.rounds))] + [f"{1e3 / row.ms:.1f}"]
        cells += [_known(row.pixels, ".2f"), _known(row.pixels_p95, ".2f")] if compared else []
        cells += [_known(row.lost, ".1%")] if boxes else []
        cells += [_known(row.peak_mb, ".0f")] if memory else []
        ends = following is not None and following.batch != row.batch
        table.add_row(*cells, style="bold" if row.auto else None, end_section=ends)
    table_console().print(table)


def _known(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)
