"""``mrpose video``."""

from __future__ import annotations

import re
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Literal

import typer

from mrpose_cli.cli import options
from mrpose_cli.cli.console import FAILED, complain, errors_reported, finish, progress_bar
from mrpose_cli.cli.flags import takes_flags
from mrpose_cli.cli.motion import print_movement
from mrpose_cli.cli.video_console import print_profile, print_rows
from mrpose_cli.errors import UsageError
from mrpose_cli.interrupt import interruptible
from mrpose_cli.pipeline.options import BOXES, ModelOptions
from mrpose_cli.skeletons import KEYPOINT_THRESHOLD

_PART = "Part of the clip"
_PEOPLE = "People from frame to frame"

_TRAIL_SECONDS = 2.0
_PARTS = re.compile(r"(?:(?P<h>[\d.]+)h)?(?:(?P<m>[\d.]+)m)?(?:(?P<s>[\d.]+)s)?")


def seconds(text: str) -> Fraction:
    """Parse a time as people write it: ``90``, ``90s``, ``1m30s``, ``1:30``, ``00:01:30.5``.

    Raises:
        UsageError: it is none.
    """
    try:
        if ":" in text:
            total = Fraction(0)
            for part in text.split(":"):
                total = total * 60 + Fraction(part)
        elif text and text[-1] in "hms" and (match := _PARTS.fullmatch(text)):
            hours, minutes, rest = (Fraction(value or 0) for value in match.group("h", "m", "s"))
            total = hours * 3600 + minutes * 60 + rest
        else:
            total = Fraction(text)
    except (ValueError, ZeroDivisionError):
        total = Fraction(-1)
    if total < 0:
        raise UsageError(f"'{text}' is not a time; write 90, 90s, 1m30s or 00:01:30")
    return total


