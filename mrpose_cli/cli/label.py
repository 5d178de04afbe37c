"""``mrpose label``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mrpose_cli.cli import options
from mrpose_cli.cli.console import errors_reported, progress_bar, say

_NEXT = {
    "cvat": "In CVAT: paste labels.json into the labels' Raw tab, upload the photos of images.txt (sorting: "
    'predefined), then Upload annotations, "COCO Keypoints 1.0", person_keypoints_default.json.',
    "label-studio": "In Label Studio: paste config.xml into the labeling interface (Code), then import "
    "tasks.json.",
}


def label(
    result: Annotated[
        Path,
        typer.Argument(metavar="RESULT", help="poses.json, or other COCO keypoints.", show_default=False),
    ],
    tool: Annotated[
        Literal["cvat", "label-studio"],
        typer.Option("--to", help="The annotation tool.", show_default=False),
    ],
    worst: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Only the N photos with the people whose joints score least on average, worst first.",
            show_default=False,
        ),
    ] = None,
    clip: Annotated[
        Path | None,
        typer.Option(
            help="The clip of which RESULT is: its frames are written as photos into images/.",
            show_default=False,
        ),
    ] = None,
    address: Annotated[
        str,
        typer.Option(
            metavar="PREFIX",
            help="Label Studio: what stands before the names of photos, such as an http address or a folder "
            "that it serves.",
        ),
    ] = "/data/local-files/?d=",
    out: options.Out = None,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Write results as pre-annotations for CVAT or Label Studio, to be corrected there.

    What these export after that, COCO Keypoints from CVAT, JSON from Label Studio, goes into `mrpose train`
    and `mrpose eval` as it is. docs/labeling.md goes through it.

    **Examples**

    - `mrpose label out/poses.json --to cvat -o labels/`

    - `mrpose label out/poses.json --to label-studio --worst 200 -o labels/`

    - `mrpose label out/walk.json --clip walk.mp4 --to cvat --worst 50 -o labels/`

    The exit code is 0 on success, 1 on failure, 2 for wrong usage, 130 after Ctrl-C.
    """
    with errors_reported():
        from mrpose_cli.jobs.label import LabelJob, write_labels

        job = LabelJob(result, tool, out, worst, clip, address, overwrite)
        with progress_bar("frames", quiet=quiet) as bar:
            done = write_labels(job, bar)
        if not quiet:
            for path in done.files:
                say(f"  {path}")
            say(f"{done.people} people in {done.photos} photos. {_NEXT[tool]}")
