"""``mrpose weights``: what checkpoints there are, fetching them, verifying them."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrpose_cli.cli.console import (
    FAILED,
    complain,
    errors_reported,
    progress_bar,
    remark,
    say,
    table_console,
)
from mrpose_cli.cli.options import InputSize, Joints
from mrpose_cli.errors import UsageError, WeightsError
from mrpose_cli.progress import Progress, silent

if TYPE_CHECKING:
    from mrpose_cli.weights.manifest import Entry
    from mrpose_cli.weights.store import WeightsStore

app = typer.Typer(
    name="weights",
    help="List, fetch and verify the checkpoints.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", show_default=False)]


@app.command("list")
def list_(
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, with paths, hashes and sources.")
    ] = False,
) -> None:
    """Show every checkpoint, its licence, and whether it is on this machine.

    **shipped** comes with mrpose, **cached** was fetched or put there by hand, **downloadable** is fetched
    when it is first needed, **by hand** can only be brought by you.

    Example: `mrpose weights list --json`
    """
    with errors_reported():
        store, entries = _store(), _entries(None)
        if as_json:
            typer.echo(json.dumps([_as_json(store, entry) for entry in entries], indent=2))
        else:
            _print_table(store, entries)


@app.command()
def pull(
    names: Names = None,
    every: Annotated[bool, typer.Option("--all", help="Fetch everything that can be downloaded.")] = False,
    offline: Annotated[
        bool, typer.Option("--offline", help="Fetch nothing; fail for what is not here.")
    ] = False,
) -> None:
    """Fetch checkpoints ahead of time; what is here already is verified and left alone.

    Examples: `mrpose weights pull rtmpose-s yolo26n`, `mrpose weights pull --all`
    """
    with errors_reported():
        if bool(names) == every:
            raise UsageError("name the weights to fetch, or pass --all")
        failed = False
        for entry in _entries(names):
            if every and not entry.sources:
                continue
            try:
                with progress_bar("bytes") as progress:
                    found = _store(offline=offline, progress=progress).resolve(entry)
            except WeightsError as error:
                complain(error)
                failed = True
            else:
                say(f"{entry.name}  {found}")
    if failed:
        raise typer.Exit(FAILED)


@app.command()
def verify(names: Names = None) -> None:
    """Hash the files on this machine again and compare them with the manifest.

    Without names, all that are here. The exit code is 1 if a file is damaged, or named and not here.

    Examples: `mrpose weights verify`, `mrpose weights verify rtmpose-s`
    """
    with errors_reported():
        store, sound = _store(), True
        for entry in _entries(names):
            checks = store.check(entry)
            for check in checks:
                say(f"{check.status:<9}  {entry.name}  {check.path}")
                sound = sound and check.status != "damaged"
            if names and not checks:
                say(f"{'missing':<9}  {entry.name}")
                sound = False
    if not sound:
        raise typer.Exit(FAILED)


@app.command()
def path(name: Annotated[str, typer.Argument(metavar="NAME", show_default=False)]) -> None:
    """Print where a checkpoint is on this machine, for use in scripts; nothing is fetched.

    Example: `cp "$(mrpose weights path rtmpose-s)" .`
    """
    with errors_reported():
        store, (entry,) = _store(), _entries([name])
        found = store.locate(entry)
        if found is None:
            remedy = (
                f"`mrpose weights pull {name}` fetches it"
                if entry.sources
                else f"put the file at {store.folder / entry.file}"
            )
            raise WeightsError(f"'{name}' is not on this machine; {remedy}")
        if sys.stdout.isatty():
            say(found)
        else:
            typer.echo(os.fsencode(found))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(metavar="IN", help="A checkpoint of the authors' or of mmpose.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="The .safetensors file to write.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The row of `mrpose models` whose conventions apply, where the file does not tell "
            "(plain, DARK and UDP heatmaps look alike).",
            show_default=False,
        ),
    ] = None,
    input_size: InputSize = None,
    joints: Joints = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it exists.")] = False,
) -> None:
    """Turn a checkpoint into a safetensors file that says itself what it is and what it expects.

    The network is recognized from the names and shapes of the tensors. The result is used with
    `--weights OUT`.

    Examples: `mrpose weights convert pose_hrnet_w32_256x192.pth hrnet-w32.safetensors`,
    `mrpose weights convert my_udp.pth my.safetensors --model hrnet-w32-udp-mmpose`,
    `mrpose weights convert best.pth my.safetensors --input-size 384x288`
    """
    with errors_reported():
        from mrpose_cli.models.identify import convert as write_converted
        from mrpose_cli.models.identify import parse_size
        from mrpose_cli.skeletons import find_skeleton

        if target.exists() and not overwrite:
            raise UsageError(f"{target} exists; replace it with --overwrite")
        size = None if input_size is None else parse_size(input_size)
        skeleton = None if joints is None else find_skeleton(joints, remark)
        entry = write_converted(source, target, model, size, remark, skeleton)
        height, width = entry.input_size
        say(
            f"{target}: {entry.name} ({entry.arch}), {entry.joints} joints ({entry.skeleton.name}), "
            f"{height}x{width}, {entry.color}, decoded by {entry.codec}; "
            f"conventions: {entry.conventions or 'its own'}"
        )


def _store(*, offline: bool = False, progress: Progress = silent) -> WeightsStore:
    from mrpose_cli.weights.store import WeightsStore

    return WeightsStore(offline=offline, progress=progress)


def _entries(names: list[str] | None) -> list[Entry]:
    """Return the entries called ``names``, or all; an unknown name is an error before anything is done."""
    from mrpose_cli.weights.manifest import find_entry, load_manifest

    if not names:
        return list(load_manifest().entries())
    return [find_entry(name) for name in dict.fromkeys(names)]


def _as_json(store: WeightsStore, entry: Entry) -> dict[str, object]:
    found = store.locate(entry)
    return {
        "name": entry.name,
        "kind": entry.kind,
        "about": entry.about,
        "licence": entry.licence,
        "state": store.state(entry),
        "path": None if found is None else str(found),
        "bytes": None if found is None else found.stat().st_size,
        "file": entry.file,
        "sha256": entry.sha256,
        "sources": [str(source) for source in entry.sources],
    }


def _print_table(store: WeightsStore, entries: list[Entry]) -> None:
    from rich import box
    from rich.filesize import decimal
    from rich.table import Table

    table = Table("name", "kind", "licence", box=box.SIMPLE_HEAD)
    table.add_column("size", justify="right")
    table.add_column("state")
    for column in table.columns:
        column.no_wrap = True
    for entry in entries:
        found = store.locate(entry)
        size = "-" if found is None else decimal(found.stat().st_size)
        table.add_row(entry.name, entry.kind, entry.licence, size, store.state(entry))
    table_console().print(table)
