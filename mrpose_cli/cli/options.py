"""What several commands share: options whose defaults stand with the commands, and the models they load."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mrpose_cli.cli.console import progress_bar, remark
from mrpose_cli.flag import flags_of
from mrpose_cli.pipeline.options import BOXES, MODELS, SPEED, ModelOptions

if TYPE_CHECKING:
    from mrpose_cli.pipeline.detectors.base import Detector
    from mrpose_cli.pipeline.pipeline import Pipeline

OUTPUT = "Output"

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Output folder. [default: mrpose-out, or the first free mrpose-out-N]",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
InputSize = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help=flags_of(ModelOptions)["input_size"].help,
        show_default=False,
        rich_help_panel=MODELS,
    ),
]
Joints = Annotated[
    str | None,
    typer.Option(
        "--joints",
        "--skeleton",
        metavar="NAME|FILE",
        help="What the joints are, if the file does not say it: one of `mrpose skeletons list`, or a file.",
        show_default=False,
        rich_help_panel=MODELS,
    ),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Include subfolders.")]
WholeImage = Annotated[
    bool, typer.Option("--whole-image", help="Treat every picture as one person.", rich_help_panel=BOXES)
]
Profile = Annotated[bool, typer.Option("--profile", help="Print where the time went.", rich_help_panel=SPEED)]
KeypointThreshold = Annotated[
    float,
    typer.Option(
        "--kpt-thr",
        min=0,
        max=1,
        help="Joints below this score are not drawn, and have v = 0 in the JSON.",
        rich_help_panel=OUTPUT,
    ),
]
DrawBoxes = Annotated[
    bool, typer.Option("--draw-boxes", help="Draw the person boxes.", rich_help_panel=OUTPUT)
]
DrawHeatmaps = Annotated[
    bool, typer.Option("--draw-heatmaps", help="Draw the heatmaps over the picture.", rich_help_panel=OUTPUT)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that exist.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=OUTPUT)]


def open_models(
    models: ModelOptions,
    detector: Detector | None,
    *,
    heatmaps: bool,
    profile: bool,
    prompt: bool = False,
) -> Pipeline:
    """Load the models, with bars for what is downloaded.

    Args:
        models: Which ones.
        detector: Where boxes come from, if not from the detector that ``models`` names.
        heatmaps: Keep heatmaps to be drawn.
        profile: Wait for the GPU, so that times are exact.
        prompt: Have one frame done as soon as can be rather than many a second.
    """
    from mrpose_cli.pipeline.factory import open_pipeline
    from mrpose_cli.pipeline.profile import StageClock
    from mrpose_cli.weights.store import WeightsStore

    with progress_bar("bytes") as progress:
        return open_pipeline(
            models,
            detector,
            keep_heatmaps=heatmaps,
            store=WeightsStore(offline=models.offline, progress=progress),
            clock=StageClock(synchronize=profile),
            remark=remark,
            prompt=prompt,
        )
