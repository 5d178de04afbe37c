"""``mrpose skeletons``: which there are, what they hold, and whether one of your own is right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrpose_cli.cli.console import FAILED, complain, errors_reported, remark, say, table_console

if TYPE_CHECKING:
    from mrpose_cli.skeletons import Skeleton

app = typer.Typer(
    name="skeletons",
    help="List, show and check skeletons: the names, limbs, pairs and OKS sigmas of joints.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


@app.command("list")
def list_() -> None:
    """Show the built-in skeletons.

    Example: `mrpose skeletons list`
    """
    with errors_reported():
        from rich import box
        from rich.table import Table

        from mrpose_cli.skeletons import NAMES, get_skeleton

        table = Table("name", "of", box=box.SIMPLE_HEAD)
        for title in ("joints", "limbs", "pairs"):
            table.add_column(title, justify="right")
        table.add_column("about")
        for skeleton in map(get_skeleton, NAMES):
            counts = (len(skeleton.joints), len(skeleton.limbs), len(skeleton.flip_pairs))
            table.add_row(skeleton.name, skeleton.category, *map(str, counts), skeleton.about)
        table_console().print(table)


@app.command()
def show(
    skeleton: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="A built-in skeleton, a TOML file, a COCO JSON file, or weights that say their joints.",
            show_default=False,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_toml: Annotated[
        bool, typer.Option("--toml", help="Print TOML, to be kept in a file and changed.")
    ] = False,
) -> None:
    """Show a skeleton joint by joint.

    Examples: `mrpose skeletons show halpe26`, `mrpose skeletons show mine.json --toml > mine.toml`
    """
    with errors_reported():
        from mrpose_cli.skeletons.document import to_document, to_toml

        found = _find(skeleton)
        if as_json:
            typer.echo(json.dumps(to_document(found), indent=2))
        elif as_toml:
            typer.echo(to_toml(found), nl=False)
        else:
            _print(found)


@app.command()
def check(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="TOML or COCO JSON files, or weights.", show_default=False),
    ],
) -> None:
    """See that skeletons are right: names, limbs, pairs, sigmas. The exit code is 1 if one is not.

    Example: `mrpose skeletons check mine.toml person_keypoints.json`
    """
    with errors_reported():
        from mrpose_cli.errors import MrposeError
        from mrpose_cli.skeletons.names import unpaired

        wrong = False
        for path in files:
            try:
                found = _find(str(path), a_file=True)
            except MrposeError as error:
                complain(error)
                wrong = True
                continue
            alone = unpaired(found.joints, found.flip_pairs)
            say(
                f"{path}: {found.name}, {len(found.joints)} joints, {len(found.limbs)} limbs, "
                f"{len(found.flip_pairs)} pairs; sigmas: {found.sigmas_source or 'as stated'}"
            )
            if alone:
                remark(f"{path}: {', '.join(alone)} on one side only; a mirror leaves them where they are")
        if wrong:
            raise typer.Exit(FAILED)


def _find(name: str, *, a_file: bool = False) -> Skeleton:
    from mrpose_cli.skeletons import find_skeleton, read_skeleton

    path = Path(name)
    if path.suffix in (".safetensors", ".onnx", ".xml"):
        from mrpose_cli.errors import UsageError
        from mrpose_cli.models.identify import read_entry

        entry = read_entry(path)
        if entry is None:
            raise UsageError(f"{path} is not there, or does not say what its joints are")
        return entry.skeleton
    return read_skeleton(path, remark) if a_file else find_skeleton(name, remark)


def _print(skeleton: Skeleton) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from mrpose_cli.skeletons.document import to_hex

    say(f"{skeleton.name}: {skeleton.about}" if skeleton.about else skeleton.name)
    joints = skeleton.joints
    ends: dict[int, list[str]] = {}
    for first, second in skeleton.limbs:
        ends.setdefault(first, []).append(joints[second])
        ends.setdefault(second, []).append(joints[first])
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("", justify="right")
    for title in ("joint", "in a mirror"):
        table.add_column(title, no_wrap=True)
    table.add_column("sigma", justify="right")
    table.add_column("color")
    table.add_column("limbs to")
    for place, name in enumerate(joints):
        color = to_hex(skeleton.colors[place])
        other = joints[skeleton.mirror_order[place]]
        table.add_row(
            str(place),
            name,
            other if other != name else "-",
            f"{skeleton.sigmas[place]:g}",
            Text(color, style=color),
            ", ".join(ends.get(place, [])),
        )
    table_console().print(table)
    for title, text in (("joints and limbs", skeleton.source), ("sigmas", skeleton.sigmas_source)):
        if text:
            say(f"  {title}: {text}")
