"""``mrpose train``; its flags are the fields of :class:`mrpose_cli.training.config.TrainConfig`."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated

import typer

from mrpose_cli.cli import options
from mrpose_cli.cli.console import (
    bar_console,
    end_interrupted,
    errors_reported,
    name_flags,
    progress_bar,
    say,
    table_console,
)
from mrpose_cli.cli.flags import takes_flags
from mrpose_cli.training.config import TrainConfig

if TYPE_CHECKING:
    from mrpose_cli.jobs.train import Outcome
    from mrpose_cli.progress import Progress

_LINE_EVERY = 30  # seconds between lines where there is no terminal for a bar


@takes_flags("config")
def train(
    ctx: typer.Context,
    config: TrainConfig = TrainConfig(),
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the run in --out; only some flags may change.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite", help="Start over in a folder that holds a run.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Train a network on labeled photos, with joints of any kind, and write a checkpoint with its model card.

    Takes COCO keypoint files with their photos, YOLO-pose folders, exports of CVAT and Label Studio, and crop
    shards. What the joints are is read from them. It starts from the weights that come with mrpose, so that a
    few dozen photos are enough to begin with. Writes best.safetensors (for `mrpose image --weights`),
    held-out.jpg (labels beside predictions, to look at), CARD.md, log.jsonl, curve.svg, and last.pt, from
    which --resume goes on.

    **Examples**

    - `mrpose train mine.json --images photos/`

    - `mrpose train yolo-pose/ --out geese`

    - `mrpose train cvat-export.zip --skeleton geese.toml`

    - `mrpose train person_keypoints_train2017.json --images train2017/ --epochs 30`

    - `mrpose train shards/ --minutes 20 --batch-size 256`

    - `mrpose train --resume --out mrpose-train`

    - `torchrun --nproc-per-node 4 -m mrpose_cli train shards/ --batch-size 128`

    Data of up to 2000 crops have defaults of their own, and CARD.md lists what a run used: --batch-size 16
    --lr 0.002 --warmup 30 --holdout 0.2 --patience 8 --log-every 10 --rotation 30.0 --rotated 0.4
    --half-body 0.2 --cutout 0.2 --blur 0.05 --noise 0.05, and --backbone-lr 0.1 --freeze-norms where the
    backbone has learned something. Crops are mirrored where the joints' names tell left from right, else not.

    The exit code is 0 on success, 1 on failure, 2 for wrong usage, 130 after Ctrl-C, which
    leaves a checkpoint.
    """
    with errors_reported():
        explicit = frozenset(one.name for one in fields(config) if _given(ctx, one.name))
        from mrpose_cli.jobs.train import Request, run_training, training_ranks
        from mrpose_cli.weights.store import WeightsStore

        request = Request(config, explicit, resume, overwrite)
        with training_ranks(config.device) as (ranks, device), progress_bar("bytes") as downloads:
            silenced = quiet or not ranks.first

            def remark(sentence: str) -> None:
                if not silenced:
                    typer.echo(name_flags(sentence), err=True)

            store = WeightsStore(progress=downloads)
            with _told(quiet=silenced) as progress:
                outcome = run_training(request, ranks, device, store=store, progress=progress, remark=remark)
            if not silenced:
                _print(outcome)
            if outcome.interrupted:
                remedy = f"go on with: mrpose train --resume --out {outcome.out}"
                end_interrupted(remedy, aloud=ranks.first)


def _given(ctx: typer.Context, name: str) -> bool:
    """Return whether a flag was on the command line."""
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


@contextmanager
def _told(*, quiet: bool) -> Iterator[Progress]:
    """Yield a bar on stderr with crops per second, loss, AP and time left; lines if it is not a terminal."""
    if quiet or bar_console().is_terminal:
        with progress_bar(quiet=quiet) as bar:
            yield bar
        return
    before, last = "decoding", 0.0

    def line(what: str, done: int, total: int | None, /, *, persons: int = 0, facts: str = "") -> None:
        nonlocal before, last
        if facts and facts != before and (time.monotonic() - last >= _LINE_EVERY or done == total):
            last = time.monotonic()
            typer.echo(f"step {done}/{'?' if total is None else total}  {facts}", err=True)
        before = facts

    yield line


def _print(outcome: Outcome) -> None:
    from rich import box
    from rich.table import Table

    from mrpose_cli.jobs.train import BEST_FILE
    from mrpose_cli.training.card import CARD_FILE
    from mrpose_cli.training.held_out import SHEET_FILE
    from mrpose_cli.training.validate import PCK_SHARE

    table = Table("evaluated on", box=box.SIMPLE_HEAD)
    for title in ("people", "AP", f"PCK@{PCK_SHARE:g}"):
        table.add_column(title, justify="right")
    if outcome.coco is not None:
        pck = "" if outcome.coco.pck is None else f"{outcome.coco.pck:.1f}"
        table.add_row(outcome.coco.dataset, str(outcome.coco.persons), f"{outcome.coco.ap:.1f}", pck)
    held = outcome.held_out
    if held is not None and held.ap_human is not None:
        figures = f"{held.ap_human:.1f}", f"{held.pck_human:.1f}"
        table.add_row("held-out crops, human labels", str(held.crops_human), *figures)
    if held is not None and held.crops > held.crops_human:
        table.add_row("held-out crops, all labels", str(held.crops), f"{held.ap:.1f}", f"{held.pck:.1f}")
    if table.row_count:
        table_console().print(table)
    say(f"  {outcome.samples} crops in {outcome.seconds / 60:.1f} min")
    say(f"  checkpoint  {outcome.out / BEST_FILE}")
    say(f"  card        {outcome.out / CARD_FILE}")
    if held is not None:
        say(f"  to look at  {outcome.out / SHEET_FILE}")
    if not outcome.finished:
        say(f"  to go on    mrpose train --resume --out {outcome.out}")