@takes_flags("models")
def video(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Clips, folders, globs, .txt lists of them, http(s) links, RTSP and other streams, and "
            "numbers of cameras (0 is the first).",
            show_default=False,
        ),
    ],
    out: options.Out = None,
    recursive: options.Recursive = False,
    start: Annotated[
        str,
        typer.Option(metavar="TIME", help="Start at: 90, 90s, 1m30s or 00:01:30.", rich_help_panel=_PART),
    ] = "0",
    end: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="End at, from the clip's beginning.",
            show_default=False,
            rich_help_panel=_PART,
        ),
    ] = None,
    every: Annotated[
        int,
        typer.Option(
            min=1, help="Process every Nth frame only; frames keep their times.", rich_help_panel=_PART
        ),
    ] = 1,
    track: Annotated[
        bool,
        typer.Option("--track", help="Give people persistent ids, and bridge gaps.", rich_help_panel=_PEOPLE),
    ] = False,
    bridge: Annotated[
        int,
        typer.Option(
            min=0,
            max=100,
            help="Longest gap in frames in which a missing person is filled in.",
            rich_help_panel=_PEOPLE,
        ),
    ] = 5,
    smooth: Annotated[
        Literal["none", "one-euro"],
        typer.Option(
            help="Smooth the joints of each id over time; implies --track.", rich_help_panel=_PEOPLE
        ),
    ] = "none",
    smooth_cutoff: Annotated[
        float,
        typer.Option(
            min=0.01, help="One-Euro: cutoff in Hz at rest; lower jitters less.", rich_help_panel=_PEOPLE
        ),
    ] = 1.0,
    smooth_beta: Annotated[
        float,
        typer.Option(
            min=0,
            help="One-Euro: Hz more for each box side a second; higher lags less.",
            rich_help_panel=_PEOPLE,
        ),
    ] = 3.0,
    models: ModelOptions = ModelOptions(),
    det_every: Annotated[
        int,
        typer.Option(
            min=1,
            max=1000,
            help="Detect on each Nth frame and carry the boxes through the others.",
            rich_help_panel=BOXES,
        ),
    ] = 1,
    boxes: Annotated[
        Path | None,
        typer.Option(
            help="Take the boxes from the JSON of an earlier mrpose video instead of a detector.",
            show_default=False,
            rich_help_panel=BOXES,
        ),
    ] = None,
    whole_image: options.WholeImage = False,
    profile: options.Profile = False,
    keypoint_threshold: options.KeypointThreshold = KEYPOINT_THRESHOLD,
    overlay: Annotated[
        bool,
        typer.Option(
            "--overlay/--json-only",
            help="Write a clip with the people drawn over it.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = True,
    codec: Annotated[
        Literal["h264", "hevc", "vp9", "av1"],
        typer.Option(help="Codec of the overlay; h264 plays everywhere.", rich_help_panel=options.OUTPUT),
    ] = "h264",
    crf: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=63,
            help="Quality of the overlay, lower is better. [default: 20 for h264, 24 hevc, 31 vp9, 32 av1]",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ] = None,
    jsonl: Annotated[
        bool,
        typer.Option(
            "--jsonl",
            help="Also write one line of JSON per frame, immediately.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    csv: Annotated[
        bool,
        typer.Option(
            "--csv", help="Also write one CSV row per person per frame.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    motion: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Also write angles and movement files, as `mrpose motion` does, which has options: "
            "csv, xlsx, trc, mot, c3d, openpose, svg, png or all; implies --track.",
            show_default=False,
            rich_help_panel=options.OUTPUT,
        ),
    ] = "",
    draw_boxes: options.DrawBoxes = False,
    draw_heatmaps: options.DrawHeatmaps = False,
    trails: Annotated[
        bool,
        typer.Option(
            "--trails", help="Draw the trails of people; implies --track.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    blur_faces: Annotated[
        bool,
        typer.Option(
            "--blur-faces",
            help="Make the faces of all detected people unrecognizable.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = False,
    background: Annotated[
        Literal["picture", "black"],
        typer.Option(help="Background of the overlay.", rich_help_panel=options.OUTPUT),
    ] = "picture",
    show: Annotated[
        bool,
        typer.Option(
            "--show", help="Show the frames in a window; q closes it.", rich_help_panel=options.OUTPUT
        ),
    ] = False,
    reconnect: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds to retry a broken stream; 0 to give up at once.",
            rich_help_panel=options.OUTPUT,
        ),
    ] = 30.0,
    overwrite: options.Overwrite = False,
    quiet: options.Quiet = False,
) -> None:
    """Find the people in clips and estimate the keypoints of each, frame by frame.

    Writes a clip with the people drawn over it, with the source's times, sound and subtitles, and a COCO JSON
    with one image per frame. Coordinates are pixels of the upright picture.

    **Examples**

    - `mrpose video samples/pedestrians.mp4`

    - `mrpose video clip.mov folder/ -o out/ --track --smooth one-euro --start 10s --end 1m`

    - `mrpose video squat.mp4 --motion csv,svg`

    - `mrpose video match.mkv --json-only --jsonl --det-every 3`

    - `mrpose video rtsp://camera/stream --show --trails`

    - `mrpose video run.mp4 --joints halpe26 --track --csv`

    The exit code is 0 on success, 1 if an input failed, 2 for wrong usage, 130 after Ctrl-C.
    """
    with errors_reported():
        from mrpose_cli.drawing import Style
        from mrpose_cli.formats.lines import CsvWriter, JsonlWriter
        from mrpose_cli.formats.writer import DatasetWriter
        from mrpose_cli.jobs.motion.options import parse_formats
        from mrpose_cli.jobs.motion.run import after_video
        from mrpose_cli.jobs.video.options import VideoJob
        from mrpose_cli.jobs.video.run import prepare, run_videos
        from mrpose_cli.media.video.clip import Window
        from mrpose_cli.tracking.follow import Following
        from mrpose_cli.tracking.one_euro import OneEuro

        following = None
        if track or trails or motion or smooth != "none":
            following = Following(bridge, OneEuro(smooth_cutoff, smooth_beta) if smooth != "none" else None)
        formats = {DatasetWriter: True, JsonlWriter: jsonl, CsvWriter: csv}
        job = VideoJob(
            inputs=inputs,
            out=out,
            recursive=recursive,
            window=Window(seconds(start), None if end is None else seconds(end), every),
            boxes=boxes,
            classes=models.class_names(),
            whole_image=whole_image,
            det_every=det_every,
            following=following,
            keypoint_threshold=keypoint_threshold,
            style=Style(
                keypoint_threshold=keypoint_threshold,
                boxes=draw_boxes,
                heatmaps=draw_heatmaps,
                black=background == "black",
                blur_faces=blur_faces,
            ),
            trail=_TRAIL_SECONDS if trails else 0.0,
            overlay=overlay,
            codec=codec,
            crf=crf,
            formats=[form for form, wanted in formats.items() if wanted],
            motion=parse_formats(motion) if motion else (),
            show=show,
            patience=reconnect,
            overwrite=overwrite,
        )
        with ExitStack() as stack:
            plan = stack.enter_context(prepare(job))
            for name, reason in plan.problems:
                complain(reason, name)
            if not plan.sources:
                raise typer.Exit(FAILED)

            pipeline = options.open_models(
                models, plan.detector, heatmaps=draw_heatmaps, profile=profile, prompt=plan.live
            )
            stop = stack.enter_context(interruptible())
            bar = stack.enter_context(progress_bar("frames", quiet=quiet))
            report = run_videos(job, plan, pipeline, stop, bar)
            moved = after_video(plan.out, report, job.motion, stop, bar) if job.motion else None
        if not quiet:
            print_rows(report)
            if moved is not None:
                print_movement(moved)
        if profile:
            print_profile(report)
        kept = "what was done until then is complete and playable"
        finish(report, failed=bool(plan.problems), interrupted=kept)
