"""``mrpose models``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from mrpose_cli.cli.console import errors_reported, say, table_console

if TYPE_CHECKING:
    from mrpose_cli.jobs.zoo import ZooRow


def models(
    pattern: Annotated[
        str, typer.Argument(help="A name, or a shell pattern of names.", show_default=False)
    ] = "*",
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with everything the checkpoints expect.")
    ] = False,
) -> None:
    """List the pose networks: what they cost, what they score, whether their weights are here.

    With a name, that one in full, layer by layer.

    Examples: `mrpose models`, `mrpose models 'hrnet-*'`, `mrpose models rtmpose-s`, `mrpose models --json`
    """
    with errors_reported():
        from mrpose_cli.jobs import zoo

        rows = zoo.zoo(pattern)
        if as_json:
            typer.echo(json.dumps([zoo.as_json(row) for row in rows], indent=2))
        elif pattern == rows[0].entry.name:
            _print_one(rows[0])
        else:
            _print_table(rows)
            if pattern == "*":
                say(f"  Networks without published weights: {', '.join(zoo.unpublished())}")


def _print_table(rows: list[ZooRow]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("name", box=box.SIMPLE_HEAD)
    for title in ("joints", "input", "parameters", "GMACs", "published"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("weights", no_wrap=True)
    for index, row in enumerate(rows):
        if index == 0 or row.info.family != rows[index - 1].info.family:
            table.add_section()
            table.add_row(Text.assemble((row.info.family, "bold"), f" ({row.info.paper})"))
        entry = row.entry
        table.add_row(
            entry.name,
            str(entry.joints),
            f"{entry.input_size[0]}x{entry.input_size[1]}",
            f"{row.size.parameters / 1e6:.1f} M",
            f"{row.size.gmacs:.2f}",
            f"{entry.metrics[0].ap:.1f} {entry.metrics[0].metric}" if entry.metrics else "-",
            row.state,
        )
    table_console().print(table)
    sources = dict.fromkeys(metric.source for row in rows for metric in row.entry.metrics)
    for source in sources:
        say(f"  published: {source}")


def _print_one(row: ZooRow) -> None:
    from rich import box
    from rich.table import Table

    from mrpose_cli.jobs.zoo import conditions
    from mrpose_cli.models.summary import layers

    entry = row.entry
    facts = Table(box=None, show_header=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    facts.add_row(entry.name, entry.about)
    facts.add_row("network", f"{entry.arch}: {row.info.family}, {row.info.paper}")
    facts.add_row("size", f"{row.size.parameters:,} parameters, {row.size.gmacs:.2f} GMACs a crop")
    also = "".join(f"; --joints {other.name}" for other in entry.also)
    facts.add_row("output", f"{entry.joints} channels, of which the first are {entry.skeleton.name}{also}")
    height, width = entry.input_size
    facts.add_row("input", f"{height}x{width}, {entry.color}, mean {entry.mean}, std {entry.std}")
    order = " before the aspect ratio is fitted" if entry.padding_before_aspect else ""
    facts.add_row("crop", f"box x {entry.padding[0]} wide, x {entry.padding[1]} high{order}")
    blur = f", blur {entry.blur}" if entry.blur else ""
    facts.add_row("decoding", f"{entry.codec}{blur}")
    shift = ", mirrored heatmaps shifted by one pixel" if entry.flip_shift else ""
    facts.add_row("flip test", ("on" if entry.flip_test else "off") + shift)
    facts.add_row("person score", f"box score x {entry.score}")
    if entry.metrics:
        metric = entry.metrics[0]
        facts.add_row("published", f"{metric.ap:.1f} {metric.metric}: {conditions(entry)}")
    facts.add_row("licence", entry.licence)
    facts.add_row("weights", row.state)
    facts.add_row("file", f"{entry.file}  (sha256 {entry.sha256 or 'not known'})")
    for source in entry.sources:
        facts.add_row("source", str(source))
    console = table_console()
    console.print(facts)

    table = Table("layer", "module", box=box.SIMPLE_HEAD)
    table.add_column("output", justify="right")
    table.add_column("parameters", justify="right")
    for layer in layers(entry.arch, entry.joints, entry.input_size):
        shape = " x ".join(map(str, layer.shape)) if layer.shape else "-"
        table.add_row(layer.name, layer.kind, shape, f"{layer.parameters:,}")
    console.print(table)
