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
    """Train a network on person crops and write a checkpoint with its model card.

    Takes crop shards, or COCO keypoint files with their photos. Writes best.safetensors (for `mrpose image
    --weights`), CARD.md, log.jsonl, curve.svg, and last.pt, from which --resume goes on.

    **Examples**

    - `mrpose train shards/ --minutes 20 --batch-size 256`

    - `mrpose train person_keypoints_train2017.json --images train2017/ --epochs 30`

    - `mrpose train mine.json --images photos/ --init mrfea2-cspnext-s.safetensors --lr 2e-4 --epochs 20`

    - `mrpose train --resume --out mrpose-train`

    - `torchrun --nproc-per-node 4 -m mrpose_cli train shards/ --batch-size 128`

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

    table = Table("evaluated on", box=box.SIMPLE_HEAD)
    for title in ("people", "AP"):
        table.add_column(title, justify="right")
    if outcome.coco is not None:
        table.add_row(outcome.coco.dataset, str(outcome.coco.persons), f"{outcome.coco.ap:.1f}")
    held = outcome.held_out
    if held is not None and held.ap_human is not None:
        table.add_row("held-out crops, human labels", str(held.crops_human), f"{held.ap_human:.1f}")
    if held is not None:
        table.add_row("held-out crops, all labels", str(held.crops), f"{held.ap:.1f}")
    if table.row_count:
        table_console().print(table)
    say(f"  {outcome.samples} crops in {outcome.seconds / 60:.1f} min")
    say(f"  checkpoint  {outcome.out / BEST_FILE}")
    say(f"  card        {outcome.out / CARD_FILE}")
    if not outcome.finished:
        say(f"  to go on    mrpose train --resume --out {outcome.out}")
