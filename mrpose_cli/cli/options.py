"""Options that several commands have; their defaults stand with the commands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

MODELS = "Models"
BOXES = "Boxes"
OUTPUT = "Output"
SPEED = "Speed"

Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        "-o",
        help="Folder of all that is written. [default: mrpose-out, or the first free mrpose-out-N]",
        show_default=False,
        rich_help_panel=OUTPUT,
    ),
]
Recursive = Annotated[bool, typer.Option("--recursive", "-r", help="Go down into subfolders.")]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A checkpoint of `mrpose models`. [default: rtmpose-s, or what --weights holds]",
        show_default=False,
        rich_help_panel=MODELS,
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        help="A file of your own: the authors', mmpose's, or of `mrpose weights convert`.",
        show_default=False,
        rich_help_panel=MODELS,
    ),
]
InputSize = Annotated[
    str | None,
    typer.Option(
        "--input-size",
        metavar="HxW",
        help="Height x width of the crops your own file was trained on, such as 384x288, if it does not say.",
        show_default=False,
        rich_help_panel=MODELS,
    ),
]
Flip = Annotated[
    bool | None,
    typer.Option(
        "--flip/--no-flip",
        help="Flip test: average with the mirrored crop. [default: as the checkpoint was published]",
        show_default=False,
        rich_help_panel=MODELS,
    ),
]
Offline = Annotated[bool, typer.Option("--offline", help="Download no weights.", rich_help_panel=MODELS)]
Detector = Annotated[
    str,
    typer.Option(
        help="yolo26n, yolo26m, yolo11n, yolo11n-pose (ultralytics, AGPL-3.0), yolox-tiny (Apache-2.0), "
        "or the path of an ultralytics .pt file.",
        rich_help_panel=BOXES,
    ),
]
DetConf = Annotated[
    float, typer.Option(min=0, max=1, help="Drop boxes below this score.", rich_help_panel=BOXES)
]
DetIou = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="NMS threshold (yolo26 needs no NMS and ignores it).", rich_help_panel=BOXES
    ),
]
ImgSize = Annotated[
    int | None,
    typer.Option(
        min=32,
        help="Longer side of the detector's input. [default: 640]",
        show_default=False,
        rich_help_panel=BOXES,
    ),
]
WholeImage = Annotated[
    bool, typer.Option("--whole-image", help="Every picture is one person.", rich_help_panel=BOXES)
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.", rich_help_panel=SPEED)]
Dtype = Annotated[
    Literal["auto", "fp32", "fp16", "bf16"],
    typer.Option(help="auto is fp16 on CUDA, fp32 elsewhere.", rich_help_panel=SPEED),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Crops a forward pass, across pictures. [default: 64 on CUDA, 32 on MPS, 8 on the CPU]",
        show_default=False,
        rich_help_panel=SPEED,
    ),
]
DetBatch = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Pictures a detector pass. [default: 8 on CUDA, 4 on MPS, 1 on the CPU]",
        show_default=False,
        rich_help_panel=SPEED,
    ),
]
Profile = Annotated[bool, typer.Option("--profile", help="Print where the time went.", rich_help_panel=SPEED)]
KptThr = Annotated[
    float,
    typer.Option(
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
    bool, typer.Option("--draw-heatmaps", help="Draw what the network saw.", rich_help_panel=OUTPUT)
]
Overwrite = Annotated[
    bool, typer.Option("--overwrite", help="Replace files that exist.", rich_help_panel=OUTPUT)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print errors only.", rich_help_panel=OUTPUT)]


def parsed(input_size: str | None) -> tuple[int, int] | None:
    """Height and width of what was given with ``--input-size``."""
    if input_size is None:
        return None
    from mrpose_cli.models.identify import parse_size

    return parse_size(input_size)
