"""The command line: parse, call, print. What a command does lies in the rooms below."""

from __future__ import annotations

from typing import Annotated

import typer

from mrpose_cli.cli import (
    batch,
    bench,
    export,
    image,
    label,
    models,
    motion,
    skeletons,
    train,
    video,
    view,
    weights,
)
from mrpose_cli.cli import eval as evaluation
from mrpose_cli.version import __version__

app = typer.Typer(
    name="mrpose",
    help="Human poses from photos, clips and COCO.",
    epilog="Start with: mrpose image samples/",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mrpose {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


app.command("image")(image.image)
app.command("video")(video.video)
app.command("label")(label.label)
app.command("motion")(motion.motion)
app.add_typer(batch.app, name="batch")
app.command("view")(view.view)
app.add_typer(evaluation.app, name="eval")
app.command("export")(export.export)
app.command("models")(models.models)
app.command("bench")(bench.bench)
app.command("train")(train.train)
app.add_typer(skeletons.app, name="skeletons")
app.add_typer(weights.app, name="weights")
