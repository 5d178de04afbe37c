"""``mrpose models``."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Annotated

import typer

from mrpose_cli.cli.console import errors_reported


def models(
    pattern: Annotated[str, typer.Argument(help="Shell pattern of names.", show_default=False)] = "*",
) -> None:
    """List the pose networks: what they expect, what they score, whether their weights are here.

    Examples: `mrpose models`, `mrpose models 'mrfea2-*'`
    """
    with errors_reported():
        from rich import box
        from rich.console import Console
        from rich.table import Table

        from mrpose_cli.errors import UsageError
        from mrpose_cli.models import describe
        from mrpose_cli.weights.manifest import load_manifest
        from mrpose_cli.weights.store import WeightsStore

        store = WeightsStore()
        entries = [entry for entry in load_manifest().pose if fnmatch(entry.name, pattern)]
        if not entries:
            raise UsageError(f"no model is called '{pattern}'; `mrpose models` lists all of them")
        table = Table("name", box=box.SIMPLE_HEAD)
        for title in ("joints", "input", "parameters", "published AP"):
            table.add_column(title, justify="right")
        table.add_column("weights")
        for entry in entries:
            parameters = describe(entry.arch, entry.joints, entry.input_size).parameters
            table.add_row(
                entry.name,
                entry.skeleton,
                f"{entry.input_size[0]}x{entry.input_size[1]}",
                f"{parameters / 1e6:.1f} M",
                f"{entry.metrics[0].ap:.1f}" if entry.metrics else "-",
                store.state(entry),
            )
        Console().print(table)
        conditions = sorted(
            {f"{m.source}: {m.dataset}, {m.boxes}" for entry in entries for m in entry.metrics}
        )
        for line in conditions:
            typer.echo(f"  AP of {line}")
