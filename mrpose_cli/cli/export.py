"""``mrpose export``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mrpose_cli.cli.console import errors_reported, progress_bar, remark, say
from mrpose_cli.cli.options import OUTPUT, InputSize, Overwrite
from mrpose_cli.pipeline.options import MODELS

if TYPE_CHECKING:
    from mrpose_cli.jobs.export.run import Export

_COMPARISON = "Comparison"


def export(
    source: Annotated[
        str,
        typer.Argument(metavar="NAME|FILE", help="A checkpoint of `mrpose models`, or your own weights."),
    ],
    form: Annotated[
        Literal["onnx", "openvino", "torchscript"],
        typer.Option("--format", help="What to write; onnx needs mrpose[export].", rich_help_panel=OUTPUT),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            help="The file: .onnx, .xml (with .bin beside it) or .torchscript. [default: NAME.onnx, ...]",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    batch: Annotated[
        str,
        typer.Option(
            metavar="dynamic|N", help="Crops that it takes: any number, or N.", rich_help_panel=OUTPUT
        ),
    ] = "dynamic",
    keypoints: Annotated[
        bool,
        typer.Option(
            "--keypoints",
            help="Decode inside, without flip test: crops in, joints in crop pixels and scores out.",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    overwrite: Overwrite = False,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The row of `mrpose models` whose conventions apply, where your file does not tell.",
            show_default=False,
            rich_help_panel=MODELS,
        ),
    ] = None,
    input_size: InputSize = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Download no weights.", rich_help_panel=MODELS)
    ] = False,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Compare on the people in the photos of this folder. [default: made-up crops]",
            show_default=False,
            rich_help_panel=_COMPARISON,
        ),
    ] = None,
    ann: Annotated[
        Path | None,
        typer.Option(
            help="COCO's annotations of these photos: compare AP, too.",
            show_default=False,
            rich_help_panel=_COMPARISON,
        ),
    ] = None,
    int8: Annotated[
        bool,
        typer.Option(
            "--int8",
            help="Compute in int8 where that costs no more than 0.3 AP; needs --calibrate and mrpose[int8].",
            rich_help_panel=OUTPUT,
        ),
    ] = False,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            help="For --int8: a folder of photos of people like yours, some hundred of them.",
            show_default=False,
            rich_help_panel=OUTPUT,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            min=1, help="Compare on the first N photos.", show_default=False, rich_help_panel=_COMPARISON
        ),
    ] = None,
) -> None:
    """Write a pose network as ONNX, OpenVINO or TorchScript, for other programs and for `--weights`.

    The file says itself what it expects. It is run in its own library and compared with the float32 network
    in PyTorch; if joints differ by more than 0.05 px, or AP by more than 0.1, it does not get its name and
    the exit code is 1. mrpose runs ONNX and OpenVINO files without --keypoints; TorchScript is code, which
    is never run from weights files.

    **Examples**

    - `mrpose export rtmpose-s --format openvino`

    - `mrpose export best.safetensors --format onnx -o mine.onnx --batch 16`

    - `mrpose export mrfea2-cspnext-s --format onnx --keypoints --images photos/`

    - `mrpose export rtmpose-s --format openvino --int8 --calibrate photos/`

    - `mrpose export rtmpose-s --format openvino --images val2017/ --ann ann.json --limit 100`

    The exit code is 0 on success, 1 on failure, 2 for wrong usage, 130 after Ctrl-C.
    """
    with errors_reported():
        from mrpose_cli.errors import UsageError
        from mrpose_cli.jobs.export.run import ExportJob
        from mrpose_cli.jobs.export.run import export as write
        from mrpose_cli.models.identify import parse_size
        from mrpose_cli.weights.store import WeightsStore

        if batch != "dynamic" and not (batch.isdecimal() and 0 < int(batch) <= 1024):
            raise UsageError(f"--batch takes dynamic or a number from 1 to 1024, not '{batch}'")
        if int8 != (calibrate is not None):
            raise UsageError("--int8 and --calibrate go together")
        job = ExportJob(
            source=source,
            format=form,
            out=out,
            batch=None if batch == "dynamic" else int(batch),
            keypoints=keypoints,
            model=model,
            input_size=None if input_size is None else parse_size(input_size),
            images=images,
            annotations=ann,
            limit=limit,
            calibrate=calibrate,
            overwrite=overwrite,
        )
        with progress_bar("" if int8 else "bytes") as progress:
            _print(write(job, WeightsStore(offline=offline, progress=progress), remark, progress))


def _print(done: Export) -> None:
    entry, parity = done.entry, done.parity
    height, width = entry.input_size
    say(f"{done.path}: {entry.name}, {height}x{width}, {entry.color}, {entry.codec}; licence {entry.licence}")
    ties = f", {parity.undecided} ties left out" if parity.undecided else ""
    compared = f"{parity.joints} sure joints of {parity.crops} crops{ties}"
    say(
        f"  difference to float32 in PyTorch: at most {parity.furthest:.4f} px, on average "
        f"{parity.mean:.5f} px ({compared}); output {parity.answer:.1e} of its highest value"
    )
    if done.layers:
        rounded = f"{done.layers - len(done.left)} of {done.layers} layers"
        say(f"  int8: {rounded}; mean OKS to float32 {parity.oks:.4f}")
    if parity.ap is not None:
        say(f"  AP {parity.ap[0]:.2f} in PyTorch, {parity.ap[1]:.2f} from the file")
